"""Opening a ticket: the same for a flag, a complaint and a person's own finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from streams.trade.book import Book, ticket_id
from streams.trade.causes import steps
from streams.trade.lifecycle import record
from streams.trade.routing import Placement
from streams.trade.sla import Targets
from streams.trade.tickets import Hypothesis, Origin, State, Ticket


@dataclass(frozen=True, slots=True)
class Case:
    """What a ticket is opened for.

    key    : what makes the episode the same again: the flag's id, the complaint's
    causes : the hypotheses in the order of their checks
    place  : category, urgency, priority, departments
    facts  : further fields of ``Ticket``
    """

    key: str
    service_point_id: str
    meter_id: str
    family: str
    kind: str
    causes: tuple[Hypothesis, ...]
    place: Placement
    origin: Origin = Origin.PROACTIVE
    drill: bool = False
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def dedup_key(self) -> str:
        """Service point, family, episode."""
        return f"{self.service_point_id}|{self.family}|{self.key}"


def open_case(book: Book, case: Case, targets: Targets, language: str, actor: str, now_ns: int) -> Ticket:
    """Open a ticket, with its checks listed and its due dates set; its neighbours and it name each other."""
    checks = steps(case.causes)
    neighbours = book.open_at(case.service_point_id, case.drill)
    fields: dict[str, Any] = {
        "id": ticket_id(case.dedup_key, case.drill),
        "dedup_key": case.dedup_key,
        "origin": case.origin,
        "drill": case.drill,
        "service_point_id": case.service_point_id,
        "meter_id": case.meter_id,
        "family": case.family,
        "kind": case.kind,
        "category": case.place.category,
        "urgency": case.place.urgency,
        "priority": case.place.priority,
        "impact": case.place.impact,
        "purpose": case.place.purpose,
        "hypotheses": case.causes,
        "checks": tuple(step.check for step in checks),
        "owner_department": case.place.department,
        "co_departments": case.place.co_departments,
        "sla": targets.due(case.place.priority, now_ns),
        "language": language,
        "opened_ns": now_ns,
        "updated_ns": now_ns,
        # linked before it is told: whoever hears of it hears of its neighbours too
        "related": tuple(sorted(t.id for t in neighbours)),
    }
    fresh = Ticket(**(fields | dict(case.facts)))
    book.steps += [(fresh.id, step) for step in checks]
    opened = record(
        book, fresh, now_ns, "opened", actor, flag_id=fresh.lead_flag_id, after=State.NEW, tell=not fresh.held
    )
    for other in neighbours:
        linked = replace(other, related=(*other.related, opened.id))
        record(book, linked, now_ns, "linked", actor, note=opened.id)
    return opened
