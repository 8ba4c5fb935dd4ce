"""A concentrator that falls silent with 500 meters: one ticket; where the outage is planned it waits for its end."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.stories.site import OPERATOR, Fields, Utility, iso

HEARD = 6  # hours in which all are heard
SILENT = 8  # … and in which only the others are
COUNT = 500
NEIGHBOURS = 100


def hours(area: str, network: str, start: datetime, first: int, last: int) -> list[Fields]:
    """Hourly readings, message by message; of the network's meters only in the first hours."""
    names = [f"{area}-{number}" for number in range(NEIGHBOURS)]
    silent = [f"{network}-{number}" for number in range(COUNT)]
    return [
        {
            "meter_id": [*names, *silent] if hour < HEARD else names,
            "time": iso(start + timedelta(hours=hour)),
            "value": 0.5,
        }
        for hour in range(first, last)
    ]


def falls_silent(utility: Utility, area: str, network: str) -> None:
    start = utility.now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HEARD)
    utility.send_columns(hours(area, network, start, 0, HEARD))
    utility.later(hours=SILENT)
    utility.send_columns(hours(area, network, start, HEARD, HEARD + SILENT))


def test_500_silent_meters_are_one_ticket(utility: Utility) -> None:
    falls_silent(utility, "north", "C1")
    ticket = utility.opened("concentrator/C1")
    number = ticket["id"]
    assert (ticket["kind"], ticket["group"]) == ("concentrator_silent", "concentrator/C1")
    assert (ticket["meter_count"], len(ticket["meters"])) == (COUNT, COUNT)
    assert (ticket["category"], ticket["priority"]) == ("install_repair", "P2")
    called = utility.complain(
        service_point="C1-77", name="郑先生", phone="13400001357", matter="家里电表没有读数，请核实"
    )
    assert called["answer"]["meter_id"] == "C1-77"
    assert [one["id"] for one in utility.tickets("concentrator/C1")] == [number]
    alone = [one for n in (0, 250, 499) for one in utility.tickets(f"C1-{n}") if one["state"] != "merged"]
    assert alone == []


def test_a_planned_outage_keeps_it_waiting_until_its_end(utility: Utility) -> None:
    end = utility.now + timedelta(hours=SILENT + 4)
    mute = utility.post(
        OPERATOR,
        "/api/mutes",
        201,
        kind="planned_outage",
        place="concentrator/C2",
        end=iso(end),
        reason="配电改造",
    )
    utility.post(OPERATOR, f"/api/mutes/{mute['id']}/notice")
    falls_silent(utility, "south", "C2")
    utility.until(lambda: len(_waiting(utility)) == 1, "the concentrator's flag to wait")
    (waits,) = _waiting(utility)
    assert waits["why"] == "planned_outage: 配电改造"
    assert utility.tickets("concentrator/C2") == []

    utility.not_before(end + timedelta(minutes=1))
    ticket = utility.opened("concentrator/C2")
    assert (ticket["meter_count"], ticket["priority"]) == (COUNT, "P2")
    assert _waiting(utility) == []


def _waiting(utility: Utility) -> list[Fields]:
    found = utility.get(OPERATOR, "/api/muted-flags", limit=500)["items"]
    return [
        one for one in found if one["kind"] == "concentrator_silent" and one["meter_id"].startswith("C2-")
    ]
