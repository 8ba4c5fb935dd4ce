"""What the tests of complaints share: forms as somebody fills them in, and the obvious store for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.store import Store
from connectors.store.engine import writing
from connectors.store.tables_trade import points
from streams.messages import Flag
from streams.trade.book import Book
from streams.trade.complaint_form import Filled, fill
from streams.trade.complaints import Complaint, Site
from streams.trade.lifecycle import Move, move
from streams.trade.linking import Linking
from streams.trade.points import Point
from streams.trade.sla import Targets
from streams.trade.tickets import State, Ticket, iso
from tests.tickets.tools import NOON, MemoryStore

SITE = Site(
    service_point_id="point-1", meter_id="meter-1", area="area-1", commodity="gas", places=("area/area-1",)
)


def put_points(store: Store, *made: Point) -> None:
    """What the registry says."""
    with writing(store._engine) as connection:
        for point in made:
            connection.execute(
                points.insert(), {name: getattr(point, name) for name in point.__struct_fields__}
            )


def home(meter: str = "meter-1", point: str = "point-1", **fields: Any) -> Point:
    return Point(meter_id=meter, service_point_id=point, commodity="gas", area="area-1", **fields)


def form(at_ns: int = NOON, **fields: Any) -> dict[str, Any]:
    """A form with all that is required."""
    return {
        "reference": "12345-001",
        "time": iso(at_ns),
        "name": "王小明",
        "phone": "13800001234",
        "matter": "本期气费偏高，要求核实",
        "subject": "high_bill",
        "service_point": "point-1",
        "taken_by": "agent-7",
        **fields,
    }


def filled(at_ns: int = NOON, now_ns: int | None = None, **fields: Any) -> Filled:
    """A form that has been read."""
    return fill(form(at_ns, **fields), "call-centre", at_ns if now_ns is None else now_ns, "Asia/Shanghai")


def complaint(at_ns: int = NOON, now_ns: int | None = None, **fields: Any) -> Complaint:
    """A complaint of that form."""
    return filled(at_ns, now_ns, **fields).complaint


class MemoryDesk(MemoryStore):
    """The obvious store that takes complaints too."""

    def __init__(self, linking: Linking | None = None) -> None:
        super().__init__()
        self.linking = linking or Linking()
        self.complaints: dict[str, Complaint] = {}

    def complain(self, one: Complaint, site: Site = SITE, now_ns: int | None = None) -> Complaint:
        """Take a complaint."""
        self._open_book()
        taken = self.linking.take(self.book, one, site, one.received_ns if now_ns is None else now_ns)
        self.events += self.book.events
        return taken

    def assign(self, one: Complaint, site: Site, now_ns: int = NOON) -> Complaint:
        """Tell an unlinked complaint's service point."""
        self._open_book()
        taken = self.linking.assign(self.book, one, site, "agent-8", now_ns)
        self.events += self.book.events
        return taken

    def flags(self, *flags: Flag, now_ns: int = NOON) -> Sequence[Ticket]:
        """Fold flags in."""
        return self.take(*flags, now_ns=now_ns)

    def _open_book(self) -> None:
        self.book = Book()
        self.book.tickets, self.book.complaints = self.tickets, self.complaints


def moved(desk: MemoryDesk, ticket: Ticket, *states: State, now_ns: int) -> Ticket:
    """A ticket brought through states, with what closing asks for."""
    for state in states:
        wish = Move(
            to=state,
            actor="ann",
            verdict="false_alarm",
            note="vacant",
            no_callback="told by letter",
            archive_class="metering",
        )
        ticket = move(desk.book, desk.tickets[ticket.id], wish, Targets(), now_ns)
    return ticket
