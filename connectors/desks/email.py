"""Emergencies by mail: one message an event, in Chinese and in English, threaded by ticket."""

from __future__ import annotations

import asyncio
import logging
import smtplib
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Literal

from streams.messages import NS
from streams.ports import Rejected, Unavailable
from streams.trade.deliveries import TicketEvent

log = logging.getLogger(__name__)

_THREADS = 2  # sessions at the same time
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class EmailConfig:
    """One mail server and who gets its messages.

    security  : ``starttls`` (refused where the server has none), ``tls`` from the first byte, or ``none``
    domain    : the right side of the Message-IDs
    urgencies : urgencies that are worth a mail
    types     : event types that are worth a mail, of those urgencies
    escalations : event types that are worth a mail whatever the urgency
    languages : whose text comes first
    """

    host: str
    sender: str
    recipients: tuple[str, ...]
    name: str = "email"
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    timeout_s: float = 20.0
    domain: str = "forestall.invalid"
    urgencies: tuple[str, ...] = ("emergency",)
    types: tuple[str, ...] = ("opened", "updated", "joined")
    escalations: tuple[str, ...] = ("escalated", "overdue")
    languages: tuple[str, ...] = ("zh", "en")

    def __post_init__(self) -> None:
        if not self.recipients:
            raise ValueError(f"{self.name}: expected at least one recipient, got none")
        for address in (self.sender, *self.recipients):
            if "@" not in address or any(c in address for c in "\r\n,;"):
                raise ValueError(
                    f"{self.name}: expected a mail address such as duty@example.com, got {address!r}"
                )
        if self.security not in ("starttls", "tls", "none"):
            raise ValueError(f"{self.name}: expected security starttls, tls or none, got {self.security!r}")
        if self.password and self.security == "none" and self.host not in _LOCAL:
            raise ValueError(f"{self.name}: expected starttls or tls with a password, got security none")


class Email:
    """Delivers ticket events to one mail server (smtplib, in a thread)."""

    def __init__(self, config: EmailConfig, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._now_ns = now_ns
        # threads of its own: a mail server that hangs must not use up those that the store needs
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=config.name)

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def endpoint(self) -> str:
        return f"smtp://{self._config.host}:{self._config.port}"

    def wants(self, event: TicketEvent) -> bool:
        if event.type in self._config.escalations:
            return True
        return event.urgency in self._config.urgencies and event.type in self._config.types

    async def find(self, event: TicketEvent) -> str | None:
        """A mail server cannot be asked; a repeated message has the same Message-ID."""
        return None

    async def deliver(self, event: TicketEvent, remote_id: str) -> str:
        """Send one message; returns the Message-ID that the ticket's thread began with."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._send, self.message(event))
        return remote_id or self._thread_id(event)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def message(self, event: TicketEvent) -> EmailMessage:
        """The mail of an event, its languages below each other."""
        texts = [event.data["text"][language] for language in self._config.languages]
        mail = EmailMessage()
        mail["From"] = self._config.sender
        mail["To"] = ", ".join(self._config.recipients)
        mail["Subject"] = _line(" / ".join(text["title"] for text in texts))
        mail["Date"] = formatdate(self._now_ns() / NS)
        thread = self._thread_id(event)
        if event.type == "opened":
            mail["Message-ID"] = thread
        else:
            # a reader shows it under the first message, also where that one was lost
            mail["Message-ID"] = f"<{event.id}@{self._config.domain}>"
            mail["In-Reply-To"] = thread
            mail["References"] = thread
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Forestall-Ticket"] = _line(event.ticket_id)
        if event.urgency == "emergency":
            mail["Importance"] = "high"
        mail.set_content(f"\n\n{'-' * 40}\n\n".join(text["body"] for text in texts) + "\n")
        return mail

    def _thread_id(self, event: TicketEvent) -> str:
        return f"<{event.ticket_id}@{self._config.domain}>"

    def _send(self, mail: EmailMessage) -> None:
        try:
            server = self._session()
            try:
                refused = server.send_message(mail, self._config.sender, list(self._config.recipients))
            finally:
                # what was taken stays taken, whatever the server says to the farewell
                with suppress(OSError, smtplib.SMTPException):
                    server.quit()
            if refused:
                log.warning("%s: took %s, but not for %s", self.endpoint, mail["Message-ID"], refused)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            reason = f"no recipient was taken: {error.recipients}"
            if all(500 <= code < 600 for code in codes):
                raise Rejected(self.endpoint, reason) from error
            raise Unavailable(self.endpoint, reason) from error
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPConnectError, smtplib.SMTPHeloError) as error:
            # about us or the server, not about this message: a person can mend it
            raise Unavailable(self.endpoint, str(error)) from error
        except smtplib.SMTPResponseException as error:
            reason = f"{error.smtp_code} {error.smtp_error!r}"
            if 500 <= error.smtp_code < 600:
                raise Rejected(self.endpoint, reason) from error
            raise Unavailable(self.endpoint, reason) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable(self.endpoint, f"{type(error).__name__}: {error}") from error

    def _session(self) -> smtplib.SMTP:
        """A session that may send. Raises what smtplib raises."""
        config = self._config
        context = ssl.create_default_context(cafile=config.ca_file or None)
        server: smtplib.SMTP
        if config.security == "tls":
            server = smtplib.SMTP_SSL(config.host, config.port, timeout=config.timeout_s, context=context)
        else:
            server = smtplib.SMTP(config.host, config.port, timeout=config.timeout_s)
        try:
            if config.security == "starttls":
                server.starttls(context=context)  # raises where the server has none: never in the clear
            if config.username:
                server.login(config.username, config.password)
        except BaseException:
            server.close()
            raise
        return server


def _line(text: str) -> str:
    """Text of one line: a header ends at a line break."""
    return " ".join(text.split())
