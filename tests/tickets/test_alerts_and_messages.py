"""Alertmanager's payload and the robots of messengers, each against a server that checks what it gets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.desks.alertmanager import NEVER, Alertmanager, AlertmanagerConfig, fingerprint
from connectors.desks.http import CallConfig
from connectors.desks.message import BODIES, Message, MessageConfig, fill, template
from streams.ports import Desk, Gone, Rejected, Unavailable
from streams.trade.deliveries import TicketEvent
from streams.trade.tickets import State, Urgency
from tests.tickets.helpdesks import case, opened, told
from tests.tickets.json_server import Asked, JsonServer, Said
from tests.tickets.tools import NOON, SECOND

PRIVATE = CallConfig(allow_private=True, timeout_s=5.0)


def sent(desk: Desk, *events: TicketEvent) -> list[str]:
    async def run() -> list[str]:
        try:
            return [await desk.deliver(event, "") for event in events]
        finally:
            await desk.close()

    return asyncio.run(run())


TOP = {"version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels"}
TOP |= {"commonAnnotations", "externalURL", "alerts"}
ALERT = {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}


class AlertReceiver(JsonServer):
    """Holds a notification to the documented shape of version 4."""

    def answer(self, asked: Asked) -> Said:
        told = asked.json
        if told.keys() != TOP or told["version"] != "4" or not isinstance(told["truncatedAlerts"], int):
            return Said(400, {"error": f"not a notification of version 4: {sorted(told)}"})
        for alert in told["alerts"]:
            texts = {**alert["labels"], **alert["annotations"]}.values()
            if alert.keys() != ALERT or not all(isinstance(text, str) for text in texts):
                return Said(400, {"error": "not an alert"})
            if alert["status"] not in ("firing", "resolved") or len(alert["fingerprint"]) != 16:
                return Said(400, {"error": "status or fingerprint"})
            started, ended = (datetime.fromisoformat(alert[name]) for name in ("startsAt", "endsAt"))
            if (alert["status"] == "firing") != (ended.year == 1) or (ended.year > 1 and ended < started):
                return Said(400, {"error": "ended and firing"})
            if not told["commonLabels"].items() <= alert["labels"].items():
                return Said(400, {"error": "common labels that are not common"})
        return Said(200)


@pytest.fixture
def alerts() -> Iterator[AlertReceiver]:
    with AlertReceiver() as made:
        yield made


def alertmanager(server: JsonServer, **more: Any) -> Alertmanager:
    return Alertmanager(AlertmanagerConfig(url=f"{server.url}/alerts", token="t", call=PRIVATE, **more))


def test_an_alert_fires_while_the_ticket_is_open_and_ends_with_it(alerts: AlertReceiver) -> None:
    ticket = case()
    graver = replace(ticket, priority="P1", kind="bill_shock", state=State.INVESTIGATING)
    closed = replace(graver, state=State.CLOSED, closed_ns=NOON + 60 * SECOND)
    events = (opened(), told(graver, 2), told(closed, 3))
    sent(alertmanager(alerts, external_url="https://forestall.example/"), *events)
    first, second, third = (asked.json for asked in alerts.asked)
    assert [one["status"] for one in (first, second, third)] == ["firing", "firing", "resolved"]
    assert first["alerts"][0]["endsAt"] == NEVER
    assert third["alerts"][0]["endsAt"] == "2026-06-01T12:01:00.000Z"
    # what changes about a ticket makes no second alert of it
    assert len({one["alerts"][0]["fingerprint"] for one in (first, second, third)}) == 1
    assert len({one["groupKey"] for one in (first, second, third)}) == 1
    assert first["groupKey"] == f'{{}}:{{alertname="ForestallTicket", ticket="{ticket.id}"}}'
    assert (first["commonLabels"]["severity"], second["commonLabels"]["severity"]) == ("warning", "critical")
    assert first["alerts"][0]["generatorURL"] == f"https://forestall.example/tickets/{ticket.id}"
    assert first["commonAnnotations"]["summary"].startswith("计量收费类：用量异常放大")
    assert alerts.asked[0].headers["authorization"] == "Bearer t"


def test_the_fingerprint_is_prometheus_own() -> None:
    """Of no labels FNV's offset; the other value is the one that Prometheus' own tests of it give."""
    assert fingerprint({}) == "cbf29ce484222325"
    labels = {"name": "garland, briggs", "fear": "love is not enough"}
    assert int(fingerprint(labels), 16) == 5799056148416392346


def test_an_alert_goes_by_type_and_urgency(alerts: AlertReceiver) -> None:
    desk = alertmanager(alerts, types=("opened",), urgencies=("emergency",), drills=False)
    emergency = replace(opened(), urgency=Urgency.EMERGENCY)
    assert desk.wants(emergency)
    assert not any(
        desk.wants(event)
        for event in (opened(), replace(emergency, type="moved"), replace(emergency, drill=True))
    )
    alerts.instead = [Said(410)]
    with pytest.raises(Gone):
        sent(desk, emergency)


# --- messages ---------------------------------------------------------------------------------

SECRET = "SEC-of-a-robot"


class Robot(JsonServer):
    """WeCom's, DingTalk's and Feishu's robots by their documentation; and a gateway that checks its signature."""

    def answer(self, asked: Asked) -> Said:
        told = asked.json
        if asked.path == "/wecom":
            good = told.get("msgtype") == "text" and 0 < len(told["text"]["content"].encode()) <= 2048
            return Said(200, {"errcode": 0 if good else 40058, "errmsg": "ok"})
        if asked.path == "/dingtalk":
            stamp = asked.query.get("timestamp", "")
            right = mac(SECRET, f"{stamp}\n{SECRET}")
            near = abs(int(stamp or 0) - NOON // 1_000_000) < 3_600_000
            good = asked.query.get("sign") == right and near and told.get("msgtype") == "text"
            return Said(200, {"errcode": 0 if good else 310000, "errmsg": "sign not match"})
        if asked.path == "/feishu":
            right = mac(f"{told.get('timestamp')}\n{SECRET}", "")
            near = abs(int(told.get("timestamp") or 0) - NOON // SECOND) < 3600
            good = (
                told.get("sign") == right
                and near
                and told.get("msg_type") == "text"
                and told["content"]["text"]
            )
            return Said(
                200, {"code": 0, "msg": "success"} if good else {"code": 19021, "msg": "sign match fail"}
            )
        stamp = asked.headers.get("x-timestamp", "")
        digest = hmac.new(SECRET.encode(), f"{stamp}.".encode() + asked.body, hashlib.sha256).hexdigest()
        return Said(202 if asked.headers.get("x-signature") == f"sha256={digest}" else 401)


def mac(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


@pytest.fixture
def robot() -> Iterator[Robot]:
    with Robot() as made:
        yield made


def message(server: JsonServer, kind: Any, *, secret: str = SECRET, **more: Any) -> Message:
    given: dict[str, Any] = {
        "name": "message-duty",
        "url": f"{server.url}/{kind}?key=1",
        "kind": kind,
        "call": PRIVATE,
    }
    given["secret"] = "" if kind == "wecom" else secret
    return Message(MessageConfig(**(given | more)), now_ns=lambda: NOON)


@pytest.mark.parametrize("kind", list(BODIES))
def test_each_robot_takes_what_it_is_sent(robot: Robot, kind: str) -> None:
    assert sent(message(robot, kind), opened()) == [""]
    assert robot.asked[0].query["key"] == "1"
    assert "计量收费类：用量异常放大（wei）" in robot.asked[0].body.decode()


@pytest.mark.parametrize("kind", ["dingtalk", "feishu", "generic"])
def test_a_wrong_secret_waits_for_a_person(robot: Robot, kind: str) -> None:
    with pytest.raises(Unavailable):
        sent(message(robot, kind, secret="another"), opened())


def test_a_long_text_is_cut_on_a_whole_character(robot: Robot) -> None:
    event = opened()
    event.data["text"]["zh"] = {"title": "表" * 400, "body": "漏" * 4000}
    sent(message(robot, "wecom"), event)
    content = robot.asked[0].json["text"]["content"]
    assert len(content.encode()) <= 2048
    assert content.endswith("漏…")


def test_a_body_of_ones_own_in_english(robot: Robot) -> None:
    text = "{priority} {ticket}: {title} ({urgency}, {state}, {service_point}, {event})"
    body = json.dumps({"to": ["+10"], "n": 1, "text": text})
    sent(message(robot, "generic", body=body, language="en", headers={"x-key": "k"}), opened())
    got = robot.asked[0]
    ticket = case().id
    assert got.headers["x-key"] == "k"
    assert got.json == {
        "to": ["+10"],
        "n": 1,
        "text": f"P2 {ticket}: metering and billing: unusually high use at wei (normal, new, wei, {ticket}.1)",
    }


def test_a_text_cannot_break_out_of_its_string(robot: Robot) -> None:
    event = opened()
    event.data["text"]["zh"]["title"] = '","admin":true,"x":"{ticket}'
    sent(message(robot, "generic"), event)
    assert robot.asked[0].json.keys() == {"ticket", "priority", "title", "text"}
    assert robot.asked[0].json["title"] == '","admin":true,"x":"{ticket}'


def test_emergencies_and_what_is_escalated_by_default(robot: Robot) -> None:
    desk = message(robot, "wecom")
    emergency = replace(opened(), urgency=Urgency.EMERGENCY)
    assert desk.wants(emergency)
    assert desk.wants(replace(opened(), type="escalated"))
    assert not desk.wants(opened())
    assert not desk.wants(replace(emergency, type="moved"))
    assert not message(robot, "wecom", drills=False).wants(replace(opened(), type="escalated", drill=True))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said(200, {"errcode": 45009, "errmsg": "api freq out of limit"}), Unavailable),
        (Said(200, {"errcode": 40058, "errmsg": "too long"}), Rejected),
        (Said(200, {"errcode": 93000, "errmsg": "invalid webhook url"}), Unavailable),
        (Said(200, {"ok": True}), Unavailable),
        (Said(404), Unavailable),
    ],
)
def test_what_a_robot_answers_with_200(robot: Robot, said: Said, kind: type[Exception]) -> None:
    robot.instead = [said]
    with pytest.raises(kind) as caught:
        sent(message(robot, "wecom"), opened())
    assert "key=1" not in str(caught.value)


@pytest.mark.parametrize("body", ["[]", "{", '{"a": "{name}"}', '{"a": "{title"}'])
def test_a_template_that_cannot_be_filled_is_refused_at_once(body: str) -> None:
    with pytest.raises(ValueError, match="message-duty: expected"):
        template("message-duty", body)


def test_a_template_is_filled_in_depth() -> None:
    made = fill(template("m", '{"a": [{"b": "x{title}y{title}"}, 1, null]}'), {"title": "{t}"})
    assert made == {"a": [{"b": "x{t}y{t}"}, 1, None]}
    with pytest.raises(ValueError, match="WeCom"):
        MessageConfig(name="m", url="https://w.example", kind="wecom", secret="s")
    assert "w.example" not in repr(MessageConfig(name="m", url="https://w.example/?key=1"))
