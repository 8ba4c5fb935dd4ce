"""Reports out of real databases, by the real command and the real web process."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from connectors.migrations import upgrade
from connectors.store import Store
from connectors.store.book import put
from connectors.store.engine import writing
from connectors.store.rows import complaint_row
from connectors.store.tables_trade import complaints, points
from streams.messages import DayCounts
from streams.papers.spans import days, month
from streams.programs.complaints import make_reception
from streams.programs.reports import ReportDesk
from streams.settings import Settings
from streams.ticket_sections import TicketsSettings
from streams.trade.complaints import Channel, Complaint, Outcome
from streams.trade.lifecycle import Move, move
from streams.trade.points import Point
from streams.trade.rules import Rules
from streams.trade.sla import Targets
from streams.trade.states import Category
from streams.trade.tickets import State
from streams.trade.verdicts import judge
from tests.faults.site import Site
from tests.services.process import LOOPBACK, wait_until
from tests.tickets.complaint_tools import form
from tests.tickets.tools import DAY, HOUR, NOON, Turned, flag

ZONE = "Asia/Shanghai"
DAY_0 = (date(2026, 6, 1) - date(1970, 1, 1)).days


def filled(url: str) -> Store:
    """A store with a small month in it."""
    upgrade(url)
    store = Store(url)
    flags = [
        flag("spike", id=f"f{n}", service_point_id=f"p{n}", meter_id=f"m{n}", area=f"a{n % 2}")
        for n in range(6)
    ]
    flags[5] = flag("spike", id="f5", service_point_id="p5", evidence={"drill": True})
    store.apply_flags(flags, NOON, Rules())
    store.apply_flags(
        [flag("misread", id="f6", service_point_id="p6", meter_id="m6", start="2026-06-01T00:00:00Z")],
        NOON + DAY,
        Rules(),
    )
    outage = flag(
        "outage",
        id="o",
        service_point_id="p0",
        meter_id="m0",
        commodity="electricity",
        evidence={"outages_of_line": 2.0},
    )
    store.apply_flags([outage], NOON + DAY, Rules())
    found = {one.lead_flag_id: one.id for one in store.tickets(limit=50)}
    said = {"f0": "confirmed", "f1": "explained", "f2": "false_alarm", "f5": "confirmed", "f6": "confirmed"}
    for name, verdict in said.items():
        say(store, found[name], verdict)
    for state in (State.INVESTIGATING, State.IMPLEMENTED):
        bring(store, found["f0"], state)
    made = [
        Complaint(
            id=f"c{n}", source="crm", reference=str(n), at_ns=NOON + n * HOUR, received_ns=NOON + n * HOUR,
            channel=Channel.HOTLINE, category=Category.METERING_BILLING, subject="high_bill", area=f"a{n % 2}",
            ticket_id=found["f0"] if n < 3 else "",
            outcome=Outcome.KNOWN if n < 3 else Outcome.OPENED, lead_time_s=3600.0 * n if n < 3 else None, miss=n >= 3,
        )
        for n in range(4)
    ]  # fmt: skip
    places = [
        Point(meter_id=f"m{n}", service_point_id=f"p{n}", route="R1", concentrator=f"C{n % 2}", line="L1")
        for n in range(7)
    ]
    with writing(store._engine) as connection:
        put(connection, complaints, [complaint_row(one) for one in made])
        put(connection, points, [_point_row(one) for one in places])
    for partition in range(2):  # two partitions have meters of the same places
        counts = [
            DayCounts(
                DAY_0 + day, f"a{n}", "R1", f"C{n}", readings=50 + day, missing=5, late=2, corrections=1
            )
            for n in range(2)
            for day in (-40, 0, 14, 40)
        ]
        store.keep_reads(partition, counts, 0, DAY_0 + 40)
    return store


def say(store: Store, ticket: str, verdict: str) -> None:
    at = NOON + DAY
    store.change(ticket, lambda b, t: judge(b, t, verdict, "data_error", "wang", at), at)


def bring(store: Store, ticket: str, state: State) -> None:
    at, wish = NOON + HOUR, Move(to=state, actor="wang", resolution="repair", responsibility="company")
    store.change(ticket, lambda b, t: move(b, t, wish, Targets(), at), at)


def _point_row(point: Point) -> dict[str, Any]:
    fields = msgspec.to_builtins(point)
    return {column.name: fields[column.name] for column in points.columns if column.name in fields}


def by(table: list[dict[str, Any]], name: str) -> dict[Any, dict[str, Any]]:
    return {row[name]: row for row in table}


def test_the_month_of_a_store(store_url: str) -> None:
    store = filled(store_url)
    settings = Settings(tickets=TicketsSettings(time_zone=ZONE))
    desk = ReportDesk(settings, store, Turned(NOON + 30 * DAY))
    body, kind, name = desk.made(month("2026-06", ZONE), "json", "zh")
    assert (kind, name) == ("application/json", "forestall-2026-06.json")
    told = json.loads(body)
    tables = told["tables"]
    head = {row["what"]: row["value"] for row in tables["headline"]}
    assert (head["complaints"], head["known_before"], head["misses"], head["known_share"]) == (4, 3, 1, 0.75)
    assert head["lead_median_h"] == 1.0
    assert head["tickets"] == 7
    assert tables["apart"] == [{"what": "drill", "count": 1}, {"what": "own", "count": 0}]
    assert by(tables["complaints_by_cause"], "cause")["repair"]["count"] == 3
    assert by(tables["complaints_by_responsibility"], "responsibility")["company"]["count"] == 3
    spike = by(tables["precision_by_kind"], "kind")["spike"]
    assert (spike["judged"], spike["confirmed"], spike["explained"]) == (3, 1, 1)
    [route] = tables["reads_by_route"]
    assert (route["reads"], route["missing"], route["misreads"], route["meters"]) == (456, 40, 1, 7)
    assert route["accuracy_share"] == pytest.approx(1 - (8 + 1) / 456)
    assert route["timeliness_share"] == pytest.approx((456 - 16) / 496)
    assert [(row["concentrator"], row["reads"]) for row in tables["reads_by_concentrator"]] == [
        ("C0", 228),
        ("C1", 228),
    ]
    assert [(row["area"], row["reads"]) for row in tables["reads_by_area"]] == [("a0", 228), ("a1", 228)]
    assert tables["outages_by_line"] == [{"line": "L1", "outages": 2, "level": "warning"}]
    resolve = [row for row in tables["sla"] if row["deadline"] == "resolve" and not row["department"]]
    assert resolve[0]["kept"] == 1
    july = json.loads(desk.made(month("2026-07", ZONE), "json", "zh")[0])["tables"]
    assert july["complaints_by_category"] == []
    assert [(row["reads"], row["misreads"]) for row in july["reads_by_route"]] == [(360, 0)]
    first = date(2026, 6, 1)
    some = json.loads(desk.made(days(first, first + timedelta(days=13), ZONE), "json", "zh")[0])["tables"]
    assert [(row["reads"], row["misreads"]) for row in some["reads_by_route"]] == [(200, 1)]
    store.close()


def test_work_from_before_a_reopening_is_not_done(store_url: str) -> None:
    upgrade(store_url)
    store = Store(store_url)
    flags = [
        flag("spike", id=f"f{n}", service_point_id=f"p{n}", meter_id=f"m{n}", commodity="water")
        for n in range(4)
    ]
    store.apply_flags(flags, NOON, Rules())
    store.keep_points([Point(meter_id="m1", service_point_id="p1", commodity="water", unit="m3")])
    found = {one.lead_flag_id: one.id for one in store.tickets(limit=50)}
    for ticket in found.values():
        bring(store, ticket, State.INVESTIGATING)
        bring(store, ticket, State.IMPLEMENTED)
    # people, a customer and the meter say that it was not done; the fourth stays as it is
    wish = Move(to=State.REOPENED, actor="li")
    store.change(found["f0"], lambda b, t: move(b, t, wish, Targets(), NOON + DAY), NOON + DAY)
    settings, clock = Settings(tickets=TicketsSettings(time_zone=ZONE)), Turned(NOON + DAY)
    make_reception(settings, store, clock).take(form(NOON + DAY, service_point="p1", reference="1"), "crm")
    store.apply_flags([flag("spike", id="f5", service_point_id="p2", meter_id="m2")], NOON + DAY, Rules())
    assert [store.ticket(found[f"f{n}"]).state for n in range(4)] == ["reopened"] * 3 + ["implemented"]  # type: ignore[union-attr]

    clock.now = NOON + 30 * DAY
    tables = json.loads(ReportDesk(settings, store, clock).made(month("2026-06", ZONE), "json", "zh")[0])[
        "tables"
    ]
    work = by(tables["work"], "what")
    ways = ("reopened", "reopened_by_staff", "reopened_by_complaint", "relapsed")
    assert [work[way]["value"] for way in ways] == [3, 1, 1, 1]
    [resolve] = [row for row in tables["sla_by_priority"] if row["deadline"] == "resolve"]
    assert (resolve["priority"], resolve["due"], resolve["kept"]) == ("P3", 4, 1)
    store.close()


def test_the_command_and_the_page(tmp_path: Path, store_url: str) -> None:
    filled(store_url).close()
    url = store_url.replace("+psycopg", "")
    registry = tmp_path / "meters.csv"
    registry.write_text("meter_id,commodity,unit,kind\n")
    top = f'store = {json.dumps(url)}\n[tickets]\ntime_zone = "{ZONE}"'
    site = Site(tmp_path / "site", "mqtt://127.0.0.1:1", registry, top)

    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "streams.cli", "report", "--config", str(site.config), *words]
        return subprocess.run(command, capture_output=True, cwd=Path.cwd(), timeout=120)

    done = run("--month", "2026-06", "--format", "csv", "--output", str(tmp_path / "r.zip"))
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "r.zip") as archive:
        [name] = [one for one in archive.namelist() if "complaints_by_area" in one]
        found = pd.read_csv(io.BytesIO(archive.read(name)), encoding="utf-8-sig")
    assert dict(zip(found["区域"], found["数量"], strict=True)) == {"a0": 2, "a1": 2}
    done = run(
        "--first",
        "2026-06-01",
        "--last",
        "2026-06-02",
        "--format",
        "html",
        "--language",
        "en",
        "--output",
        "-",
    )
    assert b"Share known before the customer" in done.stdout
    assert run("--month", "2026-13").stderr.startswith(b"forestall: expected a month as YYYY-MM")
    assert run("--month", "2026-06", "--format", "doc").returncode == 2
    assert run().returncode == 2

    web = site.launch("web")
    try:
        site.await_ready("web")

        def get(path: str) -> tuple[int, str, bytes]:
            try:
                with urllib.request.urlopen(f"http://{LOOPBACK}:{web.port}/{path}", timeout=30) as answer:
                    return answer.status, answer.headers["Content-Type"], answer.read()
            except urllib.error.HTTPError as error:
                with closing(error):
                    return error.code, error.headers["Content-Type"], error.read()

        wait_until(lambda: get("api/bars")[0] == 200, "the store", 30)
        status, kind, body = get("api/reports?month=2026-06&format=pdf&language=en")
        assert (status, kind, body[:5]) == (200, "application/pdf", b"%PDF-")
        status, kind, body = get("api/reports?month=2026-06&format=csv&table=headline")
        assert (status, kind) == (200, "text/csv; charset=utf-8")
        assert "未诉先办率,0.75" in body.decode("utf-8-sig")
        assert get("api/reports?month=2026-06&format=csv&table=x")[0] == 422
        assert get("api/reports?month=2026-06&first=2026-06-01")[0] == 422
        assert get("api/reports")[0] == 422
        wait_until(
            lambda: b'forestall_precision_ratio{detector="habit"}' in get("metrics")[2], "the metrics", 30
        )
    finally:
        site.close()
