"""Who may ask: a bearer token or the cookie of the login form; without a token, this machine alone.

Pure ASGI, around everything that a port serves, websockets too. Without a token three things
must all be of this machine: the peer's address; the Host header, or a name that an attacker
points at 127.0.0.1 would let a web page read us (DNS rebinding); and the absence of a proxy's
headers, for behind a proxy every peer is local.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.web.problems import Problem

COOKIE = "forestall_session"
SESSION_S = 12 * 3600  # a shift
#: always answered: a supervisor's probes have no token
OPEN = frozenset({"/health", "/ready"})
LOGIN = "/login"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")

#: NiceGUI compiles templates in the browser and has inline scripts: both must be allowed on its
#: pages. Nothing may be loaded from, or sent to, anywhere else.
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_LOGIN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Access:
    """Knows the token, and makes and reads the login's cookies.

    token : empty: none is asked for
    now   : seconds since 1970, for the age of cookies
    """

    def __init__(self, token: str, now: Callable[[], float] = time.time) -> None:
        self.needed = bool(token)
        self._digest = hashlib.sha256(token.encode()).digest()
        self._key = hashlib.sha256(b"forestall web session\0" + token.encode()).digest()
        self._now = now

    def right(self, token: str) -> bool:
        """Tell whether this is the token; takes as long for any."""
        given = hashlib.sha256(token.encode()).digest()
        return self.needed and hmac.compare_digest(given, self._digest)

    def cookie(self) -> str:
        """A session from now on. A new token ends all sessions."""
        expiry = str(int(self._now()) + SESSION_S)
        return f"{expiry}.{self._sign(expiry)}"

    def allows(self, headers: Headers) -> bool:
        """Tell whether a request carries the token or a live session."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.right(token.strip()):
            return True
        expiry, _, signature = _cookie(headers, COOKIE).partition(".")
        genuine = hmac.compare_digest(signature.encode(), self._sign(expiry).encode())
        return self.needed and genuine and expiry.isdecimal() and int(expiry) > self._now()

    def _sign(self, expiry: str) -> str:
        return hmac.new(self._key, expiry.encode(), hashlib.sha256).hexdigest()


class Guard:
    """Lets through who may ask, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access, *, login: bool = False) -> None:
        self._app = app
        self._access = access
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        send = _hardened(scope, headers, send)
        refusal = None if scope["path"] in OPEN else self._refusal(scope, headers)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to who may not ask; None to who may."""
        host = headers.get("host", "")
        if not self._access.needed and (stranger := _stranger(scope, headers)):
            return Problem(
                403,
                expected="a request from this machine to a loopback address (no token is configured)",
                got=stranger,
                action="open http://127.0.0.1 with this port, or set a token to be reached from elsewhere",
            ).response(scope["path"])
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            return Problem(
                403,
                expected=f"a request by a page of {host or 'this host'}",
                got=f"Origin {origin[:200]}",
                action="open the pages under the address that they come from (a proxy must pass Host on)",
            ).response(scope["path"])
        if not self._access.needed or self._access.allows(headers):
            return None
        return self._ask(scope, headers)

    def _ask(self, scope: Scope, headers: Headers) -> Response | None:
        """The way to the login for a browser, 401 for a program; None for the login itself."""
        path = scope["path"]
        browses = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if self._login and path == LOGIN:
            return None
        if self._login and browses and "text/html" in headers.get("accept", ""):
            query = scope["query_string"].decode("latin-1")
            target = quote(path) + (f"?{query}" if query else "")
            if headers.get("sec-fetch-site") == "cross-site":
                # Followed from a mail or a helpdesk: the browser keeps a strict cookie back until
                # we ourselves lead it on.
                return HTMLResponse(_ONWARD.format(quote(target, safe="/?&=%")))
            return RedirectResponse(f"{LOGIN}?next={quote(target, safe='/')}", 303)
        refusal = Problem(
            401,
            expected="Authorization: Bearer with the configured token",
            got="another token" if "authorization" in headers else "no token",
            action="send the token that stands in the configuration",
            headers={"WWW-Authenticate": 'Bearer realm="forestall"'},
        )
        return refusal.response(path)


_ONWARD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Forestall</title>'
    '<meta http-equiv="refresh" content="0;url={0}"><a href="{0}">→</a></html>'
)


def secure(scope: Scope, headers: Headers) -> bool:
    """Whether the browser speaks TLS, to us or to the proxy before us."""
    return scope["scheme"] in ("https", "wss") or headers.get("x-forwarded-proto", "") == "https"


def loopback(host: str) -> bool:
    """Whether a host name or address, without a port, is this machine's own."""
    name = host.lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _stranger(scope: Scope, headers: Headers) -> str:
    """What of a request is not of this machine; empty: nothing."""
    peer = scope.get("client")
    if peer is None or not loopback(peer[0]):
        return f"a request from {peer[0] if peer else 'an unknown address'}"
    host = headers.get("host", "")
    if not loopback(_name(host)):
        return f"Host {host[:200]!r}"
    forwarded = next((name for name in _FORWARDED if name in headers), "")
    return f"a request passed on by a proxy (header {forwarded})" if forwarded else ""


def _name(host: str) -> str:
    """The host of ``host:port``; empty where it is not one."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _cookie(headers: Headers, name: str) -> str:
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""


def _hardened(scope: Scope, headers: Headers, send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            out = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                out[name] = value
            kind = out.get("content-type", "")
            if not kind.startswith("text/html"):
                out["Content-Security-Policy"] = _DATA_POLICY
            elif scope["path"] == LOGIN:
                out["Content-Security-Policy"] = _LOGIN_POLICY
            else:
                out["Content-Security-Policy"] = _PAGE_POLICY
            if "cache-control" not in out:
                out["Cache-Control"] = "no-store"
            if secure(scope, headers):
                out["Strict-Transport-Security"] = "max-age=31536000"
        await send(message)

    return sending
