"""What desks tell us, through a real socket: signatures, age, repetition, order, and no echo."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook as Signer

from connectors.migrations import upgrade
from connectors.store import Store
from connectors.web.app import WebConfig, make_app
from connectors.web.sources import Sources
from streams.programs.desks import check_desks, make_inbox
from streams.settings import ConfigError, Settings
from streams.trade.deliveries import Outcome
from streams.trade.rules import Rules
from streams.trade.sla import Targets
from streams.trade.tickets import State, Ticket, iso
from tests.services.postgres import Postgres
from tests.tickets.helpdesks import work
from tests.tickets.tools import DAY, HOUR, MINUTE, NOON, SECOND, Turned, golden, sqlite_url
from tests.web_tools import VOCABULARY, answering

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
ZAMMAD, TMF621 = "the token of the trigger", "the token of the listener"
SETTINGS = Settings.model_validate(
    {
        "desks": {
            "webhook": {"hook_secrets": [SECRET]},
            "zammad": {"hook_secret": ZAMMAD},
            "tmf621": {"hook_token": TMF621},
        }
    }
)
DESKS = ("tickets.v1", "webhook", "zammad", "tmf621")


class Web:
    """The web process's application on a port, with a token that desks do not have."""

    def __init__(self, store: Store, clock: Turned) -> None:
        self.store, self.clock = store, clock
        (self.ticket,) = store.apply_flags([golden()], clock.now_ns(), Rules())
        for item in [i for desk in DESKS for i in store.outbox_claim(desk, 10, clock.now_ns(), SECOND)]:
            number = {"zammad": "71", "tmf621": "TT-71"}.get(item.desk, "")
            store.outbox_settle([Outcome(item=item, verdict="done", remote_id=number)], clock.now_ns())
        clock.advance(MINUTE)

    def talk(self, talk: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
        async def run() -> None:
            inbox = make_inbox(SETTINGS, self.store, Targets(), self.clock)
            sources = Sources(
                store=self.store, history=None, vocabulary=VOCABULARY, now_ns=self.clock.now_ns, inbox=inbox
            )
            app = make_app(sources, WebConfig(token="a token of the administrator"), pages=False)
            async with answering(app) as client:
                await talk(client)

        asyncio.run(run())

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        found: list[httpx.Response] = []

        async def talk(client: httpx.AsyncClient) -> None:
            found.append(await client.post(path, content=body, headers=headers))

        self.talk(talk)
        return found[0]

    @property
    def now(self) -> Ticket:
        read = self.store.ticket(self.ticket.id)
        assert read is not None
        return read

    def waiting(self) -> dict[str, int]:
        """How many events wait for each desk."""
        return {desk: count for desk, (count, _) in self.store.outbox_oldest().items()}

    # -- what the desks send

    def standard(
        self, status: str, *, event: str = "e-1", at: int = 0, secret: str = SECRET, **data: Any
    ) -> Any:
        stamp = datetime.fromtimestamp((at or self.clock.now_ns()) // SECOND, UTC)
        told = {
            "specversion": "1.0",
            "type": "desk.ticket.status",
            "subject": self.ticket.id,
            "time": iso(at or self.clock.now_ns()),
        }
        body = json.dumps(told | {"data": {"status": status} | data})
        signature = Signer(secret).sign(event, stamp, body)
        headers = {
            "webhook-id": event,
            "webhook-timestamp": str(int(stamp.timestamp())),
            "webhook-signature": signature,
        }
        return "/hooks/webhook", body.encode(), headers

    def zammad(self, state: Any, *, at: int = 0, token: str = ZAMMAD, **ticket: Any) -> Any:
        told = {
            "id": 71,
            "number": "22071",
            "title": f"[{self.ticket.id}] x",
            "state": state,
            "updated_at": iso(at or self.clock.now_ns()),
        }
        body = json.dumps({"ticket": told | ticket, "article": {"body": "hello"}}).encode()
        sign = f"sha1={hmac.new(token.encode(), body, hashlib.sha1).hexdigest()}"
        return (
            "/hooks/zammad",
            body,
            {"X-Hub-Signature": sign, "X-Zammad-Delivery": "d-1", "X-Zammad-Trigger": "t"},
        )

    def tmf621(
        self, status: str, *, event: str = "e-1", at: int = 0, token: str = TMF621, **ticket: Any
    ) -> Any:
        told = {
            "eventId": event,
            "eventTime": iso(at or self.clock.now_ns()),
            "eventType": "TroubleTicketStatusChangeEvent",
            "event": {"troubleTicket": {"@type": "TroubleTicket", "id": "TT-71", "status": status} | ticket},
        }
        path = "/hooks/tmf621/listener/troubleTicketStatusChangeEvent"
        return (
            path,
            json.dumps(told).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def web(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Web]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path)
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.new_database()
    upgrade(url)
    store = Store(url, lambda event: DESKS)
    yield Web(store, Turned())
    store.close()


def test_each_desk_moves_our_ticket_and_hears_no_echo(web: Web) -> None:
    """Open there, resolved there, closed there: callback here, and told to all others."""
    answer = web.post(*web.standard("inProgress"))
    assert answer.json() == {"outcome": "moved", "ticket": web.ticket.id, "state": "investigating"}
    assert web.waiting() == {"tickets.v1": 1, "zammad": 1, "tmf621": 1}
    web.clock.advance(MINUTE)
    assert web.post(*web.tmf621("resolved")).status_code == 204
    assert str(web.now.state) == "implemented"
    assert web.waiting() == {"tickets.v1": 2, "zammad": 2, "tmf621": 1, "webhook": 1}
    web.clock.advance(MINUTE)
    answer = web.post(*web.zammad("closed"))
    assert answer.json()["outcome"] == "moved"
    assert str(web.now.state) == "callback"
    assert web.waiting() == {"tickets.v1": 3, "zammad": 2, "tmf621": 2, "webhook": 2}
    assert "办结尚缺：核查结论、回访结果、归档类别" in web.now.history[-1].note


def test_the_same_message_again_does_nothing(web: Web) -> None:
    for sent in (web.standard("closed"), web.zammad("closed"), web.tmf621("closed")):
        assert web.post(*sent).status_code in (200, 204)
    version = web.now.version
    repeated = web.post(*web.standard("closed"))
    assert repeated.json()["outcome"] == "repeated"
    assert web.post(*web.zammad("closed")).json()["outcome"] == "repeated"
    assert web.now.version == version


def test_a_message_that_was_overtaken_does_nothing(web: Web) -> None:
    earlier = web.zammad("open")
    web.clock.advance(MINUTE)
    assert web.post(*web.zammad("closed")).json()["outcome"] == "moved"
    assert web.post(*earlier).json()["outcome"] == "overtaken"
    assert web.now.state is State.CALLBACK


def test_reopened_there_is_reopened_here(web: Web) -> None:
    web.post(*web.zammad("closed"))
    web.clock.advance(MINUTE)
    assert web.post(*web.zammad("open")).json()["state"] == "reopened"


def test_news_that_left_before_ours_arrived_does_not_undo_it(web: Web) -> None:
    """We have closed; the helpdesk has yet to hear it, and sends a comment on its open ticket."""
    facts: dict[str, Any] = {"verdict": "confirmed", "satisfied": True, "archive_class": "metering"}
    work(web.store, web.ticket, State.INVESTIGATING, State.IMPLEMENTED, State.CLOSED, **facts)
    assert web.post(*web.zammad("open")).json()["outcome"] == "nothing"
    assert web.now.state is State.CLOSED


def test_a_ticket_is_known_by_its_number_there_too(web: Web) -> None:
    assert web.post(*web.zammad("closed", title="renamed")).json()["ticket"] == web.ticket.id
    assert web.post(*web.zammad({"name": "closed"}, title="renamed", id=71)).json()["outcome"] == "nothing"


def test_merged_there_into_another_ticket_of_ours(web: Web) -> None:
    (other,) = web.store.apply_flags([golden(id="g2", service_point_id="wei-2")], NOON, Rules())
    related = [{"relationshipType": "mergedInto", "id": other.id}]
    assert web.post(*web.tmf621("cancelled", troubleTicketRelationship=related)).status_code == 204
    assert (web.now.state, web.now.merged_into) == (State.MERGED, other.id)


def test_who_does_not_sign_is_refused_and_counted(web: Web) -> None:
    path, body, headers = web.zammad("closed")
    sent = [
        web.standard("closed", secret=OTHER),
        web.zammad("closed", token="guess"),
        web.tmf621("closed", token="guess"),
        (path, body + b" ", headers),
        (path, body, {}),
        web.standard("closed", at=web.clock.now_ns() - 6 * MINUTE),
        web.standard("closed", at=web.clock.now_ns() + 6 * MINUTE),
        web.zammad("closed", at=web.clock.now_ns() - 25 * HOUR),
        web.tmf621("closed", at=web.clock.now_ns() - 2 * DAY),
    ]

    async def talk(client: httpx.AsyncClient) -> None:
        for where, what, how in sent:
            refused = await client.post(where, content=what, headers=how)
            assert refused.status_code == 401, refused.text
            problem = refused.json()
            assert problem["expected"]
            assert problem["action"].startswith("sign with")
            assert ZAMMAD not in refused.text
        token = {"Authorization": "Bearer a token of the administrator"}
        text = (await client.get("/metrics", headers=token)).text
        assert 'forestall_hook_events_total{desk="zammad",result="unsigned"} 4.0' in text
        assert 'forestall_hook_events_total{desk="zammad",result="moved"} 0.0' in text

    web.talk(talk)
    assert web.now.version == 1


@pytest.mark.parametrize("how", ["body", "status", "subject"])
def test_what_is_wrong_is_said(web: Web, how: str) -> None:
    if how == "body":
        body = b"[1]"
        sign = f"sha1={hmac.new(ZAMMAD.encode(), body, hashlib.sha1).hexdigest()}"
        answer = web.post("/hooks/zammad", body, {"X-Hub-Signature": sign})
        assert (answer.status_code, answer.json()["got"]) == (422, "list")
    elif how == "status":
        answer = web.post(*web.standard("done"))
        assert answer.status_code == 422
        assert "'done'" in answer.json()["got"]
    else:
        web.ticket = replace(web.ticket, id="FS-NOTOURS")
        answer = web.post(*web.standard("closed"))
        assert answer.status_code == 404
        assert "FS-NOTOURS" in answer.json()["got"]


def test_one_of_several_signatures_is_enough(web: Web) -> None:
    """While a secret is replaced, a message is signed with both."""
    path, body, headers = web.standard("closed")
    _, _, other = web.standard("closed", secret=OTHER)
    headers["webhook-signature"] = f"{other['webhook-signature']} {headers['webhook-signature']}"
    assert web.post(path, body, headers).status_code == 200


def test_a_desk_without_a_secret_takes_nothing_and_only_hooks_pass_the_guard(web: Web) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        unknown = await client.post("/hooks/email", content=b"{}")
        assert unknown.status_code == 404
        assert unknown.json()["expected"] == "one of the desks that are taken from: tmf621, webhook, zammad"
        for path in ("/api/tickets", "/hooks/../api/tickets", "/hooks", "/hooksx/zammad"):
            assert (await client.get(path)).status_code == 401, path
        assert (await client.get("/hooks/zammad")).status_code == 405
        large = await client.post("/hooks/zammad", content=b"x" * ((1 << 20) + 1))
        assert large.status_code == 413

    web.talk(talk)


def test_other_events_of_tmf621_are_passed_over(web: Web) -> None:
    path, body, headers = web.tmf621("closed")
    told = json.loads(body) | {"eventType": "TroubleTicketCreateEvent"}
    assert web.post(path, json.dumps(told).encode(), headers).status_code == 204
    assert web.now.version == 1


def test_many_copies_at_once_move_it_once(web: Web) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        path, body, headers = web.standard("closed")
        answers = await asyncio.gather(*(client.post(path, content=body, headers=headers) for _ in range(12)))
        assert [a.status_code for a in answers] == [200] * 12
        assert sorted(a.json()["outcome"] for a in answers) == ["moved"] + ["repeated"] * 11

    web.talk(talk)
    assert [line.after for line in web.now.history[1:]] == ["investigating", "implemented", "callback"]


def test_what_was_taken_is_forgotten_with_the_rest(web: Web) -> None:
    web.post(*web.zammad("closed"))
    gone = web.store.prune(web.clock.now_ns() + 91 * DAY)
    assert gone >= 1


def test_a_secret_that_is_none_is_a_fault_of_the_configuration() -> None:
    bad = Settings.model_validate({"desks": {"webhook": {"hook_secrets": ["whsec_!"]}}})
    with pytest.raises(ConfigError, match="desks: "):
        check_desks(bad)
    check_desks(SETTINGS)
