"""The calendar file: what it says, and what is said of a bad one."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from streams.programs import policies
from streams.programs.explain_config import explain
from streams.settings import ConfigError, load
from streams.trade.calendar_file import CalendarError, calendar_in, load_calendar
from streams.trade.working_time import Calendar

CHINA = Path(__file__).parents[2] / "deploy" / "calendars" / "china-2026.toml"
GOOD = """
time_zone = "Europe/Madrid"
makeup = [2026-12-26]
[hours]
monday = ["09:00-12:00", "13:30-18:00"]
friday = ["22:00-24:00"]
makeup = ["10:00-14:00"]
[[holiday]]
name = "fair"
first = 2026-08-03
"""


def test_a_file_says_zone_hours_holidays_and_make_up_days() -> None:
    made = calendar_in(GOOD, "calendar.toml")
    assert (made.tz, made.makeup_hours) == ("Europe/Madrid", ((600, 840),))
    assert {day: h for day, h in made.week.items() if h} == {0: ((540, 720), (810, 1080)), 4: ((1320, 1440),)}
    assert made.holidays == frozenset({date(2026, 8, 3)})
    assert made.makeup == frozenset({date(2026, 12, 26)})


def test_an_empty_file_is_the_default_in_the_zone_of_the_setting() -> None:
    assert calendar_in("", "calendar.toml", "Asia/Shanghai") == Calendar("Asia/Shanghai")


def test_the_chinese_year_has_33_days_off_and_six_worked_instead() -> None:
    china = load_calendar(CHINA)
    assert (len(china.holidays), len(china.makeup)) == (33, 6)
    assert all(day.weekday() >= 5 and china.works(day) for day in china.makeup)
    year = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    weekdays = sum(day.weekday() < 5 for day in year)
    off = sum(day.weekday() < 5 for day in china.holidays)
    assert sum(map(china.works, year)) == weekdays - off + 6 == 248


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[hours\n", "expected TOML, got: .*line 1.*times stand in quotes"),
        ("[hours]\nmonday = 09:00-18:00", "expected TOML, got: .*line 2"),
        ("zone = 'UTC'", "the file: expected keys among time_zone, hours, holiday, makeup, got zone; correct it"),
        ("[hours]\nmoday = []", "hours: expected keys among monday, .*, makeup, got moday"),
        ("[[holiday]]\nfrist = 2026-01-01", r"holiday\[0\]: expected keys among first, last, .* got frist"),
        ("[[holiday]]\nname = 'x'", r"holiday\[0\]: expected the key first, a date .* got none; write it"),
        ("[[holiday]]\nfirst = 20260101", r"holiday\[0\].first: expected `date`, got `int`; write a date without"),
        ("[[holiday]]\nfirst = 'soon'", r"holiday\[0\].first: .*date.*; write a date without"),
        ("[hours]\nmonday = '09:00-18:00'", r"hours.monday: expected `array`, got `str`; write .* in brackets"),
        ("[hours]\nmonday = ['9-18']", r"hours.monday\[0\]: expected hours as \"09:00-18:00\", got '9-18'; write"),
        ("[hours]\nmonday = ['18:00-09:00']", "hours.monday: expected stretches within .* got 18:00-09:00; where"),
        ("[hours]\nmonday = ['09:00-25:00']", "hours.monday: expected stretches within .* got 09:00-25:00"),
        ("[hours]\nmonday = ['09:00-12:00', '11:00-13:00']", "got 09:00-12:00, 11:00-13:00"),
        ("[hours]\nmakeup = ['09:00-12:00']", "hours: expected hours of at least one of monday, .* got none; leave"),
        ("time_zone = 'Beijing'", "time_zone: expected a time zone of the IANA database .* got 'Beijing'"),
        (
            "[[holiday]]\nname = 'x'\nfirst = 2026-10-07\nlast = 2026-10-01",
            r"holiday\[0\] \(x\).last: expected a day from 2026-10-07 on, .* got 2026-10-01; correct the year",
        ),
        ("[[holiday]]\nfirst = 2026-10-07\nlast = 2027-10-01", r"holiday\[0\].last: .* at most 100 days"),
        (
            "[[holiday]]\nfirst = 2026-10-07\nmakeup = [2026-10-10, 2026-10-07]",
            r"holiday\[0\].makeup\[1\]: expected a day outside of all holidays, got 2026-10-07; take it out",
        ),
        ("makeup = [2026-10-07]\n[[holiday]]\nfirst = 2026-10-07", r"makeup\[0\]: expected a day outside"),
        (
            "".join(f"[[holiday]]\nfirst = 20{y}-{m}-01\nlast = 20{y}-{m}-{d}\n" for y in (26, 27) for m, d in
                    zip(("01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"),
                        (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True)),
            "holiday: expected a working day within a year after 2026-01-01, got none: check the holidays",
        ),
    ],
)  # fmt: skip
def test_a_bad_file_is_told_by_its_key(text: str, told: str) -> None:
    with pytest.raises(CalendarError, match=rf"^calendar\.toml: (?s:.*){told}"):
        calendar_in(text, "calendar.toml")


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "calendar.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(CalendarError, match="expected a calendar file in UTF-8"):
        load_calendar(file)


def test_the_configuration_names_the_calendar(tmp_path: Path) -> None:
    config = tmp_path / "forestall.toml"
    config.write_text(f'[tickets]\ncalendar = "{CHINA}"\n')
    settings = load(config)
    calendar = policies.rules(settings).targets.calendar
    assert calendar == load_calendar(CHINA)
    told = f"{CHINA}, Asia/Shanghai: 33 holidays, 6 make-up days; the last day that it names is 2026-10-10"
    assert told in explain(settings, calendar)

    config.write_text('[tickets]\ntime_zone = "Asia/Shanghai"\n')
    settings = load(config)
    calendar = policies.rules(settings).targets.calendar
    assert calendar == Calendar("Asia/Shanghai")
    assert "Monday to Friday, 09:00-18:00 Asia/Shanghai, no holidays" in explain(settings, calendar)


def test_a_configuration_with_a_bad_calendar_is_refused(tmp_path: Path) -> None:
    config, calendar = tmp_path / "forestall.toml", tmp_path / "calendar.toml"
    config.write_text('[tickets]\ntime_zone = "Beijing"\n')
    with pytest.raises(ConfigError, match=r"tickets.time_zone: expected a time zone of the IANA database"):
        load(config)
    config.write_text(f'[tickets]\ncalendar = "{calendar}"\n')
    with pytest.raises(
        ConfigError, match=r"tickets.calendar: expected a file at .*calendar.toml, there is none"
    ):
        load(config)
    calendar.write_text("[hours]\nmonday = ['9']\n")
    with pytest.raises(
        ConfigError, match=r"tickets.calendar: .*calendar.toml: hours.monday\[0\]: expected hours"
    ):
        policies.rules(load(config))
