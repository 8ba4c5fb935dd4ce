"""Verdicts and bars as staff and administrators use them: what the API calls."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from connectors.store import Store
from connectors.store import audit as audit_log
from connectors.store.verdicts import Crossed
from connectors.web.problems import Problem
from streams.bar_keep import suggestions
from streams.clock import Clock
from streams.messages import FAMILY_OF
from streams.papers.spans import months
from streams.settings import Settings
from streams.trade.bars import EXEMPT, LEAST, MOST, MOVES, Policy, Suggestion
from streams.trade.judged import BarMove
from streams.trade.lifecycle import Refused
from streams.trade.roles import Actor
from streams.trade.tickets import Episode, Ticket, iso
from streams.trade.verdicts import Row, judge, tabulate

log = logging.getLogger(__name__)


def policy(settings: Settings) -> Policy:
    """When verdicts move bars, by the configuration."""
    own = settings.tickets
    return Policy(target=own.precision_target, days=own.bars_days, least=own.bars_least)


class VerdictDesk:
    """Judging, precision, bars. All methods block."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._policy = policy(settings)

    def judge(
        self, ticket_id: str, verdict: str, reason: str, flag_ids: Sequence[str], actor: Actor
    ) -> tuple[Ticket, list[Episode]]:
        """One word; the ticket as it is after it. Raises Problem."""
        now = self._clock.now_ns()
        try:
            ticket = self._store.change(
                ticket_id,
                lambda book, found: judge(book, found, verdict, reason, actor.name, now, flag_ids),
                now,
                audited=(actor, "judged", f"{verdict}: {reason}" if reason else verdict),
            )
        except KeyError as error:
            raise Problem(
                404,
                expected="the id of a ticket",
                got=repr(ticket_id[:64]),
                action="GET /api/tickets lists them",
            ) from error
        except Refused as error:
            raise _conflict(error) from error
        return ticket, self._store.episodes(ticket_id)

    def precision(self, by: Sequence[str], start_ns: int | None, end_ns: int | None) -> dict[str, Any]:
        """Precision of the flags raised in [start, end), by groups. Raises Problem."""
        zone = self._settings.tickets.time_zone
        rows = self.rows(start_ns, end_ns)
        try:
            found = tabulate(rows, by)
        except ValueError as error:
            expected, _, got = str(error).partition(", got ")
            raise Problem(
                422, expected=expected.removeprefix("expected "), got=got, action="mend by"
            ) from error
        totals = tabulate(rows, ())
        return {
            "by": list(by),
            "zone": zone,
            "items": [
                {**dict(zip(by, group, strict=True)), **msgspec.to_builtins(one)} for group, one in found
            ],
            "total": msgspec.to_builtins(totals[0][1]) if totals else None,
        }

    def rows(self, start_ns: int | None, end_ns: int | None) -> list[Row]:
        """Judged flags raised in [start, end), counted by month, detector, kind, family, area, verdict."""
        span = self._store.words_span()
        if span is None:
            return []
        first = max(span[0], start_ns) if start_ns is not None else span[0]
        last = min(span[1] + 1, end_ns) if end_ns is not None else span[1] + 1
        return [
            (month.name, *row)
            for month in months(first, last, self._settings.tickets.time_zone)
            for row in self._store.words(month.start_ns, month.end_ns)
        ]

    def bars(self) -> dict[str, Any]:
        """How the bars stand, what the verdicts say of them, and how they came there."""
        now = self._clock.now_ns()
        standing, held = self._store.bars(), self._store.held_back()
        proposed = {one.kind: one for one in suggestions(self._store, self._policy, now)}
        kinds = sorted(
            {kind for kind, bar in standing.items() if bar != LEAST} | held.keys() | proposed.keys()
        )
        return {
            "mode": self._settings.tickets.bars,
            "target": self._policy.target,
            "days": self._policy.days,
            "least": self._policy.least,
            "items": [
                {
                    "kind": kind,
                    "bar": standing.get(kind, LEAST),
                    "held_back": held.get(kind, 0),
                    "proposed": msgspec.to_builtins(proposed[kind]) if kind in proposed else None,
                }
                for kind in kinds
            ],
            "moves": [_shown(move) for move in self._store.bar_moves()],
        }

    def set_bar(self, kind: str, bar: float | None, reason: str, actor: Actor) -> dict[str, Any]:
        """Put a bar where a person wants it; without one where the verdicts want it. Raises Problem."""
        before = self._store.bars().get(kind, LEAST)
        why, figures = "person", dict[str, Any]()
        if bar is None:
            found = [
                one
                for one in suggestions(self._store, self._policy, self._clock.now_ns())
                if one.kind == kind
            ]
            if not found:
                raise Problem(
                    409,
                    expected=f"a proposal for the bar of {kind}, or bar in the body",
                    got="neither",
                    action="GET /api/bars shows what is proposed",
                )
            bar, why, figures = found[0].bar, found[0].why, found[0].figures
        return self._move(kind, before, _bounded(kind, bar), why, figures, reason, actor)

    def revert(self, kind: str, reason: str, actor: Actor) -> dict[str, Any]:
        """Take the newest move of a bar back. Raises Problem."""
        moves = self._store.bar_moves(kind, 1)
        if not moves:
            raise Problem(
                409,
                expected=f"a bar of {kind} that has moved",
                got="none that has",
                action="GET /api/bars shows them",
            )
        last = moves[0]
        return self._move(kind, last.bar, last.before, "reverted", {"reverts": last.seq}, reason, actor)

    def run_move(self, one: Suggestion, not_since_ns: int) -> bool:
        """What the daily run does with a suggestion; False where the bar has moved today already."""
        try:
            self._write(
                one.kind, one.before, one.bar, one.why, one.figures, "", audit_log.SYSTEM, not_since_ns
            )
        except Crossed:
            return False
        return True

    def _move(
        self,
        kind: str,
        before: float,
        bar: float,
        why: str,
        figures: dict[str, Any],
        reason: str,
        actor: Actor,
    ) -> dict[str, Any]:
        if not reason.strip():
            raise Problem(422, expected="a reason", got="none", action="say why the bar is to move")
        if bar == before:
            raise Problem(409, expected="another bar", got=f"{bar:g}", action="it stands there already")
        try:
            return _shown(self._write(kind, before, bar, why, figures, reason, actor, None))
        except Crossed as error:
            raise _conflict(error) from error

    def _write(
        self,
        kind: str,
        before: float,
        bar: float,
        why: str,
        figures: dict[str, Any],
        reason: str,
        actor: Actor,
        not_since_ns: int | None,
    ) -> BarMove:
        now = self._clock.now_ns()
        said = f"{MOVES[why][1]}: {reason}" if reason else MOVES[why][1]
        move = BarMove(
            kind=kind,
            bar=bar,
            before=before,
            at_ns=now,
            by=actor.name,
            why=said,
            figures={"why": why, **figures},
        )

        def audit(connection: Connection) -> None:
            details = {"before": before, "bar": bar, **move.figures}
            audit_log.add(connection, now, actor, "bar.moved", f"bar/{kind}", said, details)

        self._store.move_bar(move, audit, not_since_ns)
        log.info("bar of %s: %g → %g by %s (%s); %s", kind, before, bar, actor.name, said, figures)
        return move


def _bounded(kind: str, bar: float) -> float:
    """The bar in tenths. Raises Problem outside the bounds, or where no bar may be."""
    if FAMILY_OF.get(kind, "operations") in EXEMPT:
        raise Problem(
            409,
            expected="a kind that is not about safety, nor about Forestall itself",
            got=repr(kind[:64]),
            action="these have no bar",
        )
    if not LEAST <= bar <= MOST:
        raise Problem(
            422, expected=f"a bar from {LEAST:g} to {MOST:g}", got=f"{bar:g}", action="choose one within"
        )
    return round(bar * 10) / 10


def _shown(move: BarMove) -> dict[str, Any]:
    fields = msgspec.to_builtins(move)
    return {**{k: v for k, v in fields.items() if k != "at_ns"}, "at": iso(move.at_ns)}


def _conflict(error: Exception) -> Problem:
    """What the trade forbids, as an answer."""
    expected, _, got = str(error).partition(", got ")
    return Problem(
        409,
        expected=expected.removeprefix("expected "),
        got=got or "something else",
        action="look at it again: it may have changed meanwhile",
    )
