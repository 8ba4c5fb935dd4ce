"""What happens in a simulated year, from outside: flags of real meters, and customers who complain after known delays.

Everything here is settled before anything of the product runs, from the sets and a seed. The last year of each
set is moved by whole seconds onto one calendar year; a flag reaches the tickets when its reading does, which is
the instant of its decision, or two days later where reads are late.
"""

from __future__ import annotations

import tomllib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
from msgspec.structs import replace

from benchmarks.sets import ROOT, Set
from connectors.reading_files import read_files
from connectors.registry_csv import read_registry
from streams.messages import Flag
from streams.programs.replay import Replay
from streams.settings import Settings

ZONE, ZONE_S = "Asia/Shanghai", 8 * 3600
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) - ZONE_S
END = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()) - ZONE_S
MINUTE, HOUR, DAY = 60, 3600, 86_400
AREAS = 3  # that each set's meters are spread over
CALENDAR = ROOT / "deploy" / "calendars" / "china-2026.toml"
GRACE = pd.Timedelta(hours=24)
LATE = 2 * DAY  # by which late reads come after their time

#: family of a flag → the subjects that customers bring up about it; those of water and gas first asked for below
ABOUT = {
    "usage_high": ("high_bill", "disputed_amount", "meter_accuracy"),
    "leak": ("high_bill",),
    "usage_low": ("meter_stopped", "low_bill"),
    "register": ("misread", "high_bill", "estimated_reading"),
    "data": ("missed_reading", "late_reading"),
}
OTHER = ("staff_attitude", "policy_question", "installation_delay")


@dataclass(frozen=True, order=True)
class Deed:
    """Something that is done at an instant of the wall clock [s since 1970]."""

    at: int
    order: int
    what: str = field(compare=False)
    facts: dict[str, Any] = field(compare=False, default_factory=dict)


@dataclass(frozen=True)
class Truth:
    """What is known of the meters of a set: faults put in, and natural gaps."""

    rows: dict[str, list[tuple[pd.Timestamp, pd.Timestamp, bool]]]

    def word(self, flag: Flag) -> str:
        """The stated rule: on a fault (a day of grace) confirmed, on a natural gap explained, else false."""
        start, end = pd.Timestamp(flag.start), pd.Timestamp(flag.end)
        said = "false_alarm"
        for first, last, natural in self.rows.get(flag.meter_id, ()):
            if first - GRACE <= end and start <= last + GRACE:
                if not natural:
                    return "confirmed"
                said = "explained"
        return said


@dataclass(frozen=True)
class Told:
    """A flag event as it reaches the tickets."""

    at: int
    flag: Flag
    truth: str


def point_of(meter: str) -> str:
    """The service point of a meter: another name than the meter's own."""
    return f"SP-{meter}"


def alias_of(meter: str) -> str:
    """An old name of that service point, as customers still use it."""
    return f"旧户号 {zlib.crc32(meter.encode()):010d}"


def billed(meter: str) -> dict[str, Any]:
    """Of a third of the meters: the day of the month on which they are billed, as their registry states it."""
    drawn = zlib.crc32(meter.encode())
    return {"bill_day": 1 + drawn // 3 % 31, "tz": ZONE} if drawn % 3 == 0 else {}


def area_of(name: str, meter: str) -> str:
    """The part of a set's estate that a meter is said to lie in."""
    return f"{name}-{1 + zlib.crc32(meter.encode()) % AREAS}"


#: of a flag that a person has raised: no figures
NOTHING_SAID: dict[str, Any] = {
    "unit": "", "observed": None, "expected": None, "rate": False, "periods": [], "billed_amount": None,
    "billed_days": None, "meters": 1, "bill_day": None,
}  # fmt: skip


def said_by(flag: Flag) -> dict[str, Any]:
    """What a flag itself says that its urgency hangs on: units, amounts, periods, how many meters."""
    evidence = flag.evidence
    told = [
        evidence[name]
        for name in ("members_silent", "silent_meters", "meters", "members")
        if name in evidence
    ]
    many = told[0] if told else 1
    return {
        "unit": flag.unit,
        "observed": flag.observed,
        "expected": flag.expected,
        # of a rate, or against a limit: no amount of what was used
        "rate": "/" in flag.unit or "seen_as" in evidence,
        "periods": [[one["days"], one["amount"]] for one in evidence.get("periods", ())],
        "billed_amount": evidence.get("billed_amount"),
        "billed_days": evidence.get("billed_days"),
        "bill_day": flag.place.get("bill_day"),
        "meters": len(many) if isinstance(many, list) else int(many),
    }


def calendar_of(place: Path) -> dict[str, Any]:
    """The days of a calendar file as plain lists, read without the product: hours [min], days off, make-up days."""
    file = tomllib.loads(place.read_text(encoding="utf-8"))
    week = file["hours"]
    (stretch,) = {
        text for name in ("monday", "tuesday", "wednesday", "thursday", "friday") for text in week[name]
    }
    if len(week) != 5:
        raise ValueError(f"{place}: expected one stretch of hours from Monday to Friday, got {week}")
    off = [
        one["first"] + timedelta(days=n)
        for one in file["holiday"]
        for n in range((one.get("last", one["first"]) - one["first"]).days + 1)
    ]
    makeup = [day for one in file["holiday"] for day in one.get("makeup", ())]
    return {
        "hours": [60 * int(text[:2]) + int(text[3:]) for text in stretch.split("-")],
        "days_off": [day.isoformat() for day in off],
        "makeup": [day.isoformat() for day in makeup],
    }


def flags_of(one: Set, settings: Settings) -> list[Flag]:
    """The flags of a set by the product's own replay, by the time of their decision."""
    known, faults = read_registry(one.directory / "meters.csv")
    if faults:
        raise SystemExit(f"{one.directory}: {faults[0]}")
    replay = Replay(settings, known)
    return [
        flag
        for chunk in read_files([one.directory / "readings.parquet"], lambda reject: None)
        for flag in replay.take(chunk)
    ]


def truth_of(one: Set) -> Truth:
    """The set's truth file."""
    rows: dict[str, list[tuple[pd.Timestamp, pd.Timestamp, bool]]] = {}
    table = pd.read_csv(one.directory / "truth.csv", dtype=str)
    for meter, kind, start, end in table[["meter_id", "type", "start", "end"]].itertuples(
        index=False, name=None
    ):
        rows.setdefault(meter, []).append((pd.Timestamp(start), pd.Timestamp(end), kind == "ignore"))
    return Truth(rows)


def meters_of(directory: Path) -> list[dict[str, str]]:
    """The registry's rows."""
    table = pd.read_csv(directory / "meters.csv", dtype=str)
    return [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False, name=None)]


def told(name: str, flags: Iterable[Flag], truth: Truth, rng: Random) -> list[Told]:
    """The last year of a set's flags, on the calendar of the simulated year."""
    at = {flag.at: datetime.fromisoformat(flag.at) for flag in flags}
    if not at:
        return []
    first = max(at.values()) - timedelta(days=364)
    first = max(first, min(at.values())).replace(hour=0, minute=0, second=0, microsecond=0)
    shift = timedelta(seconds=START + 9 * HOUR - int(first.timestamp()))
    late: dict[str, int] = {}
    out = []
    for flag in flags:
        if at[flag.at] < first:
            continue
        delay = late.setdefault(flag.id, LATE if rng.random() < 0.04 else 0)
        moved = replace(
            flag,
            at=_moved(flag.at, shift),
            start=_moved(flag.start, shift),
            end=_moved(flag.end, shift),
            service_point_id=point_of(flag.meter_id),
            area=area_of(name, flag.meter_id),
            place={**flag.place, **billed(flag.meter_id)},
        )
        wall = int(datetime.fromisoformat(moved.at).timestamp()) + delay
        if wall < END - DAY:
            out.append(Told(wall, moved, truth.word(flag)))
    return out


def complaints(flags: Iterable[Told], meters: list[dict[str, str]], rng: Random) -> Iterator[Deed]:
    """Customers of the year: what they say, where, and how long after (before) the flag it is about."""
    begun: set[str] = set()
    for one in flags:
        flag = one.flag
        if flag.id in begun or flag.status == "cleared":
            continue
        begun.add(flag.id)
        often = 0.3 if flag.family != "data" else 0.04
        if rng.random() >= often:
            continue
        yield from _about(one, rng)
    for n in range(len(meters) // 2):
        meter = rng.choice(meters)
        at = rng.randrange(START + 20 * DAY, END - 5 * DAY)
        about = rng.choice(("high_bill", "misread", "meter_stopped"))
        yield _call(at, at, meter["meter_id"], about, "no_flag", "", 0, f"n{n}", rng)


def _about(one: Told, rng: Random) -> Iterator[Deed]:
    """The calls about one flag."""
    flag, meter, w = one.flag, one.flag.meter_id, one.at
    event = int(datetime.fromisoformat(flag.at).timestamp())
    subjects = ABOUT.get(flag.family, ("meter_accuracy",))
    if flag.family == "leak" and flag.commodity == "water":
        subjects = ("water_leak", "high_bill")
    subject = rng.choice(subjects)
    if flag.family == "leak" and flag.commodity == "gas" and rng.random() < 0.3:
        subject = "gas_leak"
    after = int(min(rng.expovariate(1 / (6 * DAY)), 80 * DAY)) + 20 * MINUTE
    kind = rng.random()

    def call(plan: str, delay: int, received: int = 0, about: str = subject, **more: Any) -> Deed:
        at = w + delay
        return _call(at, at + received, meter, about, plan, flag.id, delay, f"{flag.id}-{plan}", rng, **more)

    if w != event:
        # the read came late: who calls between its time and its arrival was before us
        yield call("late_before", event - w + rng.randrange(HOUR, LATE - HOUR))
        yield call("late_after", rng.randrange(30 * MINUTE, 5 * HOUR))
    elif kind < 0.50:
        yield call("after", after)
    elif kind < 0.62:
        yield call("before", -rng.randrange(2 * HOUR, 48 * HOUR))
    elif kind < 0.70:
        # two of one household in the same minute
        minute = after - after % MINUTE
        yield call("twice", minute + rng.randrange(0, 30))
        yield call("twice_again", minute + rng.randrange(30, 60))
    elif kind < 0.76:
        # the call centre sends the same again
        yield call("sent_twice", after)
        yield call("sent_twice", after)
    elif kind < 0.84:
        yield call("by_alias", after, named=alias_of(meter))
    elif kind < 0.90:
        yield call("other_matter", after, about=rng.choice(OTHER))
    elif kind < 0.95:
        # a letter: made before we knew or just after, read later
        before = rng.random() < 0.5
        delay = -rng.randrange(HOUR, 3 * HOUR) if before else rng.randrange(HOUR, 5 * HOUR)
        yield call("letter", delay, received=rng.randrange(4 * HOUR, 8 * HOUR), channel="letter")
    else:
        yield call("unknown_place", after, named=f"邻居家 {zlib.crc32(flag.id.encode())}", located=DAY)


def _call(
    at: int, received: int, meter: str, subject: str, plan: str, flag: str, delay: int, ref: str, rng: Random,
    **more: Any,
) -> Deed:  # fmt: skip
    facts = {
        "plan": plan, "made": at, "meter": meter, "named": rng.choice((meter, point_of(meter))), "subject": subject,
        "flag": flag, "delay_s": delay, "reference": ref,
        "channel": rng.choice(("hotline", "counter", "app", "site")), **more,
    }  # fmt: skip
    return Deed(received, 3, "complaint", facts)


def _moved(at: str, shift: timedelta) -> str:
    return (datetime.fromisoformat(at) + shift).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
