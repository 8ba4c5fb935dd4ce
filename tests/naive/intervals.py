"""Readings → amounts used, the obvious way."""

from __future__ import annotations

import math

from tests.naive import DAY, NAN, NS, Line, Reading, Taken


class Intervals:
    """One meter's order of readings; register differences; amounts below zero."""

    def __init__(
        self, step: int, capacity: float, floor: float = 0.0, signed: bool = False, confirm: int = 3
    ) -> None:
        self.step = step  # spacing that the registry states, 0 = none
        self.capacity = capacity  # 10^digits, 0 = not stated
        self.floor = floor  # what a day must amount to to matter
        self.signed = signed  # may fall by right
        self.confirm = confirm
        self.lines: list[Line] = []
        self.newest: Reading | None = None
        self.past: list[tuple[int, float]] = []  # (time, value) that differences start from
        self.low: list[float] = []  # readings below the register's value, since it fell
        self.seen: set[int] = set()  # interval slots
        self.usual = 0
        self.odd = 0
        self.serial = ""
        self.total = 0.0
        self.count = 0
        self.clock = False  # clock_drift is open
        self.ahead: list[int] = []  # when readings that were ahead arrived
        self.falls: list[int] = []  # when it fell, each soon after the one before
        self.turns: int | None = None  # since when it is told that it keeps falling
        self.fell: int | None = None  # when the open rollback was raised
        self.sank: int | None = None  # the same, of an amount below zero
        self.owed = 0.0  # the amount below zero, where the newest reading is one
        self.booked = False  # the newest reading is an amount that was counted as it is
        self.uncounted = False  # the newest is the first amount of a new device
        self.good = 0
        self.sure: tuple[int, float] | None = None  # the newest actual read
        self.negative = 0
        self.last_gauge: tuple[int, float] | None = None

    def take(self, r: Reading) -> Taken:
        if r.bad or not math.isfinite(r.value):
            return Taken(r, "bad", usual=self.usual)
        if r.code and not (r.limit is not None and r.time > r.limit) and not self._could_be(r):
            newest = self.newest is None or r.time > self.newest.time
            return Taken(r, "bad", usual=self.usual, sentinel=r.may and newest)
        if r.limit is not None and r.time > r.limit:
            if r.may and not self.clock and r.came not in self.ahead:
                self.clock = True
                ahead = (r.time - r.limit) / NS
                self._say("raised", "clock_drift", r.came, r.came, ahead, 0.0, seconds_ahead=ahead)
            if r.may:
                self.ahead.append(r.came)
            return Taken(r, "ahead", usual=self.usual)
        if self.newest is not None and r.time <= self.newest.time:
            return self._older(r, self.newest)
        if self.clock and r.may:
            self.clock = False
            raised = next(line.at for line in reversed(self.lines) if line.kind == "clock_drift")
            self._say("cleared", "clock_drift", max(r.time, raised), None, 0.0, 0.0, seconds_ahead=0.0)
        if self.turns is not None and (self.signed or self._rests(r.time)):
            value = self.past[-1][1]
            told = {"register_before": value, "register_now": r.value, "confirmed_by_reads": 0.0}
            self._say("cleared", "rollback", r.time, self.turns, r.value, value, **told)
            self.turns, self.falls = None, []
        taken = self._first(r) if self.newest is None else self._next(r, self.newest)
        if r.kind != "interval":
            self.booked, self.owed = False, 0.0
        if self.newest is not None:
            taken.since = r.time - self.newest.time
        self.newest = r
        if not r.guess and not (r.kind == "register" and self.low):
            self.sure = (r.time, r.value)
        self.count += 1
        if self.step:
            self.seen.add(r.time // self.step)
        taken.live, taken.usual = r.may, self.usual
        return taken

    def _rests(self, now: int) -> bool:
        return now - self.falls[-1] // NS * NS > max(7 * DAY, 3 * self.usual) if self.falls else True

    def _fall(self, r: Reading, **told: float) -> str:
        """A fall: whether it is told as such, as one that goes on (and that is said), or not at all."""
        if not r.may:
            return ""
        if self._rests(r.time):
            self.falls = []
        self.falls.append(r.time)
        if self.turns is not None:
            return ""
        if len(self.falls) < 3:
            return "told"
        self.turns = r.time
        expected = told.get("register_before", 0.0)
        more = {**told, "confirmed_by_reads": 0.0, "falls_of_late": float(len(self.falls))}
        self._say("raised", "rollback", r.time, r.time, r.value, expected, **more)
        return "turns"

    def _first(self, r: Reading) -> Taken:
        self.usual = self.step
        self.serial = r.serial
        self.past = [(r.time, r.value)]
        if r.kind == "gauge":
            return Taken(r, "level")
        if r.kind == "interval":
            if self._odd(r):
                self.owed = -r.value
                return Taken(r, "first")
            self.total = r.value
            covered = r.period or self.step
            self.booked = bool(covered)
            if covered:
                return Taken(r, "ok", r.value, covered)
        return Taken(r, "first")

    def _older(self, r: Reading, newest: Reading) -> Taken:
        same = r.time == newest.time
        if self.step and r.kind != "register":
            same_slot = r.time // self.step == newest.time // self.step
            same = same or (same_slot and r.time > newest.time - self.step // 2)
        if same:
            return self._again(r, newest)
        if self.step:
            index = r.time // self.step
            known = index in self.seen or newest.time // self.step - index >= 256
        else:
            # Only what the newest was counted from is recognised.
            counted_from = self.past[-1:] if self.low else self.past[-2:-1]
            known = (r.time, r.value) in counted_from
        if known:
            return Taken(r, "duplicate", usual=self.usual)
        self.count += 1
        if self.step:
            self.seen.add(r.time // self.step)
        if r.kind != "interval":
            return Taken(r, "late", usual=self.usual)
        if self._odd(r):
            return Taken(r, "late", usual=self.usual)
        self.total += r.value
        return Taken(r, "late", r.value, r.period or self.usual, self.usual)

    def _again(self, r: Reading, newest: Reading) -> Taken:
        if r.value == newest.value:
            return Taken(r, "duplicate", usual=self.usual)
        # The later wins, where it can be told what that means.
        taken = Taken(r, "correction", usual=self.usual)
        if r.kind == "register":
            time, value = self.past[-1]
            before = self.past[-2][1] if len(self.past) > 1 else value
            booked = len(self.past) > 1  # else counting begins here: there is nothing to amend
            if self.low or (booked and r.value < before and not self.signed):
                return taken  # it is not believed, so the one that stands is no surer than it was
            if booked:
                taken.usage, taken.span = r.value - value, time - self.past[-2][0]
                self.total += taken.usage
            self.past[-1] = (time, r.value)
        else:
            if r.kind == "interval" and self._odd(r):
                if not self.owed:
                    return taken
                self.owed = -r.value
            elif r.kind == "interval" and not self.uncounted:
                counted = 0.0 if self.owed else newest.value
                if self.owed:
                    self.owed, self.booked = 0.0, True
                taken.usage, taken.span = r.value - counted, r.period or self.usual
                self.total += taken.usage
            self.past[-1] = (newest.time, r.value)
        if not r.guess:
            newest.guess, self.sure = False, (newest.time, r.value)
        newest.value = r.value
        taken.replaced = True
        return taken

    def _next(self, r: Reading, newest: Reading) -> Taken:
        gap, usual = r.time - newest.time, self.usual
        self._pace(gap)
        true_up = newest.guess and not r.guess and r.kind != "gauge"
        if r.kind == "register":
            return self._register(r, true_up)
        self.past.append((r.time, r.value))
        self.uncounted = False
        if r.kind == "gauge":
            return Taken(r, "level", span=gap)
        span = r.period or (usual if usual > 0 and gap > 1.5 * usual else gap)
        known, self.serial = self.serial, r.serial or self.serial
        if r.serial and known and r.serial != known:
            return self._other_device(r, newest, span)
        if self.signed:
            self.total += r.value
            return Taken(r, "ok", r.value, span, true_up=true_up)
        before = 0
        if len(self.past) > 2:
            before = self.past[-2][0] - self.past[-3][0]
        if not before or (usual > 0 and before > 1.5 * usual):
            before = usual
        taken = self._amount(r, newest, span, before)
        taken.true_up = true_up
        return taken

    def _other_device(self, r: Reading, newest: Reading, span: int) -> Taken:
        self.owed, self.sure = 0.0, None
        if self.sank is not None:
            told = {"confirmed_by_reads": 0.0, "interval_now": r.value}
            self._say("cleared", "rollback", r.time, self.sank, r.value, 0.0, **told)
            self.sank = None
        if r.may:
            told = {"interval_before": newest.value, "interval_now": r.value}
            for status in ("raised", "cleared"):
                self._say(status, "meter_swap", r.time, r.time, r.value, newest.value, **told)
        counts = not self._odd(r) and r.period > 0
        self.booked, self.uncounted = counts, not counts
        if not counts:
            return Taken(r, "first", NAN, span, swapped=True)
        self.total += r.value
        return Taken(r, "ok", r.value, span, swapped=True)

    def _odd(self, r: Reading) -> bool:
        """Below zero, which it must not be."""
        if r.value >= 0 or self.signed:
            return False
        self.negative += 1
        return True

    def _amount(self, r: Reading, newest: Reading, span: int, earlier: int) -> Taken:
        booked, owed = self.booked, self.owed
        self.booked, self.owed = False, 0.0
        if self._odd(r):
            before = newest.value if booked and newest.value > 0 and earlier else 0.0
            both = before + r.value
            if both > -r.value or -r.value <= self.floor * span / DAY:
                self.total += r.value
                return Taken(r, "correction", r.value, span)
            if both >= 0:
                fall = {"interval_before": before, "interval_now": r.value}
                if self._fall(r, **fall) == "told":
                    told = {"interval_read": before, "interval_after": r.value, "both_intervals": both}
                    for status in ("raised", "cleared"):
                        self._say(status, "misread", r.time, newest.time, before, both, **told)
                self.total += r.value
                return Taken(r, "ok", both, span + earlier, back=before)
            self.owed, self.good = -r.value, 0
            told = {"interval_before": before, "interval_now": r.value}
            if self.sank is None and self._fall(r, **told) == "told":
                self.sank = r.time
                told["confirmed_by_reads"] = 0.0
                self._say("raised", "rollback", r.time, r.time, r.value, 0.0, **told)
            return Taken(r, "suspect")
        both = r.value - owed
        if owed and 0 <= both <= owed:
            if self.sank is not None:
                told = {"interval_read": -owed, "interval_after": r.value, "both_intervals": both}
                for status in ("updated", "cleared"):
                    self._say(status, "misread", r.time, self.sank, -owed, both, **told)
                self.sank = None
            self.total += both
            return Taken(r, "ok", both, span + earlier)
        self.good += 1
        if self.sank is not None and self.good >= self.confirm:
            told = {"confirmed_by_reads": float(self.confirm), "interval_now": r.value}
            self._say("cleared", "rollback", r.time, self.sank, r.value, 0.0, **told)
            self.sank = None
        self.booked = True
        self.total += r.value
        return Taken(r, "ok", r.value, span)

    def _pace(self, gap: int) -> None:
        if self.usual <= 0:
            self.usual = gap
        elif self.step:
            pass
        elif self.usual / 1.5 < gap < self.usual * 1.5:
            self.odd = 0
            self.usual += (gap - self.usual) // 8
        else:
            self.odd += 1
            if self.odd == 3:
                self.usual, self.odd = gap, 0

    def _could_be(self, r: Reading) -> bool:
        """Whether the newest reading explains a value that is an error code."""
        newest = self.newest
        if newest is None:
            return r.code == "weak"
        if r.time <= newest.time:
            return r.value == self.past[-1][1] or r.code == "weak"
        before = newest.value
        if abs(r.value - before) <= abs(r.value) / 1000:
            return True
        if r.kind == "interval" and r.value < 0 <= before:
            return False
        if r.kind != "register":
            return abs(before) * (50 if r.code == "weak" else 8) >= abs(r.value)
        rate = self.floor / DAY
        if not self.low and len(self.past) > 1:
            (first, low), (last, high) = self.past[-2:]
            rate = max(rate, (high - low) / (last - first))
        return 0 <= r.value - before <= 20 * rate * (r.time - newest.time)

    def _register(self, r: Reading, true_up: bool) -> Taken:
        time, value = self.past[-1]
        known, self.serial = self.serial, r.serial or self.serial
        if r.serial and known and r.serial != known:
            return self._swap(r, time, value)
        told = r.stop is not None and r.start is not None and r.stop >= value and r.value >= r.start
        odd = r.value < value or (r.start is not None and r.start > value)
        if told and odd and not (r.serial and r.serial == known):
            return self._swap(r, time, value)
        estimated = 0.0
        if true_up and not self.low and self.sure and (self.signed or r.value >= self.sure[1]):
            estimated = value - self.sure[1]
            self.past = [self.sure]
            time, value = self.sure
            self.total -= estimated
        taken = self._difference(r, time, value)
        taken.true_up = true_up
        if estimated:
            taken.back = estimated
        return taken

    def _difference(self, r: Reading, time: int, value: float) -> Taken:
        turned = self.capacity + r.value - value
        if (
            self.capacity
            and r.value < value
            and value >= 0.9 * self.capacity
            and 0 <= turned <= 0.1 * self.capacity
        ):
            return self._up(r, turned, time)
        if r.value >= value or self.signed:
            return self._up(r, r.value - value, time)
        if not self.low and len(self.past) > 1 and r.value >= self.past[-2][1]:
            before_time, before = self.past[-2]
            fall = {"register_before": value, "register_now": r.value}
            if self._fall(r, **fall) == "told":
                told = {"register_before": before, "register_read": value, "register_after": r.value}
                for status in ("raised", "cleared"):
                    self._say(status, "misread", r.time, time, value, r.value, **told)
            self.total += r.value - value
            self.past[-1] = (r.time, r.value)
            return Taken(r, "ok", r.value - before, r.time - before_time, back=value - before)
        return self._down(r, value)

    def _up(self, r: Reading, amount: float, since: int) -> Taken:
        if self.fell is not None:
            value, low = self.past[-1][1], self.low[-1]
            told = {"register_before": value, "register_read": low, "register_after": r.value}
            for status in ("updated", "cleared"):
                self._say(status, "misread", r.time, self.fell, low, value, **told)
            self.fell = None
        self.low = []
        self.total += amount
        self.past.append((r.time, r.value))
        return Taken(r, "ok", amount, r.time - since)

    def _down(self, r: Reading, value: float) -> Taken:
        told = {"register_before": value, "register_now": r.value}
        if not self.low and self._fall(r, **told) == "told":
            self.fell = r.time
            self._say("raised", "rollback", r.time, r.time, r.value, value, **told, confirmed_by_reads=0.0)
        if self.low and r.value < self.low[-1]:
            self.low = []
        self.low.append(r.value)
        if len(self.low) >= self.confirm:
            if self.fell is not None:
                sure = float(self.confirm)
                self._say(
                    "cleared", "rollback", r.time, self.fell, r.value, value, **told, confirmed_by_reads=sure
                )
                self.fell = None
            self.total += r.value - self.low[0]
            self.low = []
            self.past = [(r.time, r.value)]
        return Taken(r, "suspect")

    def _swap(self, r: Reading, time: int, value: float) -> Taken:
        taken = Taken(r, "first", NAN, r.time - time)
        if r.stop is not None and r.start is not None and r.stop >= value and r.value >= r.start:
            taken = Taken(r, "ok", (r.stop - value) + (r.value - r.start), r.time - time)
            self.total += taken.usage
        if self.fell is not None:
            told = {"register_before": value, "register_now": r.value, "confirmed_by_reads": 0.0}
            self._say("cleared", "rollback", r.time, self.fell, r.value, value, **told)
            self.fell = None
        if r.may:
            told = {"stop_of_old_device": value, "start_of_new_device": r.value}
            if r.stop is not None:
                told["stated_stop"] = r.stop
            for status in ("raised", "cleared"):
                self._say(status, "meter_swap", r.time, r.time, r.value, value, **told)
        self.low, self.sure, taken.swapped = [], None, True
        self.past = [(r.time, r.value)]
        return taken

    def _say(
        self,
        status: str,
        kind: str,
        at: int,
        start: int | None,
        observed: float,
        expected: float,
        **told: float,
    ) -> None:
        if start is None:
            start = next(line.start for line in reversed(self.lines) if line.kind == kind)
        self.lines.append(Line(status, kind, at, start, observed, expected, told))
