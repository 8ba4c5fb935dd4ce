"""Mail for emergencies against a real SMTP server: threaded, in two languages, in the clear only if asked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.desks.email import Email, EmailConfig
from streams.ports import PortError, Rejected, Unavailable
from streams.trade.deliveries import TicketEvent
from tests.services.process import LOOPBACK
from tests.tickets import certificates
from tests.tickets.smtp_server import SmtpServer
from tests.tickets.tools import MemoryStore, flag, golden


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer() as made:
        yield made


def config(server: SmtpServer, **more: Any) -> EmailConfig:
    made: dict[str, Any] = {
        "host": LOOPBACK,
        "port": server.port,
        "sender": "forestall@utility.example",
        "recipients": ("duty@utility.example", "boss@utility.example"),
        "security": "none",
        "domain": "utility.example",
        "timeout_s": 5.0,
    }
    return EmailConfig(**(made | more))


def events() -> list[TicketEvent]:
    store = MemoryStore()
    store.take(
        flag("continuous_flow", id="a"),
        flag("continuous_flow", id="b", at="2026-06-02T00:00:00Z"),
        golden(),
    )
    return store.events


def test_an_emergency_is_told_in_chinese_and_english(server: SmtpServer) -> None:
    opened = events()[0]
    assert asyncio.run(Email(config(server)).deliver(opened, "")) == f"<{opened.ticket_id}@utility.example>"
    (mail,) = server.mails
    assert mail["Subject"] == (
        "【紧急】安全管理类：持续不断流（point-1） / [EMERGENCY] safety: flow that never stops at point-1"
    )
    assert mail["To"] == "duty@utility.example, boss@utility.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert text.index("可能原因与核查顺序") < text.index("Possible causes")
    assert opened.ticket_id in text


def test_what_follows_is_threaded_under_the_first(server: SmtpServer) -> None:
    opened, joined, _ = events()
    desk = Email(config(server, languages=("en", "zh")))
    asyncio.run(desk.deliver(opened, ""))
    asyncio.run(desk.deliver(joined, "known"))
    asyncio.run(desk.deliver(joined, "known"))
    first, second, third = server.mails
    assert first["In-Reply-To"] is None
    assert second["In-Reply-To"] == second["References"] == first["Message-ID"]
    assert second["Message-ID"] == third["Message-ID"] == f"<{joined.id}@utility.example>"
    assert first["Subject"].startswith("[EMERGENCY]")


def test_only_emergencies_are_worth_a_mail(server: SmtpServer) -> None:
    desk = Email(config(server))
    opened, joined, billing = events()
    assert [desk.wants(e) for e in (opened, joined, billing)] == [True, True, False]
    assert not desk.wants(replace(opened, type="cleared"))
    assert asyncio.run(desk.find(opened)) is None


def test_starttls_and_login(tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    with SmtpServer(tls=made.server, login=("forestall", "s3cret")) as server:
        secure = {
            "host": "localhost",
            "security": "starttls",
            "ca_file": str(made.ca_file),
            "username": "forestall",
        }
        asyncio.run(Email(config(server, password="s3cret", **secure)).deliver(events()[0], ""))
        assert server.encrypted == [True]
        with pytest.raises(Unavailable, match="535"):
            asyncio.run(Email(config(server, password="wrong", **secure)).deliver(events()[0], ""))
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            asyncio.run(Email(config(server, host="localhost", security="starttls")).deliver(events()[0], ""))


def test_without_starttls_nothing_is_sent_in_the_clear(server: SmtpServer) -> None:
    with pytest.raises(Unavailable, match="STARTTLS"):
        asyncio.run(Email(config(server, security="starttls")).deliver(events()[0], ""))
    assert server.mails == []


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ({"MAIL": "451 later"}, Unavailable),
        ({"MAIL": "550 never"}, Rejected),
        ({"RCPT": "450 mailbox busy"}, Unavailable),
        ({"RCPT": "550 no such user"}, Rejected),
        ({"DATA": "421 going down"}, Unavailable),
        ({".": "452 disk full"}, Unavailable),
        ({".": "554 spam"}, Rejected),
        ({"EHLO": "500 what", "HELO": "500 what"}, Unavailable),
    ],
)
def test_what_a_refusal_means(server: SmtpServer, replies: dict[str, str], error: type[PortError]) -> None:
    server.replies = replies
    with pytest.raises(error) as caught:
        asyncio.run(Email(config(server)).deliver(events()[0], ""))
    assert type(caught.value) is error


def test_what_was_taken_stays_taken_whatever_follows(server: SmtpServer) -> None:
    server.replies = {"QUIT": "421 in a hurry"}
    asyncio.run(Email(config(server)).deliver(events()[0], ""))
    assert len(server.mails) == 1


def test_nobody_there(server: SmtpServer) -> None:
    server.stop()
    with pytest.raises(Unavailable, match="ConnectionRefusedError"):
        asyncio.run(Email(config(server)).deliver(events()[0], ""))


def test_a_server_that_hangs_leaves_the_other_threads_alone() -> None:
    with socket.socket() as mute:
        mute.bind((LOOPBACK, 0))
        mute.listen(20)
        port = mute.getsockname()[1]
        address: dict[str, Any] = {
            "host": LOOPBACK,
            "port": port,
            "sender": "a@b.example",
            "recipients": ("c@d.example",),
        }
        hanging = Email(EmailConfig(**address, security="none", timeout_s=1.0))

        async def run() -> list[object]:
            event = events()[0]
            tasks = [asyncio.create_task(hanging.deliver(event, "")) for _ in range(50)]
            await asyncio.sleep(0)
            assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 0.9) == "free"
            said: list[object] = list(await asyncio.gather(*tasks[:2], return_exceptions=True))
            await hanging.close()
            await asyncio.gather(*tasks[2:], return_exceptions=True)
            return said

        assert all(isinstance(error, Unavailable) for error in asyncio.run(run()))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"recipients": ()}, "expected at least one recipient"),
        ({"recipients": ("duty",)}, "expected a mail address"),
        ({"sender": "a@b\r\nBcc: c@d"}, "expected a mail address"),
        ({"security": "ssl"}, "expected security starttls, tls or none"),
        ({"host": "mail.example", "password": "x"}, "with a password"),
    ],
)
def test_a_wrong_configuration_says_what_was_expected(
    server: SmtpServer, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        config(server, **more)


def test_a_meters_name_cannot_add_a_header(server: SmtpServer) -> None:
    store = MemoryStore()
    store.take(flag("continuous_flow", service_point_id="p\r\nBcc: thief@example.com"))
    asyncio.run(Email(config(server)).deliver(store.events[0], ""))
    assert server.mails[0]["Bcc"] is None
    assert "p Bcc: thief@example.com" in server.mails[0]["Subject"]
