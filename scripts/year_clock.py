"""Working time and due dates of the tickets of a simulated year (docs/tickets.md, "Category, urgency, priority").

Of ``check_year.py``: the standard library alone, nothing of ours. Instants are whole seconds since 1970; the offices'
zone is a fixed distance from UTC, and a day is the number of days since 1970 there.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

DAY = 86_400
_FIRST = date(1970, 1, 1)
#: priority → (seconds by the clock on the wall, working days) to acknowledge, then to resolve
LIMITS: dict[str, tuple[tuple[int | None, int | None], tuple[int | None, int | None]]] = {
    "P1": ((300, None), (DAY, None)),
    "P2": ((3600, None), (None, 2)),
    "P3": ((None, 1), (None, 5)),
    "P4": ((None, None), (None, None)),
}


class Offices:
    """When the offices work, as the file's first line says."""

    def __init__(self, head: dict[str, Any]) -> None:
        self._zone = head["zone_s"]
        self._opens, self._closes = (60 * minutes for minutes in head["hours"])
        self._off = {_number(text) for text in head["days_off"]}
        self._makeup = {_number(text) for text in head["makeup"]}

    def works(self, day: int) -> bool:
        """Make-up days are worked whatever else they are; 1970 began on a Thursday."""
        return day in self._makeup or (day not in self._off and (day + 3) % 7 < 5)

    def day(self, at: int) -> int:
        """The day of an instant."""
        return (at + self._zone) // DAY

    def hours(self, day: int) -> tuple[int, int]:
        """When a working day begins and ends."""
        midnight = day * DAY - self._zone
        return midnight + self._opens, midnight + self._closes

    def billed_in(self, bill_day: int, at: int) -> int:
        """Days until the next bill, 0 on its day; months that lack that day are billed on their last."""
        today = ahead = self.day(at)
        while True:
            this, after = (_FIRST + timedelta(days=ahead + n) for n in (0, 1))
            if this.day == bill_day or (after.day == 1 and this.day < bill_day):
                return ahead - today
            ahead += 1

    def close_after(self, at: int, days: int) -> int:
        """The end of so many working days after the day of ``at``."""
        day = self.day(at)
        while days:
            day += 1
            days -= self.works(day)
        return self.hours(day)[1]

    def next_opening(self, at: int) -> int:
        """When a working day begins next."""
        day = self.day(at)
        while not self.works(day) or self.hours(day)[0] <= at:
            day += 1
        return self.hours(day)[0]

    def worked(self, since: int, until: int) -> int:
        """Seconds of work between two instants."""
        days = (self.hours(day) for day in range(self.day(since), self.day(until) + 1) if self.works(day))
        return sum(max(0, min(closes, until) - max(opens, since)) for opens, closes in days)

    def later(self, at: int, seconds: int) -> int:
        """The instant by which so many seconds have been worked since ``at``."""
        day = self.day(at)
        while seconds:
            opens, closes = self.hours(day)
            begins = max(at, opens)
            if self.works(day) and begins < closes:
                if begins + seconds <= closes:
                    return begins + seconds
                seconds -= closes - begins
            day += 1
        return at


class Due:
    """What is due of one ticket, and what was done of it."""

    def __init__(self, offices: Offices, priority: str, at: int) -> None:
        self._offices = offices
        self.begin(priority, at)

    def begin(self, priority: str, at: int) -> None:
        """Due dates from now on, as of a new ticket."""
        self.acknowledge, self.resolve = self._dates(priority, at)
        self.on_the_wall = priority == "P1"
        self.callback: int | None = None
        self.acknowledged: int | None = None
        self.resolved: int | None = None
        self.stands_since: int | None = None

    def raise_to(self, priority: str, at: int) -> None:
        """The earlier of what was due and what the graver priority asks for from now on; the clock runs again."""
        self.go_on(at)
        self.tighten(priority, at)

    def tighten(self, priority: str, at: int) -> None:
        """The same, and where the clock stands it goes on standing."""
        acknowledge, resolve = self._dates(priority, at)
        self.acknowledge = min(self.acknowledge, acknowledge)
        if resolve is not None and (self.resolve is None or resolve < self.resolve):
            # pauses count as they do for the limit that is nearer
            self.resolve, self.on_the_wall = resolve, priority == "P1"

    def touched(self, at: int) -> None:
        """Somebody has taken it on."""
        if self.acknowledged is None:
            self.acknowledged = at

    def stand(self, at: int) -> None:
        """Others have to move."""
        if self.stands_since is None:
            self.stands_since = at

    def go_on(self, at: int) -> None:
        """The clock runs again: what is due has moved on by the time in between."""
        if self.stands_since is not None and self.resolve is not None:
            if self.on_the_wall:
                self.resolve += at - self.stands_since
            else:
                self.resolve = self._offices.later(self.resolve, self._offices.worked(self.stands_since, at))
        self.stands_since = None

    def done(self, at: int, days: int) -> None:
        """The work is done: the customer is to be called within so many working days."""
        self.resolved, self.callback = at, self._offices.close_after(at, days)

    def _dates(self, priority: str, at: int) -> tuple[int, int | None]:
        found = []
        for seconds, days in LIMITS[priority]:
            if seconds is not None:
                found.append(at + seconds)
            else:
                found.append(None if days is None else self._offices.close_after(at, days))
        acknowledge, resolve = found
        return self._offices.next_opening(at) if acknowledge is None else acknowledge, resolve


def _number(text: str) -> int:
    return (date.fromisoformat(text) - _FIRST).days
