"""A gas flow that never stops: an emergency at once, a caller who smells gas, and nobody who acknowledges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.stories.site import OPERATOR, Fields, Utility, iso

POINT = "sp-chen"
#: cooking and hot water [m³ an hour]
DAY = [0.0] * 6 + [0.25, 0.125] + [0.0] * 9 + [0.25, 0.25] + [0.0] * 5
DAYS = 42
LEAK = 0.03
HOURS = 37  # a home that rests twenty hours a day is told of after 36


def test_a_flow_that_never_stops(utility: Utility) -> None:
    start = datetime.combine(utility.now.date() - timedelta(days=DAYS), datetime.min.time(), UTC)
    utility.not_before(start + timedelta(days=DAYS, hours=HOURS, minutes=1))
    amounts = DAY * DAYS + [use + LEAK for use in DAY * 2][:HOURS]
    utility.send(
        [
            {"meter_id": "chen", "time": iso(start + timedelta(hours=hour)), "value": amount}
            for hour, amount in enumerate(amounts, 1)
        ]
    )
    ticket = utility.opened(POINT, family="leak")
    number = ticket["id"]
    assert (ticket["category"], ticket["urgency"], ticket["priority"]) == ("safety", "emergency", "P1")
    assert ticket["owner_department"] == "emergency_repair"
    (opened, *_) = utility.heard(number)
    assert opened["type"] == "forestall.ticket.opened.v1"
    assert opened["data"]["ticket"]["priority"] == "P1"
    (subject, *_) = utility.mails(number)
    assert "【紧急】" in subject

    utility.later(minutes=3)
    called = utility.complain(
        service_point=POINT, name="陈女士", phone="13700005678", matter="厨房有煤气味，请尽快来人"
    )
    complaint, answer = called["complaint"], called["answer"]
    assert (complaint["ticket_id"], complaint["subject"], complaint["urgency"]) == (
        number,
        "gas_leak",
        "emergency",
    )
    assert (complaint["outcome"], complaint["lead_time_s"]) == ("known", 180.0)
    assert answer["situation"] == "emergency"
    assert any("119" in line for line in [answer["say"], *answer["safety"]])
    assert utility.ticket(number)["escalated"] is False
    before = len(utility.mails(number))

    utility.later(minutes=3)
    ticket = utility.becomes(number, "is escalated", lambda one: bool(one["escalated"]))
    (line,) = [line for line in ticket["history"] if line["action"] == "overdue"]
    assert (line["actor"], line["note"]) == ("forestall", "acknowledge")
    assert len(utility.mails(number)) > before

    told = utility.work(OPERATOR, number, "move", to="investigating", note="抢修人员已出发")
    assert told["first_owner"] == OPERATOR
    step = _check(told, "leak_test")
    utility.work(OPERATOR, number, f"checks/{step}", result="灶前阀接头漏气，已更换", finding="positive")
    utility.work(OPERATOR, number, "move", to="implemented", resolution="repair", responsibility="company")
    closed = utility.work(
        OPERATOR, number, "move", to="closed", verdict="confirmed", archive_class="leak", satisfied=True,
        signed="现场签字",
    )  # fmt: skip
    assert (closed["state"], closed["cause"]) == ("closed", "leak")
    pack = utility.pack(number, "zh")
    for words in ("灶前阀接头漏气，已更换", "安全管理类", "紧急", "泄漏"):
        assert words in pack, words
    assert utility.opened(POINT, family="leak")["id"] == number


def _check(ticket: Fields, check: str) -> int:
    (seq,) = (step["seq"] for step in ticket["steps"] if step["check"] == check)
    return int(seq)
