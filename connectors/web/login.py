"""The login form, for browsers: the token once, then a cookie that scripts cannot read."""

from __future__ import annotations

from html import escape
from string import Template
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from connectors.web.guard import COOKIE, LOGIN, SESSION_S, Access, address_of, secure, too_many
from connectors.web.plain import page
from connectors.web.problems import Problem
from connectors.web.words import Words, language_of

_MOST = 8192  # bytes of a form
_FORM = Template("""<form method="post" action="$action"><label for="token">$label</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>$button</button></form>""")


def router(access: Access, language: str) -> APIRouter:
    """``/login`` and ``/logout``; without a token they lead to the page."""
    pages = APIRouter(include_in_schema=False)

    @pages.get(LOGIN)
    async def form(request: Request) -> Response:
        target = local(request.query_params.get("next", ""))
        if not access.needed or access.session(request.headers):
            return RedirectResponse(target, 303)
        return _form(language_of(request.cookies, language), target)

    @pages.post(LOGIN)
    async def login(request: Request) -> Response:
        target = local(request.query_params.get("next", ""))
        if not access.needed:
            return RedirectResponse(target, 303)
        address = address_of(request.scope, request.headers)
        if wait := access.guesses.wait_s(address):
            raise too_many(wait)
        token = await _token(request)
        if access.actor(token) is None:
            access.guesses.wrong(address, token)
            return _form(language_of(request.cookies, language), target, wrong=True)
        answer = RedirectResponse(target, 303)
        answer.set_cookie(
            COOKIE,
            access.cookie(token),
            max_age=SESSION_S,
            secure=secure(request.scope, request.headers),
            httponly=True,
            samesite="strict",
        )
        return answer

    @pages.post("/logout")
    async def logout() -> Response:
        answer = RedirectResponse(LOGIN, 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    return pages


def local(target: str) -> str:
    """A path of ours to go on to; anything else is the front page."""
    plain = target.isprintable() and "\\" not in target and len(target) <= 2000
    return target if plain and target.startswith("/") and not target.startswith(("//", LOGIN)) else "/"


async def _token(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST:
            raise Problem(
                413, expected=f"a form of at most {_MOST} bytes", got="more", action="send the token only"
            )
    try:
        return parse_qs(body.decode("ascii")).get("token", [""])[0].strip()
    except ValueError:
        return ""


def _form(language: str, target: str, *, wrong: bool = False) -> Response:
    say = Words(language)
    alert = f'<div role="alert">{escape(say("login_wrong"))}</div>' if wrong else ""
    action = escape(f"{LOGIN}?{urlencode({'next': target})}")
    form = _FORM.substitute(
        action=action, label=escape(say("login_token")), button=escape(say("login_button"))
    )
    return page(say, say("login_lead"), alert + form, 401 if wrong else 200)
