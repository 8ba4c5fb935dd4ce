"""The bill run by the API: what is held and disputed, and what customers were not told of."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import httpx

from connectors.store import Store
from streams.trade.mutes import Mute, MuteKind
from streams.trade.points import Point
from streams.trade.roles import Actor, Role
from tests.tickets.money_tools import Client, talking
from tests.tickets.tools import HOUR, NOON, flag


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
