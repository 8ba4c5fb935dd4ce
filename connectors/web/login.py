"""The login form, for browsers: the token once, then a cookie that scripts cannot read."""

from __future__ import annotations

from html import escape
from string import Template
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse, RedirectResponse

from connectors.web.guard import COOKIE, LOGIN, SESSION_S, Access, secure
from connectors.web.problems import Problem
from connectors.web.words import Words, language_of

_MOST = 8192  # bytes of a form

_PAGE = Template("""<!doctype html>
<html lang="$lang"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>
:root{color-scheme:light}*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:#eef1f4;color:#16212b;
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans CJK SC","Noto Sans SC","PingFang SC",
"Microsoft YaHei",sans-serif}
main{width:min(23rem,calc(100vw - 2rem));background:#fff;border:1px solid #d5dce3;
border-radius:6px;padding:1.75rem}
h1{font-size:1.15rem;margin:0 0 .25rem}p{margin:0 0 1.1rem;color:#51606e}
label{display:block;font-weight:600;margin-bottom:.3rem}
input{width:100%;font:inherit;padding:.5rem .6rem;border:1px solid #8595a3;border-radius:4px;background:#fff}
button{margin-top:1rem;width:100%;font:inherit;font-weight:600;padding:.55rem;border:0;border-radius:4px;
background:#0b5cab;color:#fff;cursor:pointer}
button:hover{background:#094d90}:focus-visible{outline:3px solid #7db5ea;outline-offset:1px}
[role=alert]{margin:0 0 1rem;padding:.5rem .7rem;
border-left:4px solid #b3261e;background:#fdeceb;color:#7c1a14}
</style></head><body><main><h1>$title</h1><p>$lead</p>$alert
<form method="post" action="$action"><label for="token">$label</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>$button</button></form></main></body></html>
""")


def router(access: Access, language: str) -> APIRouter:
    """``/login`` and ``/logout``; without a token they lead to the page."""
    pages = APIRouter(include_in_schema=False)

    @pages.get(LOGIN)
    async def form(request: Request) -> Response:
        target = local(request.query_params.get("next", ""))
        if not access.needed or access.allows(request.headers):
            return RedirectResponse(target, 303)
        return _form(language_of(request.cookies, language), target)

    @pages.post(LOGIN)
    async def login(request: Request) -> Response:
        target = local(request.query_params.get("next", ""))
        if not access.needed:
            return RedirectResponse(target, 303)
        if not access.right(await _token(request)):
            return _form(language_of(request.cookies, language), target, wrong=True)
        answer = RedirectResponse(target, 303)
        answer.set_cookie(
            COOKIE,
            access.cookie(),
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
    page = _PAGE.substitute(
        lang=say("html_lang"),
        title=escape(say("title")),
        lead=escape(say("login_lead")),
        alert=alert,
        action=escape(f"{LOGIN}?{urlencode({'next': target})}"),
        label=escape(say("login_token")),
        button=escape(say("login_button")),
    )
    return HTMLResponse(page, 401 if wrong else 200)
