"""The bill that is coming, the obvious way: every amount is kept, and shared out to periods by the calendar."""

from __future__ import annotations

import calendar
import math
from datetime import date, timedelta
from statistics import median

from detectors import BillShock
from tests.naive import DAY, NAN, Line, Taken, local, single

EPOCH = date(1970, 1, 1)
MINUTE, EIGHTH = 60 * 10**9, DAY // 8


def first_day(number: int, bill_day: int) -> int:
    """First day, since 1970, of the period that begins in a month."""
    year, month = 1970 + number // 12, number % 12 + 1
    return (date(year, month, min(bill_day, calendar.monthrange(year, month)[1])) - EPOCH).days


def number_of(day: int, bill_day: int) -> int:
    """The period that a day belongs to."""
    there = EPOCH + timedelta(days=day)
    number = (there.year - 1970) * 12 + there.month - 1
    return number if first_day(number, bill_day) <= day else number - 1


class Bills:
    """One meter, judged by ``judge`` when the watermark enters a new hour."""

    def __init__(self, meter: str, zone: str, floor: float, bill_day: int, rule: BillShock) -> None:
        self.meter, self.zone, self.floor, self.bill_day, self.rule = meter, zone, floor, bill_day, rule
        self.amount: dict[int, float] = {}
        self.covered: dict[int, int] = {}
        self.sure: dict[int, int] = {}  # of ended periods in whole eighths of a day
        self.offset: dict[int, int] = {}
        self.number = 0
        self.until = self.sure_until = 0
        self.told = self.held = 0
        self.open = self.live = self.fresh = False

    def take(self, t: Taken) -> None:
        if t.status in ("ok", "first", "suspect", "level"):
            self.live = t.live
        if t.span <= 0 or t.usual > 1.5 * DAY or not math.isfinite(t.usage):
            return
        end, now = t.reading.local, t.reading.time
        if t.status == "ok":
            number = number_of((end - 1) // DAY, self.bill_day)
            if number > self.number:
                for table, unit in ((self.covered, MINUTE), (self.sure, EIGHTH)):
                    old = table.get(self.number, 0)
                    table[self.number] = (old + unit // 2) // unit * unit
                self.amount[self.number] = single(self.amount.get(self.number, 0.0))
                self.number, self.held = number, 0
                self.offset[number] = end - now
            new = now - max(now - t.span, self.until)
            self._share(self.covered, end, new, MINUTE)
            self.until = now
            if not t.reading.guess:
                new = now - max(now - t.span, self.sure_until)
                self._share(self.sure, end, new, EIGHTH)
                self.sure_until, self.fresh = now, True
            self._book(end, t.span, t.usage)
            if t.back:
                self._book(end - t.since, max(t.span - t.since, t.usual), -t.back)
        elif t.status in ("late", "correction") and self.number:
            self._book(end, t.span, t.usage)
            if t.status == "late":
                self._share(self.covered, end, t.span, MINUTE)
                if not t.reading.guess:
                    self._share_late(end, t.span)

    def _inside(self, end: int, span: int, number: int) -> int:
        begin = first_day(number, self.bill_day) * DAY
        over = first_day(number + 1, self.bill_day) * DAY if number < self.number else end
        return max(min(end, over) - max(end - span, begin), 0)

    def _periods(self, end: int, span: int) -> range:
        first = number_of((end - span) // DAY, self.bill_day)
        return range(first, self.number + 1)

    def _book(self, end: int, span: int, amount: float) -> None:
        for n in self._periods(end, span):
            self.amount[n] = self.amount.get(n, 0.0) + amount * self._inside(end, span, n) / span

    def _share(self, table: dict[int, int], end: int, span: int, unit: int) -> None:
        for n in self._periods(end, span) if span > 0 else ():
            more = self._inside(end, span, n)
            whole = more if n == self.number else (more + unit // 2) // unit * unit
            table[n] = table.get(n, 0) + whole

    def _share_late(self, end: int, span: int) -> None:
        for n in self._periods(end, span):
            begin = max(end - span, first_day(n, self.bill_day) * DAY)
            over = min(end, first_day(n + 1, self.bill_day) * DAY)
            if n == self.number:
                self.sure[n] = self.sure.get(n, 0) + max(end - begin, 0)
            else:
                # every third hour, by the clock on the wall, stands for three
                threes = [t for t in range(begin // EIGHTH * EIGHTH, over + 1, EIGHTH) if begin < t <= over]
                self.sure[n] = self.sure.get(n, 0) + len(threes) * EIGHTH

    def rate(self, number: int) -> float:
        days = first_day(number + 1, self.bill_day) - first_day(number, self.bill_day)
        if (
            number >= self.number
            or not self.covered.get(number)
            or self.sure.get(number, 0) < 0.8 * days * DAY
        ):
            return NAN
        return self.amount[number] * DAY / self.covered[number]

    def usual(self, number: int) -> tuple[int, float, float]:
        known = [rate for n in range(number - 6, number) if (rate := self.rate(n)) == rate]
        return len(known), median(known) if known else NAN, self.rate(number - 12)

    def judge(self, before: int, watermark: int) -> list[Line]:
        today = local(self.zone, watermark - 1) // DAY
        if not self.number or local(self.zone, before - 1) // DAY == today:
            return []
        lines = []
        number = number_of(today, self.bill_day)
        if self.open and number != self.told:
            self.open = False
            lines.append(self._line("cleared", self.told, watermark))
        begin, end = first_day(self.number, self.bill_day), first_day(self.number + 1, self.bill_day)
        days = self.sure.get(self.number, 0) / DAY
        if not begin <= today < end or self.usual(self.number)[0] < self.rule.least_periods:
            return lines
        if not self.covered.get(number) or days < self.rule.least_days or days < (today - begin) / 2:
            return lines
        line = self._line("cleared" if self.open else "raised", number, watermark)
        if self.open and line.observed < self.rule.back * line.expected:
            self.open = False
            lines.append(line)
        elif not self.open and self.told != number and self.live:
            much = line.observed - line.expected > self.floor * (end - begin)
            over = much and line.observed >= self.rule.ratio * line.expected
            self.held = self.held + self.fresh if over else 0
            self.fresh = False
            if self.held == self.rule.confirm:
                self.open, self.told, self.held = True, number, 0
                lines.append(line)
        return lines

    def _line(self, status: str, number: int, at: int) -> Line:
        begin, end = first_day(number, self.bill_day), first_day(number + 1, self.bill_day)
        _, before, year = self.usual(number)
        usual = max(before, year, 0.0) if year == year else max(before, 0.0)
        amount, days = self.amount.get(number, 0.0), self.covered.get(number, 0) / DAY
        projected = amount + max(end - begin - days, 0.0) * usual
        told = {
            "billed_amount": amount, "billed_days": days, "period_days": float(end - begin),
            "projected_amount": projected, "usual_a_day": usual, "area_move": 1.0, "use_a_day_before": before,
        }  # fmt: skip
        if year == year:
            told["use_a_day_last_year"] = year
        if usual > 0:
            told["ratio"] = projected / (usual * (end - begin))
        start = begin * DAY - self.offset[number]
        return Line(status, "bill_shock", at, start, projected, usual * (end - begin), told, self.meter)
