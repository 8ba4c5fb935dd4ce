"""Who may ask: a bearer token or the cookie of the login form; without a token, this machine alone.

Pure ASGI, around everything that a port serves, websockets too. It decides who asks
(``actor_of``); what a route asks for beyond that is ``needs``. Without a token three things
must all be of this machine: the peer's address; the Host header, or a name that an attacker
points at 127.0.0.1 would let a web page read us (DNS rebinding); and the absence of a proxy's
headers, for behind a proxy every peer is local.
"""

from __future__ import annotations

import ipaddress
import math
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.web.credentials import COOKIE, SESSION_S, Access, User
from connectors.web.problems import Problem
from streams.trade.roles import LOCAL, RIGHTS, Actor

__all__ = ["COOKIE", "LOGIN", "SESSION_S", "Access", "Guard", "User", "actor_of", "address_of", "needs"]

#: always answered: a supervisor's probes have no token
OPEN = frozenset({"/health", "/ready"})
#: what desks send is known by its signature (``hooks``), not by a token of ours
SIGNED = "/hooks/"
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


_ACTOR = "forestall.actor"  # of a scope
_FORMS = frozenset({LOGIN, "/logout"})  # what they change is the session itself


def actor_of(request: HTTPConnection) -> Actor:
    """Who asks, by the credential that the guard has checked."""
    actor = request.scope.get(_ACTOR)
    if not isinstance(actor, Actor):
        raise Problem(401, expected="a request that has passed the guard", got="none", action="sign in")
    return actor


def needs(right: str) -> Any:
    """A dependency: the actor, who must have a right of ``RIGHTS``; 403 that names it where not.

    ``actor: Annotated[Actor, needs("work")]``, or ``dependencies=[needs("read")]`` of a router.
    """
    from fastapi import Depends  # here: the guard stands before the probes of every process too

    roles = RIGHTS[right]

    def allowed(request: HTTPConnection) -> Actor:
        actor = actor_of(request)
        if actor.role not in roles:
            raise Problem(
                403,
                expected=f"the right {right!r} (roles {', '.join(sorted(roles))})",
                got=f"{actor.name}, whose role is {actor.role}",
                action="ask somebody who has it, or the administrator for another role (web.users)",
            )
        return actor

    allowed.right = right  # type: ignore[attr-defined]
    return Depends(allowed)


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
        refusal = (
            None
            if scope["path"] in OPEN or scope["path"].startswith(SIGNED)
            else self._refusal(scope, headers)
        )
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to who may not ask; None to who may, whose name is then in the scope."""
        path = scope["path"]
        if not self._access.needed and (stranger := _stranger(scope, headers)):
            return Problem(
                403,
                expected="a request from this machine to a loopback address (no token is configured)",
                got=stranger,
                action="open http://127.0.0.1 with this port, or set a token to be reached from elsewhere",
            ).response(path)
        if foreign := _foreign(scope, headers):
            return foreign.response(path)
        if not self._access.needed:
            scope[_ACTOR] = LOCAL
            return None
        token = self._access.bearer(headers)
        actor = None
        if token is not None:
            address = address_of(scope, headers)
            if wait := self._access.guesses.wait_s(address):
                return too_many(wait).response(path)
            actor = self._access.actor(token)
            if actor is None:
                self._access.guesses.wrong(address, token)
        if actor is None and (actor := self._access.session(headers)) is not None:
            unproven = _writes(scope) and "origin" not in headers and not _fetched_here(headers)
            if unproven and path not in _FORMS:
                return Problem(
                    403,
                    expected="Origin or Sec-Fetch-Site: same-origin on what a browser's session writes",
                    got="neither",
                    action="send the request from a page of ours, or with Authorization: Bearer",
                ).response(path)
        if actor is None:
            return self._ask(scope, headers)
        scope[_ACTOR] = actor
        return None

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


def too_many(wait_s: float) -> Problem:
    """The answer to whoever has tried too many tokens."""
    wait = max(1, math.ceil(wait_s))
    return Problem(
        429,
        expected="fewer wrong tokens a minute from one address",
        got="too many",
        action=f"try again in {wait} s",
        headers={"Retry-After": str(wait)},
    )


def address_of(scope: Scope, headers: Headers) -> str:
    """Where a request comes from: the peer, or what a proxy on this machine says was its own peer."""
    peer = scope.get("client")
    host = peer[0] if peer else ""
    if loopback(host):
        # the last entry is the proxy's own; what stands before it may be anybody's invention
        return headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:64] or host
    return str(host)


def _writes(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS")


def _fetched_here(headers: Headers) -> bool:
    return headers.get("sec-fetch-site", "") == "same-origin"


def _foreign(scope: Scope, headers: Headers) -> Problem | None:
    """What a page of another site has made a browser ask."""
    host, origin = headers.get("host", ""), headers.get("origin")
    site = headers.get("sec-fetch-site", "same-origin")
    if origin is not None and origin.lower().partition("://")[2] != host.lower():
        got = f"Origin {origin[:200]}"
    elif _writes(scope) and site not in ("same-origin", "none"):
        got = f"Sec-Fetch-Site {site[:40]}"
    else:
        return None
    return Problem(
        403,
        expected=f"a request by a page of {host or 'this host'}",
        got=got,
        action="open the pages under the address that they come from (a proxy must pass Host on)",
    )


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


def _hardened(scope: Scope, headers: Headers, send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            out = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                out[name] = value
            kind = out.get("content-type", "")
            if not kind.startswith("text/html"):
                out["Content-Security-Policy"] = _DATA_POLICY
            elif scope["path"] == LOGIN or scope["path"].startswith("/api/"):  # documents have no script
                out["Content-Security-Policy"] = _LOGIN_POLICY
            else:
                out["Content-Security-Policy"] = _PAGE_POLICY
            if "cache-control" not in out:
                out["Cache-Control"] = "no-store"
            if secure(scope, headers):
                out["Strict-Transport-Security"] = "max-age=31536000"
        await send(message)

    return sending
