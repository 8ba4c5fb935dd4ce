"""The trade beside the tickets: places, mutes, complaints, people, verdicts, audit."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INDEXES = {
    "ix_tickets_meter": ("tickets", "meter_id", "opened_ns"),
    "ix_points_service_point": ("points", "service_point_id"),
    "ix_points_area": ("points", "area"),
    "ix_points_concentrator": ("points", "concentrator"),
    "ix_points_transformer": ("points", "transformer"),
    "ix_aliases_service_point": ("aliases", "service_point_id"),
    "ix_mutes_place": ("mutes", "place", "end_ns"),
    "ix_muted_flags_until": ("muted_flags", "outcome", "until_ns"),
    "ix_tickets_due": ("tickets", "due_ns"),
    "ix_tickets_closed": ("tickets", "state", "closed_ns"),
    "ix_tickets_watch": ("tickets", "watch_until_ns"),
    "ix_tickets_rerate": ("tickets", "rerate_ns"),
    "ix_muted_flags_service_point": ("muted_flags", "service_point_id"),
    "ix_complaints_at": ("complaints", "at_ns"),
    "ix_complaints_service_point": ("complaints", "service_point_id", "at_ns"),
    "ix_complaints_ticket": ("complaints", "ticket_id"),
    "ix_complaints_person": ("complaints", "person_id"),
    "ix_people_service_point": ("people", "service_point_id"),
    "ix_people_phone": ("people", "phone_key"),
    "ix_people_email": ("people", "email_key"),
    "ix_people_updated": ("people", "updated_ns"),
    "ix_audit_object": ("audit", "object", "seq"),
    "ix_audit_at": ("audit", "at_ns"),
    "ix_audit_action": ("audit", "action", "seq"),
    "ix_audit_actor": ("audit", "actor", "seq"),
    "ix_verdicts_at": ("verdicts", "at_ns"),
    "ix_verdicts_ticket": ("verdicts", "ticket_id"),
    "ix_verdicts_raised": ("verdicts", "raised_ns"),
    "ix_bars_kind": ("bars", "kind", "seq"),
    "ix_hook_events_ticket": ("hook_events", "desk", "ticket_id"),
    "ix_hook_events_seen_ns": ("hook_events", "seen_ns"),
    "ix_read_days_day": ("read_days", "day"),
    "ix_remote_refs_remote_id": ("remote_refs", "desk", "remote_id"),
}


#: a row may go once a row of the chain says that those up to it are over
_OVER = (
    "EXISTS (SELECT 1 FROM audit WHERE action = 'audit.pruned' AND CASE WHEN action = 'audit.pruned' "
    "THEN OLD.seq <= CAST(substr(object, 7) AS BIGINT) ELSE 1 = 0 END)"
)
_REFUSAL = "rows of audit are added only"
_SQLITE = (
    f"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END",
    # INSERT OR REPLACE deletes without asking the trigger of deletions
    f"""CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
    WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END""",  # noqa: S608 - a sentence of ours
    f"""CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN NOT {_OVER}
    BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END""",
)
_POSTGRESQL = (
    f"""CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'DELETE' THEN IF {_OVER} THEN RETURN OLD; END IF; END IF;
    RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$""",
    "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
)

_PREFIXES = {
    "id": "ix_tickets_id_prefix",
    "meter_id": "ix_tickets_meter_prefix",
    "service_point_id": "ix_tickets_point_prefix",
}


def _texts(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text(), nullable=False) for name in names)


def _instants(*names: str) -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, sa.BigInteger(), nullable=False) for name in names)


def upgrade() -> None:
    """Make the tables, and room in those that are there."""
    op.add_column("ticket_history", sa.Column("digest", sa.Text(), nullable=False, server_default=""))
    op.add_column("steps", sa.Column("finding", sa.Text(), nullable=False, server_default=""))
    op.add_column("tickets", sa.Column("group", sa.Text(), nullable=False, server_default=""))
    op.add_column("tickets", sa.Column("purpose", sa.Text(), nullable=False, server_default="case"))
    op.add_column("tickets", sa.Column("owner", sa.Text(), nullable=False, server_default=""))
    for name in ("due_ns", "watch_until_ns", "rerate_ns"):
        op.add_column("tickets", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("tickets", sa.Column("bill_day", sa.Integer(), nullable=True))
    op.create_table(
        "points",
        *_texts("meter_id", "service_point_id", "commodity", "unit", "area", "meter_class", "serial", "tz"),
        *_texts("route", "concentrator", "transformer", "line", "tariff"),
        sa.Column("bill_day", sa.Integer(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False, server_default=""),
        sa.Column("multiplier", sa.Float(), nullable=False, server_default="1"),
        sa.PrimaryKeyConstraint("meter_id", name="pk_points"),
    )
    op.create_table(
        "aliases",
        *_texts("alias", "service_point_id"),
        *_instants("since_ns"),
        sa.PrimaryKeyConstraint("alias", name="pk_aliases"),
    )
    op.create_table(
        "mutes",
        *_texts("id", "kind", "place"),
        sa.Column("kinds", sa.JSON(), nullable=False),
        *_instants("start_ns", "end_ns"),
        *_texts("reason", "by"),
        *_instants("created_ns"),
        sa.Column("notice_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_mutes"),
    )
    op.create_table(
        "muted_flags",
        *_texts("flag_id", "service_point_id", "meter_id", "family", "kind", "mute_id", "why"),
        *_instants("until_ns"),
        sa.Column("flag", sa.JSON(), nullable=False),
        *_instants("since_ns", "heard_ns"),
        *_texts("outcome"),
        sa.PrimaryKeyConstraint("flag_id", name="pk_muted_flags"),
    )
    op.create_table(
        "complaints",
        *_texts("id", "source", "reference"),
        *_instants("at_ns", "received_ns"),
        *_texts("channel", "category", "urgency", "subject", "service_point_id", "person_id", "ticket_id"),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("lead_time_s", sa.Float(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_complaints"),
        sa.UniqueConstraint("source", "reference", name="uq_complaints_source"),
    )
    op.create_table(
        "people",
        *_texts("person_id", "service_point_id", "name", "phone", "email", "address"),
        *_texts("phone_key", "email_key", "language"),
        *_instants("created_ns", "updated_ns"),
        sa.Column("erased_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("person_id", name="pk_people"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", _NUMBER, autoincrement=False, nullable=False),
        *_instants("at_ns"),
        *_texts("actor", "role", "action", "object", "reason"),
        sa.Column("details", sa.JSON(), nullable=False),
        *_texts("digest"),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_table(
        "verdicts",
        *_texts("flag_id", "ticket_id", "detector", "kind", "family", "area", "verdict", "reason", "by"),
        sa.Column("single", sa.Boolean(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        *_instants("raised_ns", "at_ns"),
        sa.PrimaryKeyConstraint("flag_id", name="pk_verdicts"),
    )
    op.create_table(
        "bars",
        sa.Column("seq", _NUMBER, autoincrement=True, nullable=False),
        *_texts("kind"),
        sa.Column("bar", sa.Float(), nullable=False),
        sa.Column("before", sa.Float(), nullable=False),
        *_instants("at_ns"),
        *_texts("by", "why"),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_bars"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "hook_events",
        *_texts("desk", "event_id", "ticket_id", "status"),
        *_instants("at_ns", "seen_ns"),
        sa.PrimaryKeyConstraint("desk", "event_id", name="pk_hook_events"),
    )
    op.create_table(
        "read_days",
        sa.Column("partition", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("day", sa.Integer(), nullable=False, autoincrement=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("area", "route", "concentrator")),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("readings", "missing", "late", "duplicates", "corrections", "bad", "ahead")
        ),
        sa.PrimaryKeyConstraint("partition", "day", "area", "route", "concentrator", name="pk_read_days"),
    )
    for name, (table, *columns) in _INDEXES.items():
        op.create_index(name, table, columns)
    for statement in _POSTGRESQL if op.get_bind().dialect.name == "postgresql" else _SQLITE:
        op.execute(statement)
    for column, name in _PREFIXES.items():
        op.create_index(name, "tickets", [column], postgresql_ops={column: "text_pattern_ops"})
    op.create_index(
        "ix_tickets_open",
        "tickets",
        ["opened_ns", "id", "due_ns", "priority", "owner_department", "category", "area", "drill"],
        sqlite_where=sa.text("open = 1"),
        postgresql_where=sa.text("open"),
    )
    _write_due()


def _write_due() -> None:
    """What is due next of the open tickets that are there already."""
    connection = op.get_bind()
    tickets = sa.table(
        "tickets", sa.column("id"), sa.column("open"), sa.column("due_ns"), sa.column("details", sa.JSON())
    )
    for ticket_id, details in connection.execute(
        sa.select(tickets.c.id, tickets.c.details).where(tickets.c.open)
    ).all():
        sla = (json.loads(details) if isinstance(details, str) else details).get("sla", {})
        due = [sla.get("ack_due_ns")] if sla.get("acknowledged_ns") is None else []
        if sla.get("paused_since_ns") is None:
            due.append(sla.get("resolve_due_ns"))
        soonest = min((one for one in due if one is not None), default=None)
        connection.execute(tickets.update().where(tickets.c.id == ticket_id).values(due_ns=soonest))


def downgrade() -> None:
    """Drop them."""
    for name in (*_PREFIXES.values(), "ix_tickets_open"):
        op.drop_index(name, table_name="tickets")
    for name, (table, *_) in _INDEXES.items():
        op.drop_index(name, table_name=table)
    for table in (
        "read_days",
        "hook_events",
        "bars",
        "verdicts",
        "audit",
        "people",
        "complaints",
        "muted_flags",
        "mutes",
        "aliases",
        "points",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_refuse()")
    for name in ("bill_day", "rerate_ns", "watch_until_ns", "due_ns", "owner", "purpose", "group"):
        op.drop_column("tickets", name)
    op.drop_column("steps", "finding")
    op.drop_column("ticket_history", "digest")
