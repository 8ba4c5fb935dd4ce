"""Complaints by the API: in, out, and the answer for the agent at the phone, as a call centre asks for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.store.book import put
from connectors.store.engine import writing
from connectors.store.tables_trade import mutes, points
from connectors.web import complaints
from connectors.web.app import User, WebConfig, make_app
from streams.messages import Kind
from streams.programs.complaints import metrics
from streams.trade.linking import Linking
from streams.trade.reception import Reception, ReceptionConfig
from streams.trade.roles import Role
from tests.tickets.complaint_tools import form
from tests.tickets.tools import DAY, HOUR, NOON, Turned, flag, golden
from tests.web_tools import Place, Talk, answering, columns, sources


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A golden ticket at ``wei``, of whom the registry knows where it hangs."""
    made = Place(tmp_path)
    row = dict.fromkeys(points.c.keys(), "") | {"bill_day": None, "multiplier": 1.0}
    known = {
        "meter_id": "wei",
        "service_point_id": "wei",
        "commodity": "gas",
        "area": "block-1",
        "line": "L1",
    }
    with writing(made.store._engine) as connection:
        put(connection, points, [row | known])
    made.store.apply_flags([golden()], NOON, made.rules)
    made.readings(columns([("wei", NOON, 449.0, Kind.REGISTER, "m3")]))
    yield made
    made.close()


def asked(place: Place, talk: Talk, now_ns: int = NOON + DAY, users: tuple[User, ...] = ()) -> None:
    """Serve the API on a port while ``talk`` asks it."""

    async def run() -> None:
        found, store = sources(place.store_url, str(place.history_path))
        config = ReceptionConfig(Linking(), "Asia/Shanghai", "96777")
        reception = Reception(store, config, Turned(now_ns))
        app = make_app(
            found,
            WebConfig(users=users),
            lambda: metrics(reception.tally),
            pages=False,
            routers=[lambda reader: complaints.routes(reader, reception)],
        )
        try:
            async with answering(app) as client:
                await talk(client)
        finally:
            store.close()

    asyncio.run(run())


def wei(**fields: Any) -> dict[str, Any]:
    return form(NOON + 3 * HOUR, service_point="wei", **fields)


def test_a_complaint_that_was_foreseen(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        first = await client.post("/api/complaints", json=wei())
        assert first.status_code == 201
        told = first.json()
        taken, answer = told["complaint"], told["answer"]
        assert (taken["outcome"], taken["lead_time_s"], taken["miss"]) == ("known", 10800.0, False)
        assert (taken["source"], taken["at"]) == ("admin", "2026-06-01T15:00:00.000Z")
        assert answer["situation"] == "known"
        # Monday noon UTC is 20:00 in Shanghai
        assert "6 月 1 日 20:00" in answer["say"]
        for word in ("在您来电之前", "用量异常放大", taken["ticket_id"], "新建", "市场部"):
            assert word in answer["say"]
        ticket = answer["ticket"]
        assert (ticket["first_owner"], ticket["hand_offs"], ticket["priority"]) == ("agent-7", 0, "P2")
        assert ticket["estimate"]["excess"] == pytest.approx(243.7, abs=0.05)
        assert answer["readings"][0]["value"] == 449.0
        assert answer["safety"] == []
        again = await client.post("/api/complaints", json=wei(matter="又打来一次"))
        assert again.status_code == 200
        assert again.json()["complaint"] == taken
        one = await client.get(f"/api/complaints/{taken['id']}")
        assert one.json() == taken
        shown = (await client.get(f"/api/tickets/{taken['ticket_id']}")).json()
        assert shown["complaint_ids"] == [taken["id"]]
        assert shown["lead_time_s"] == 10800.0
        text = (await client.get("/metrics")).text
        assert 'forestall_complaints_taken_total{category="metering_billing",channel="hotline"} 1.0' in text
        assert 'forestall_complaints_known_total{category="metering_billing",channel="hotline"} 1.0' in text
        for secret in ("王小明", "13800001234"):
            assert secret not in first.text + one.text + json.dumps(shown, ensure_ascii=False) + text

    asked(place, talk)


def test_all_that_is_missing_at_once(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        refused = await client.post("/api/complaints", json={"channel": "pigeon"})
        assert refused.status_code == 422
        told = refused.json()
        for word in ("投诉时间", "投诉人姓名", "联系方式", "投诉事项", "channel"):
            assert word in told["got"]
        assert told["action"]
        assert (await client.get("/api/complaints")).json()["items"] == []

    asked(place, talk)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"matter": {"$ne": 1}}',
        b'{"colour": "red"}',
        b'{"time": 12345678901234567890123456789012345678901234567890}',
        json.dumps(form(time="2026-06-01T99:00:00Z")).encode(),
        json.dumps(form(service_point="x" * 201)).encode(),
        json.dumps(form(attachments=[{"name": "a", "url": "file:///etc/passwd"}])).encode(),
    ],
)
def test_hostile_bodies_are_refused_and_nothing_is_kept(place: Place, body: bytes) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        refused = await client.post(
            "/api/complaints", content=body, headers={"Content-Type": "application/json"}
        )
        assert refused.status_code in (400, 422)
        assert refused.json()["action"]
        assert (await client.get("/api/complaints")).json()["items"] == []
        odd = form(service_point="'; DROP TABLE complaints; --\u0000", matter="<script>alert(1)</script>")
        taken = await client.post("/api/complaints", json=odd)
        assert taken.status_code == 201
        assert taken.json()["complaint"]["content"] == "<script>alert(1)</script>"
        for path in ("/api/complaints/'%20OR%201=1", "/api/complaints/CP-%00", "/api/complaints/CP-NONE"):
            assert (await client.get(path)).status_code == 404

    asked(place, talk)


def test_gas_goes_before_everything(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        told = (
            await client.post("/api/complaints", json=wei(subject="other", matter="楼道里有煤气味"))
        ).json()
        answer = told["answer"]
        assert (told["complaint"]["urgency"], answer["ticket"]["priority"]) == ("emergency", "P1")
        assert answer["situation"] == "emergency"
        assert answer["safety"][0].startswith("不要开关电灯")
        assert any("通风" in line for line in answer["safety"])
        assert "96777" in answer["safety"][-1]
        english = (await client.get("/api/service-points/wei/answer?language=en")).json()
        assert english["situation"] == "emergency"
        assert "Do not switch lights" in english["safety"][0]

    asked(place, talk)


def test_what_is_said_before_anybody_complains(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        known = (await client.get("/api/service-points/wei/answer")).json()
        assert known["situation"] == "known"
        assert len(known["tickets"]) == 1
        english = (await client.get("/api/service-points/wei/answer?language=en")).json()
        assert english["say"].startswith("We found this before you called: unusually high use")
        nobody = (await client.get("/api/service-points/nobody/answer")).json()
        assert (nobody["situation"], nobody["ticket"], nobody["readings"]) == ("unknown_place", None, [])
        assert (await client.get("/api/service-points/wei/answer?language=fr")).status_code == 422

    asked(place, talk)


def test_a_planned_outage_is_told_with_its_end_and_its_notice(place: Place) -> None:
    row = {
        "id": "m1",
        "kind": "planned_outage",
        "place": "line/L1",
        "kinds": [],
        "start_ns": NOON,
        "end_ns": NOON + 2 * DAY,
        "reason": "管网检修",
        "by": "ann",
        "created_ns": NOON,
        "notice_ns": NOON - DAY,
    }
    with writing(place.store._engine) as connection:
        fields = {name: row.get(name) for name in mutes.c.keys()}  # noqa: SIM118
        put(connection, mutes, [fields])

    async def talk(client: httpx.AsyncClient) -> None:
        told = (await client.post("/api/complaints", json=wei(subject="停供", matter="停气了"))).json()[
            "answer"
        ]
        assert told["situation"] == "planned_outage"
        assert "管网检修" in told["say"]
        assert "停供通知已于 5 月 31 日 20:00 发出" in told["say"]
        bill = (await client.post("/api/complaints", json=wei(reference="two"))).json()["answer"]
        assert bill["situation"] == "known"

    asked(place, talk)


def test_a_complaint_from_nowhere_is_assigned_by_hand(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        lost = (await client.post("/api/complaints", json=wei() | {"service_point": "不知道"})).json()
        assert lost["answer"]["situation"] == "unlinked"
        assert "户号" in lost["answer"]["say"]
        listed = (await client.get("/api/complaints?linked=false")).json()["items"]
        assert [one["id"] for one in listed] == [lost["complaint"]["id"]]
        path = f"/api/complaints/{lost['complaint']['id']}/service-point"
        assert (await client.post(path, json={"service_point": "nowhere"})).status_code == 409
        found = (await client.post(path, json={"service_point": "wei"})).json()
        assert (found["complaint"]["outcome"], found["answer"]["situation"]) == ("known", "known")
        refused = await client.post(path, json={"service_point": "wei"})
        assert refused.status_code == 409
        assert "without a service point" in refused.json()["expected"]
        assert (await client.get("/api/complaints?linked=false")).json()["items"] == []
        nobody = await client.post("/api/complaints/CP-NONE/service-point", json={"service_point": "wei"})
        assert nobody.status_code == 404

    asked(place, talk)


def test_a_place_gets_another_name(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        named = await client.post("/api/service-points/wei/aliases", json={"alias": "幸福里 3 栋 201"})
        assert named.json() == {"alias": "幸福里 3 栋 201", "service_point_id": "wei"}
        told = (await client.get("/api/service-points/幸福里3栋201/answer")).json()
        assert told["service_point_id"] == "wei"
        refused = await client.post("/api/service-points/nobody/aliases", json={"alias": "x"})
        assert refused.status_code == 409

    asked(place, talk)


def test_lists_by_filter_and_page(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        for n in range(5):
            body = wei(reference=str(n)) | {"time": f"2026-06-01T2{n % 4}:00:00+08:00", "channel": "app"}
            assert (await client.post("/api/complaints", json=body)).status_code == 201
        page = (await client.get("/api/complaints?limit=3&channel=app")).json()
        rest = (await client.get(f"/api/complaints?limit=3&channel=app&before={page['next']}")).json()
        assert len(page["items"]) == 3
        assert len(rest["items"]) == 2
        assert rest["next"] is None
        times = [one["at"] for one in page["items"] + rest["items"]]
        assert times == sorted(times, reverse=True)
        within = await client.get("/api/complaints?start=2026-06-01T13:00:00Z&end=2026-06-01T14:00:00Z")
        assert len(within.json()["items"]) == 1
        assert (await client.get("/api/complaints?before=x")).status_code == 422
        assert (await client.get("/api/complaints?start=yesterday")).status_code == 422

    asked(place, talk)


def test_who_may_take_and_read_complaints(place: Place) -> None:
    users = (
        User("callcentre", Role.COMPLAINTS, ("c" * 20,)),
        User("auditor", Role.AUDITOR, ("a" * 20,)),
    )

    async def talk(client: httpx.AsyncClient) -> None:
        assert (await client.post("/api/complaints", json=wei())).status_code == 401
        for token, code in (("a" * 20, 403), ("c" * 20, 201)):
            headers = {"Authorization": f"Bearer {token}"}
            told = await client.post("/api/complaints", json=wei(), headers=headers)
            assert told.status_code == code
            read = await client.get("/api/service-points/wei/answer", headers=headers)
            assert read.status_code == (200 if code == 201 else 403)
        assert told.json()["complaint"]["source"] == "callcentre"

    asked(place, talk, users=users)


def test_work_that_was_done_and_a_ticket_taken_up_again(place: Place) -> None:
    place.store.apply_flags([flag("spike", id="s", service_point_id="p2", meter_id="m2")], NOON, place.rules)

    async def talk(client: httpx.AsyncClient) -> None:
        body = form(NOON + HOUR, service_point="p2")
        assert (await client.post("/api/complaints", json=body)).json()["answer"]["situation"] == "known"
        second = form(NOON + 2 * HOUR, service_point="p2", reference="two")
        assert (await client.post("/api/complaints", json=second)).json()["complaint"][
            "lead_time_s"
        ] == 7200.0
        miss = form(
            NOON + 2 * HOUR, service_point="wei", reference="3", subject="staff_attitude", matter="推诿"
        )
        told = (await client.post("/api/complaints", json=miss)).json()
        assert told["answer"]["situation"] == "opened"
        assert "客服部" in told["answer"]["say"]
        more = (await client.post("/api/complaints", json=miss | {"reference": "4"})).json()
        assert more["answer"]["situation"] == "repeated"

    asked(place, talk)
