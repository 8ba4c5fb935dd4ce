"""What a run has come to, from what is durable: state, flags, tickets, dead letters."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from connectors.store import Store
from streams.messages import DEAD_LETTERS, FLAGS, READINGS, TICKETS
from streams.programs import compose
from streams.programs.dump_state import banks, totals
from streams.settings import Settings
from tests.faults.site import Site

FlagKey = tuple[str, str, str]


@dataclass(slots=True)
class Outcome:
    """What is compared."""

    dump: str
    readings: int
    usage: float
    flags: dict[FlagKey, dict[str, Any]] = field(default_factory=dict)
    repeats: int = 0  # flag events that came more than once
    tickets: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    events: set[str] = field(default_factory=set)  # ids of the ticket events in tickets.v1

    @property
    def kinds(self) -> Counter[str]:
        """How many flags of each kind were raised."""
        return Counter(flag["kind"] for flag in self.flags.values() if flag["status"] == "raised")


def outcome(site: Site) -> Outcome:
    """Read it, after all processes have been stopped in order."""
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "dump", "--config", str(site.config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return asyncio.run(_outcome(site.settings, done.stdout))


async def _outcome(settings: Settings, dump: str) -> Outcome:
    durable = compose.open_log(settings)
    try:
        sums = totals(await banks(settings, durable))
        out = Outcome(dump, sums.readings, sums.usage)
        for partition in range(settings.partitions):
            async for _, _, value in durable.read(FLAGS, partition):
                flag = json.loads(value or b"")
                key = (flag["id"], flag["status"], flag["at"])
                if key in out.flags:
                    out.repeats += 1
                    assert out.flags[key] == flag, (
                        f"one flag event, two contents: {out.flags[key]} and {flag}"
                    )
                out.flags[key] = flag
            async for _, _, value in durable.read(DEAD_LETTERS, partition):
                out.letters.append(json.loads(value or b""))
            async for _, _, value in durable.read(TICKETS, partition):
                out.events.add(json.loads(value or b"")["id"])
    finally:
        await durable.close()
    store = Store(settings.store_url)
    try:
        rows = store.tickets(limit=1_000_000)
        whole = [store.ticket(row.id) for row in rows]
        out.tickets = sorted((msgspec.to_builtins(t) for t in whole), key=lambda t: str(t["dedup_key"]))
    finally:
        store.close()
    return out


#: What hangs on the wall clock.
RECEIVED = frozenset({"received"})  # when a message came off the wire: never settable
CLOCKED = RECEIVED | frozenset(
    {"opened_ns", "updated_ns", "closed_ns", "at_ns", "sla", "lead_time_s", "digest"}
)


def timeless(told: Any, clocked: frozenset[str] = CLOCKED) -> Any:
    """The same without what hangs on the wall clock."""
    if isinstance(told, dict):
        return {key: timeless(value, clocked) for key, value in told.items() if key not in clocked}
    if isinstance(told, list | tuple):
        return [timeless(value, clocked) for value in told]
    return told


#: State that hangs on when a reading arrived, by the clock of whoever received it: no two runs agree on it.
ARRIVAL = "clock."


def meters(dump: str) -> list[dict[str, Any]]:
    """What is known of each meter, without what hangs on the time of arrival."""
    told = [json.loads(line) for line in dump.splitlines()]
    for meter in told:
        meter["state"] = {k: v for k, v in meter["state"].items() if not k.startswith(ARRIVAL)}
    return told


async def log_end(settings: Settings) -> int:
    """How many messages readings.v1 holds."""
    durable = compose.open_log(settings)
    try:
        return sum([await durable.end(READINGS, p) for p in range(settings.partitions)])
    finally:
        await durable.close()


def compare(found: Outcome, wanted: Outcome, confirmed: int, *, wall_clock: bool = False) -> None:
    """Assert that nothing is lost and nothing doubled; with ``wall_clock`` apart from what hangs on it."""
    assert found.letters == [], f"dead letters: {found.letters[:3]}"
    assert found.readings == confirmed, f"{found.readings} readings in the state, {confirmed} confirmed"
    missing = [wanted.flags[key] for key in wanted.flags.keys() - found.flags.keys()]
    extra = [found.flags[key] for key in found.flags.keys() - wanted.flags.keys()]
    assert not missing, f"{len(missing)} flags missing: {missing[:3]}"
    assert not extra, f"{len(extra)} flags not expected: {extra[:3]}"
    for key, flag in wanted.flags.items():
        assert timeless(found.flags[key], RECEIVED) == timeless(flag, RECEIVED)
    keys = Counter(str(ticket["dedup_key"]) for ticket in found.tickets)
    assert not [key for key, n in keys.items() if n > 1]
    assert len(found.tickets) == len(wanted.tickets)
    for mine, other in zip(found.tickets, wanted.tickets, strict=True):
        one, two = (timeless(told, CLOCKED if wall_clock else RECEIVED) for told in (mine, other))
        unequal = {name: (one[name], two[name]) for name in one if one[name] != two.get(name)}
        assert not unequal, f"ticket {mine['id']} of {mine['meter_id']}: {unequal}"
    told = sorted(found.events - wanted.events), sorted(wanted.events - found.events)
    assert told == ([], []), f"ticket events not expected, and missing ones: {told}"
    ours, theirs = meters(found.dump), meters(wanted.dump)
    assert len(ours) == len(theirs)
    differing = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
    assert not differing, f"{len(differing)} meters differ, the first:\n{differing[0][0]}\n{differing[0][1]}"
