"""Figures, units and times as people read them, on pages and on paper."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streams.messages import NS

#: UCUM codes that are written otherwise on paper
_UNITS = {
    "Cel": "°C",
    "[degF]": "°F",
    "[gal_us]": "gal",
    "[gal_br]": "gal (UK)",
    "[cft_i]": "ft³",
    "[Btu_IT]": "Btu",
    "[thm]": "therm",
    "Gcal_IT": "Gcal",
    "[psi]": "psi",
    "[pH]": "pH",
}
_ANNOTATION = re.compile(r"\{([^}]*)\}")


def unit(code: str) -> str:
    """A UCUM code as it is written on paper: ``m3`` → ``m³``, ``kW.h`` → ``kWh``."""
    return "/".join(_unit(part) for part in code.split("/"))


def _unit(code: str) -> str:
    if code in _UNITS:
        return _UNITS[code]
    plain = _ANNOTATION.sub(r"\1", code).replace(".", "")
    return re.sub(r"(?<=[A-Za-z])([23])$", lambda power: "²³"[int(power[1]) - 2], plain)


def number(value: float, digits: int | None = None) -> str:
    """A figure with thousands separators.

    digits : decimals to show always; None: up to three, more for what is smaller than one
    """
    if digits is not None:
        return f"{value:,.{digits}f}"
    if value == 0 or abs(value) >= 1e15:
        return f"{value:.6g}"
    if abs(value) < 1:
        text = f"{value:.4g}"
        return text if "e" in text else text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def amount(value: float, code: str, digits: int | None = None) -> str:
    """A figure with its unit."""
    written = unit(code)
    return f"{number(value, digits)} {written}" if written else number(value, digits)


class Local:
    """Times as they are where somebody looks at them."""

    def __init__(self, zone: str = "") -> None:
        self.zone, self._tz = _zone(zone)

    def full(self, time_ns: int) -> str:
        """Date, time and offset: ``2012-06-10 08:00:00 UTC+08:00``."""
        stamp = self._at(time_ns)
        return f"{stamp:%Y-%m-%d %H:%M:%S} {_offset(stamp)}" if stamp else str(time_ns)

    def minutes(self, time_ns: int) -> str:
        """Date and time with its offset, to the minute: ``2012-06-10 08:00 UTC+08:00``."""
        stamp = self._at(time_ns)
        return f"{stamp:%Y-%m-%d %H:%M} {_offset(stamp)}" if stamp else str(time_ns)

    def plain(self, time_ns: int) -> str:
        """Date and time to the minute; the zone is said once elsewhere: ``2012-06-10 08:00``."""
        stamp = self._at(time_ns)
        return f"{stamp:%Y-%m-%d %H:%M}" if stamp else str(time_ns)

    def date(self, time_ns: int) -> str:
        """``2012-06-10``."""
        stamp = self._at(time_ns)
        return f"{stamp:%Y-%m-%d}" if stamp else str(time_ns)

    def clock(self, time_ns: int, *, seconds: bool = True) -> str:
        """``08:00:00``."""
        stamp = self._at(time_ns)
        return (f"{stamp:%H:%M:%S}" if seconds else f"{stamp:%H:%M}") if stamp else ""

    def short(self, time_ns: int) -> str:
        """``2012-06-10 08:00:00``; the page says the zone once."""
        stamp = self._at(time_ns)
        return f"{stamp:%Y-%m-%d %H:%M:%S}" if stamp else str(time_ns)

    def wall(self, time_ns: int) -> float:
        """Milliseconds for a chart whose axis is told that it shows UTC."""
        stamp = self._at(time_ns)
        if stamp is None:
            return time_ns / 1e6
        shift = stamp.utcoffset()
        return time_ns / 1e6 + (shift.total_seconds() * 1000 if shift else 0.0)

    def label(self, now_ns: int) -> str:
        """The zone with its present offset: ``Asia/Shanghai (UTC+08:00)``."""
        stamp = self._at(now_ns)
        return self.zone if stamp is None or self.zone == "UTC" else f"{self.zone} ({_offset(stamp)})"

    def _at(self, time_ns: int) -> datetime | None:
        try:
            return datetime.fromtimestamp(time_ns // NS, UTC).astimezone(self._tz)
        except (ValueError, OverflowError, OSError):
            return None  # beyond the calendar


def _zone(name: str) -> tuple[str, tzinfo]:
    """A zone by its IANA name; UTC for what is none, for it comes from a browser."""
    try:
        return (name, ZoneInfo(name)) if 0 < len(name) <= 64 else ("UTC", UTC)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC", UTC


def _offset(stamp: datetime) -> str:
    shift = f"{stamp:%z}"
    return "UTC" if shift in ("+0000", "") else f"UTC{shift[:3]}:{shift[3:5]}"


def parse_ns(text: object) -> int | None:
    """Nanoseconds since 1970 of an ISO 8601 instant; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        return None
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    past = stamp - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86_400 + past.seconds) * NS + past.microseconds * 1000


def instant(time_ns: int) -> str:
    """ISO 8601 UTC with as many digits as the nanoseconds need."""
    seconds, rest = divmod(time_ns, NS)
    try:
        text = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return str(time_ns)  # beyond the calendar: shown as it is rather than hidden
    return f"{text}{f'.{rest:09d}'.rstrip('0') if rest else ''}Z"
