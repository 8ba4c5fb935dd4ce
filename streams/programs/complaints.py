"""Complaints: the reception of a process, its metrics, and the import of files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from connectors.complaint_csv import RejectsFile, Table, read_complaints
from connectors.migrations import upgrade
from connectors.store import Store
from connectors.web.probe import Metric
from streams.clock import Clock
from streams.deliver import wanted_by
from streams.ports import Rejected
from streams.programs import compose, policies
from streams.programs.desks import make_desks
from streams.settings import Settings
from streams.trade.complaints import Faults, Outcome
from streams.trade.linking import Linking
from streams.trade.reception import Reception, ReceptionConfig, Tally


def make_reception(settings: Settings, store: Store, clock: Clock) -> Reception:
    """The reception of a process. Raises ConfigError."""
    rules = policies.rules(settings)
    linking = Linking(
        routing=rules.routing,
        targets=rules.targets,
        window_days=settings.complaints.window_days,
        language=rules.language,
        hold_subjects=frozenset(settings.complaints.hold_subjects),
    )
    config = ReceptionConfig(linking, rules.targets.calendar.tz, settings.complaints.emergency_phone)
    return Reception(store, config, clock)


class Taker(Protocol):
    """What the worker's agent tells of itself."""

    dead_letters: int


def metrics(tally: Tally, taker: Taker | None = None) -> list[Metric]:
    """What a process has taken since it started; of a worker also what it could not."""
    told = {
        "taken": "Complaints taken, each once",
        "known": "Complaints that a ticket of ours was there before",
        "linked": "Complaints tied to a ticket that was there",
        "missed": "Complaints about metering that no ticket of ours was there before",
    }
    out = [
        Metric(f"forestall_complaints_{what}_total", words, "counter", tally.counts(what))
        for what, words in told.items()
    ]
    if taker is not None:
        words = "Messages of complaints.v1 that are no complaint"
        out.append(Metric("forestall_complaints_dead_total", words, "counter", taker.dead_letters))
    return out


async def import_complaints(
    settings: Settings, path: Path, rejects: Path, encoding: str, source: str, *, archive: bool = False
) -> str:
    """Take the complaints of a CSV file; what cannot be taken goes to ``rejects`` with its reason.

    archive : they are of the time before: kept, tied to the tickets that were there then, and nothing comes of them
    Straight into the store: what was told as taken is durable. Raises OSError, ValueError where the file
    is no such table, Unavailable where the database is away; then the import may be started again.
    """
    table = read_complaints(path, encoding)
    durable = compose.open_log(settings)
    try:
        store = Store(settings.store_url, wanted_by(make_desks(settings, durable)))
        try:
            reception = make_reception(settings, store, compose.make_clock(settings))
            return await asyncio.to_thread(_import, settings, reception, table, rejects, source, archive)
        finally:
            store.close()
    finally:
        await durable.close()


def _import(
    settings: Settings, reception: Reception, table: Table, rejects: Path, source: str, archive: bool
) -> str:
    upgrade(settings.store_url)
    taken = again = known = missed = 0
    with RejectsFile(rejects, table.headings) as refused:
        for row in table.rows:
            try:
                if row.fault:
                    raise Faults([row.fault])
                complaint, new = reception.take(row.form, source, archive=archive)
            except Faults as faults:
                refused.add(row, str(faults))
            except Rejected as error:
                refused.add(row, error.reason)
            else:
                taken, again = taken + new, again + (not new)
                known += new and complaint.outcome is Outcome.KNOWN
                missed += new and complaint.miss
    done = "kept as history" if archive else "taken"
    told = f"{taken} complaints {done} ({known} known before, {missed} missed), {again} were there already"
    told += f", {refused.count} refused" + (f": see {rejects}" if refused.count else "")
    if table.unknown:
        told += f"; columns without a field: {', '.join(table.unknown)}"
    return told
