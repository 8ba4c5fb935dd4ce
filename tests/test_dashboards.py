"""The Grafana dashboards: their queries run on a real InfluxDB, on what InfluxHistory writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Servers
from tests.line_servers import T0, Server, columns, flag, write
from tests.services.influx import Influx

DASHBOARDS = sorted((Path(__file__).parents[1] / "deploy/grafana/dashboards").glob("*.json"))
MINUTE = 60_000_000_000


def queries(dashboard: dict[str, Any]) -> dict[str, str]:
    found = {panel["title"]: panel["targets"][0]["query"] for panel in dashboard["panels"]}
    found |= {f"${var['name']}": var["query"] for var in dashboard["templating"]["list"]}
    return found | {f"@{note['name']}": note["target"]["query"] for note in dashboard["annotations"]["list"]}


@pytest.fixture(scope="module")
def filled(servers: Servers) -> Influx:
    """A server with an hour of four meters and two flags, in a bucket of its own."""
    influx = servers.get(Influx)
    config = Server(influx).config(bucket=influx.new_bucket("dashboards"))
    kinds = {"w-17": 1, "e-1": 2, "p-1": 3, "x-1": 0}
    batches = [
        columns(
            *((meter, T0 + i * MINUTE, float(i)) for i in range(60)), kind=kind, unit="m3", quality=kind % 2
        )
        for meter, kind in kinds.items()
    ]
    assert (
        write(
            config,
            *batches,
            area="dma 7",
            flags=[flag(), flag(status="cleared", observed=None, at="2023-11-14T23:00:00Z")],
        )
        == []
    )
    return influx


def test_there_are_three() -> None:
    assert [path.stem for path in DASHBOARDS] == ["flags", "meter", "readings"]


def answer(influx: Influx, query: str, meter: str) -> list[dict[str, str]]:
    """What a query gives, with Grafana's variables filled in."""
    variables = (
        "option v = {timeRangeStart: 2023-11-14T00:00:00Z, timeRangeStop: 2023-11-15T00:00:00Z, "
        'windowPeriod: 10m, defaultBucket: "dashboards"}\n'
    )
    filled_in = query.replace("${meter:doublequote}", f'"{meter}"')
    imports, rest = re.match(r"((?:import .*\n)*)((?s:.*))", filled_in).groups()  # type: ignore[union-attr]
    return influx.query(imports + variables + rest)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_finds_something(filled: Influx, path: Path) -> None:
    meters = {"Use by intervals": "e-1", "Gauges": "p-1"}
    for title, query in queries(json.loads(path.read_text())).items():
        assert answer(filled, query, meters.get(title, "w-17")), (title, query)


def test_the_figures_are_right(filled: Influx) -> None:
    found = {}
    for path in DASHBOARDS:
        for title, query in queries(json.loads(path.read_text())).items():
            found[title] = answer(filled, query, "w-17")
    one = {
        title: [float(row["_value"]) for row in rows]
        for title, rows in found.items()
        if rows and "_value" in rows[0] and not title.startswith("$")
    }
    assert one["Meters that reported"] == [4]
    assert one["Readings"] == [240]
    assert one["Uncertain or bad"] == [0.5]
    assert one["Flags raised"] == [1]
    assert sum(one["Readings by commodity"]) == 240
    assert sum(one["Use by area (interval meters)"]) == sum(range(60))
    assert one["Register"] == list(range(60))
    assert one["Use by the register"] == [1.0] * 59
    assert {row["_value"] for row in found["$meter"]} == {"w-17", "e-1", "p-1", "x-1"}
    assert [(row["status"], row["score"], row["observed"]) for row in found["Newest"]] == [
        ("cleared", "9", ""), ("raised", "9", "273"),
    ]  # fmt: skip


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    assert dashboard["uid"] == f"forestall-{path.stem}"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        assert panel["datasource"] == {"type": "influxdb", "uid": "forestall"}  # as it is provisioned
        at = panel["gridPos"]
        covered = {
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not covered & cells, panel["title"]
        cells |= covered
