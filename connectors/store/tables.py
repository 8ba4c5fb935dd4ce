"""The tables of the ticket store.

Times ending in ``_ns`` are nanoseconds since 1970 UTC. What is asked for by SQL has a
column of its own; what only travels with a ticket is in ``details`` (JSON).
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

from streams.messages import Counts, DayCounts

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
#: SQLite numbers rows by itself only where the type is exactly INTEGER
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


tickets = Table(
    "tickets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("dedup_key", Text, nullable=False, unique=True),
    Column("origin", Text, nullable=False),
    Column("drill", Boolean, nullable=False),
    Column("service_point_id", Text, nullable=False),
    Column("meter_id", Text, nullable=False),
    Column("area", Text, nullable=False),
    Column("commodity", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("urgency", Text, nullable=False),
    Column("impact", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("owner_department", Text, nullable=False),
    Column("owner", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("escalated", Boolean, nullable=False),
    Column("group", Text, nullable=False, server_default=""),
    Column("purpose", Text, nullable=False, server_default="case"),
    Column("event_at", Text, nullable=False),
    Column("lead_time_s", Float, nullable=True),
    Column("opened_ns", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Column("closed_ns", BigInteger, nullable=True),
    Column("due_ns", BigInteger, nullable=True),  # what is due next, while it is open
    Column("watch_until_ns", BigInteger, nullable=True),
    Column("bill_day", Integer, nullable=True),
    Column(
        "rerate_ns", BigInteger, nullable=True
    ),  # when its later bills were told, until billing has rated them
    Column("version", Integer, nullable=False),
    Column("details", JSON, nullable=False),
)
Index("ix_tickets_opened_ns", tickets.c.opened_ns, tickets.c.id)
Index("ix_tickets_state", tickets.c.state, tickets.c.opened_ns)
Index("ix_tickets_service_point", tickets.c.service_point_id, tickets.c.opened_ns)
Index("ix_tickets_meter", tickets.c.meter_id, tickets.c.opened_ns)
# what is looked for by its beginning: the plain indexes follow the language's order, which is another
Index("ix_tickets_id_prefix", tickets.c.id, postgresql_ops={"id": "text_pattern_ops"})
Index("ix_tickets_meter_prefix", tickets.c.meter_id, postgresql_ops={"meter_id": "text_pattern_ops"})
Index(
    "ix_tickets_point_prefix",
    tickets.c.service_point_id,
    postgresql_ops={"service_point_id": "text_pattern_ops"},
)
# lists of open tickets, newest first: what they are narrowed by is decided on the index
Index(
    "ix_tickets_open",
    tickets.c.opened_ns,
    tickets.c.id,
    *(tickets.c[name] for name in ("due_ns", "priority", "owner_department", "category", "area", "drill")),
    sqlite_where=text("open = 1"),
    postgresql_where=text("open"),
)
Index("ix_tickets_due", tickets.c.due_ns)
Index("ix_tickets_closed", tickets.c.state, tickets.c.closed_ns)
Index("ix_tickets_watch", tickets.c.watch_until_ns)
Index("ix_tickets_rerate", tickets.c.rerate_ns)
# the promise itself: whoever writes, one open ticket for a service point and family
Index(
    "uq_tickets_open",
    tickets.c.service_point_id,
    tickets.c.family,
    tickets.c.drill,
    unique=True,
    sqlite_where=text("open = 1"),
    postgresql_where=text("open"),
)

ticket_flags = Table(
    "ticket_flags",
    metadata,
    Column("flag_id", Text, primary_key=True),
    Column("ticket_id", Text, ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False),
    Column("meter_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("start", Text, nullable=False),
    Column("end", Text, nullable=False),
    Column("score", Float, nullable=True),
    Column("observed", Float, nullable=True),
    Column("expected", Float, nullable=True),
    Column("unit", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("estimate", JSON(none_as_null=True), nullable=True),
    Column("updates", Integer, nullable=False),
)
Index("ix_ticket_flags_ticket", ticket_flags.c.ticket_id)
Index("ix_ticket_flags_family", ticket_flags.c.family, ticket_flags.c.status)

ticket_history = Table(
    "ticket_history",
    metadata,
    Column("ticket_id", Text, ForeignKey("tickets.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at_ns", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("flag_id", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("digest", Text, nullable=False, server_default=""),
)

steps = Table(
    "steps",
    metadata,
    Column("ticket_id", Text, ForeignKey("tickets.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("check", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("done_ns", BigInteger, nullable=True),
    Column("finding", Text, nullable=False, server_default=""),
)

flags_seen = Table(
    "flags_seen",
    metadata,
    Column("event_key", Text, primary_key=True),
    Column("flag_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("seen_ns", BigInteger, nullable=False),
)
Index("ix_flags_seen_seen_ns", flags_seen.c.seen_ns)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False),
    Column("ticket_id", Text, nullable=False),
    Column("desk", Text, nullable=False),
    Column("event", JSON, nullable=False),
    Column("rank", Integer, nullable=False),  # 0: an emergency, goes before all others
    Column("created_ns", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # pending, done
    Column("attempts", Integer, nullable=False),
    Column("due_ns", BigInteger, nullable=False),  # not before; while leased: when the lease ends
    Column("lease", Text, nullable=False),  # token of who is delivering it, empty: nobody
    Column("error", Text, nullable=False),
    Column("remote_id", Text, nullable=False),
    Column("done_ns", BigInteger, nullable=True),
    sqlite_autoincrement=True,  # a number is never given twice, also after pruning
)
Index("uq_outbox_event", outbox.c.event_id, outbox.c.desk, unique=True)
_WAITS = text("state = 'pending'")
Index(
    "ix_outbox_queue",
    outbox.c.desk,
    outbox.c.rank,
    outbox.c.id,
    outbox.c.ticket_id,
    sqlite_where=_WAITS,
    postgresql_where=_WAITS,
)
Index(
    "ix_outbox_order",
    outbox.c.desk,
    outbox.c.ticket_id,
    outbox.c.id,
    sqlite_where=_WAITS,
    postgresql_where=_WAITS,
)
Index("ix_outbox_done_ns", outbox.c.done_ns)

dead_deliveries = Table(
    "dead_deliveries",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False),
    Column("ticket_id", Text, nullable=False),
    Column("desk", Text, nullable=False),
    Column("event", JSON, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("dead_ns", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_dead_deliveries_dead_ns", dead_deliveries.c.dead_ns)

remote_refs = Table(
    "remote_refs",
    metadata,
    Column("ticket_id", Text, ForeignKey("tickets.id", ondelete="CASCADE"), primary_key=True),
    Column("desk", Text, primary_key=True),
    Column("remote_id", Text, nullable=False),
)
Index("ix_remote_refs_remote_id", remote_refs.c.desk, remote_refs.c.remote_id)

desks = Table(
    "desks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("endpoint", Text, nullable=False),  # that it was switched off for
    Column("reason", Text, nullable=False),
    Column("disabled_ns", BigInteger, nullable=False),
)

#: What is counted and not raised (``streams.messages.Counts``): a row a meter or register that has any, one an area.
quality = Table(
    "quality",
    metadata,
    Column("meter_id", Text, primary_key=True),  # empty: the area as a whole
    Column("register", Text, primary_key=True),  # of an area: its name
    Column("area", Text, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in Counts.__struct_fields__[3:]),
    Column("at_ns", BigInteger, nullable=False),  # when a worker last told of it
)
Index("ix_quality_area", quality.c.area)

#: Reads by day and place (``streams.messages.DayCounts``), as the state of each partition has them.
read_days = Table(
    "read_days",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    *(Column(name, Text, primary_key=True) for name in ("area", "route", "concentrator")),
    *(Column(name, BigInteger, nullable=False) for name in DayCounts.__struct_fields__[4:]),
)
Index("ix_read_days_day", read_days.c.day)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("process", Text, primary_key=True),
    Column("since_ns", BigInteger, nullable=False),  # of its first sign of life
    Column("at_ns", BigInteger, nullable=False),
    Column("figures", JSON, nullable=False),
)
