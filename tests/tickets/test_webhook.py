"""The webhook against a real HTTP server: signed, never redirected, never into our own network."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from connectors.desks.address import is_public
from connectors.desks.webhook import Webhook, WebhookConfig
from streams.ports import Gone, PortError, Rejected, Unavailable
from streams.trade.deliveries import TicketEvent
from tests.tickets import certificates
from tests.tickets.receiver import OTHER_SECRET, SECRET, Answer, Receiver
from tests.tickets.tools import MemoryStore, flag, golden

T = TypeVar("T")


def opened() -> TicketEvent:
    store = MemoryStore()
    store.take(golden())
    return store.events[0]


def config(url: str, **more: Any) -> WebhookConfig:
    made: dict[str, Any] = {"name": "webhook", "url": url, "secrets": (SECRET,), "allow_private": True}
    return WebhookConfig(**(made | more))


def use(settings: WebhookConfig, work: Callable[[Webhook], Awaitable[T]]) -> T:
    """Let a webhook do something, in a loop of its own."""

    async def run() -> T:
        webhook = Webhook(settings)
        try:
            return await work(webhook)
        finally:
            await webhook.close()

    return asyncio.run(run())


def send(settings: WebhookConfig, event: TicketEvent | None = None, remote_id: str = "") -> str:
    return use(settings, lambda webhook: webhook.deliver(event or opened(), remote_id))


def test_a_signed_cloud_event_arrives(receiver: Receiver) -> None:
    event = opened()
    receiver.default = Answer(201, b'{"id": 4711}')
    assert send(config(receiver.url, headers={"authorization": "Bearer x"}), event) == "4711"
    (got,) = receiver.got
    assert got.verified
    assert got.headers["webhook-id"] == event.id
    assert got.headers["content-type"] == "application/cloudevents+json"
    assert got.headers["authorization"] == "Bearer x"
    assert got.event["specversion"] == "1.0"
    assert got.event["subject"] == event.ticket_id
    assert got.event["data"]["ticket"]["estimate"]["excess"] == 243.7


def test_both_secrets_sign_while_one_is_replaced(receiver: Receiver) -> None:
    settings = config(receiver.url, secrets=(SECRET, OTHER_SECRET))
    for secret in (SECRET, OTHER_SECRET):
        receiver.secret = secret
        send(settings)
        assert receiver.got[-1].verified
    assert len(receiver.got[0].headers["webhook-signature"].split(" ")) == 2
    receiver.secret = "whsec_" + "A" * 32
    send(settings)
    assert not receiver.got[-1].verified


def test_the_number_of_an_earlier_event_is_kept_where_the_answer_has_none(receiver: Receiver) -> None:
    for body in (b"", b"ok", b"[]", b'{"id": null}', b'{"id": true}'):
        receiver.default = Answer(200, body)
        assert send(config(receiver.url), remote_id="earlier") == "earlier"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Rejected),
        (422, Rejected),
        (410, Gone),
        (301, Unavailable),
        (401, Unavailable),
        (404, Unavailable),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_what_an_answer_means(receiver: Receiver, status: int, error: type[PortError]) -> None:
    receiver.default = Answer(status, b"because")
    with pytest.raises(error, match=f"HTTP {status}") as caught:
        send(config(receiver.url))
    assert type(caught.value) is error
    assert "because" in str(caught.value)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with Receiver() as elsewhere:
        receiver.default = Answer(307, b"", (("location", elsewhere.url),))
        with pytest.raises(Unavailable, match="redirects are not followed"):
            send(config(receiver.url))
        assert elsewhere.got == []


def test_retry_after_in_seconds_and_as_a_date(receiver: Receiver) -> None:
    def asked(value: str, status: int = 429) -> float:
        receiver.default = Answer(status, b"", (("retry-after", value),))
        with pytest.raises(Unavailable) as caught:
            send(config(receiver.url))
        return caught.value.retry_after

    assert asked("120") == 120
    assert asked("7", 503) == 7
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    assert 290 <= asked(later) <= 300
    assert asked("99999999") == 24 * 3600
    for nonsense in ("soon", "-5", "nan"):
        assert asked(nonsense) == 0


def test_a_slow_answer_and_a_dripping_one_end(receiver: Receiver) -> None:
    let_go = threading.Event()

    def hold() -> None:
        let_go.wait(10)

    receiver.default = Answer(200, before=hold)
    with pytest.raises(Unavailable, match=r"no answer within 0\.3 s|ReadTimeout"):
        send(config(receiver.url, timeout_s=0.3))
    let_go.set()
    drip = threading.Event()
    receiver.default = Answer(200, b"x" * 4000, drip=drip)
    with pytest.raises(Unavailable, match=r"no answer within 0\.5 s"):
        send(config(receiver.url, timeout_s=0.5))
    drip.set()


def test_an_endless_answer_is_not_read_to_its_end(receiver: Receiver) -> None:
    receiver.default = Answer(200, b"{" * 5_000_000)
    assert send(config(receiver.url)) == ""


def test_nobody_there(receiver: Receiver) -> None:
    receiver.stop()
    with pytest.raises(Unavailable, match="ConnectError"):
        send(config(receiver.url))
    with pytest.raises(Unavailable, match="has no address"):
        send(config("https://forestall.invalid/hook"))


def test_no_request_into_our_own_network(receiver: Receiver) -> None:
    tries = (
        f"https://127.0.0.1:{receiver.port}/hook",
        f"https://localhost:{receiver.port}/hook",
        f"https://[::1]:{receiver.port}/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
    )
    for url in tries:
        with pytest.raises(Unavailable, match="not on the public internet; allow_private"):
            send(config(url, allow_private=False))
    assert receiver.got == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("2002:a00:1::", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) == public


def test_over_tls_the_certificate_is_held_against_the_name(tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    with Receiver(tls=made.server) as receiver:
        send(config(receiver.url, ca_file=str(made.ca_file)))
        assert receiver.got[0].verified
        assert receiver.got[0].headers["host"] == f"localhost:{receiver.port}"
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            send(config(receiver.url))
    (tmp_path / "other").mkdir()
    other = certificates.make(tmp_path / "other", name="elsewhere.example")
    with (
        Receiver(tls=other.server) as receiver,
        pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        send(config(receiver.url, ca_file=str(other.ca_file)))


def test_a_look_up_before_a_create_is_repeated(receiver: Receiver) -> None:
    event = opened()
    settings = config(receiver.url, lookup_url=receiver.url + "?ref={reference}")

    def find(answer: Answer, one: TicketEvent = event) -> str | None:
        receiver.default = answer
        return use(settings, lambda webhook: webhook.find(one))

    assert find(Answer(200, b'{"id": "HD-9"}')) == "HD-9"
    assert receiver.got[-1].path == f"/hook?ref={event.ticket_id}"
    assert receiver.got[-1].method == "GET"
    assert find(Answer(200, b'[{"id": 9}]')) == "9"
    assert find(Answer(200, b"known")) == ""
    assert find(Answer(200, b"[]")) is None
    assert find(Answer(404)) is None
    with pytest.raises(Unavailable, match="expected 200 or 404 to a look-up, got 403"):
        find(Answer(403))
    asked = len(receiver.got)
    assert find(Answer(200), replace(event, type="updated")) is None
    assert use(config(receiver.url), lambda webhook: webhook.find(event)) is None
    assert len(receiver.got) == asked


def test_which_events_it_wants() -> None:
    store = MemoryStore()
    store.take(golden(), flag("continuous_flow", id="b"), flag("tamper", id="d", evidence={"drill": True}))
    billing, emergency, practice = store.events
    url = "https://helpdesk.example/hook"

    def wanted(**more: Any) -> list[bool]:
        webhook = Webhook(config(url, **more))
        return [webhook.wants(event) for event in (billing, emergency, practice)]

    assert wanted() == [True, True, True]
    assert wanted(urgencies=("emergency",)) == [False, True, False]
    assert wanted(drills=False) == [True, True, False]
    assert wanted(types=("cleared",)) == [False, False, False]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"url": "ftp://a/b"}, "expected an https:// address"),
        ({"url": "http://a.example/", "allow_private": False}, "plain http needs allow_private"),
        ({"secrets": ()}, "expected at least one secret"),
        ({"secrets": ("whsec_",)}, "expected base64 after whsec_"),
        ({"secrets": ("whsec_!",)}, "expected base64 after whsec_"),
        ({"lookup_url": "https://a.example/known"}, r"expected \{reference\} in lookup_url"),
        ({"timeout_s": 0}, "expected timeout_s > 0"),
    ],
)
def test_a_wrong_configuration_says_what_was_expected(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(more.pop("url", "https://helpdesk.example/hook"), **more)


def test_nothing_secret_is_shown() -> None:
    settings = config("https://user:pw@helpdesk.example/hook?key=s3cret", headers={"authorization": "t0ken"})
    webhook = Webhook(settings)
    assert webhook.endpoint == "https://helpdesk.example/hook"
    assert "t0ken" not in repr(settings)
    assert SECRET not in repr(settings)
