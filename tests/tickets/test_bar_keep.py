"""The daily run on bars: proposed in words, or applied a step a day, whoever runs it."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import select

from connectors.store import Store
from connectors.store.book import put
from connectors.store.engine import reading, writing
from connectors.store.tables_trade import audit, verdicts
from streams.bar_keep import BarKeep
from streams.programs.verdicts import VerdictDesk, policy
from streams.settings import Settings
from tests.tickets.tools import DAY, HOUR, NOON, Turned


def judged(store: Store, at_ns: int) -> None:
    """Sixty false alarms near the threshold, and forty real cases farther above it."""
    rows = [
        {
            "flag_id": f"f{n}", "ticket_id": "FS-1", "detector": "habit", "kind": "spike", "family": "usage_high",
            "area": "", "verdict": "false_alarm" if n < 60 else "confirmed", "reason": "x", "by": "wang",
            "single": False, "score": 1.25 if n < 60 else 1.6, "raised_ns": at_ns, "at_ns": at_ns,
        }
        for n in range(100)
    ]  # fmt: skip
    with writing(store._engine) as connection:
        put(connection, verdicts, rows)


def test_bars_move_a_step_a_day_by_whichever_process_is_first(store: Store) -> None:
    judged(store, NOON)
    clock, settings = Turned(NOON), Settings()
    first, second = (VerdictDesk(settings, store, clock) for _ in range(2))
    keeps = [BarKeep(store, desk.run_move, policy(settings), "apply", clock) for desk in (first, second)]
    bars = []
    for _ in range(5):
        for hour in range(3):
            for keep in keeps:
                keep.look()
            clock.advance(HOUR if hour < 2 else DAY - 2 * HOUR)
        bars.append(store.bars()["spike"])
    assert bars == [1.1, 1.2, 1.3, 1.3, 1.3]
    assert [move.bar for move in store.bar_moves()] == [1.3, 1.2, 1.1]
    with reading(store._engine) as connection:
        rows = connection.execute(select(audit.c.action, audit.c.object, audit.c.actor)).all()
    assert [tuple(row) for row in rows] == [("bar.moved", "bar/spike", "forestall")] * 3

    clock.advance(200 * DAY)  # what the bar was raised for has aged out
    for _ in range(4):
        keeps[0].look()
        clock.advance(DAY)
    assert store.bars() == {"spike": 1.0}


def test_a_proposal_is_told_once_and_moves_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    judged(store, NOON)
    clock, settings = Turned(NOON), Settings()
    keep = BarKeep(store, VerdictDesk(settings, store, clock).run_move, policy(settings), "propose", clock)
    with caplog.at_level(logging.INFO, "streams.bar_keep"):
        keep.look()
        keep.look()
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "bar of spike: 1 → 1.1 proposed"
    ]
    assert store.bars() == {}
