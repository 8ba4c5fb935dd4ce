"""UTC → local time, for whole columns: day and night are the meter's, everything else is UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from streams.messages import NS

_FIRST, _LAST = 1990, 2100


@lru_cache(maxsize=256)
def transitions(zone: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When a zone's offset changes, and to what: (k,) instants [ns], (k,) offsets [ns].

    The first instant is the least integer. Found by bisection between noons, 1990 to 2100.
    Raises ValueError for a name that the tz database does not have.
    """
    if zone in ("", "UTC"):
        return np.array([np.iinfo(np.int64).min]), np.zeros(1, np.int64)
    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"expected a time zone of the IANA database (Europe/Madrid), got {zone!r}"
        ) from error

    def offset(when: datetime) -> int:
        delta = when.astimezone(info).utcoffset()
        assert delta is not None
        return round(delta.total_seconds())

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    before = datetime(_FIRST, 1, 1, tzinfo=UTC)
    instants, offsets = [np.iinfo(np.int64).min], [offset(before)]
    step = timedelta(days=7)
    while before.year < _LAST:
        after = before + step
        if offset(after) != offset(before):
            low, high = before, after
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) / 2
                if offset(middle) == offset(low):
                    low = middle
                else:
                    high = middle
            change = high.replace(microsecond=0)
            instants.append(round((change - epoch).total_seconds()) * NS)
            offsets.append(offset(high))
        before = after
    return np.array(instants), np.array(offsets, np.int64) * NS


def offsets(zone: str, time_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Local time minus UTC at each instant. [ns]"""
    instants, shift = transitions(zone)
    if len(instants) == 1:
        return np.broadcast_to(shift, time_ns.shape)
    return shift[np.searchsorted(instants, time_ns, side="right") - 1]


def offset_at(zone: str, time_ns: int) -> int:
    """Local time minus UTC at one instant. [s]"""
    instants, shift = transitions(zone)
    return int(shift[int(np.searchsorted(instants, time_ns, side="right")) - 1]) // NS
