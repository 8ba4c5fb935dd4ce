"""The meter's readings around an episode, as a chart's options.

Registers are drawn as use a day between reads, for a cumulative line hides what has changed;
interval readings and instantaneous values as they are. Long series are thinned to the least and
the greatest value of each stretch, so that no peak is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.sqlite_history.reader import Series
from connectors.web.format import Local, parse_ns, unit
from connectors.web.words import Words
from streams.messages import NS, Kind, Mark, Quality
from streams.papers.exhibits import kind_of
from streams.trade.tickets import Ticket

_DAY = 86_400 * NS
_MOST = 600  # points: more than the chart has pixels
_BLUE, _AMBER, _GREY = "#0b5cab", "rgba(201, 107, 0, .14)", "#51606e"


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a chart covers, and the episode within it. [ns]"""

    start: int
    end: int
    episode: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Line:
    """What is drawn: arrays of shape (n,); NaN is a break. ``caption`` is a key of the words."""

    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    caption: str
    unit: str
    stepped: bool
    thinned: bool


def span_of(ticket: Ticket) -> Span | None:
    """The time to draw: the episode, what it was held against, and a little after."""
    start, end = parse_ns(ticket.evidence.get("start")), parse_ns(ticket.evidence.get("end"))
    if start is None or end is None:
        return None
    length = max(end - start, 0)
    begin = start - max(3 * length, 14 * _DAY)
    periods = ticket.evidence.get("periods")
    if isinstance(periods, list) and periods and isinstance(periods[0], Mapping):
        first = parse_ns(periods[0].get("start"))
        if first is not None:
            # where reads are months apart, the periods before are all that there is to see
            begin = max(first, start - 3 * 366 * _DAY)
    return Span(begin, end + max(length // 4, _DAY), (start, end))


def line_of(found: Sequence[Series], register: str = "") -> Line | None:
    """The line of one register: the one named, else the total, else the first."""
    named = {s.register: s for s in found}
    series = named.get(register) or named.get("") or next(iter(named.values()), None)
    if series is None:
        return None
    usable = (series.quality != int(Quality.BAD)) & ((series.marks & int(Mark.RETAINED)) == 0)
    time, value = series.time_ns[usable], series.value[usable]
    if not len(time):
        return None
    of = series.unit[-1]
    kind = kind_of(series.kind[usable], value)
    if kind is Kind.REGISTER:
        if len(time) < 2:
            return None
        time, value = _rates(time, value)
        return Line(time, value, "chart_rate", unit(f"{of}/d") if of else "", True, False)
    thinned = len(time) > _MOST
    if thinned:
        time, value = _thin(time, value)
    caption = "chart_usage" if kind is Kind.INTERVAL else "chart_value"
    return Line(time, value, caption, unit(of), kind is Kind.INTERVAL, thinned)


def options(line: Line, span: Span, usual: float | None, local: Local, say: Words) -> dict[str, Any]:
    """Options for ECharts. ``usual`` is a level to compare with, in the line's unit."""
    points = [
        [local.wall(t), None if np.isnan(v) else float(f"{v:.6g}")]
        for t, v in zip(line.time_ns.tolist(), line.value.tolist(), strict=True)
    ]
    series: dict[str, Any] = {
        "type": "line",
        "data": points,
        "step": "end"
        if line.stepped and line.caption == "chart_rate"
        else ("start" if line.stepped else False),
        "showSymbol": len(points) <= 40,
        "symbolSize": 5,
        "lineStyle": {"width": 1.75, "color": _BLUE},
        "itemStyle": {"color": _BLUE},
        "areaStyle": {"color": _BLUE, "opacity": 0.05},
        "markArea": {
            "silent": True,
            "itemStyle": {"color": _AMBER},
            "label": {"color": "#8a4b00", "fontSize": 11, "position": "insideTop"},
            "data": [
                [
                    {"name": say("chart_episode"), "xAxis": local.wall(span.episode[0])},
                    {"xAxis": local.wall(span.episode[1])},
                ]
            ],
        },
    }
    if usual is not None:
        series["markLine"] = {
            "silent": True,
            "symbol": "none",
            "lineStyle": {"type": "dashed", "color": _GREY},
            "label": {
                "formatter": say("chart_usual"),
                "position": "insideStartTop",
                "color": _GREY,
                "fontSize": 11,
            },
            "data": [{"yAxis": float(f"{usual:.6g}")}],
        }
    label = {"color": _GREY, "fontSize": 11}
    axis = {"axisLine": {"lineStyle": {"color": "#c3ccd4"}}}
    return {
        "animation": False,
        "useUTC": True,  # the points are moved to local time already
        "grid": {"left": 8, "right": 16, "top": 12, "bottom": 4, "containLabel": True},
        "xAxis": {
            "type": "time",
            "min": local.wall(max(span.start, int(line.time_ns[0]))),
            "max": local.wall(max(span.episode[1], int(line.time_ns[-1]))),
            "splitNumber": 6,
            **axis,
            "axisLabel": {
                **label,
                "hideOverlap": True,
                "formatter": {
                    "year": "{yyyy}-{MM}",
                    "month": "{yyyy}-{MM}",
                    "day": "{MM}-{dd}",
                    "hour": "{HH}:{mm}",
                    "minute": "{HH}:{mm}",
                    "second": "{HH}:{mm}:{ss}",
                },
            },
        },
        "yAxis": {
            "type": "value",
            "scale": line.caption == "chart_value",
            "splitLine": {"lineStyle": {"color": "#e6eaee"}},
            "axisLabel": label,
            **axis,
        },
        # drawn on the canvas: no HTML is made of anything that came with a reading
        "tooltip": {
            "trigger": "axis",
            "renderMode": "richText",
            "confine": True,
            "textStyle": {"fontSize": 12},
        },
        "series": [series],
    }


def _rates(
    time: NDArray[np.int64], value: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Use a day from each read to the next, at the read that begins it; a fall of the register is a break."""
    if len(time) > _MOST:
        # each n-th read: what was used between is in the difference
        keep = np.unique(np.linspace(0, len(time) - 1, _MOST).astype(np.int64))
        time, value = time[keep], value[keep]
    rate = np.diff(value) / (np.diff(time) / _DAY)
    rate[rate < 0] = np.nan
    return time, np.append(rate, rate[-1])


def _thin(
    time: NDArray[np.int64], value: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The least and the greatest of each stretch, in their order."""
    bounds = np.linspace(0, len(value), _MOST // 2 + 1).astype(np.int64)
    picked = {
        int(first + pick)
        for first, last in pairwise(bounds.tolist())
        if last > first
        for pick in (value[first:last].argmin(), value[first:last].argmax())
    }
    rows = np.array(sorted(picked), np.int64)
    return time[rows], value[rows]
