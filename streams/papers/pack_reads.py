"""The parts of an evidence pack that come from readings: plot, table of reads, the area's meters beside it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streams.messages import Kind, Mark, Quality
from streams.papers.chart import Band, Chart, Line, Point, Span
from streams.papers.day_use import (
    DAY,
    HOUR,
    Stretches,
    even_edges,
    own_edges,
    rates,
    stretches,
    table_edges,
    thinned,
    usual_range,
)
from streams.papers.document import Block, Column, Figure, Paragraph, Table
from streams.papers.exhibits import Exhibits, Trace, Window
from streams.papers.pack_words import Say
from streams.papers.written import Local, amount, number, unit

_READS = 40
_EXTREMES = 8  # of the readings within the flagged span, each way
_REGISTERS = 4  # a table each
_SHORT = 21 * DAY  # windows up to here are drawn by the hour
_ALIKE = 0.5  # the others' change, as a share of this meter's, from which the area has changed as well
_MOST_BUCKETS = 500  # of a plot
_NO_CHANGE = 0.1  # of this meter: nothing to compare
_EPS = 1e-9


class Reads:
    """Draws and tabulates the readings of one pack."""

    def __init__(self, exhibits: Exhibits, shown: Window, local: Local, say: Say) -> None:
        self._exhibits = exhibits
        self._shown = shown
        self._local = local
        self._say = say
        register = exhibits.case.ticket.evidence.get("register")
        by_register = {trace.register: trace for trace in exhibits.traces if len(trace)}
        #: the register that the flag is about, else the total, else the first
        self.main = (
            by_register.get(str(register)) or by_register.get("") or next(iter(by_register.values()), None)
        )

    # -- the plot -------------------------------------------------------------------------------

    def plot(self) -> list[Block]:
        """The series with its usual range and the flagged span; words where there is nothing to draw."""
        say, trace = self._say, self.main
        if not self._exhibits.history_here:
            place = say("kept_at", place=self._exhibits.kept_at) if self._exhibits.kept_at else ""
            return [Paragraph(say("no_history", place=place).strip(), "small")]
        if trace is None:
            return [Paragraph(say("no_reads"), "small")]
        if trace.kind is Kind.GAUGE:
            return self._values(trace)
        return self._use(trace)

    def _use(self, trace: Trace) -> list[Block]:
        found = stretches(trace)
        edges, per = self._plot_edges(found)
        own = rates(found, edges, per)
        if not np.isfinite(own).any():
            return self._values(trace)
        others = self._others(edges, per)
        lines = [self._line("plot_use", trace, per, edges, own, "main")]
        if others is not None and np.isfinite(others[0]).any():
            lines.append(self._line("plot_neighbours", trace, per, edges, others[0], "other"))
        before = own[np.array(edges[1:]) <= self._shown.episode[0]]
        usual, known = usual_range(before), before[np.isfinite(before)]
        band = None
        if usual is not None:
            band = Band(self._say("plot_band"), ((edges[0], *usual),))
        elif len(known):
            level = tuple((edge, float(known.mean())) for edge in (edges[0], edges[-1]))
            lines.append(Line(label=self._say("plot_level"), points=level, tone="level"))
        key = "band_none" if usual is None else "band_percentiles" if len(known) >= 8 else "band_periods"
        return [self._figure("caption_use", self._per(trace, per), lines, band, edges, key)]

    def _values(self, trace: Trace) -> list[Block]:
        points = thinned(trace)
        if not points:
            return [Paragraph(self._say("no_reads"), "small")]
        written = unit(trace.unit)
        lines = [
            Line(
                label=self._say("plot_value", unit=written or "–"),
                points=tuple(points),
                dots=len(points) <= 60,
            )
        ]
        limit = self._exhibits.case.ticket.evidence.get("limit")
        edges = [points[0][0], points[-1][0]]
        if isinstance(limit, int | float) and not isinstance(limit, bool) and np.isfinite(limit):
            level = tuple((edge, float(limit)) for edge in edges)
            lines.append(Line(label=self._say("plot_limit"), points=level, tone="level"))
        before = np.array([value for time, value in points if time < self._shown.episode[0]])
        usual = usual_range(before) if trace.kind is Kind.GAUGE else None
        band = None if usual is None else Band(self._say("plot_band"), ((edges[0], *usual),))
        key = "" if usual is None else "band_percentiles" if len(before) >= 8 else "band_periods"
        return [self._figure("caption_value", written, lines, band, edges, key, zero=False)]

    def _figure(
        self,
        caption: str,
        of: str,
        lines: list[Line],
        band: Band | None,
        edges: list[int],
        key: str,
        zero: bool = True,
    ) -> Figure:
        start, end = self._shown.episode
        first, last = edges[0], max(edges[-1], end)
        words = self._say(
            caption,
            start=self._local.date(edges[0]),
            end=self._local.date(edges[-1]),
            band=self._say(key) if key else "",
        )
        chart = Chart(
            unit=of,
            zone=self._local.zone,
            lines=tuple(lines),
            band=band,
            span=Span(self._say("episode"), max(start, first), end) if end >= first else None,
            start_ns=first,
            end_ns=last,
            zero=zero,
        )
        return Figure(chart, words.strip())

    def _line(
        self, key: str, trace: Trace, per: int, edges: list[int], values: NDArray[np.float64], tone: str
    ) -> Line:
        points: list[Point] = [
            (edge, float(value) if np.isfinite(value) else None)
            for edge, value in zip(edges, values.tolist(), strict=False)
        ]
        # the last bucket is drawn to its end
        points.append((edges[-1], points[-1][1]))
        label = self._say(key, unit=self._per(trace, per)) if key == "plot_use" else self._say(key)
        return Line(
            label=label,
            points=tuple(points),
            stepped=True,
            dots=len(points) <= 16 and tone == "main",
            tone="main" if tone == "main" else "other",
        )

    def _plot_edges(self, found: Stretches) -> tuple[list[int], int]:
        """Buckets for the plot, and what its rates are per: hours, days, or the reads themselves."""
        shown = self._shown
        if found.spacing_ns > 2 * DAY:
            return own_edges(found, shown), DAY
        first = max(shown.start_ns, int(found.begin[0])) if len(found.begin) else shown.start_ns
        last = min(shown.end_ns, int(found.end[-1])) if len(found.end) else shown.end_ns
        if found.spacing_ns <= HOUR and last - first <= _SHORT:
            return list(range(first // HOUR * HOUR, last + HOUR, HOUR)), HOUR
        step = -(-(shown.end_ns - shown.start_ns) // (_MOST_BUCKETS * DAY))
        edges = even_edges(shown, self._local.zone, step)
        return [e for n, e in enumerate(edges) if n == 0 or edges[n - 1] < last], DAY

    def _per(self, trace: Trace, per: int) -> str:
        time = "h" if per == HOUR else "d"
        return unit(f"{trace.unit}/{time}") if trace.unit else f"/{time}"

    # -- tables ---------------------------------------------------------------------------------

    def tables(self) -> list[Block]:
        """The reads: all of them where they are few, else those at the buckets' edges."""
        return [self._table(trace) for trace in self._in_order()[:_REGISTERS]]

    def _in_order(self) -> list[Trace]:
        rest = [trace for trace in self._exhibits.traces if trace is not self.main and len(trace)]
        return ([self.main] if self.main is not None else []) + rest

    def _table(self, trace: Trace) -> Table:
        say = self._say
        rows = self._chosen(trace)
        caption = (
            say("reads")
            if len(rows) == len(trace)
            else say("reads_some", shown=len(rows), n=f"{len(trace):,}")
        )
        if trace.register:
            caption += f"{say('colon')}{say('register')} {trace.register}"
        return Table(
            columns=(
                Column(say("date"), whole=True),
                Column(say("value"), "right"),
                Column(say("quality")),
                Column(say("source")),
            ),
            rows=tuple(
                (
                    self._local.plain(int(trace.time_ns[row])),
                    amount(float(trace.value[row]), trace.unit),
                    self._quality(int(trace.quality[row])),
                    self._source(int(trace.marks[row])),
                )
                for row in rows
            ),
            caption=caption,
            empty=say("no_reads"),
        )

    def _chosen(self, trace: Trace) -> list[int]:
        """Rows to list: the first and the last of the flagged span, then what tells most.

        That is a register's read at each bucket's edge, and the extremes of all else.
        """
        if len(trace) <= _READS:
            return list(range(len(trace)))
        start, end = self._shown.episode
        wanted = [start, end]
        if trace.kind is Kind.REGISTER:
            wanted += table_edges(stretches(trace), self._shown, self._local.zone)
        picked: dict[int, None] = {}
        for instant in wanted:
            row = int(np.searchsorted(trace.time_ns, instant, side="right")) - 1
            picked[min(max(row, 0), len(trace) - 1)] = None
        if trace.kind is not Kind.REGISTER:
            within = np.flatnonzero(
                (trace.time_ns >= start) & (trace.time_ns <= end) & np.isfinite(trace.value)
            )
            order = within[np.argsort(trace.value[within], kind="stable")]
            chosen = [*order[:_EXTREMES], *order[-_EXTREMES:]]
            picked |= dict.fromkeys(int(row) for row in chosen)
        return sorted(list(picked)[:_READS])

    def _quality(self, code: int) -> str:
        name = next((quality.name.lower() for quality in Quality if quality == code), str(code))
        return self._say.known(name)

    def _source(self, marks: int) -> str:
        names = [self._say.known(str(mark.name).lower()) for mark in Mark if mark and mark & marks]
        return self._say("list").join(names) or self._say("measured")

    # -- the area's meters ----------------------------------------------------------------------

    def neighbours(self) -> list[Block]:
        """Use of this meter a day beside the median and the total of the others, on the same days."""
        say, trace = self._say, self.main
        if trace is None or trace.kind is Kind.GAUGE:
            return [Paragraph(say("no_neighbours"), "small")]
        found = stretches(trace)
        edges = table_edges(found, self._shown, self._local.zone)
        others = self._others(edges, DAY)
        if others is None or not np.isfinite(others[0]).any():
            return [Paragraph(say("no_neighbours"), "small")]
        own = rates(found, edges)
        median, total, count = others
        lead = say("neighbours_lead", all=self._exhibits.case.of_area, n=len(self._exhibits.neighbours))
        blocks: list[Block] = [Paragraph(lead)]
        blocks += [Paragraph(text) for text in self._compared(edges, own, median)]
        return [*blocks, self._beside(trace, edges, own, median, total, count)]

    def _beside(
        self,
        trace: Trace,
        edges: Sequence[int],
        own: NDArray[np.float64],
        median: NDArray[np.float64],
        total: NDArray[np.float64],
        count: NDArray[np.int64],
    ) -> Table:
        say, of = self._say, self._per(trace, DAY)
        start, end = self._shown.episode
        rows = []
        for n, (begin, finish) in enumerate(pairwise(edges)):
            flagged = begin < max(end, start + 1) and finish > start
            alike = (
                own[n] / median[n]
                if np.isfinite(own[n]) and np.isfinite(median[n]) and median[n] > _EPS
                else np.nan
            )
            rows.append(
                (
                    self._local.date(begin),
                    self._local.date(finish),
                    *(_figure(float(column[n])) for column in (own, median, total)),
                    f"{int(count[n]):,}",
                    _figure(float(alike), 2),
                    say("flagged") if flagged else "",
                )
            )
        titles = (
            say("this_meter", unit=of),
            say("median", unit=of),
            say("total", unit=of),
            say("count"),
            say("times"),
        )
        return Table(
            columns=(
                Column(say("from"), whole=True),
                Column(say("until"), whole=True),
                *(Column(title, "right") for title in titles),
                Column(""),
            ),
            rows=tuple(rows),
        )

    def _compared(
        self, edges: Sequence[int], own: NDArray[np.float64], median: NDArray[np.float64]
    ) -> list[str]:
        """How both have changed from before the flagged span to within it; nothing where either is not known."""
        begin, finish = np.array(edges[:-1]), np.array(edges[1:])
        start, end = self._shown.episode
        within = (begin < max(end, start + 1)) & (finish > start)
        before = finish <= start
        changes = []
        for column in (own, median):
            now, then = column[within & np.isfinite(column)], column[before & np.isfinite(column)]
            if not len(now) or not len(then) or then.mean() <= _EPS:
                return []
            changes.append(float(now.mean() / then.mean()))
        mine, theirs = changes
        if abs(mine - 1) < _NO_CHANGE:
            return []
        alike = abs(theirs - 1) >= _ALIKE * abs(mine - 1) and (theirs - 1) * (mine - 1) > 0
        key = "neighbours_alike" if alike else "neighbours_up"
        return [self._say(key, own=number(round(mine, 2)), others=number(round(theirs, 2)))]

    def _others(
        self, edges: Sequence[int], per: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]] | None:
        """Median, total and number of the other meters in each bucket; None where there is none."""
        trace = self.main
        rows = [
            rates(stretches(other), edges, per)
            for traces in self._exhibits.neighbours.values()
            for other in traces[:1]
            if trace is not None and other.unit == trace.unit and other.kind is not Kind.GAUGE
        ]
        if not rows or len(edges) < 2:
            return None
        table = np.array(rows)
        known = np.isfinite(table)
        count = known.sum(axis=0)
        median = np.array(
            [
                np.median(column[column == column]) if n else np.nan
                for column, n in zip(table.T, count, strict=True)
            ]
        )
        total = np.where(count > 0, np.where(known, table, 0.0).sum(axis=0), np.nan)
        return median, total, count


def _figure(value: float, digits: int = 3) -> str:
    return number(round(value, digits)) if np.isfinite(value) else "–"
