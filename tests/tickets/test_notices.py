"""What the customer is told: from the ticket's facts, in both languages, and nothing before a person approves."""

from __future__ import annotations

from dataclasses import replace as with_facts
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.trade.book import Book, Refused
from streams.trade.money_words import MONEY, credit_word
from streams.trade.mutes import Mute, MuteKind
from streams.trade.notice_words import SITUATIONS, Facts, Signature, message, sms_parts
from streams.trade.notices import CHANNELS, approve, draft, explain_before_bill, sent, unannounced
from streams.trade.roles import Actor, Role
from streams.trade.rules import Rules
from streams.trade.settlement import Credit, CreditState, NoticeState
from streams.trade.tickets import Purpose, Swap, Ticket
from tests.tickets.tools import DAY, HOUR, NOON, MemoryStore, golden

ANN = Actor("ann", Role.OPERATOR)
CREDIT = Credit(
    revision=1, state=CreditState.APPROVED, method="history_mean_days", quantity=243.7, unit="m3",
    amount=Decimal("646.81"), currency="CNY", reason="r", proposed_by="a", proposed_ns=NOON, second_person=True,
)  # fmt: skip
SWAP = Swap(
    old_serial="A1", new_serial="B2", stop_read=449.0, start_read=0.0, unit="m3", at="2012-06-18T02:00:00Z"
)


def facts(**fields: object) -> Facts:
    (ticket,) = MemoryStore().take(golden())
    ticket = replace(ticket, **({"credit": CREDIT, "swap": SWAP} | fields))
    return Facts(ticket, "Asia/Shanghai", "和安燃气", "96777", NOON, NOON + 6 * HOUR, "管道检修")


def drafted(situation: str = "usage_rise", **fields: object) -> tuple[Book, Ticket]:
    book = Book()
    return book, draft(book, situation, facts(**fields), "ann", NOON)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_situation_has_both_texts_and_fits_one_sms(situation: str) -> None:
    zh, en = (message(situation, facts(), language) for language in ("zh", "en"))
    assert all(MONEY[situation])
    assert zh.text.startswith("尊敬的用户：您好！")
    assert zh.text.endswith("\n和安燃气")
    assert "96777" in zh.text
    assert zh.sms.startswith("【和安燃气】")
    assert (zh.sms_parts, len(zh.sms) <= 70) == (1, True)
    assert en.text.startswith("Dear customer, ")
    company = with_facts(facts(), company="Hean Gas")
    assert message(situation, company, "en").sms_parts <= 2
    for code in ("_", "None", "kW.h", "{", "m3，"):
        assert code not in zh.text + en.text


def test_the_figures_are_the_tickets() -> None:
    zh, en = (message("usage_rise", facts(), language) for language in ("zh", "en"))
    assert "2012年4月10日至2012年6月10日273立方米，以往同样天数约29.3立方米" in zh.text
    assert "from 10 April 2012 to 10 June 2012: 273 m³; usual for as many days: 29.3 m³" in en.text
    without = message("usage_rise", facts(estimate=None), "zh").text
    assert "您户的用气量近期明显上升。" in without


def test_a_zone_that_nobody_knows_is_utc() -> None:
    assert (
        "2012年4月10日至2012年6月10日"
        in message("usage_rise", with_facts(facts(), tz="Mars/Base"), "zh").text
    )


def test_a_swap_is_told_with_both_reads() -> None:
    zh, en = (message("meter_swapped", facts(), language).text for language in ("zh", "en"))
    assert "2012年6月18日更换。旧表（表号A1）止码449立方米，新表（表号B2）起码0立方米" in zh
    assert "Stop read of the old meter (A1): 449 m³. Start read of the new meter (B2): 0 m³." in en


def test_a_credit_is_told_with_amount_and_method() -> None:
    zh, en = (message("credit_approved", facts(), language).text for language in ("zh", "en"))
    assert "涉及用气量243.7立方米，按您户以往日均用量核算，应退气费646.81元" in zh
    assert "The credit is CNY 646.81, worked out from your average daily use in the past." in en


@pytest.mark.parametrize(
    ("commodity", "quantity", "amount", "told"),
    [
        ("gas", 243.7, None, "应补气243.7立方米，将补入您的账户"),
        ("gas", -29.3, Decimal("-77.06"), "应补收气费77.06元"),
        ("water", 10.0, Decimal("50.00"), "应退水费50.00元"),
        ("electricity", 10.0, None, "应退补电量10立方米"),
        ("electricity", -10.0, Decimal("-4.80"), "应补收电费4.80元"),
        ("heat", None, Decimal("9.90"), "应退热费9.90元"),
    ],
)
def test_back_or_to_be_charged_in_the_words_of_the_trade(
    commodity: str, quantity: float | None, amount: Decimal | None, told: str
) -> None:
    credit = replace(CREDIT, quantity=quantity, amount=amount, currency="CNY" if amount else "")
    assert told in message("credit_approved", facts(commodity=commodity, credit=credit), "zh").text


def test_words_of_credits() -> None:
    assert credit_word("gas", True, True, "zh") == "补气"
    assert credit_word("water", True, False, "zh") == "退水费"
    assert credit_word("electricity", True, True, "zh") == "退补电量"
    assert credit_word("gas", False, False, "en") == "additional charge"


def test_a_gas_leak_says_what_to_do_at_once_and_a_water_leak_does_not() -> None:
    assert "关闭阀门、开窗通风，不要开关电器" in message("leak_check", facts(), "zh").text
    assert "燃气" not in message("leak_check", replace_commodity("water"), "zh").sms.replace("和安燃气", "")
    assert "水龙头、马桶及管道" in message("leak_check", replace_commodity("water"), "zh").text


def replace_commodity(commodity: str) -> Facts:
    return facts(commodity=commodity)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("气" * 70, 1),
        ("气" * 71, 2),
        ("气" * 134, 2),
        ("气" * 135, 3),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 70 + "³", 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("", 1),
    ],
)
def test_parts_of_an_sms(text: str, parts: int) -> None:
    assert sms_parts(text) == parts


@given(st.text(max_size=400), st.text(max_size=50))
def test_more_text_is_never_fewer_parts(text: str, more: str) -> None:
    assert sms_parts(text) <= sms_parts(text + more)


def test_drafted_approved_sent() -> None:
    book, ticket = drafted()
    (notice,) = ticket.notices
    assert (notice.number, notice.state, notice.drafted_by) == (1, NoticeState.DRAFT, "ann")
    assert book.events == []
    with pytest.raises(Refused, match="message that is approved, got one that is draft"):
        sent(book, ticket, 1, "webhook", NOON)
    ticket = approve(book, ticket, 1, ANN, NOON + HOUR)
    (told,) = book.events
    assert told.type == "notice_approved"
    assert told.data["ticket"]["notices"][0]["zh"]["text"] == notice.zh.text
    with pytest.raises(Refused, match="message that is draft, got one that is approved"):
        approve(book, ticket, 1, ANN, NOON)
    ticket = sent(book, ticket, 1, "webhook", NOON + DAY, channel="phone")
    (notice,) = ticket.notices
    assert (notice.state, notice.sent_by, notice.sent_ns) == (NoticeState.SENT, "webhook", NOON + DAY)
    assert (notice.channel, notice.approved_by) == ("phone", "ann")
    assert [line.action for _, line in book.history] == ["notice_drafted", "notice_approved", "notice_sent"]


def test_a_new_draft_takes_the_place_of_the_old_under_a_new_number() -> None:
    book, ticket = drafted()
    own = {"zh": ("您好，请查收。", "请查收")}
    ticket = draft(book, "usage_rise", with_facts(facts(), ticket=ticket), "bob", NOON, written=own)
    (notice,) = ticket.notices
    assert (notice.number, notice.zh.text, notice.zh.sms_parts) == (2, "您好，请查收。", 1)
    assert notice.en.text.startswith("Dear customer")
    with pytest.raises(Refused, match="expected the number of a message of this ticket, got 1"):
        approve(book, ticket, 1, ANN, NOON)
    ticket = approve(book, ticket, 2, ANN, NOON)
    ticket = draft(book, "usage_rise", with_facts(facts(), ticket=ticket), "bob", NOON)
    assert [n.number for n in ticket.notices] == [2, 3]


def test_nobody_but_staff_approves() -> None:
    book, ticket = drafted()
    for actor in (Actor("aud", Role.AUDITOR), Actor("crm", Role.COMPLAINTS), Actor("forestall", Role.ADMIN)):
        with pytest.raises(Refused, match="a person of the staff"):
            approve(book, ticket, 1, actor, NOON)
    _, drill = drafted(drill=True)
    with pytest.raises(Refused, match="got a drill"):
        approve(book, drill, 1, ANN, NOON)


def test_a_swap_that_was_told_is_noted_on_the_swap() -> None:
    book, ticket = drafted("meter_swapped")
    ticket = sent(book, approve(book, ticket, 1, ANN, NOON), 1, "ann", NOON + 5)
    assert ticket.swap is not None
    assert ticket.swap.told_ns == NOON + 5


@pytest.mark.parametrize(
    ("situation", "fields", "told"),
    [
        ("greeting", {}, "expected one of usage_rise"),
        ("meter_swapped", {"swap": None}, "stop and start reads"),
        ("credit_approved", {"credit": None}, "expected an approved credit"),
        ("credit_approved", {"credit": replace(CREDIT, state=CreditState.PROPOSED)}, "an approved credit"),
        ("meter_fine", {"verdict": "confirmed"}, "got the verdict confirmed"),
    ],
)
def test_what_is_not_so_is_not_said(situation: str, fields: dict[str, object], told: str) -> None:
    with pytest.raises(Refused, match=told):
        drafted(situation, **fields)


def test_an_outage_needs_its_times_and_a_channel_its_name() -> None:
    with pytest.raises(Refused, match="when the outage begins and when it ends"):
        draft(Book(), "planned_outage", with_facts(facts(), end_ns=None), "ann", NOON)
    with pytest.raises(Refused, match="expected one of sms, phone"):
        draft(Book(), "usage_rise", facts(), "ann", NOON, channel="pigeon")
    with pytest.raises(Refused, match="expected a text in zh"):
        draft(Book(), "usage_rise", facts(), "ann", NOON, written={"zh": (" ", "")})
    assert all(all(MONEY[channel]) for channel in CHANNELS)


def test_an_explain_ticket_has_its_message_from_the_beginning() -> None:
    store, rules = MemoryStore(), Rules(signature=Signature("和安燃气", "96777"))
    shock = golden(kind="bill_shock", place={"tz": "Asia/Shanghai"})
    store.take(shock, rules=rules)
    (ticket,) = store.tickets.values()
    (notice,) = ticket.notices
    assert (notice.situation, notice.state, notice.drafted_by) == ("real_use", NoticeState.DRAFT, "forestall")
    assert "2012年4月10日至2012年6月10日273立方米" in notice.zh.text
    assert notice.zh.sms.startswith("【和安燃气】")
    assert [event.type for event in store.events] == ["opened"]  # a draft is told to nobody


def test_an_explain_ticket_has_its_message_once() -> None:
    book, signature = Book(), Signature()
    ticket = explain_before_bill(book, facts(purpose=Purpose.EXPLAIN).ticket, signature, NOON)
    assert len(ticket.notices) == 1
    assert explain_before_bill(book, ticket, signature, NOON) is ticket
    for other in (facts().ticket, facts(purpose=Purpose.EXPLAIN, drill=True).ticket):
        assert explain_before_bill(book, other, signature, NOON) is other
    assert len(book.history) == 1


def outage(name: str, start: int, notice: int | None, kind: MuteKind = MuteKind.PLANNED_OUTAGE) -> Mute:
    return Mute(
        id=name, kind=kind, place="area/A", start_ns=start, end_ns=start + 6 * HOUR, reason="r", by="ann",
        created_ns=NOON, notice_ns=notice,
    )  # fmt: skip


def test_outages_that_nobody_was_told_of_in_time() -> None:
    mutes = [
        outage("told", NOON + 20 * HOUR, NOON - 5 * HOUR),
        outage("late", NOON + 20 * HOUR, NOON - 3 * HOUR),
        outage("never", NOON + 2 * HOUR, None),
        outage("running", NOON - HOUR, None),
        outage("over", NOON - 7 * HOUR, None),
        outage("there is time", NOON + 30 * HOUR, None),
        outage("vacant", NOON + HOUR, None, MuteKind.VACANCY),
    ]
    assert [mute.id for mute in unannounced(mutes, NOON)] == ["running", "never", "late"]
    assert [mute.id for mute in unannounced(mutes, NOON, 48)][-1] == "there is time"
