"""Money by the API, through a real server on both databases: two users, a limit, a history, a tariff file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from connectors.store import Store
from tests.tickets.money_tools import Client, talking


def test_the_golden_case_from_estimate_to_booking(money_store: Store, tmp_path: Path) -> None:
    async def talk(api: Client) -> None:
        found = (await api.get("estimates")).json()
        assert (found["billed"], found["unit"], found["used_before"]) == (273.0, "m3", "48.1")
        assert (found["billed_money"], found["currency"]) == ("723.87", "CNY")
        assert (found["start"], found["end"]) == ("2012-04-10T00:00:00Z", "2012-06-10T00:00:00Z")
        methods = {one["method"]: one for one in found["items"]}
        first = methods["history_mean_days"]["estimate"]
        assert (first["expected"], first["excess"], first["money"]["amount"]) == (29.3, 243.7, "646.81")
        assert methods["after_swap_mean"]["why_not"] == "no_swap"

        proposed = await api.post("credit", method="history_mean_days", reason="检定不合格", seen=0)
        assert proposed.status_code == 200
        credit = proposed.json()["credit"]
        assert (credit["state"], credit["amount"], credit["quantity"]) == ("proposed", "646.81", 243.7)
        assert (credit["proposed_by"], credit["proposed_at"]) == ("ann", "2026-06-01T12:00:00.000Z")
        assert len(proposed.json()["estimates"]) == 3

        own = await api.post("credit/approve", revision=1)
        assert own.status_code == 409
        assert "somebody other than ann" in own.json()["expected"]
        assert (await api.post("credit/approve", "olga", revision=1)).status_code == 403
        approved = await api.post("credit/approve", "bob", revision=1, note="同意")
        assert approved.json()["credit"]["state"] == "approved"
        booked = await api.post("credit/booked", revision=1, reference="CIS-4711")
        assert booked.json()["credit"]["reference"] == "CIS-4711"
        assert [line["action"] for line in booked.json()["history"]] == [
            "opened", "credit_proposed", "credit_approved", "credit_booked",
        ]  # fmt: skip
        again = await api.post("credit", method="history_mean_days", reason="twice")
        assert again.status_code == 409

    talking(money_store, tmp_path, talk)
    log = [(row.actor, row.action, row.reason) for row in reversed(money_store.audit_log())]
    assert log == [
        ("ann", "ticket.propose_credit", "检定不合格"),
        ("bob", "ticket.approve_credit", "同意"),
        ("ann", "ticket.book_credit", "CIS-4711"),
    ]
    assert money_store.verify_audit().faults == ()


def test_of_two_approvals_at_once_one_counts(money_store: Store, tmp_path: Path) -> None:
    async def talk(api: Client) -> None:
        assert (await api.post("credit", method="history_mean_days", reason="r")).status_code == 200
        answers = await asyncio.gather(*(api.post("credit/approve", "bob", revision=1) for _ in range(6)))
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
        detail = answers[0].json() if answers[0].status_code == 200 else None
        found = detail or next(a for a in answers if a.status_code == 200).json()
        assert [line["action"] for line in found["history"]].count("credit_approved") == 1

    talking(money_store, tmp_path, talk)
    assert [row.action for row in money_store.audit_log()].count("ticket.approve_credit") == 1


def test_an_amount_of_ones_own(money_store: Store, tmp_path: Path) -> None:
    async def talk(api: Client) -> None:
        small = await api.post("credit", method="own", amount="499.99", currency="CNY", reason="goodwill")
        assert small.json()["credit"]["state"] == "approved"
        assert small.json()["credit"]["second_person"] is False
        more = await api.post("credit", method="own", quantity=100, reason="agreed", seen=1)
        credit = more.json()["credit"]
        # 273 m³ cost 723.87; the last 11.1 of them 3.16 each: 100 m³ less is 268.88
        assert (credit["amount"], credit["state"], credit["revision"]) == ("268.88", "proposed", 2)
        kind = await api.post("credit", method="own", quantity=100, in_kind=True, reason="补气")
        assert (kind.json()["credit"]["amount"], kind.json()["credit"]["state"]) == (None, "proposed")
        for body, status in (
            ({"method": "own", "amount": "723.88", "currency": "CNY", "reason": "r"}, 409),
            ({"method": "own", "quantity": 273.1, "reason": "r"}, 409),
            ({"method": "own", "reason": "r"}, 409),
            ({"method": "own", "amount": "1", "currency": "CNY", "reason": "r", "seen": 1}, 409),
            ({"method": "after_swap_mean", "reason": "r"}, 409),
            ({"method": "guess", "reason": "r"}, 409),
            ({"method": "history_mean_days", "quantity": 5, "reason": "r"}, 409),
            ({"method": "own", "amount": "1e400", "currency": "CNY", "reason": "r"}, 422),
            ({"method": "own", "amount": "NaN", "currency": "CNY", "reason": "r"}, 422),
            ({"method": "own", "amount": "1.23456", "currency": "CNY", "reason": "r"}, 422),
            ({"method": "own", "amount": "1", "currency": "yuan", "reason": "r"}, 422),
            ({"method": "own", "amount": "1", "currency": "CNY"}, 422),
            ({"method": "own", "amount": "1", "currency": "CNY", "reason": ""}, 422),
        ):
            answer = await api.post("credit", **body)
            assert (answer.status_code, body) == (status, body)
            assert answer.json()["expected"]

    talking(money_store, tmp_path, talk)


def test_who_may_not_gets_nothing(money_store: Store, tmp_path: Path) -> None:
    async def talk(api: Client) -> None:
        for who, status in (("", 401), ("olga", 403), ("crm", 403)):
            assert (await api.get("estimates", who)).status_code == status
            assert (await api.get("bill-run", who, date="2026-06-30")).status_code == status
            for path, body in (
                ("credit", {"method": "history_mean_days", "reason": "r"}),
                ("credit/approve", {"revision": 1}),
                ("credit/refuse", {"revision": 1, "reason": "r"}),
                ("credit/booked", {"revision": 1, "reference": "r"}),
                ("bill-hold", {"hold": True, "reason": "r"}),
            ):
                assert (await api.post(path, who, **body)).status_code == status
        assert (await api.post("notices", "crm", situation="usage_rise")).status_code == 403
        api.ticket = "FS-NONE"
        assert (await api.get("estimates")).status_code == 404
        assert (await api.post("bill-hold", hold=True, reason="r")).status_code == 404

    talking(money_store, tmp_path, talk)
    assert money_store.audit_log() == []


def test_a_refused_credit_and_a_bill_on_hold(money_store: Store, tmp_path: Path) -> None:
    async def talk(api: Client) -> None:
        await api.post("credit", method="history_mean_days", reason="r")
        refused = await api.post("credit/refuse", "bob", revision=1, reason="缺检定报告")
        assert refused.json()["credit"]["decision"] == "缺检定报告"
        held = await api.post("bill-hold", hold=True, reason="用户质疑用量")
        assert held.json()["bill_hold"] is True
        assert (await api.post("bill-hold", hold=True, reason="again")).status_code == 409
        assert (await api.post("bill-hold", "bob", hold=False, reason="已核实")).json()["bill_hold"] is False

    talking(money_store, tmp_path, talk)


def test_a_further_credit_is_for_another_period_and_counts_with_the_first(
    money_store: Store, tmp_path: Path
) -> None:
    before = {"start": "2012-01-01T00:00:00Z", "end": "2012-04-10T00:00:00Z"}

    async def talk(api: Client) -> None:
        await api.post("credit", method="own", amount="400", currency="CNY", reason="首期")
        await api.post("credit/booked", revision=1, reference="CIS-1")
        own = {"method": "own", "currency": "CNY", "reason": "r"}
        again = await api.post("credit", amount="1", **own)
        assert again.status_code == 409
        assert "2012-04-10 to 2012-06-10" in again.json()["got"]
        second = (await api.post("credit", amount="100.01", **own, **before)).json()
        assert (second["credit"]["state"], second["credit"]["second_person"]) == ("proposed", True)
        assert (await api.post("credit/approve", revision=2)).status_code == 409
        assert (await api.post("credit/approve", "bob", revision=1)).status_code == 409
        assert (await api.post("credit/approve", "bob", revision=2)).status_code == 200
        booked = (await api.post("credit/booked", revision=2, reference="CIS-2")).json()
        assert booked["credit"]["reference"] == "CIS-2"
        (first,) = booked["earlier_credits"]
        assert (first["reference"], first["start_at"]) == ("CIS-1", "2012-04-10T00:00:00.000Z")
        assert booked["credit_sums"] == [
            {"count": 2, "amount": "500.01", "currency": "CNY", "quantity": None, "unit": ""}
        ]
        # the ticket's own estimate is of its own period still
        assert booked["estimate"]["excess"] == 243.7

    talking(money_store, tmp_path, talk)
    assert [row.action for row in money_store.audit_log()] == [
        "ticket.book_credit", "ticket.approve_credit", "ticket.propose_credit",
        "ticket.book_credit", "ticket.propose_credit",
    ]  # fmt: skip


def test_staff_may_name_the_period(money_store: Store, tmp_path: Path) -> None:
    async def talk(api: Client) -> None:
        found = await api.get("estimates", start="2011-05-01T00:00:00Z", end="2011-07-01T00:00:00Z")
        assert found.json()["billed"] == pytest.approx(176 / 366 * 61)
        for query in (
            {"start": "2011-05-01T00:00:00Z"},
            {"start": "2011-05-01T00:00:00", "end": "2011-07-01T00:00:00"},
            {"start": "2011-07-01T00:00:00Z", "end": "2011-05-01T00:00:00Z"},
            {"start": "1911-07-01T00:00:00Z", "end": "2011-05-01T00:00:00Z"},
            {"start": "yesterday", "end": "2011-05-01T00:00:00Z"},
        ):
            answer = await api.get("estimates", **query)
            assert answer.status_code == 422
            assert answer.json()["action"]

    talking(money_store, tmp_path, talk)


def test_a_message_from_draft_to_sent(money_store: Store, tmp_path: Path) -> None:
    async def talk(api: Client) -> None:
        drafted = await api.post("notices", "olga", situation="usage_rise")
        (notice,) = drafted.json()["notices"]
        assert (notice["number"], notice["state"], notice["drafted_by"]) == (1, "draft", "olga")
        assert notice["zh"]["text"].endswith("96777。感谢您的理解与配合。\n和安燃气")
        assert notice["zh"]["sms_parts"] == 1
        own = {"text": "您好，请核对读数。", "sms": "请核对读数"}
        (notice,) = (await api.post("notices", "olga", situation="usage_rise", zh=own)).json()["notices"]
        assert (notice["number"], notice["zh"]["text"]) == (2, "您好，请核对读数。")
        assert (await api.post("notices/1/approve", "olga")).status_code == 409
        assert (await api.post("notices/2/sent", "olga")).status_code == 409
        approved = (await api.post("notices/2/approve", "ann")).json()["notices"][0]
        assert (approved["state"], approved["approved_by"]) == ("approved", "ann")
        sent = (await api.post("notices/2/sent", "olga", channel="phone")).json()["notices"][0]
        assert (sent["state"], sent["sent_by"], sent["channel"]) == ("sent", "olga", "phone")
        assert (await api.get("notices", "olga")).json()["items"] == [sent]
        for body in (
            {"situation": "greeting"},
            {"situation": "meter_swapped"},
            {"situation": "credit_approved"},
            {"situation": "planned_outage"},
        ):
            assert (await api.post("notices", "olga", **body)).status_code == 409
        outage = {
            "start": "2026-06-02T08:00:00+08:00",
            "end": "2026-06-02T18:00:00+08:00",
            "cause": "管道检修",
        }
        found = (await api.post("notices", "olga", situation="planned_outage", **outage)).json()["notices"]
        assert "因管道检修，我们计划于2026年6月2日08:00至2026年6月2日18:00停气" in found[-1]["zh"]["text"]

    talking(money_store, tmp_path, talk)
