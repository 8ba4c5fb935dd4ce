"""Where a consumer stands in each of its partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from faust.types import TP

__all__ = ["Positions"]


class Positions:
    """For every assigned partition: what is read next, where the log ends, where reading began.

    ``mark`` changes whenever a partition is moved by anything but reading on, so that
    whoever holds records read before the move can tell that they are out of date.
    """

    def __init__(self) -> None:
        self._next: dict[TP, int] = {}
        self._end: dict[TP, int] = {}
        self._start: dict[TP, int] = {}
        self._mark: dict[TP, int] = {}
        self._moves = 0
        self._turn = 0
        self._from: dict[TP, int] = {}

    def __contains__(self, tp: object) -> bool:
        return tp in self._next

    def assign(self, positions: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        """Replace everything."""
        self._next = dict(positions)
        self._start = dict(positions)
        self._end = dict(ends)
        self._moves += 1
        self._mark = dict.fromkeys(positions, self._moves)

    def partitions(self) -> set[TP]:
        """Return what is assigned."""
        return set(self._next)

    def position(self, tp: TP) -> int:
        """Return the offset that is read next."""
        return self._next[tp]

    def start(self, tp: TP) -> int:
        """Return where reading began when the partition was assigned."""
        return self._start[tp]

    def end(self, tp: TP) -> int:
        """Return the partition's next offset, as far as it is known."""
        return self._end.get(tp, 0)

    def mark(self, tp: TP) -> int:
        """Return the number of the last move; -1 if the partition is not assigned."""
        return self._mark.get(tp, -1)

    def pending(self, tp: TP) -> bool:
        """Tell whether there is something to read."""
        position = self._next.get(tp)
        return position is not None and position < self._end.get(tp, 0)

    def reached(self, ends: Mapping[TP, int]) -> bool:
        """Note that the log has grown; tell whether one of ours has."""
        news = False
        for tp, end in ends.items():
            if tp in self._next and end > self._end.get(tp, 0):
                self._end[tp] = end
                news = True
        return news

    def advance(self, tp: TP, offset: int) -> None:
        """Note that everything below ``offset`` has been read."""
        self._from[tp] = self._next[tp]
        self._next[tp] = offset
        if offset > self._end.get(tp, 0):
            self._end[tp] = offset

    def read_from(self, tp: TP) -> int:
        """Return where the last ``advance`` began."""
        return self._from[tp]

    def back(self, tp: TP, offset: int) -> None:
        """Read again from ``offset`` what was read but not handed on."""
        self._next[tp] = offset

    def seek(self, tp: TP, offset: int) -> None:
        """Move to ``offset``."""
        if tp in self._next:
            self._next[tp] = offset
            self._moves += 1
            self._mark[tp] = self._moves

    def in_turn(self, tps: Iterable[TP]) -> list[TP]:
        """Return partitions in order, each time beginning with another one."""
        ordered = sorted(tps)
        if not ordered:
            return ordered
        self._turn += 1
        cut = self._turn % len(ordered)
        return ordered[cut:] + ordered[:cut]
