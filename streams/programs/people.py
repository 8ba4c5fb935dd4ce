"""People and the audit log, for the API and the commands."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from connectors.history_sqlite import HistoryReader
from connectors.sqlite_history.pseudonyms import part
from connectors.store import Store
from connectors.store.audit import AuditRow, LogFilter, Verified
from connectors.store.erasure import Erased, Held
from connectors.store.people import Person
from connectors.store.retention import Keep
from streams.clock import Clock
from streams.settings import Settings
from streams.trade.masks import redact
from streams.trade.roles import Actor
from streams.trade.tickets import iso


class PeopleDesk:
    """What is asked of people and of the audit log; blocks."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._now = clock.now_ns

    def person(self, person_id: str, actor: Actor) -> Person | None:
        """Somebody, masked."""
        return self._store.person(person_id, actor, self._now())

    def unmask(self, person_id: str, actor: Actor, reason: str) -> Person | None:
        """Somebody in the clear."""
        return self._store.unmask(person_id, actor, reason, self._now())

    def find(self, phone: str, actor: Actor) -> list[Person]:
        """Those with this number, masked."""
        return self._store.find_people(phone, actor, self._now())

    def held(self, service_point_id: str, actor: Actor) -> Held:
        """What is held of a service point, counted; people masked."""
        return self._store.held_at(service_point_id, actor, self._now())

    def export(self, service_point_id: str, actor: Actor, reason: str) -> dict[str, Any]:
        """Everything that store and history hold of a service point, as JSON types."""
        told = self._store.export_point(service_point_id, actor, reason, self._now())
        meters = {row["meter_id"] for name in ("meters", "tickets", "flags") for row in told[name]}
        meters = (meters | {service_point_id}) - {""}  # where the registry knows no place, the meter is it
        told["readings"] = asyncio.run(self._readings(sorted(meters)))
        told["exported_at"] = iso(self._now())
        return told

    def erase(self, service_point_id: str, actor: Actor, reason: str, also_open: bool) -> Erased:
        """Erase what tells of people; the readings of the meters there are parted from them.

        The store goes first: it refuses what may not be, and to do both again does no harm.
        """
        done = self._store.erase_point(service_point_id, actor, reason, self._now(), also_open=also_open)
        if self._settings.history.keep_days > 0:
            part(self._settings.history_path, done.meters)
        return done

    def log(self, actor: Actor, limit: int, wanted: LogFilter, before: int | None) -> list[AuditRow]:
        """Lines of the audit log; that they were read is one."""
        found = self._store.audit_log(limit, wanted, before=before)
        instants = {"start": wanted.start_ns, "end": wanted.end_ns}
        asked = {
            "object": redact(wanted.object),  # a number may have been typed
            "actor": wanted.actor,
            "action": wanted.action,
            **{name: None if at is None else iso(at) for name, at in instants.items()},
            "before": before,
        }
        told = {name: value for name, value in asked.items() if value}
        self._store.audit(self._now(), actor, "audit.read", "audit/log", details=told)
        return found

    def verify(self, actor: Actor, seq: int, head: str) -> Verified:
        """Check all chains; that it was done is a line."""
        found = self._store.verify_audit(seq, head)
        told = {"rows": found.rows, "head": found.head, "faults": len(found.faults)}
        self._store.audit(self._now(), actor, "audit.verified", "audit/log", details=told)
        return found

    async def _readings(self, meters: list[str]) -> list[dict[str, Any]]:
        if self._settings.history.keep_days <= 0:
            return []
        reader = HistoryReader(self._settings.history_path)
        try:
            found = await reader.series_of(meters)
        finally:
            await reader.close()
        return [
            {
                "meter_id": meter,
                "register": one.register,
                "time": [iso(at) for at in one.time_ns.tolist()],
                "value": one.value.tolist(),
                "unit": list(one.unit),
            }
            for meter in meters
            for one in found[meter]
        ]


def keep(settings: Settings) -> Keep:
    """How long what is kept."""
    own = settings.retention
    return Keep(
        tickets=own.tickets_days,
        complaints=own.complaints_days,
        people=own.people_days,
        audit=own.audit_days,
        muted=own.muted_days,
    )


def shown(found: Verified) -> str:
    """What a check has found, for people."""
    lines = [
        f"{found.rows} rows of the audit log, {found.lines} lines of tickets' histories"
        + (f" ({found.unchained} from before they had digests)" if found.unchained else ""),
        f"newest row: {found.seq} {found.head}",
    ]
    faults = [f"  {fault.chain}, {fault.seq}: {fault.what}" for fault in found.faults]
    return "\n".join([*lines, *(["THE CHAIN DOES NOT HOLD:", *faults] if faults else ["the chains hold"])])


def line(row: AuditRow) -> str:
    """One line of the audit log, for people."""
    details = f" {json.dumps(row.details, ensure_ascii=False)}" if row.details else ""
    why = f" “{row.reason}”" if row.reason else ""
    return f"{row.seq} {iso(row.at_ns)} {row.actor} ({row.role}) {row.action} {row.object}{why}{details}"
