"""A bill that will shock, from the readings to the ticket: explained before it is billed, in both languages."""

from __future__ import annotations

import msgspec
import pytest

from detectors import BillShock, HighLow, Intervals
from streams.messages import Flag
from streams.trade.bill_run import advise
from streams.trade.notice_words import Signature
from streams.trade.rules import Rules
from streams.trade.settlement import NoticeState
from streams.trade.tickets import Purpose
from tests.bill_tools import METER, days, usual_until
from tests.streams_of_readings import DAY, HOUR, feed, instant, make_bank
from tests.tickets.tools import MemoryStore

CHINA = msgspec.structs.replace(
    METER, tz="Asia/Shanghai", commodity="gas", tariff="gas-residential", service_point_id="sp"
)
MIDNIGHT = instant("2022-12-31T16:00:00")  # there
RULES = Rules(signature=Signature("和安燃气", "96777"))


def flags(*detectors: BillShock | HighLow) -> list[Flag]:
    """0.5 m³ a day, and 5 m³ a day for twenty days from the bill day on."""
    rows = days([*usual_until("2023-07-10"), *[5.0] * 20, *[0.5] * 30], start=MIDNIGHT)
    found = feed(make_bank([CHINA], (Intervals(), *detectors)), rows).flags
    return [flag for flag in found if flag.family == "usage_high"]


def taken(said: list[Flag]) -> MemoryStore:
    store = MemoryStore()
    for one in said:
        store.take(one, now_ns=instant(one.at) + HOUR, rules=RULES)
    return store


def test_it_opens_a_ticket_to_explain_with_a_message_in_both_languages() -> None:
    raised = flags(BillShock())[0]
    store = taken([raised])
    (ticket,) = store.tickets.values()
    assert (ticket.kind, ticket.purpose, ticket.family) == ("bill_shock", Purpose.EXPLAIN, "usage_high")
    assert (ticket.category, ticket.urgency) == ("metering_billing", "normal")
    # What has been used in the period so far, and what is usual for as many days: not what will be.
    estimate = ticket.estimate
    assert estimate is not None
    assert (estimate.billed, estimate.expected, estimate.excess) == (40.0, 4.0, 36.0)
    (notice,) = ticket.notices
    assert (notice.situation, notice.state) == ("real_use", NoticeState.DRAFT)
    assert "（2023年7月10日至2023年7月18日40立方米，以往同样天数约4立方米）" in notice.zh.text
    assert "from 10 July 2023 to 18 July 2023: 40 m³; usual for as many days: 4 m³" in notice.en.text
    assert notice.zh.sms.startswith("【和安燃气】")
    # Three weeks before the bill run of 10 August: it goes out, and the customer knows.
    assert ticket.place["bill_day"] == 10
    assert advise(ticket)[0] == "send"


def test_it_ends_on_the_bill_day_and_the_ticket_stays_for_a_person() -> None:
    raised, cleared = flags(BillShock())
    store = taken([raised, cleared])
    (ticket,) = store.tickets.values()
    assert (instant(cleared.at) + 8 * HOUR) // DAY == instant("2023-08-11") // DAY
    assert ticket.open
    assert ticket.purpose is Purpose.EXPLAIN
    assert len(ticket.notices) == 1


def test_a_case_of_high_use_that_will_shock_stays_a_case() -> None:
    """What may be a fault is looked into: that its bill will shock is known beside it, and turns nothing round."""
    said = flags(HighLow(), BillShock())
    assert [(flag.status, flag.kind) for flag in said[:2]] == [
        ("raised", "high_usage"),
        ("updated", "bill_shock"),
    ]
    store = taken(said[:2])
    (ticket,) = store.tickets.values()
    assert ticket.purpose is Purpose.CASE
    assert ticket.kind == "bill_shock"
    assert ticket.notices == ()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_in_one_family_the_shock_names_the_episode(order: tuple[int, int]) -> None:
    from streams.state.episodes import Episodes, Found

    both = [
        Found(0, detector, kind, 1, 5, 5, 5, 1.0, 2.0, 1.0, {})
        for detector, kind in (("habit", "spike"), ("bill_shock", "bill_shock"))
    ]
    episodes = Episodes()
    said = [episodes.take(both[i], CHINA, "") for i in order]
    last = said[-1]
    assert last is not None
    assert (last.status, last.kind) == ("updated", "bill_shock")
