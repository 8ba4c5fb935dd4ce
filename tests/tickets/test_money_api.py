"""Money by the API, through a real server on both databases: two users, a limit, a history, a tariff file."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.history_sqlite import HistoryReader, SqliteHistory
from connectors.migrations import upgrade
from connectors.store import Store
from connectors.web.app import User, WebConfig, make_app
from connectors.web.server import serve
from connectors.web.sources import Sources
from streams.programs.routes import routes
from streams.settings import Settings
from streams.ticket_sections import TicketsSettings
from streams.trade.mutes import Mute, MuteKind
from streams.trade.points import Point
from streams.trade.roles import Actor, Role
from streams.trade.rules import Rules
from tests.tickets.tools import HOUR, NOON, Turned, flag, golden
from tests.web_tools import VOCABULARY, Reading, columns, golden_readings

EXAMPLE = Path(__file__).parents[2] / "deploy" / "tariffs" / "example.toml"
USERS = tuple(
    User(name, role, (f"token-of-{name}-long",))
    for name, role in (
        ("ann", Role.BILLING),
        ("bob", Role.BILLING),
        ("olga", Role.OPERATOR),
        ("crm", Role.COMPLAINTS),
    )
)
Talk = Callable[["Client"], Awaitable[None]]


@dataclass
class Client:
    """Asks as one of the users."""

    http: httpx.AsyncClient
    ticket: str

    async def get(self, path: str, who: str = "ann", **query: Any) -> httpx.Response:
        return await self.http.get(self._at(path), params=query, headers=self._as(who))

    async def post(self, path: str, who: str = "ann", **body: Any) -> httpx.Response:
        return await self.http.post(self._at(path), json=body, headers=self._as(who))

    def _at(self, path: str) -> str:
        return f"/api/{path}" if path.startswith("bill-run") else f"/api/tickets/{self.ticket}/{path}"

    @staticmethod
    def _as(who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer token-of-{who}-long"} if who else {}


@pytest.fixture
def money_store(store_url: str) -> Iterator[Store]:
    upgrade(store_url)
    made = Store(store_url, lambda _event: ["webhook"])
    made.keep_points(
        [
            Point(
                meter_id="wei", service_point_id="wei", commodity="gas", unit="m3", area="block-1",
                tz="Asia/Shanghai", tariff="gas-residential", bill_day=31,
            ),
            Point(meter_id="m-1", service_point_id="sp-1", commodity="gas", area="block-1", bill_day=30),
            Point(meter_id="m-2", service_point_id="sp-2", commodity="gas", area="block-1", bill_day=15),
        ]
    )  # fmt: skip
    yield made
    made.close()


def talking(
    store: Store,
    directory: Path,
    talk: Talk,
    flags: tuple[Any, ...] = (),
    readings: tuple[Reading, ...] = (),
) -> None:
    """Serve what the web process serves, with the golden case's ticket and its readings."""
    (ticket,) = store.apply_flags([golden(), *flags], NOON, Rules())[:1]
    settings = Settings(
        data_dir=directory,
        tickets=TicketsSettings(
            tariffs=EXAMPLE, credit_limit={"CNY": 500}, company="和安燃气", hotline="96777"
        ),
    )

    async def run() -> None:
        history = SqliteHistory(directory / "history.db", keep_days=40_000)
        assert await history.write(columns([*golden_readings(), *readings])) == []
        await history.close()
        reader = HistoryReader(directory / "history.db")
        sources = Sources(store=store, history=reader, vocabulary=VOCABULARY)
        app = make_app(
            sources, WebConfig(users=USERS), pages=False, routers=routes(settings, store, Turned(), [])
        )
        stop = asyncio.Event()
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(app, "127.0.0.1", 0, stop, port.set_result))
        try:
            base = f"http://127.0.0.1:{await asyncio.wait_for(port, 20)}"
            async with httpx.AsyncClient(base_url=base, timeout=20) as client:
                await talk(Client(client, ticket.id))
        finally:
            stop.set()
            await serving
            await reader.close()

    asyncio.run(run())


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
        assert (credit["amount"], credit["state"], credit["revision"]) == ("268.88", "approved", 2)
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


def test_the_bill_run_as_list_and_as_table(money_store: Store, tmp_path: Path) -> None:
    silent = flag(
        "concentrator_silent",
        id="c",
        meter_id="=C1",
        service_point_id="=C1",
        place={"concentrator": "=C1"},
        evidence={"meters": ["m-0", "m-1", "m-2"]},
    )

    async def talk(api: Client) -> None:
        # bill days 30 and 31 both fall on the last of June
        june = (await api.get("bill-run", date="2026-06-30")).json()
        assert june["date"] == "2026-06-30"
        assert [(x["meter_id"], x["advice"], x["why"]) for x in june["items"]] == [
            ("wei", "hold", "excess_open"),
            ("m-1", "send_estimated", "no_read"),
        ]
        assert june["items"][0]["estimate"]["excess"] == 243.7
        assert (await api.get("bill-run", date="2026-06-29")).json()["items"] == []
        july = (await api.get("bill-run", date="2026-07-31")).json()["items"]
        assert [x["meter_id"] for x in july] == ["wei"]

        table = await api.get("bill-run", date="2026-06-30", format="csv")
        assert table.content.startswith(b"\xef\xbb\xbf")
        assert table.headers["content-disposition"] == 'attachment; filename="bill-run-2026-06-30.csv"'
        rows = list(csv.reader(io.StringIO(table.content.decode("utf-8-sig"))))
        assert rows[0][:4] == ["出账日", "表计", "用户编号", "工单"]
        assert rows[1][4:12] == [
            "用量异常放大",
            "P2",
            "否",
            "暂缓出账",
            "用量异常，原因未查明",
            "273.0",
            "29.3",
            "243.7",
        ]
        assert rows[2][7:9] == ["按估算出账", "无可用读数"]
        english = await api.get("bill-run", date="2026-06-30", format="csv", language="en")
        assert "unusually high use" in english.text
        assert (await api.get("bill-run", date="soon")).status_code == 422
        assert (await api.get("bill-run")).status_code == 422

    talking(money_store, tmp_path, talk, (silent,))


def test_an_outage_that_nobody_was_told_of_is_listed(money_store: Store, tmp_path: Path) -> None:
    def outage(name: str, hours: int, notice: int | None) -> Mute:
        return Mute(
            id=name, kind=MuteKind.PLANNED_OUTAGE, place="area/block-1", start_ns=NOON + hours * HOUR,
            end_ns=NOON + (hours + 6) * HOUR, reason="管道检修", by="olga", created_ns=NOON, notice_ns=notice,
        )  # fmt: skip

    olga = Actor("olga", Role.OPERATOR)
    for mute in (outage("never", 20, None), outage("told", 20, NOON - 5 * HOUR), outage("later", 40, None)):
        money_store.put_mute(mute, olga, NOON)

    async def talk(api: Client) -> None:
        async def asked(**query: Any) -> httpx.Response:
            return await api.http.get("/api/outages/unannounced", params=query, headers=api._as("olga"))

        (item,) = (await asked()).json()["items"]
        assert (item["id"], item["start"], item["notice_at"]) == ("never", "2026-06-02T08:00:00Z", None)
        assert [x["id"] for x in (await asked(hours=48)).json()["items"]] == ["never", "told", "later"]
        assert (await asked(hours=0)).status_code == 422

    talking(money_store, tmp_path, talk)


def test_neighbours_are_of_one_area_commodity_and_class(money_store: Store) -> None:
    money_store.keep_points(
        [
            Point(meter_id="a", service_point_id="a", area="block-1", commodity="water"),
            Point(meter_id="b", service_point_id="b", area="block-2", commodity="gas"),
            Point(meter_id="c", service_point_id="c", area="block-1", commodity="gas", meter_class="shop"),
        ]
    )
    wei = money_store.point_of_meter("wei")
    assert wei is not None
    assert [point.meter_id for point in money_store.neighbours(wei, 30)] == ["m-1", "m-2"]
    assert [point.meter_id for point in money_store.neighbours(wei, 1)] == ["m-1"]
    assert money_store.neighbours(Point(meter_id="x", service_point_id="x"), 30) == []
    assert money_store.point_of_meter("nobody") is None
