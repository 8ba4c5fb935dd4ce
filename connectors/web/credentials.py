"""Credentials: which token is whose, sessions that name their user, and guesses that are counted.

The actor of a request is what its credential says. Nothing in a payload names it, or a tenant.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

from streams.trade.roles import LOCAL, Actor, Role

COOKIE = "forestall_session"
SESSION_S = 12 * 3600  # a shift


@dataclass(frozen=True, slots=True)
class User:
    """A person or a program, and what proves that it is the one.

    tokens : several while one is being replaced
    """

    name: str
    role: Role
    tokens: tuple[str, ...]


class Access:
    """Knows the tokens, and makes and reads the login's cookies.

    token : of the administrator; empty: there is none
    users : further ones; without any token at all none is asked for
    now   : seconds since 1970, for the age of cookies and of guesses
    """

    def __init__(self, token: str, now: Callable[[], float] = time.time, users: Sequence[User] = ()) -> None:
        first = [User(LOCAL.name, LOCAL.role, (token,))] if token else []
        self._known = [
            (Actor(user.name, user.role), _hash(given), _hash("forestall web session\0" + given))
            for user in (*first, *users)
            for given in user.tokens
            if given
        ]
        self.needed = bool(self._known)
        self.guesses = Guesses(now)
        self._now = now

    def actor(self, token: str) -> Actor | None:
        """Whose token this is; takes as long for any."""
        given = _hash(token)
        found = None
        for actor, right, _ in self._known:
            if hmac.compare_digest(given, right):
                found = actor
        return found

    def cookie(self, token: str) -> str:
        """A session from now on of whoever has this token. It ends when the token is no longer configured."""
        expiry = str(int(self._now()) + SESSION_S)
        given = _hash(token)
        for actor, right, key in self._known:
            if hmac.compare_digest(given, right):
                name = base64.urlsafe_b64encode(actor.name.encode()).decode().rstrip("=")
                return f"{name}.{expiry}.{_sign(key, name, expiry)}"
        raise ValueError("expected a configured token, got another one")

    def bearer(self, headers: Headers) -> str | None:
        """The token that a program sends; None where it sends none."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else None

    def session(self, headers: Headers) -> Actor | None:
        """Whose live session a browser's request is of."""
        name, _, rest = _cookie(headers, COOKIE).partition(".")
        expiry, _, signature = rest.partition(".")
        found = None
        for actor, _, key in self._known:
            genuine = hmac.compare_digest(signature.encode(), _sign(key, name, expiry).encode())
            if genuine and _name(name) == actor.name:
                found = actor
        live = expiry.isdecimal() and len(expiry) < 20 and int(expiry) > self._now()
        return found if live else None


class Guesses:
    """Counts wrong tokens, so that nobody tries many.

    Different ones count: a program that goes on with an old token locks nobody out who comes from
    the same address. An address that has tried ``MOST`` within ``WINDOW_S`` waits until the first
    of them is that old.
    """

    MOST = 10
    WINDOW_S = 60.0
    _ADDRESSES = 10_000

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._tried: OrderedDict[str, dict[bytes, float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """How long an address has to wait before its next try is looked at; 0: not at all. [s]"""
        tried = self._fresh(address)
        if len(tried) < self.MOST:
            return 0.0
        return max(0.0, min(tried.values()) + self.WINDOW_S - self._now())

    def wrong(self, address: str, token: str) -> None:
        """Remember a wrong token."""
        tried = self._fresh(address)
        tried.setdefault(_hash(token), self._now())
        self._tried[address] = tried
        self._tried.move_to_end(address)
        while len(self._tried) > self._ADDRESSES:
            self._tried.popitem(last=False)

    def _fresh(self, address: str) -> dict[bytes, float]:
        since = self._now() - self.WINDOW_S
        tried = {token: at for token, at in self._tried.get(address, {}).items() if at > since}
        if address in self._tried and not tried:
            del self._tried[address]
        return tried


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _sign(key: bytes, name: str, expiry: str) -> str:
    return hmac.new(key, f"{name}.{expiry}".encode(), hashlib.sha256).hexdigest()


def _name(coded: str) -> str:
    try:
        return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


def _cookie(headers: Headers, name: str) -> str:
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""
