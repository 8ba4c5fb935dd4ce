"""The tables of the trade beside the tickets: places, mutes, complaints, people, verdicts, audit.

Times ending in ``_ns`` are nanoseconds since 1970 UTC.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, Table, Text, UniqueConstraint

from connectors.store.tables import metadata

__all__ = [
    "aliases",
    "audit",
    "bars",
    "complaints",
    "hook_events",
    "metadata",
    "muted_flags",
    "mutes",
    "people",
    "points",
    "verdicts",
]

_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

#: What the registry says of meters (``streams.trade.points.Point``).
points = Table(
    "points",
    metadata,
    Column("meter_id", Text, primary_key=True),
    Column("service_point_id", Text, nullable=False),
    *(
        Column(name, Text, nullable=False)
        for name in (
            "commodity", "unit", "area", "meter_class", "serial", "tz", "route", "concentrator", "transformer",
            "line", "tariff",
        )
    ),
    Column("bill_day", Integer, nullable=True),
    Column("kind", Text, nullable=False, server_default=""),
    Column("multiplier", Float, nullable=False, server_default="1"),
)  # fmt: skip
Index("ix_points_service_point", points.c.service_point_id)
Index("ix_points_area", points.c.area)
Index("ix_points_concentrator", points.c.concentrator)
Index("ix_points_transformer", points.c.transformer)

#: Other names of a service point: an account, an old house number, the district's former name.
aliases = Table(
    "aliases",
    metadata,
    Column("alias", Text, primary_key=True),  # folded: without case and blanks
    Column("service_point_id", Text, nullable=False),
    Column("since_ns", BigInteger, nullable=False),
)
Index("ix_aliases_service_point", aliases.c.service_point_id)

mutes = Table(
    "mutes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("kinds", JSON, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("notice_ns", BigInteger, nullable=True),
)
Index("ix_mutes_place", mutes.c.place, mutes.c.end_ns)

#: Flags that wait (``streams.trade.mutes.Muted``).
muted_flags = Table(
    "muted_flags",
    metadata,
    Column("flag_id", Text, primary_key=True),
    Column("service_point_id", Text, nullable=False),
    Column("meter_id", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("mute_id", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("until_ns", BigInteger, nullable=False),
    Column("flag", JSON, nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("heard_ns", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
)
Index("ix_muted_flags_until", muted_flags.c.outcome, muted_flags.c.until_ns)
Index("ix_muted_flags_service_point", muted_flags.c.service_point_id)

complaints = Table(
    "complaints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("received_ns", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("urgency", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("service_point_id", Text, nullable=False),
    Column("person_id", Text, nullable=False),
    Column("ticket_id", Text, nullable=False),
    Column("outcome", Text, nullable=True),
    Column("lead_time_s", Float, nullable=True),
    Column("details", JSON, nullable=False),
    UniqueConstraint("source", "reference", name="uq_complaints_source"),
)
Index("ix_complaints_at", complaints.c.at_ns)
Index("ix_complaints_service_point", complaints.c.service_point_id, complaints.c.at_ns)
Index("ix_complaints_ticket", complaints.c.ticket_id)
Index("ix_complaints_person", complaints.c.person_id)

#: The one place of names, addresses, telephone numbers.
people = Table(
    "people",
    metadata,
    Column("person_id", Text, primary_key=True),
    Column("service_point_id", Text, nullable=False),
    # sealed where there is a key (``connectors.sealing``)
    Column("name", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("address", Text, nullable=False),
    # by which a person is found again: keyed hashes of number and address; empty: none given
    Column("phone_key", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Column("erased_ns", BigInteger, nullable=True),
)
Index("ix_people_service_point", people.c.service_point_id)
Index("ix_people_phone", people.c.phone_key)
Index("ix_people_email", people.c.email_key)
Index("ix_people_updated", people.c.updated_ns)

#: Who did what, each line with a digest over itself and the line before; rows are added only (triggers).
audit = Table(
    "audit",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("digest", Text, nullable=False),
)
Index("ix_audit_object", audit.c.object, audit.c.seq)
Index("ix_audit_at", audit.c.at_ns)
Index("ix_audit_action", audit.c.action, audit.c.seq)
Index("ix_audit_actor", audit.c.actor, audit.c.seq)

#: What flags have turned out to be, one row a flag; the newest word counts.
verdicts = Table(
    "verdicts",
    metadata,
    Column("flag_id", Text, primary_key=True),
    Column("ticket_id", Text, nullable=False),
    Column("detector", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("area", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("single", Boolean, nullable=False),
    Column("score", Float, nullable=True),
    Column("raised_ns", BigInteger, nullable=False),  # when it came onto its ticket
    Column("at_ns", BigInteger, nullable=False),
)
Index("ix_verdicts_at", verdicts.c.at_ns)
Index("ix_verdicts_ticket", verdicts.c.ticket_id)
Index("ix_verdicts_raised", verdicts.c.raised_ns)

#: Score below which a kind of flag opens no ticket, and how it came to that; the newest row of a kind counts.
bars = Table(
    "bars",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("bar", Float, nullable=False),
    Column("before", Float, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("figures", JSON, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_bars_kind", bars.c.kind, bars.c.seq)

#: What desks have told us of their tickets: an event is taken once, and a later one goes before an earlier.
hook_events = Table(
    "hook_events",
    metadata,
    Column("desk", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("ticket_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),  # when it happened there
    Column("seen_ns", BigInteger, nullable=False),
)
Index("ix_hook_events_ticket", hook_events.c.desk, hook_events.c.ticket_id)
Index("ix_hook_events_seen_ns", hook_events.c.seen_ns)
