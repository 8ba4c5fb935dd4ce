"""What an evidence pack is made of: everything that is known of one ticket, gathered at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streams.messages import NS, Kind
from streams.papers.written import parse_ns
from streams.trade.complaints import Complaint
from streams.trade.points import Point
from streams.trade.tickets import Episode, Ticket

_DAY = 86_400 * NS
#: the years 1824 to 2116: within them differences of times are 64-bit integers
FAR_NS = 2**62 // NS * NS


@dataclass(frozen=True, slots=True)
class Trace:
    """Readings of one register of one meter by time; arrays of shape (n,).

    unit : UCUM code of all of them; empty: not known
    kind : what most of them are
    """

    meter_id: str
    register: str
    unit: str
    kind: Kind
    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]  # of Quality
    marks: NDArray[np.uint16]  # of Mark

    def __len__(self) -> int:
        return len(self.time_ns)


@dataclass(frozen=True, slots=True)
class Case:
    """What the ticket store knows.

    neighbours : meters of the same area and commodity, those of the same class first
    of_area    : how many of them there are
    """

    ticket: Ticket
    episodes: Sequence[Episode] = ()
    complaints: Sequence[Complaint] = ()
    point: Point | None = None
    neighbours: Sequence[str] = ()
    of_area: int = 0


@dataclass(frozen=True, slots=True)
class Exhibits:
    """All of it.

    traces       : the meter's readings around the episode, a register each
    neighbours   : those of the meters of ``case.neighbours`` that have any, by meter
    digests      : register → SHA-256 of its readings as they are kept
    history_here : whether readings can be read here at all; ``kept_at`` says where they are else
    made_ns      : when it was gathered, wall clock
    zone         : of the dates, where the meter states none
    """

    case: Case
    traces: Sequence[Trace] = ()
    neighbours: Mapping[str, Sequence[Trace]] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    history_here: bool = True
    kept_at: str = ""
    made_ns: int = 0
    zone: str = "UTC"
    version: str = ""


def kind_of(kinds: NDArray[np.uint8], value: NDArray[np.float64]) -> Kind:
    """What most readings say they are; where none does, a value that hardly ever falls is a register."""
    stated = kinds[kinds != int(Kind.UNSTATED)]
    if len(stated):
        return Kind(int(np.bincount(stated).argmax()))
    rises = np.diff(value) >= 0
    return Kind.REGISTER if len(value) >= 3 and rises.mean() >= 0.98 else Kind.GAUGE


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a pack shows, and the episode within it. [ns]"""

    start_ns: int
    end_ns: int
    episode: tuple[int, int]


def window(case: Case) -> Window:
    """The episode, what it was held against, and a little after; around the opening where no time is stated."""
    ticket = case.ticket
    spans = [(ticket.evidence.get("start"), ticket.evidence.get("end"))]
    spans += [(episode.start, episode.end) for episode in case.episodes]
    known = [
        (a, b) for a, b in ((parse_ns(a), parse_ns(b)) for a, b in spans) if a is not None and b is not None
    ]
    start = min((a for a, _ in known), default=parse_ns(ticket.event_at) or ticket.opened_ns)
    end = max((b for _, b in known), default=start)
    length = max(end - start, 0)
    begin = start - min(max(3 * length, 14 * _DAY), 400 * _DAY)
    periods = ticket.evidence.get("periods")
    if isinstance(periods, list) and periods and isinstance(periods[0], Mapping):
        first = parse_ns(periods[0].get("start"))
        if first is not None and first < start:
            # where reads are months apart, the periods before are all that there is to see
            begin = max(first, start - 3 * 366 * _DAY)
    # whole seconds, for they are written down and asked for again
    first, last = begin // NS * NS, -(-(end + max(length // 4, _DAY)) // NS) * NS
    first, last = max(first, -FAR_NS), min(last, FAR_NS)
    if first >= last:
        first, last = (FAR_NS - _DAY, FAR_NS) if first > 0 else (-FAR_NS, _DAY - FAR_NS)
    return Window(first, last, (min(max(start, first), last), min(max(end, start), last)))
