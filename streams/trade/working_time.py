"""Working time: which instants are worked, and the arithmetic of working hours and working days.

An instant is worked when the clock on the office's wall shows a time within the hours of its
day. Where summer time ends, an hour that the clock shows twice is worked twice; where it
begins, the hour that is left out is not worked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType

import numpy as np

from streams.messages import NS
from streams.zones import offset_at, transitions

Hours = tuple[tuple[int, int], ...]  # from, until; minutes since the day began, in their order

DAY_MINUTES = 24 * 60
_MINUTE = 60 * NS
_DAY = DAY_MINUTES * _MINUTE
_EPOCH = date(1970, 1, 1)
_YEAR_DAYS = 366  # no calendar has a year without a working day
_SPREAD = 26 * 60 * _MINUTE  # no zone is further from UTC

NINE_TO_SIX: Hours = ((9 * 60, 18 * 60),)
MONDAY_TO_FRIDAY: Mapping[int, Hours] = MappingProxyType(dict.fromkeys(range(5), NINE_TO_SIX))


@dataclass(frozen=True, slots=True)
class Calendar:
    """When the offices work.

    tz           : IANA name of the zone that the hours are in
    week         : hours by weekday, Monday is 0; a weekday that is not named is off
    holidays     : days off that would be worked
    makeup       : days worked that would be off (调休); wins over ``holidays``
    makeup_hours : hours of such a day; none: those of the first weekday that is worked

    Raises ValueError for an unknown zone, a week without work, and hours that are not within a
    day, empty, or not in their order.
    """

    tz: str = "UTC"
    week: Mapping[int, Hours] = field(default_factory=lambda: MONDAY_TO_FRIDAY)
    holidays: frozenset[date] = frozenset()
    makeup: frozenset[date] = frozenset()
    makeup_hours: Hours = ()

    def __post_init__(self) -> None:
        transitions(self.tz)
        if not any(self.week.values()) or not set(self.week) <= set(range(7)):
            raise ValueError(
                f"expected hours on at least one weekday between 0 and 6, got {sorted(self.week)}"
            )
        for hours in (*self.week.values(), self.makeup_hours):
            check_hours(hours)

    def works(self, day: date) -> bool:
        """Tell whether anything of a day is worked."""
        return bool(self.spans(day))

    def spans(self, day: date) -> list[tuple[int, int]]:
        """The worked stretches of a local day, in their order: first instant, first one after. [ns]"""
        begin = (day - _EPOCH).days * _DAY
        instants, offsets = transitions(self.tz)
        found = []
        for opens, closes in self._hours(day):
            local = begin + opens * _MINUTE, begin + closes * _MINUTE
            first = max(0, int(np.searchsorted(instants, local[0] - _SPREAD, side="right")) - 1)
            last = int(np.searchsorted(instants, local[1] + _SPREAD, side="left"))
            for k in range(first, last):
                # the part of the stretch that this offset from UTC is valid for
                low = max(local[0] - int(offsets[k]), int(instants[k]))
                high = local[1] - int(offsets[k])
                if k + 1 < len(instants):
                    high = min(high, int(instants[k + 1]))
                if low < high:
                    found.append((low, high))
        return sorted(found)

    def after_hours(self, start_ns: int, working_ns: int) -> int:
        """The first instant at which ``working_ns`` of working time have passed since ``start_ns``. [ns]

        Nothing added is the start itself, worked or not. Raises ValueError for less than nothing,
        and where a year has no working day.
        """
        if working_ns < 0:
            raise ValueError(f"expected working time of 0 ns or more, got {working_ns}")
        if working_ns == 0:
            return start_ns
        left = working_ns
        # a day earlier, for the clock may have been set back over midnight
        day = self._day(start_ns) - timedelta(days=1)
        while True:
            for low, high in self.spans(day):
                worked = high - max(low, start_ns)
                if worked >= left:
                    return high - worked + left
                left -= max(0, worked)
            day = self._next_working(day)

    def after_days(self, start_ns: int, days: int) -> int:
        """The close of the ``days``-th working day after the day of ``start_ns``. [ns]

        The day of the start does not count, and the last day ends when business does, as the
        Civil Code of China counts periods (art. 201 and 203). No days at all: the close of the
        day of the start, or of the next working day where that is off.
        """
        day = self._day(start_ns)
        for _ in range(days):
            day = self._next_working(day)
        if not self.works(day):
            day = self._next_working(day)
        return self.spans(day)[-1][1]

    def between(self, start_ns: int, end_ns: int) -> int:
        """Working time from ``start_ns`` to ``end_ns``; 0 where the end comes before the start. [ns]"""
        if end_ns <= start_ns:
            return 0
        worked = 0
        day = self._day(start_ns) - timedelta(days=1)
        last = self._day(end_ns) + timedelta(days=1)
        while day <= last:
            for low, high in self.spans(day):
                worked += max(0, min(high, end_ns) - max(low, start_ns))
            day += timedelta(days=1)
        return worked

    def next_opening(self, start_ns: int) -> int:
        """The next time that a working day begins, after ``start_ns``. [ns]"""
        day = self._day(start_ns)
        spans = self.spans(day)
        if not spans or spans[0][0] <= start_ns:
            spans = self.spans(self._next_working(day))
        return spans[0][0]

    def check(self) -> None:
        """Raise ValueError where the holidays leave a year without a working day."""
        for day in self.holidays:
            if day - timedelta(days=1) not in self.holidays:
                self._next_working(day)

    def _hours(self, day: date) -> Hours:
        usual = self.week.get(day.weekday(), ())
        if day in self.makeup:
            return self.makeup_hours or usual or next(h for _, h in sorted(self.week.items()) if h)
        return () if day in self.holidays else usual

    def _next_working(self, day: date) -> date:
        for ahead in range(1, _YEAR_DAYS + 1):
            later = day + timedelta(days=ahead)
            if self.works(later):
                return later
        raise ValueError(f"expected a working day within a year after {day}, got none: check the holidays")

    def _day(self, ns: int) -> date:
        return _EPOCH + timedelta(days=(ns + offset_at(self.tz, ns) * NS) // _DAY)


def check_hours(hours: Hours) -> None:
    """Raise ValueError for stretches that are empty, beyond the day, or not one after the other."""
    before = 0
    for opens, closes in hours:
        if not before <= opens < closes <= DAY_MINUTES:
            raise ValueError(
                "expected stretches within 00:00 and 24:00, each closes after it opens and begins after the "
                f"one before it ends, got {', '.join(f'{clock(a)}-{clock(b)}' for a, b in hours)}"
            )
        before = closes


def clock(minutes: int) -> str:
    """Minutes since the day began, as HH:MM."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
