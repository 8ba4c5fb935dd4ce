"""Times as payloads write them → integer nanoseconds since 1970-01-01T00:00:00Z.

Nothing outside 1990-01-01 … 2099-12-31 (UTC) is taken: a meter's clock that says 1970 or 2106
is not a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["FIRST_NS", "LAST_NS", "checked", "epoch", "local", "rfc3339", "zone_named"]

NS = 1_000_000_000
FIRST_NS = 631_152_000 * NS  # 1990-01-01T00:00:00Z
LAST_NS = 4_102_444_800 * NS - 1  # the last instant of 2099

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHAPE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_NAIVE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?", re.ASCII)
_WANTED = "expected RFC 3339 with a zone and at most 9 fraction digits, such as 2024-05-01T12:30:00Z"

# Most times of a batch share their minute, and there are few ways to write the rest of it
# ("00Z", "30+08:00"). Two small memos of the two parts are three times as fast as datetime and,
# unlike it, keep nanoseconds. Both are exact: time = start of the minute + rest.
_MEMO_LIMIT = 65_536
minutes: dict[str, int] = {}  # first 17 characters ("2024-05-01T12:30:") → ns of the minute, read as UTC
rests: dict[str, int] = {}  # the characters after ("07.25+08:00") → ns to add
_SCALES = {digits: int("1".ljust(10 - digits, "0")) for digits in range(1, 10)}


def checked(time_ns: int) -> int:
    """Return ``time_ns`` if it lies in 1990 … 2099. Raises ValueError."""
    if FIRST_NS <= time_ns <= LAST_NS:
        return time_ns
    raise ValueError("expected a time from 1990 to 2099 (UTC)")


def rfc3339(text: str) -> int:
    """Read an RFC 3339 time with its zone, ``2024-05-01T12:30:00.123456789+02:00``.

    Second 60 (a leap second) is the start of the next minute. Raises ValueError.
    """
    start_ns = minutes.get(text[:17])
    if start_ns is None:
        return _rfc3339_anew(text)
    rest_ns = rests.get(text[17:])
    if rest_ns is not None:
        return start_ns + rest_ns
    # A fraction of microseconds is hardly ever seen twice: it is read, not remembered.
    zone_at = -1 if text[-1] == "Z" else -6
    whole_ns = rests.get(text[17:19] + text[zone_at:])
    fraction = text[20:zone_at]
    scale = _SCALES.get(len(fraction))
    if (
        whole_ns is not None
        and scale is not None
        and text[19] == "."
        and fraction.isdecimal()
        and fraction.isascii()
    ):
        return start_ns + whole_ns + int(fraction) * scale
    return _rfc3339_anew(text)


def _rfc3339_anew(text: str) -> int:
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        if _NAIVE.fullmatch(text) is not None:
            raise ValueError(f"{_WANTED}, got a time without a zone")
        raise ValueError(_WANTED)
    year, month, day, hour, minute, second, fraction, zone = shape.groups()
    if second > "60" or zone[1:3] > "23" or zone[4:6] > "59":
        raise ValueError(f"{_WANTED}, got a second or an offset out of range")
    try:
        start = datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{_WANTED}: {error}") from None
    start_ns = int(start.timestamp()) * NS
    whole_ns = int(second) * NS
    if len(zone) == 6:
        offset_ns = (int(zone[1:3]) * 60 + int(zone[4:6])) * 60 * NS
        whole_ns += offset_ns if zone[0] == "-" else -offset_ns
    rest_ns = whole_ns + (int(fraction.ljust(9, "0")) if fraction else 0)
    time_ns = checked(start_ns + rest_ns)
    if 1990 < start.year < 2099:  # years in which every rest stays within the bounds
        _remember(minutes, text[:17], start_ns)
        _remember(rests, second + zone, whole_ns)
        if fraction and len(fraction) <= 3:
            _remember(rests, text[17:], rest_ns)
    return time_ns


def _remember(memo: dict[str, int], key: str, value: int) -> None:
    if len(memo) >= _MEMO_LIMIT:
        memo.clear()
    memo[key] = value


def epoch(value: object, ticks_per_second: int) -> int:
    """Read a count of ticks since 1970: an integer, or a decimal number or string of them.

    ticks_per_second : 1 (s), 1_000 (ms), 1_000_000 (µs) or 1_000_000_000 (ns)
    Raises ValueError, with a hint where another tick would make sense.
    """
    per_tick = NS // ticks_per_second
    if type(value) is str and re.fullmatch(r"-?\d{1,20}", value, re.ASCII):
        value = int(value)
    if type(value) is int:
        time_ns = value * per_tick
    elif type(value) in (float, str):
        try:
            seconds = float(value) / ticks_per_second  # type: ignore[arg-type]
            # a double holds today's time to the microsecond at best
            time_ns = round(seconds * 1_000_000) * 1_000
        except (ValueError, OverflowError):
            raise ValueError("expected a number of ticks since 1970") from None
    else:
        raise ValueError("expected a number of ticks since 1970")
    if FIRST_NS <= time_ns <= LAST_NS:
        return time_ns
    for name, ticks in (("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", NS)):
        if FIRST_NS <= time_ns // per_tick * (NS // ticks) <= LAST_NS:
            raise ValueError(f"expected a time from 1990 to 2099; as {name} since 1970 it would be one")
    raise ValueError("expected a time from 1990 to 2099 (UTC)")


def zone_named(name: str) -> tzinfo:
    """Return the IANA zone. Raises ValueError saying what is expected."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"expected an IANA time zone such as Asia/Shanghai or UTC, got {name!r}") from None


def local(zone: tzinfo, pattern: str | None = None) -> Callable[[str], int]:
    """Return a reader of local times without a zone.

    pattern : of ``datetime.strptime``; None: ISO 8601 (``2024-05-01``, ``2024-05-01T12:30``, seconds and
        fraction optional; a zone, where there is one all the same, is obeyed).
    In the hour that autumn repeats the first pass is meant; a time in the hour that spring skips is read
    as if the clocks had not moved yet. The reader raises ValueError.
    """

    def read(text: str) -> int:
        text = text.strip()
        nanoseconds = 0
        if pattern is not None:
            try:
                stamp = datetime.strptime(text, pattern)  # noqa: DTZ007 – the zone follows below
            except ValueError:
                raise ValueError(f"expected a time written as {pattern}") from None
        else:
            shape = _NAIVE.fullmatch(text)
            if shape is None:
                return rfc3339(text)
            day, clock, second, fraction = shape.groups()
            try:
                stamp = datetime.fromisoformat(f"{day}T{clock or '00:00'}:{second or '00'}")
            except ValueError as error:
                raise ValueError(f"expected a date and time such as 2024-05-01T12:30:00: {error}") from None
            nanoseconds = int(fraction.ljust(9, "0")) if fraction else 0
        if stamp.tzinfo is None:
            stamp = stamp.replace(tzinfo=zone)
        try:
            since = stamp - _EPOCH
        except OverflowError:
            raise ValueError("expected a time from 1990 to 2099 (UTC)") from None
        return checked(since // timedelta(microseconds=1) * 1_000 + nanoseconds)

    return read
