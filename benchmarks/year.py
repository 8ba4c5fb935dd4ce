"""A year of operation, simulated: flags of real meters, customers with known delays, staff; and the report on it.

    python -m benchmarks.year [--sets water_homes,power_homes,gas_sites] [--store URL] [--out DIR] [--data DIR]
                              [--meters N] [--tick-days N]

Flags come from the product's own replay of the sets, tickets, complaints, verdicts and the report from the
product itself (store, rules, staff, reception, periodic work, report desk), under a clock that follows event time.
Two files are written: ``generator.jsonl``, what was done when (the truth), and ``report.json``, what ``forestall
report`` says. ``scripts/check_year.py``, which imports nothing of ours, computes the report's figures from the
first alone and compares; its exit code is this program's.
"""

from __future__ import annotations

import argparse
import heapq
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any, TextIO

from benchmarks.sets import ROOT, Set, at_hand
from benchmarks.year_plan import (
    CALENDAR,
    DAY,
    END,
    HOUR,
    NOTHING_SAID,
    START,
    ZONE,
    ZONE_S,
    Deed,
    Told,
    alias_of,
    area_of,
    calendar_of,
    complaints,
    flags_of,
    meters_of,
    point_of,
    said_by,
    told,
    truth_of,
)
from benchmarks.year_staff import People, key_of
from connectors.migrations import upgrade
from connectors.store import Store
from streams.messages import NS
from streams.papers.spans import days
from streams.programs import policies
from streams.programs.complaints import make_reception
from streams.programs.reports import ReportDesk
from streams.programs.verdicts import VerdictDesk
from streams.settings import Settings
from streams.ticket_sections import TicketsSettings
from streams.trade.credit import hold_bill
from streams.trade.points import Point
from streams.trade.roles import Actor, Role
from streams.trade.staff import Staff
from streams.trade.tend import Tend
from streams.trade.tickets import State, Ticket

DATA = ROOT.parent / "shared" / "data"
SETS = "water_homes,power_homes,gas_sites"
CHECK = ROOT / "scripts" / "check_year.py"
ZHOU = Actor("zhou", Role.BILLING)
CLERK = Actor("clerk", Role.COMPLAINTS)
SEED = 20_260_101


class Wall:
    """The clock of the simulated year."""

    def __init__(self) -> None:
        self.now = START

    def now_ns(self) -> int:
        return self.now * NS


@dataclass(frozen=True)
class World:
    """What comes from outside: flags in their order, meters with their area, calls."""

    flags: list[Told]
    meters: list[dict[str, str]]
    calls: list[Deed]


@dataclass(frozen=True)
class Extent:
    """How much of a year: seed, meters of each set (0: all), days between looks at due dates and archive."""

    seed: int = SEED
    meters: int = 0
    tick_days: int = 1


def world(sets: Sequence[Set], most: int, rng: Random) -> World:
    """Flags and calls of these sets, of so many meters each."""
    flags: list[Told] = []
    meters: list[dict[str, str]] = []
    calls: list[Deed] = []
    for one in sets:
        listed = [row | {"area": area_of(one.name, row["meter_id"])} for row in meters_of(one.directory)]
        listed = listed[:: max(1, len(listed) // most)][:most] if most else listed
        ours = {row["meter_id"] for row in listed}
        came = told(
            one.name, [f for f in flags_of(one, Settings()) if f.meter_id in ours], truth_of(one), rng
        )
        flags += came
        meters += listed
        calls += complaints(came, listed, rng)
    return World(sorted(flags, key=lambda one: one.at), meters, calls)


class Year:
    """One year on one store."""

    def __init__(self, url: str, place: World, out: TextIO, rng: Random, tick_days: int = 1) -> None:
        self.settings = Settings(store=url, tickets=TicketsSettings(time_zone=ZONE, calendar=CALENDAR))
        upgrade(self.settings.store_url)
        self.wall = Wall()
        self.store = Store(self.settings.store_url, lambda event: ["webhook"])
        self.rules = policies.rules(self.settings)
        self.reception = make_reception(self.settings, self.store, self.wall)
        self.tend = Tend(self.store, self.rules, self.wall, policies.tending(self.settings))
        self.counts: Counter[str] = Counter()
        self._out = out
        self._rng = rng
        self._tick_days = tick_days
        self._diary: list[Deed] = []
        self._areas: dict[str, str] = {}  # of each service point
        self._worked: dict[str, int] = {}  # ticket → openings and reopenings that were planned for
        self._world = place
        self.people = People(
            Staff(self.store, self.rules, self.wall),
            VerdictDesk(self.settings, self.store, self.wall),
            {one.flag.id: one.truth for one in place.flags},
            rng,
            self._note,
            self._plan,
        )
        self.people.listed = lambda point: self.store.tickets("open", service_point=point)
        self.people.release = lambda ticket: self.store.change(
            ticket.id,
            lambda book, held: hold_bill(book, held, False, ZHOU, "核查完毕", self.wall.now_ns()),
            self.wall.now_ns(),
        )

    def run(self) -> None:
        """From the first day to the last."""
        self._note(
            "year", start=START, end=END, zone_s=ZONE_S, window_days=90, watch_days=30, archive_days=90,
            callback_days=2, **calendar_of(CALENDAR),
        )  # fmt: skip
        meters = self._world.meters
        self._areas = {point_of(row["meter_id"]): row["area"] for row in meters}
        self.store.keep_points(
            [
                Point(
                    meter_id=row["meter_id"],
                    service_point_id=point_of(row["meter_id"]),
                    commodity=row["commodity"],
                    unit=row["unit"],
                    kind=row["kind"],
                    area=row["area"],
                )
                for row in meters
            ]
        )
        for row in meters:
            self.reception.name(alias_of(row["meter_id"]), point_of(row["meter_id"]), CLERK)
        for one in self._world.flags:
            self._plan(Deed(one.at, 0, "flag", {"told": one}))
        for call in self._world.calls:
            self._plan(call)
        for at in range(START + 6 * HOUR, END, self._tick_days * DAY):
            self._plan(Deed(at, 1, "tick"))
        for _ in range(5):
            row = self._rng.choice(meters)
            self._plan(Deed(self._rng.randrange(START, END), 2, "drill", row))
        for _ in range(max(3, len(meters) // 12)):
            row = self._rng.choice(meters)
            self._plan(Deed(self._rng.randrange(START, END - 30 * DAY), 2, "find", row))
        while self._diary:
            deed = heapq.heappop(self._diary)
            if deed.at >= END:
                break
            self.wall.now = max(self.wall.now, deed.at)
            getattr(self, f"_{deed.what}")(deed)

    def report(self) -> bytes:
        """What the product says of the year, as ``forestall report --format json`` writes it."""
        self.wall.now = END
        desk = ReportDesk(self.settings, self.store, self.wall)
        first = datetime.fromtimestamp(START + ZONE_S, UTC).date()
        return desk.made(days(first, date(first.year, 12, 31), ZONE), "json", "zh")[0]

    def _plan(self, deed: Deed) -> None:
        heapq.heappush(self._diary, deed)

    def _note(self, what: str, **facts: Any) -> None:
        self.counts[what] += 1
        self._out.write(json.dumps({"what": what, "wall": self.wall.now, **facts}, ensure_ascii=False) + "\n")

    def _noticed(self, tickets: Sequence[Ticket]) -> None:
        """Staff see what is new or has come back."""
        for ticket in tickets:
            fresh = ticket.state is State.NEW and ticket.id not in self._worked
            if fresh or ticket.state is State.REOPENED:
                self._worked[ticket.id] = self.wall.now
                self.people.take_up(ticket, self.wall.now)

    def _flag(self, deed: Deed) -> None:
        one: Told = deed.facts["told"]
        flag = one.flag
        self._note(
            "flag", id=flag.id, status=flag.status, point=flag.service_point_id, family=flag.family, kind=flag.kind,
            detector=flag.evidence.get("detector", ""), area=flag.area, commodity=flag.commodity, event=flag.at,
            truth=one.truth, says=said_by(flag),
        )  # fmt: skip
        self._noticed(self.store.apply_flags([flag], self.wall.now_ns(), self.rules))

    def _complaint(self, deed: Deed) -> None:
        facts = deed.facts
        made = datetime.fromtimestamp(facts["made"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        form = {
            "reference": facts["reference"], "time": made, "name": "王小明", "phone": "13800001234",
            "matter": "请核实处理", "subject": facts["subject"], "service_point": facts["named"],
            "channel": facts["channel"], "taken_by": "agent-7",
        }  # fmt: skip
        taken, new = self.reception.take(form, "year")
        place = "" if facts["plan"] == "unknown_place" else point_of(facts["meter"])
        self._note(
            "complaint", id=taken.id, plan=facts["plan"], made=facts["made"], point=place, subject=facts["subject"],
            named=facts["named"], channel=facts["channel"], flag=facts["flag"], delay_s=facts["delay_s"],
            area=self._areas.get(place, ""),
        )  # fmt: skip
        if not new:
            return
        if not place:
            later = deed.at + facts["located"]
            self._plan(Deed(later, 4, "locate", {"id": taken.id, "meter": facts["meter"]}))
        ticket = self.store.ticket(taken.ticket_id)
        self._noticed([ticket] if ticket is not None else [])

    def _locate(self, deed: Deed) -> None:
        """Somebody has found out where an unlinked complaint belongs; by its old name."""
        self.reception.assign(deed.facts["id"], alias_of(deed.facts["meter"]), CLERK)
        point = point_of(deed.facts["meter"])
        self._note("located", id=deed.facts["id"], point=point, area=self._areas[point])

    def _staff(self, deed: Deed) -> None:
        ticket = self.store.ticket(deed.facts["ticket"])
        assert ticket is not None
        self.people.act(ticket, deed.facts["act"], self.wall.now)

    def _tick(self, deed: Deed) -> None:
        self._note("tick")
        self.tend.tick()

    def _drill(self, deed: Deed) -> None:
        row = deed.facts
        self.people.drill(row["meter_id"], point_of(row["meter_id"]), "continuous_flow")
        self._note("drill", point=point_of(row["meter_id"]))

    def _find(self, deed: Deed) -> None:
        row = deed.facts
        ticket = self.people.find(row["meter_id"], point_of(row["meter_id"]), row["area"], "misread")
        self._note(
            "flag", id=ticket.flag_ids[-1], status="raised", point=point_of(row["meter_id"]), family="register",
            kind="misread", detector="", area=row["area"], commodity=row["commodity"], event="", truth="confirmed",
            by_hand=key_of(ticket), says=NOTHING_SAID,
        )  # fmt: skip
        self._noticed([ticket])


def simulate(sets: Sequence[Set], url: str, out: Path, extent: Extent) -> str:
    """Run a year into a store; write both files; say in a line what there was."""
    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    rng = Random(extent.seed)
    with (out / "generator.jsonl").open("w", encoding="utf-8") as lines:
        year = Year(url, world(sets, extent.meters, rng), lines, rng, extent.tick_days)
        try:
            year.run()
            (out / "report.json").write_bytes(year.report())
        finally:
            year.store.close()
    counted = ", ".join(f"{n:,} {what}" for what, n in sorted(year.counts.items()))
    return f"{counted}; {time.perf_counter() - started:.0f} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sets", default=SETS, help="separated by commas; those not at hand are left out, none: demo"
    )
    parser.add_argument(
        "--store",
        help="URL of an empty database, such as postgresql://…; default: SQLite in the output directory",
    )
    parser.add_argument("--out", type=Path, help="where both files go; default: a directory of their own")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--meters", type=int, default=0, help="of each set; default: all")
    parser.add_argument(
        "--tick-days", type=int, default=1, help="days between looks at due dates and archive"
    )
    asked = parser.parse_args(arguments)
    out: Path = asked.out or Path(tempfile.mkdtemp(prefix="year-"))
    out.mkdir(parents=True, exist_ok=True)
    sets, missing = at_hand(asked.data, out, tuple(asked.sets.split(",")))
    if missing:
        sys.stderr.write(f"not at hand: {', '.join(missing)}\n")
    if not sets:
        sets, _ = at_hand(asked.data, out, ("demo",))
    extent = Extent(asked.seed, asked.meters, asked.tick_days)
    url = asked.store or f"sqlite:///{out / 'tickets.db'}"
    print(f"{', '.join(one.name for one in sets)}: {simulate(sets, url, out, extent)}", flush=True)
    print(f"{out}/generator.jsonl, {out}/report.json", flush=True)
    command = [sys.executable, str(CHECK), str(out / "generator.jsonl"), str(out / "report.json")]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
