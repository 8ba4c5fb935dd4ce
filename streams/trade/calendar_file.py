"""The calendar file: when the offices work. TOML.

    time_zone = "Asia/Shanghai"

    [hours]
    monday = ["09:00-12:00", "13:30-18:00"]
    makeup = ["09:00-17:00"]

    [[holiday]]
    name = "国庆节"
    first = 2026-10-01
    last = 2026-10-07
    makeup = [2026-09-20, 2026-10-10]

What each key means: docs/tickets.md, "Working time".
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import msgspec

from streams.trade.working_time import MONDAY_TO_FRIDAY, Calendar, Hours, check_hours

__all__ = ["CalendarError", "calendar_in", "load_calendar"]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_STRETCH = re.compile(r"(\d{2}):([0-5]\d)-(\d{2}):([0-5]\d)")
_FORMS = {
    "date": "a date without quotes, such as 2026-10-01",
    "array": 'a list in brackets, such as ["09:00-18:00"]; holidays begin with [[holiday]]',
    "object": "a table: [hours] on a line of its own, or [[holiday]] for each holiday",
}
_LONGEST_DAYS = 100  # a longer holiday is a year mistyped


class CalendarError(ValueError):
    """A calendar file cannot be used; says which file, which line or key of it, and what was expected."""


class _Hours(msgspec.Struct, forbid_unknown_fields=True):
    monday: list[str] = []
    tuesday: list[str] = []
    wednesday: list[str] = []
    thursday: list[str] = []
    friday: list[str] = []
    saturday: list[str] = []
    sunday: list[str] = []
    makeup: list[str] = []


class _Holiday(msgspec.Struct, forbid_unknown_fields=True):
    first: date
    last: date | None = None  # none: one day
    name: str = ""
    makeup: list[date] = []


class _File(msgspec.Struct, forbid_unknown_fields=True):
    time_zone: str = ""
    hours: _Hours | None = None
    holiday: list[_Holiday] = []
    makeup: list[date] = []  # days that belong to no holiday


def calendar_in(text: str, name: str, time_zone: str = "UTC") -> Calendar:
    """Read a calendar file's text.

    name      : what messages call the file
    time_zone : the zone where the file names none

    Raises CalendarError.
    """
    try:
        content = msgspec.convert(tomllib.loads(text), _File)
    except tomllib.TOMLDecodeError as error:
        raise CalendarError(
            f"{name}: expected TOML, got: {error}; times stand in quotes, dates stand bare (2026-10-01)"
        ) from None
    except msgspec.ValidationError as error:
        raise CalendarError(f"{name}: {_where(str(error))}") from None
    holidays, makeup = _days(content, name)
    week: Mapping[int, Hours] = MONDAY_TO_FRIDAY
    makeup_hours: Hours = ()
    if content.hours is not None:
        stated = content.hours
        week = {n: _hours(getattr(stated, day), f"{name}: hours.{day}") for n, day in enumerate(WEEKDAYS)}
        makeup_hours = _hours(stated.makeup, f"{name}: hours.makeup")
        if not any(week.values()):
            raise CalendarError(
                f"{name}: hours: expected hours of at least one of {', '.join(WEEKDAYS)}, got none; "
                "leave the table out for Monday to Friday, 09:00-18:00"
            )
    try:
        calendar = Calendar(content.time_zone or time_zone, week, holidays, makeup, makeup_hours)
    except ValueError as error:
        raise CalendarError(f"{name}: time_zone: {error}") from None
    try:
        calendar.check()
    except ValueError as error:
        raise CalendarError(f"{name}: holiday: {error}") from None
    return calendar


def load_calendar(file: Path, time_zone: str = "UTC") -> Calendar:
    """Read a calendar file. Raises CalendarError."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CalendarError(f"{file}: expected a calendar file in UTF-8, got: {error}") from None
    return calendar_in(text, str(file), time_zone)


def _where(told: str) -> str:
    """A fault of msgspec's with the key in front, as it stands in the file."""
    what, _, path = told.partition(" - at `$")
    key = path.rstrip("`").lstrip(".") or "the file"
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    if unknown:
        kind = _File if key == "the file" else _Hours if key == "hours" else _Holiday
        known = ", ".join(kind.__struct_fields__)
        return f"{key}: expected keys among {known}, got {unknown[1]}; correct it or take it out"
    if "missing required field" in what:
        return f"{key}: expected the key first, a date such as 2026-10-01, got none; write it"
    wanted = "a text in quotes"
    for word, form in _FORMS.items():
        if word in what.split(", got")[0]:
            wanted = form
    return f"{key}: {what[0].lower()}{what[1:]}; write {wanted}"


def _days(content: _File, name: str) -> tuple[frozenset[date], frozenset[date]]:
    """Days off and days worked instead; CalendarError where a day is both or a stretch is no stretch."""
    off: set[date] = set()
    worked = {day: f"makeup[{n}]" for n, day in enumerate(content.makeup)}
    for n, holiday in enumerate(content.holiday):
        key = f"{name}: holiday[{n}]{f' ({holiday.name})' if holiday.name else ''}"
        last = holiday.last or holiday.first
        length = (last - holiday.first).days + 1
        if not 1 <= length <= _LONGEST_DAYS:
            raise CalendarError(
                f"{key}.last: expected a day from {holiday.first} on, at most {_LONGEST_DAYS} days later, "
                f"got {last}; correct the year or the order"
            )
        off.update(holiday.first + timedelta(days=ahead) for ahead in range(length))
        worked.update({day: f"holiday[{n}].makeup[{k}]" for k, day in enumerate(holiday.makeup)})
    for day, key in worked.items():
        if day in off:
            raise CalendarError(
                f"{name}: {key}: expected a day outside of all holidays, got {day}; "
                "take it out here or shorten the holiday"
            )
    return frozenset(off), frozenset(worked)


def _hours(stretches: list[str], key: str) -> Hours:
    """Hours of a day from texts such as 09:00-18:00."""
    found = []
    for n, text in enumerate(stretches):
        match = _STRETCH.fullmatch(text)
        if match is None:
            raise CalendarError(f'{key}[{n}]: expected hours as "09:00-18:00", got {text!r}; write them so')
        a, b, c, d = map(int, match.groups())
        found.append((a * 60 + b, c * 60 + d))
    hours = tuple(found)
    try:
        check_hours(hours)
    except ValueError as error:
        raise CalendarError(
            f"{key}: {error}; where work goes over midnight, give each day its part"
        ) from None
    return hours
