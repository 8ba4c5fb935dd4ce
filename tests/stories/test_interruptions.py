"""Interruptions of one line: the second in a year is escalated, the third asks for a study; one ticket of the line."""

from __future__ import annotations

from datetime import timedelta

from tests.stories.site import AUDITOR, Fields, Utility, iso

LINE = "line/L7"
MEMBERS = ("line-1", "line-2")
QUARTER = timedelta(minutes=15)
GONE = range(16, 19)  # quarters of an hour without supply
LAST = 21


def interruption(utility: Utility) -> None:
    """Five hours of a line's voltages, with no supply for three quarters of an hour in them."""
    start = utility.now.replace(minute=0, second=0, microsecond=0)
    utility.later(hours=6)
    utility.send(
        [
            {
                "meter_id": meter,
                "time": iso(start + quarter * QUARTER),
                "value": 0.0 if quarter in GONE else 221.0,
            }
            for quarter in range(LAST)
            for meter in MEMBERS
        ]
    )


def test_two_warn_and_three_ask_for_a_study(utility: Utility) -> None:
    interruption(utility)
    own = [utility.opened(f"sp-{meter}", "supply") for meter in MEMBERS]
    assert {one["kind"] for one in own} == {"outage"}
    assert {one["escalated"] for one in own} == {False}
    assert utility.tickets(LINE) == []

    utility.later(days=40)
    interruption(utility)
    ticket = utility.opened(LINE)
    number = ticket["id"]
    assert (ticket["category"], ticket["kind"], ticket["priority"]) == (
        "supply_quality",
        "repeated_outage",
        "P2",
    )
    assert ticket["escalated"] is True
    assert ticket["evidence"]["stage"] == "warning"
    assert ticket["group"] == LINE
    for one in own:
        merged = utility.becomes(one["id"], "is part of the line's", lambda found: found["state"] == "merged")
        assert merged["merged_into"] == number

    utility.later(days=40)
    interruption(utility)
    ticket = utility.becomes(number, "asks for a study", lambda one: one["evidence"].get("stage") == "study")
    assert ticket["evidence"]["outages_of_line"] == 3
    assert [one["id"] for one in utility.tickets(LINE)] == [number]
    assert [len(utility.tickets(f"sp-{meter}", "supply")) for meter in MEMBERS] == [1, 1]
    assert utility.heard(number)[0]["data"]["ticket"]["escalated"] is True

    tables = utility.report(iso(utility.now))
    (row,) = (row for row in tables["outages_by_line"] if row["line"] == "L7")
    assert (row["outages"], row["level"]) == (3, "study")
    _calls(utility, number)


def _calls(utility: Utility, number: str) -> None:
    """Whoever calls from the line hears of the line's ticket, and how often it has happened is in the pack."""
    called = utility.complain(
        service_point="sp-line-2", name="周先生", phone="13600007890", matter="又停电了，今年第三次"
    )
    complaint: Fields = called["complaint"]
    assert (complaint["ticket_id"], complaint["outcome"]) == (number, "known")
    assert utility.get(AUDITOR, f"/api/tickets/{number}")["complaints"] == 1
    assert "L7" in utility.pack(number, "zh")
