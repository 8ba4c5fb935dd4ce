"""A chart over time as a value, and its drawing: lines, areas and words, for any surface.

``Chart`` says what is shown; ``draw`` lays it out once, so that SVG and PDF show the same. Sizes are
points, y grows downwards, colours are ``#rrggbb``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from streams.messages import NS

Point = tuple[int, float | None]  # [ns], value; None: a break

_INK, _GREY, _RULE, _FRAME = "#1c2733", "#51606e", "#e3e8ed", "#b8c2cc"
_TONES = {"main": "#0b5cab", "other": "#b4540a", "level": "#51606e"}
_BAND, _SPAN = "#cfe0f0", "#fbe6cc"
_LABEL = 8.0
_LEFT, _RIGHT, _BOTTOM, _BELOW, _LEGEND = 46.0, 10.0, 17.0, 11.0, 15.0
_TINY = 1e-200  # differences below are none
_MOST_TICKS = 8
_TEXT_LIMIT = 40


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Values over time, oldest first; None is a break. Raises ValueError for what is no number.

    stepped : a value holds until the next point
    dots    : points are marked
    tone    : ``main`` the meter itself, ``other`` what it is held against, ``level`` a dashed line
    """

    label: str
    points: tuple[Point, ...]
    stepped: bool = False
    dots: bool = False
    tone: Literal["main", "other", "level"] = "main"

    def __post_init__(self) -> None:
        _finite(value for _, value in self.points)


class Band(msgspec.Struct, frozen=True):
    """What was expected, from the least to the greatest: (time, low, high), oldest first; each holds until the next.

    Raises ValueError for what is no number.
    """

    label: str
    points: tuple[tuple[int, float, float], ...]

    def __post_init__(self) -> None:
        _finite(value for _, *both in self.points for value in both)


class Span(msgspec.Struct, frozen=True):
    """A marked stretch of time."""

    label: str
    start_ns: int
    end_ns: int


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown.

    unit     : of all values, as it is written on paper
    zone     : IANA name of the zone whose dates stand at the axis
    start_ns, end_ns : what the axis covers; None: what there is to show
    zero     : whether the value axis includes zero
    """

    unit: str
    lines: tuple[Line, ...]
    zone: str = "UTC"
    band: Band | None = None
    span: Span | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    zero: bool = True


def _finite(values: Iterable[float | None]) -> None:
    for value in values:
        if value is not None and not math.isfinite(value):
            raise ValueError(
                f"expected finite values in a chart, got {value}: leave it out, or make it a break"
            )


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """A line or an area through points."""

    points: tuple[tuple[float, float], ...]
    stroke: str = ""
    fill: str = ""
    width: float = 0.0
    dash: tuple[float, ...] = ()


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """Words at a point of their baseline."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    size: float = _LABEL
    color: str = _GREY


class Drawing(msgspec.Struct, frozen=True):
    """Shapes in the order in which they are drawn."""

    width: float
    height: float
    shapes: tuple[Path | Label, ...]


class _Axes(msgspec.Struct, frozen=True):
    """Time and value → place."""

    start: int
    end: int
    low: float
    high: float
    left: float
    top: float
    right: float
    bottom: float

    def x(self, time_ns: int) -> float:
        share = (time_ns - self.start) / (self.end - self.start)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.bottom - min(max(share, 0.0), 1.0) * (self.bottom - self.top)


def draw(chart: Chart, width: float = 500.0, height: float = 210.0) -> Drawing:
    """Lay a chart out: band and span below, rules, lines, then words. A chart without a point has axes alone."""
    legend = _legend(chart, width)
    axes = _axes(chart, width, height, 10.0 + _LEGEND * (1 + max((row for row, *_ in legend), default=0)))
    shapes: list[Path | Label] = [*_areas(chart, axes), *_value_axis(chart, axes), *_time_axis(chart, axes)]
    for line in chart.lines:
        shapes += _line(line, axes)
    box = (
        (axes.left, axes.top),
        (axes.left, axes.bottom),
        (axes.right, axes.bottom),
    )
    shapes.append(Path(points=box, stroke=_FRAME, width=0.8))
    for row, x, text, tone in legend:
        shapes += _key(x, 9.0 + _LEGEND * row, text, tone)
    return Drawing(width, height, tuple(shapes))


# -- what is covered --------------------------------------------------------------------------


def _axes(chart: Chart, width: float, height: float, top: float) -> _Axes:
    times = [t for line in chart.lines for t, _ in line.points]
    times += [t for t, _, _ in chart.band.points] if chart.band else []
    times += [chart.span.start_ns, chart.span.end_ns] if chart.span else []
    start = min(times, default=0) if chart.start_ns is None else chart.start_ns
    end = max(times, default=0) if chart.end_ns is None else chart.end_ns
    if end <= start:
        end = start + 86_400 * NS
    values = [v for line in chart.lines for _, v in line.points if v is not None]
    values += [v for _, *both in (chart.band.points if chart.band else ()) for v in both]
    if chart.zero:
        values.append(0.0)
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low <= max(abs(high) * 1e-9, _TINY):
        low, high = (low, low + 1.0) if abs(low) <= _TINY else (low - abs(low) * 0.1, high + abs(high) * 0.1)
    step = _nice((high - low) / 4)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    below = _BELOW if any(outer for _, _, outer in ticks(start, end, chart.zone)) else 0.0
    return _Axes(start, end, low, high, _LEFT, top, width - _RIGHT, height - _BOTTOM - below)


def _nice(least: float) -> float:
    """The least of 1, 2, 2.5, 5 × a power of ten that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= least * (1 - 1e-9))


# -- axes -------------------------------------------------------------------------------------


def _value_axis(chart: Chart, axes: _Axes) -> Iterator[Path | Label]:
    step = _nice((axes.high - axes.low) / 4)
    count = round((axes.high - axes.low) / step)
    digits = min(max(0, -math.floor(math.log10(step) + 1e-9)) + (f"{step:e}"[:3] == "2.5"), 9)
    for n in range(count + 1):
        value = axes.low + n * step
        y = axes.y(value)
        if n:
            yield Path(points=((axes.left, y), (axes.right, y)), stroke=_RULE, width=0.6)
        text = f"{value:.3g}" if step >= 1e7 else f"{value:,.{digits}f}"
        yield Label(x=axes.left - 5, y=y + _LABEL * 0.35, text=text, anchor="end")
    if chart.unit:
        yield Label(x=2, y=axes.top - 6, text=_short(chart.unit), color=_INK)


def _time_axis(chart: Chart, axes: _Axes) -> Iterator[Path | Label]:
    before = -math.inf
    for time_ns, text, below in ticks(axes.start, axes.end, chart.zone):
        x = axes.x(time_ns)
        yield Path(points=((x, axes.bottom), (x, axes.bottom + 3)), stroke=_FRAME, width=0.8)
        half = max(_wide(text), _wide(below)) / 2
        if x - half < before + 4 or x + half > axes.right + _RIGHT:
            continue  # no room for words here
        before = x + half
        yield Label(x=x, y=axes.bottom + 12, text=text, anchor="middle")
        if below:
            yield Label(x=x, y=axes.bottom + 22, text=below, anchor="middle", color=_INK)


_STEPS: tuple[tuple[str, int], ...] = (
    *(("minute", n) for n in (1, 5, 10, 30)),
    *(("hour", n) for n in (1, 2, 3, 6, 12)),
    *(("day", n) for n in (1, 2, 5, 10)),
    *(("month", n) for n in (1, 2, 3, 6)),
    *(("year", n) for n in (1, 2, 5, 10, 20, 50, 100)),
)
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400, "month": 30.4 * 86_400, "year": 365.25 * 86_400}


def ticks(start_ns: int, end_ns: int, zone: str) -> list[tuple[int, str, str]]:
    """Round local dates or hours of a span, at most nine: (instant, words, words below).

    Below stand the year of dates and the date of hours, where they first show or change. A zone
    that is not known is UTC; a span beyond the calendar has none.
    """
    unit, size = next(
        (s for s in _STEPS if (end_ns - start_ns) / NS <= _SECONDS[s[0]] * s[1] * _MOST_TICKS), _STEPS[-1]
    )
    tz = _zone(zone)
    try:
        first = datetime.fromtimestamp(start_ns // NS, UTC).astimezone(tz)
        last = datetime.fromtimestamp(end_ns // NS, UTC).astimezone(tz)
        found, outer = [], ""
        for stamp in _round_dates(first.replace(tzinfo=None), last.replace(tzinfo=None), unit, size):
            time_ns = round(stamp.replace(tzinfo=tz).timestamp()) * NS
            if not start_ns <= time_ns <= end_ns:
                continue
            text, below = _words(stamp, unit)
            found.append((time_ns, text, below if below != outer else ""))
            outer = below
    except (ValueError, OverflowError, OSError):
        return []
    return found


def _round_dates(first: datetime, last: datetime, unit: str, size: int) -> Iterator[datetime]:
    """Dates that are a multiple of the step, in wall-clock time."""
    if unit in ("minute", "hour"):
        step = timedelta(seconds=_SECONDS[unit] * size)
        stamp = first.replace(hour=0, minute=0, second=0, microsecond=0)
        while stamp <= last:
            yield stamp
            stamp += step
    elif unit == "day":
        stamp = first.replace(hour=0, minute=0, second=0, microsecond=0)
        while stamp <= last:
            # the same days of each month, none of them close to the next first
            if size == 1 or (stamp.day % size == 1 and stamp.day + size / 2 <= 31):
                yield stamp
            stamp += timedelta(days=1)
    else:
        months = size * (12 if unit == "year" else 1)
        number = (first.year * 12 + first.month - 1) // months * months
        while number <= last.year * 12 + last.month - 1:
            yield datetime(number // 12, number % 12 + 1, 1)  # noqa: DTZ001 - wall-clock, its zone comes later
            number += months


def _words(stamp: datetime, unit: str) -> tuple[str, str]:
    if unit in ("minute", "hour"):
        return f"{stamp:%H:%M}", f"{stamp:%Y-%m-%d}"
    if unit == "day":
        return f"{stamp:%m-%d}", f"{stamp:%Y}"
    return (f"{stamp:%Y-%m}", "") if unit == "month" else (f"{stamp:%Y}", "")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


# -- content ----------------------------------------------------------------------------------


def _areas(chart: Chart, axes: _Axes) -> Iterator[Path]:
    if chart.span is not None:
        left, right = axes.x(chart.span.start_ns), axes.x(chart.span.end_ns)
        right = max(right, left + 2.0)  # an instant is seen too
        corners = ((left, axes.top), (right, axes.top), (right, axes.bottom), (left, axes.bottom))
        yield Path(points=corners, fill=_SPAN)
    band = chart.band.points if chart.band else ()
    for (begin, low, high), end in zip(band, [*(t for t, _, _ in band[1:]), axes.end], strict=False):
        if end > begin:
            left, right, top, bottom = axes.x(begin), axes.x(end), axes.y(high), axes.y(low)
            bottom = max(bottom, top + 1.5)  # one figure is a band too
            yield Path(points=((left, top), (right, top), (right, bottom), (left, bottom)), fill=_BAND)


def _line(line: Line, axes: _Axes) -> Iterator[Path]:
    color = _TONES[line.tone]
    width, dash = (1.0, (4.0, 3.0)) if line.tone == "level" else (1.5, ())
    for stretch in _stretches(line.points):
        places = [(axes.x(t), axes.y(v)) for t, v in stretch]
        path = places[:1]
        for (_, y), place in pairwise(places):
            path += [(place[0], y), place] if line.stepped else [place]
        if len(path) > 1:
            yield Path(points=tuple(path), stroke=color, width=width, dash=dash)
        for x, y in places if line.dots or len(places) == 1 else ():
            yield Path(points=_dot(x, y), fill=color)


def _stretches(points: Sequence[Point]) -> Iterator[list[tuple[int, float]]]:
    stretch: list[tuple[int, float]] = []
    for time_ns, value in points:
        if value is not None:
            stretch.append((time_ns, value))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _dot(x: float, y: float, radius: float = 2.2) -> tuple[tuple[float, float], ...]:
    turn = [math.pi * n / 4 for n in range(8)]
    return tuple((x + radius * math.cos(a), y + radius * math.sin(a)) for a in turn)


# -- words ------------------------------------------------------------------------------------


def _legend(chart: Chart, width: float) -> list[tuple[int, float, str, str]]:
    """(row, x, words, tone) of each key, in rows from the left."""
    keys = [(line.label, str(line.tone)) for line in chart.lines if line.label]
    keys += [(chart.band.label, "band")] if chart.band and chart.band.label else []
    keys += [(chart.span.label, "span")] if chart.span and chart.span.label else []
    out, row, x = [], 0, _LEFT
    for label, tone in keys:
        text = _short(label)
        size = 18 + _wide(text) + 14
        if x > _LEFT and x + size > width:
            row, x = row + 1, _LEFT
        out.append((row, x, text, tone))
        x += size
    return out


def _key(x: float, y: float, text: str, tone: str) -> Iterator[Path | Label]:
    if tone in _TONES:
        dash = (4.0, 3.0) if tone == "level" else ()
        yield Path(points=((x, y - 3), (x + 14, y - 3)), stroke=_TONES[tone], width=1.5, dash=dash)
    else:
        corners = ((x, y - 7), (x + 14, y - 7), (x + 14, y), (x, y))
        yield Path(points=corners, fill=_BAND if tone == "band" else _SPAN)
    yield Label(x=x + 18, y=y, text=text, color=_INK)


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_LIMIT else f"{text[: _TEXT_LIMIT - 1]}…"


def _wide(text: str) -> float:
    """About how wide words are: a Chinese character a full square, others a little more than half."""
    return sum(1.0 if ord(char) > 0x2E7F else 0.56 for char in text) * _LABEL
