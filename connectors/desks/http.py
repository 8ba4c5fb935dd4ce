"""Calls to a desk over HTTP: guarded, bounded in time and size, and what an answer means.

An answer of any kind is a ``Reply``; ``judge`` turns one that is no success into the port's errors.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from connectors.desks.address import Forbidden, GuardedTransport
from streams.messages import NS
from streams.ports import Gone, Rejected, Unavailable

_WAIT_MOST = 24 * 3600.0  # seconds of a Retry-After that are honoured
#: answers that say that this content will never be taken; everything else may be mended at one end
REFUSALS = frozenset({400, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class CallConfig:
    """How a desk is called.

    timeout_s     : of a whole call, from the look-up of the name to the last byte
    allow_private : whether the other side may be in a private network
    ca_file       : certificates to trust; empty: the system's
    most          : bytes of an answer that are read
    """

    timeout_s: float = 15.0
    allow_private: bool = False
    ca_file: str = ""
    most: int = 64 * 1024

    def __post_init__(self) -> None:
        if self.timeout_s <= 0:
            raise ValueError(f"expected timeout_s > 0, got {self.timeout_s}")


#: what most desks are called with, and those whose answers hold all that was ever written on a ticket
PLAIN = CallConfig()
LONG = CallConfig(most=4 << 20)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, the beginning of its body, its headers by name in small letters."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return msgspec.json.decode(self.content)
        except msgspec.DecodeError:
            return None

    @property
    def said(self) -> str:
        """The status and the beginning of the body, for a person."""
        text = self.content[:200].decode("utf-8", "replace").strip()
        return f"HTTP {self.status}{': ' + text if text else ''}"


class Caller:
    """Makes the calls of one desk; its connections are kept open between them.

    now_ns : the clock that a ``Retry-After`` with a date is held against
    """

    def __init__(self, config: CallConfig, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._now_ns = now_ns
        self._client: httpx.AsyncClient | None = None

    async def call(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One request. Raises Unavailable where there is no answer, or one that asks to wait."""
        if self._client is None:
            self._client = self._connect()
        try:
            # the client's own limits are for each step; a receiver that drips would never end
            async with (
                asyncio.timeout(self._config.timeout_s),
                self._client.stream(method, url, content=body, headers=dict(headers or {})) as got,
            ):
                content = b""
                async for part in got.aiter_raw():
                    content += part
                    if len(content) > self._config.most:
                        break
                reply = Reply(got.status_code, content[: self._config.most], dict(got.headers))
        except Forbidden as error:
            raise Unavailable(bare(url), str(error), 60.0) from error
        except TimeoutError as error:
            raise Unavailable(bare(url), f"no answer within {self._config.timeout_s:g} s") from error
        except httpx.HTTPError as error:
            raise Unavailable(bare(url), f"{type(error).__name__}: {error}") from error
        wait = reply.headers.get("retry-after", "")
        if wait and (reply.status in (408, 425, 429) or reply.status >= 500):
            raise Unavailable(bare(url), f"HTTP {reply.status}", _retry_after(wait, self._now_ns()))
        return reply

    async def close(self) -> None:
        """Let the connections go."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _connect(self) -> httpx.AsyncClient:
        verify = ssl.create_default_context(cafile=self._config.ca_file or None)
        return httpx.AsyncClient(
            transport=GuardedTransport(allow_private=self._config.allow_private, verify=verify),
            timeout=self._config.timeout_s,
            follow_redirects=False,
            # a proxy from the environment would resolve names itself, past the guard
            trust_env=False,
            headers={"user-agent": "forestall", "accept": "application/json", "accept-encoding": "identity"},
        )


def judge(endpoint: str, reply: Reply, refusals: frozenset[int] = REFUSALS) -> None:
    """Return where the answer is a success; raise Gone, Rejected or Unavailable where it is not."""
    if reply.ok:
        return
    reason = reply.said
    if reply.status == 410:
        raise Gone(endpoint, f"{reason}; it wants no more events: set the desk up again")
    if reply.status in refusals:
        raise Rejected(endpoint, reason)
    if 300 <= reply.status < 400:
        reason += "; redirects are not followed: set the final address as url"
    raise Unavailable(endpoint, reason)


def check_url(desk: str, url: str, *, allow_private: bool) -> None:
    """Raise ValueError where an address is none that may be called."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{desk}: expected an https:// address, got {bare(url)!r}")
    if parts.scheme == "http" and not allow_private:
        raise ValueError(f"{desk}: expected https, got {bare(url)!r}; plain http needs allow_private")


def bare(url: str) -> str:
    """The address without what may be secret: user, password, query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def number(answer: Any) -> str:
    """The number (``id``) that an answer gives, empty where it gives none."""
    found = answer.get("id") if isinstance(answer, dict) else None
    return str(found)[:200] if isinstance(found, str | int) and not isinstance(found, bool) else ""


def _retry_after(text: str, now_ns: int) -> float:
    """Seconds to wait, from a number or a date; 0 where it is neither. Bounded."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now_ns / NS
        except (ValueError, TypeError):
            return 0.0
    return min(max(0.0, seconds), _WAIT_MOST) if seconds == seconds else 0.0
