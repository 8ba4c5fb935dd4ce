"""The comparison of detectors: figures that were worked out by hand, and scorers that agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import detection, detection_page, peers
from benchmarks.days import Found, clean, episodes, flags, table
from benchmarks.score import DAY, FALSE, HOUR, Scoring, load_flags, load_set, nanoseconds, score
from benchmarks.sets import SETS, Set, at_hand, half, make_demo

START = pd.Timestamp("2024-01-01", tz="UTC")
HOURS = 60 * 24
NOW = 1_704_067_200_000_000_000  # START [ns]


def day(number: float) -> str:
    return (START + pd.Timedelta(days=number)).isoformat()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Set:
    """Two meters that use 2.0 an hour for 60 days, stamped at the hours' ends, and six things that happen."""
    directory = tmp_path_factory.mktemp("small")
    a, d = np.full(HOURS, 2.0), np.full(HOURS, 2.0)
    d[45 * 24 : 46 * 24] *= 10  # a day of ten times the use
    a[50 * 24] = -500.0  # a register that falls
    a[52 * 24] += 100.0  # a wrong digit, right again an hour later
    a[52 * 24 + 1] -= 100.0
    a[57 * 24 : 58 * 24] *= 10  # nobody's fault: a false flag
    times = START + pd.to_timedelta(np.arange(1, HOURS + 1), "h")
    one, two = (pd.DataFrame({"meter_id": n, "time": times, "value": v}) for n, v in (("a", a), ("d", d)))
    two = two.drop(index=list(range(54 * 24, 54 * 24 + 12)))  # twelve hours without a word
    truth = [
        ("d", "spike", 10.0, day(45), day(46)),
        ("a", "rollback", 7.0, day(50 + 1 / 24), day(50 + 1 / 24)),
        ("a", "misread", 100.0, day(52 + 1 / 24), day(52 + 2 / 24)),
        ("d", "gap", 0.5, day(54), day(54.5)),
        ("d", "theft", 0.8, day(57), day(58)),  # which nobody can see
    ]
    pd.concat([one, two]).to_parquet(directory / "readings.parquet", index=False)
    pd.DataFrame(truth, columns=["meter_id", "type", "size", "start", "end"]).to_csv(
        directory / "truth.csv", index=False
    )
    (directory / "meters.csv").write_text(
        "meter_id,commodity,unit,kind,interval_s,area,class\n"
        "a,water,L,interval,3600,block,residential\nd,water,L,interval,3600,block,residential\n"
    )
    return Set("demo", directory)


@pytest.fixture(scope="module")
def of_rules(small: Set, tmp_path_factory: pytest.TempPathFactory) -> detection.Result:
    return detection.one("rules", small, 0.0, tmp_path_factory.mktemp("scratch"))


def test_the_rules_on_two_meters(of_rules: detection.Result) -> None:
    told = of_rules.told
    # Four of five found, one false of five: recall = precision = F1 = 0.8.
    assert (told["events"], told["flags"]) == (5, 5)
    assert (told["recall"], told["precision"], told["f1"]) == (0.8, 0.8, 0.8)
    # Two meters from the 42nd day after their first hour to their last.
    exposure = 2 * (60 - 1 / 24 - 42)
    assert of_rules.exposure == pytest.approx(exposure)
    assert told["false_per_1000"] == round(1000 / exposure, 3)
    assert told["recall_by_type"] == {"gap": 1.0, "misread": 1.0, "rollback": 1.0, "spike": 1.0, "theft": 0.0}
    # Six hours of silence; the amount below zero itself, an hour after the digit; an hour after the day.
    assert told["median_delay_h"] == {"gap": 6.0, "misread": 1.0, "rollback": 0.0, "spike": 25.0}
    assert told["kind_right"] == 1.0
    assert told["false_by_kind"] == {"spike": 1}
    assert told["most_on_a_day"] == 1
    assert told["recall_spike_x5_or_more"] == 1.0
    assert (of_rules.readings, of_rules.meters) == (2 * HOURS - 12, 2)


def test_the_halves_are_scored_by_themselves(of_rules: detection.Result) -> None:
    own = {half("a"): (2, 2, 1), half("d"): (3, 2, 0)}  # faults, found, false
    assert len(own) == 2
    for side, told in enumerate(of_rules.halves):
        faults, found, false = own[side]
        assert told["events"] == faults
        assert told["recall"] == round(found / faults, 4)
        assert told["false_by_kind"] == ({"spike": 1} if false else {})


def test_the_page_says_what_was_measured(of_rules: detection.Result) -> None:
    page = detection_page.write([of_rules], ["river is not installed: no network"])
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]
    assert next(row[:2] for row in cells if row[0] == "rules") == ["rules", "0.800 (27.84)"]
    assert ["gap", "1.000 (6 h)"] in cells
    assert ["theft", "0.000"] in cells
    assert "Left out: river is not installed: no network." in page
    assert "threshold was chosen with the truth in hand" in page


def test_forestall_itself_in_the_table(small: Set, tmp_path: Path) -> None:
    result = detection.one(detection.OURS, small, 0.0, tmp_path)
    assert result.told["recall_by_type"]["rollback"] == 1.0
    assert result.told["recall_by_type"]["misread"] == 1.0
    assert result.state_bytes > 0
    assert result.cpu > 0
    assert result.at_most is not None


@pytest.mark.parametrize("method", ["PyOD ECOD", "river GaussianScorer"])
def test_a_peer_in_the_table(small: Set, tmp_path: Path, method: str) -> None:
    package = peers.PACKAGES[method.partition(" ")[0]]
    if not detection.installed(package):
        pytest.skip(f"{package} is not installed; `make bench ARGS=detection` installs it")
    told = detection.one(method, small, 0.0, tmp_path).told
    # What plain validation finds is theirs too.
    assert told["recall_by_type"]["rollback"] == told["recall_by_type"]["gap"] == 1.0


def test_a_threshold_is_chosen_for_the_best_f1() -> None:
    readings = pd.DataFrame(
        [(name, START + pd.Timedelta(days=d), 1.0) for name in ("a", "b") for d in range(50)],
        columns=["meter_id", "time", "value"],
    )
    truth = pd.DataFrame(
        [("a", "spike", 5.0, START + pd.Timedelta(days=44), START + pd.Timedelta(days=44.5)),
         ("b", "theft", 0.5, START + pd.Timedelta(days=45), START + pd.Timedelta(days=46))],
        columns=["meter_id", "type", "size", "start", "end"],
    )  # fmt: skip
    of = Scoring(readings, truth, bills=False, hourly=False)
    at = np.broadcast_to(NOW + np.arange(50, dtype=np.int64) * DAY, (2, 50))
    scores = np.zeros((2, 50))
    scores[0, 10] = 9.0  # in the warm-up: not counted
    scores[0, 44], scores[0, 48] = 5.0, 2.0  # a hit; false
    scores[1, 45], scores[1, 46] = 3.0, 4.0  # a hit that goes on
    told = {
        "found": "[]", "names": np.array(["a", "b"]), "at": at, "score": scores,
        "high": scores == 5.0, "kinds": np.array(["spike", "low_usage"]),
    }  # fmt: skip
    found, at_most = detection.flagged(of, told)
    came = score(of, found)
    assert (came["f1"], came["false_per_1000"], came["kind_right"]) == (1.0, 0.0, 1.0)
    assert at_most == 1.0
    assert found["score"].min() > 2.0


def test_an_episode_begins_once_and_outlasts_what_is_not_known() -> None:
    alarm = np.array([[0, 1, 1, 0, 1, 1, 0, 0], [0, 0, 1, 0, 0, 0, 1, 1]], bool)
    known = np.array([[1, 1, 1, 0, 1, 0, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]], bool)
    begins, stays = episodes(alarm, known)
    assert np.argwhere(begins).tolist() == [[0, 1], [1, 2], [1, 6]]
    assert np.argwhere(stays).tolist() == [[1, 6]]


def test_registers_become_amounts_and_days() -> None:
    counts = pd.DataFrame({"meter_id": "a", "time": START + pd.to_timedelta(np.arange(49), "h")})
    counts["value"] = np.cumsum(np.r_[0.0, np.full(24, 1.0), np.arange(24.0)])
    amounts, found = clean(counts, register=True)
    days = table(amounts)
    assert found == []
    assert days.mean[0, -2:].tolist() == [1.0, 11.5]
    assert (days.top[0, -1], days.third[0, -1], days.least[0, -1]) == (23.0, 21.0, 0.0)
    assert days.six[0, -1] == np.mean(np.arange(18, 24))
    assert days.zeros[0, -2:].tolist() == [0.0, 1 / 24]


# --- our scorer --------------------------------------------------------------------------------


def made_up(directory: Path, rng: np.random.Generator) -> Path:
    """A small set with faults and natural gaps at random, and flags at random; where the flags are."""
    directory.mkdir()
    days, names = 90, [f"m{n}" for n in range(6)]
    times = START + pd.to_timedelta(np.arange(0, days * 24, 4), "h")
    readings = pd.concat(
        pd.DataFrame({"meter_id": name, "time": times, "value": rng.gamma(2, 1, len(times))})
        for name in names
    )
    readings.to_parquet(directory / "readings.parquet", index=False)
    rows = []
    for name in names:
        for kind in ("spike", "leak", "theft", "gap", "ignore", "misread"):
            begin, length = rng.uniform(30, 85), rng.uniform(0, 4)
            rows.append((name, kind, 5.0, day(begin), day(begin + length)))
    truth = pd.DataFrame(rows, columns=["meter_id", "type", "size", "start", "end"])
    truth.to_csv(directory / "truth.csv", index=False)
    (directory / "meters.csv").write_text("meter_id,kind\n" + "".join(f"{name},interval\n" for name in names))
    kinds = ["spike", "leak", "low_usage", "gap", "misread", "stuck"]
    lines = []
    for number in range(120):
        flag = {
            "id": str(number), "meter_id": str(rng.choice(names)), "kind": str(rng.choice(kinds)), "status": "raised",
            "at": day(rng.uniform(20, 89)), "score": round(rng.uniform(0, 3), 2),
        }  # fmt: skip
        lines.append(flag)
        if number % 3 == 0:
            lines.append(flag | {"status": "updated", "kind": "leak"})
        if number % 2 == 0:
            lines.append(flag | {"status": "cleared"})
    out = directory / "flags.jsonl"
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return out


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("bills", [False, True])
def test_our_scorer_agrees_with_the_shared_one(tmp_path: Path, seed: int, bills: bool) -> None:
    if not detection.SCORER.is_file():
        pytest.skip("../shared/scoring is not at hand")
    out = made_up(tmp_path / "set", np.random.default_rng(seed))
    done = subprocess.run(
        [sys.executable, str(detection.SCORER), str(tmp_path / "set"), str(out), "--json", *["--bills"][:bills]],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    theirs: dict[str, Any] = json.loads(done.stdout)
    theirs.pop("at_a_cut")
    ours = score(load_set(tmp_path / "set", bills), load_flags(out))
    assert {key: ours[key] for key in theirs} == theirs


def test_what_is_a_hit_and_what_is_not_counted() -> None:
    readings = pd.DataFrame(
        {"meter_id": "a", "time": [START, START + pd.Timedelta(days=100)], "value": [0.0, 0.0]}
    )
    truth = pd.DataFrame(
        [("a", "leak", 1.0, day(50), day(52)), ("a", "ignore", 0.0, day(60), day(70))],
        columns=["meter_id", "type", "size", "start", "end"],
    )
    for column in ("start", "end"):
        truth[column] = pd.to_datetime(truth[column])
    of = Scoring(readings, truth, bills=False, hourly=False)
    assert of.exposure == 100 - 42 - 10
    times = [30, 49, 51, 52.9, 53.1, 65, 70 + 1 / 24, 70.9, 71.1]
    found = flags([Found("a", NOW + round(24 * t) * HOUR, "continuous_flow") for t in times])
    told = score(of, found)
    # The warm-up takes 30; 51 and 52.9 are one find; 65, 70 and 70.9 lie in the hole and its grace.
    assert told["false_by_kind"] == {"continuous_flow": 3}
    assert (told["recall"], told["median_delay_h"], told["kind_right"]) == (1.0, {"leak": 24.0}, 1.0)
    assert told["false_per_1000"] == round(1000 * 3 / 48, 3)
    assert FALSE == -1


def test_flags_that_stay_open_are_counted(tmp_path: Path) -> None:
    """The leak ends on day 52; cleared within two weeks, after them, never; and never because the meter is silent."""
    readings = pd.DataFrame(
        [(name, START + pd.Timedelta(days=n), 0.0) for name, last in zip("abcd", (99, 99, 99, 60), strict=True)
         for n in (0, last)],
        columns=["meter_id", "time", "value"],
    )  # fmt: skip
    truth = pd.DataFrame(
        [(name, "leak", 1.0, day(50), day(52)) for name in "abcd"],
        columns=["meter_id", "type", "size", "start", "end"],
    )
    for column in ("start", "end"):
        truth[column] = pd.to_datetime(truth[column])
    lines = []
    for name, until in (("a", 65.9), ("b", 66.1), ("c", None), ("d", None)):
        flag = {"id": name, "meter_id": name, "kind": "leak", "at": day(51), "score": 1.0}
        lines.append(flag | {"status": "raised"})
        if until is not None:
            lines.append(flag | {"status": "cleared", "at": day(until)})
    out = tmp_path / "flags.jsonl"
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert score(Scoring(readings, truth, bills=False, hourly=False), load_flags(out))["cleared_late"] == 2


def test_what_is_found_when_the_whole_fleet_rises(tmp_path: Path) -> None:
    """Days 60 and 80 are those on which all rise, 65 and 78 on which they fall; elsewhere all leaks are found."""
    level = {60: 9.0, 80: 9.0, 65: 0.1, 78: 0.1}
    days = [START + pd.Timedelta(days=n) for n in range(82)]
    readings = pd.DataFrame(
        [(name, at, level.get(n, 1.0 + 0.01 * (n % 2))) for name in "ab" for n, at in enumerate(days)],
        columns=["meter_id", "time", "value"],
    )
    truth = pd.DataFrame(
        [("a", "leak", 1.0, day(60.1), day(61)), ("b", "leak", 1.0, day(60.1), day(61)),
         ("a", "leak", 1.0, day(70), day(71)), ("b", "leak", 1.0, day(75), day(76))],
        columns=["meter_id", "type", "size", "start", "end"],
    )  # fmt: skip
    for column in ("start", "end"):
        truth[column] = pd.to_datetime(truth[column])
    of = Scoring(readings, truth, bills=False, hourly=True)
    found = flags(
        [
            Found(name, NOW + round(24 * t) * HOUR, "leak")
            for name, t in (("a", 60.5), ("a", 70.5), ("b", 75.5))
        ]
    )
    told = score(of, found)["found_on_rise_days"]
    assert told == {"n": 1, "of": 2, "expected": 2.0}


def test_flags_that_break_the_contract_are_refused(tmp_path: Path) -> None:
    flag = {"id": "1", "meter_id": "a", "kind": "leak", "status": "cleared", "at": day(50)}
    path = tmp_path / "flags.jsonl"
    path.write_text(json.dumps(flag) + "\n")
    with pytest.raises(ValueError, match=r"flags\.jsonl:1: .* 1 is cleared but not raised before"):
        load_flags(path)
    path.write_text(2 * (json.dumps(flag | {"status": "raised"}) + "\n"))
    with pytest.raises(ValueError, match=r"flags\.jsonl:2: .* 1 is raised twice"):
        load_flags(path)


# --- the demo as a set -------------------------------------------------------------------------


def test_the_demo_gets_the_same_faults_each_time(tmp_path: Path) -> None:
    first, again = make_demo(tmp_path / "1"), make_demo(tmp_path / "2")
    assert (first / "truth.csv").read_text() == (again / "truth.csv").read_text()
    pd.testing.assert_frame_equal(
        pd.read_parquet(first / "readings.parquet"), pd.read_parquet(again / "readings.parquet")
    )
    of = load_set(first)
    assert len(of.first) == 25
    assert {*of.faults["type"]} == {
        "spike", "leak", "stuck", "theft", "drift", "misread", "rollback", "gap",
    }  # fmt: skip
    for _, own in of.faults.groupby("meter_id"):
        begin, end = nanoseconds(own["start"]), nanoseconds(own["end"])
        order = np.argsort(begin)
        assert (begin[order][1:] > end[order][:-1]).all()
        assert begin.min() >= of.first[str(own["meter_id"].iloc[0])] + of.warm


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    sets, missing = at_hand(tmp_path / "data", tmp_path, tuple(SETS))
    assert [each.name for each in sets] == ["demo"]
    assert missing == [name for name in SETS if name != "demo"]


# --- what is not installed ---------------------------------------------------------------------


def test_peers_that_cannot_be_had_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "installed", lambda _: False)
    monkeypatch.setattr(detection, "fetch", lambda: "no network")
    methods, left_out = detection.available(wanted=True)
    assert methods == [detection.OURS, "rules"]
    assert left_out == [
        f"{name} is not installed: no network; pip install --require-hashes -r requirements-peers.txt brings it"
        for name in ("PyOD", "river")
    ]
    assert detection.available(wanted=False) == (methods, [])


def test_nothing_is_installed_into_a_python_that_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/elsewhere")
    assert "is not the one of .venv" in detection.fetch()
