"""Who may ask the web process, and how it listens and ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from starlette.datastructures import Headers
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from connectors.store import Store
from connectors.web.app import WebConfig, make_app
from connectors.web.guard import COOKIE, SESSION_S, Access, loopback
from connectors.web.login import local
from connectors.web.server import PortTaken, serve
from connectors.web.sources import Sources
from streams.trade.deliveries import Heartbeat
from tests.web_tools import VOCABULARY, Place, filled, process, sources, talking

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with filled(tmp_path_factory.mktemp("web")) as made:
        yield made


class _Stuck(Store):
    """A store whose database does not answer until it is let go."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked = threading.Event()
        self.let_go = threading.Event()

    def heartbeats(self) -> list[Heartbeat]:
        self.asked.set()
        self.let_go.wait(30)
        return super().heartbeats()


# -- who may ask ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "got"),
    [
        ({"Host": "evil.example"}, "evil.example"),
        ({"Host": "127.0.0.1.evil.example:80"}, "evil.example"),
        ({"Host": "10.0.0.1:8080"}, "10.0.0.1"),
        ({"Host": ""}, "Host"),
        ({"Host": "[::1"}, "Host"),
        ({"Origin": "http://evil.example"}, "Origin http://evil.example"),
        ({"Origin": "null"}, "Origin null"),
        ({"Origin": "http://["}, "Origin http://["),
        ({"X-Forwarded-For": "203.0.113.9"}, "x-forwarded-for"),
        ({"Forwarded": "for=203.0.113.9"}, "forwarded"),
    ],
)
def test_without_a_token_this_machine_alone_is_served(
    place: Place, headers: dict[str, str], got: str
) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.get("/api/tickets", headers=headers)
        assert answer.status_code == 403
        assert got in answer.json()["got"]
        # a supervisor's probe asks under any name
        if headers.get("Host"):
            assert (await client.get("/health", headers={"Host": headers["Host"]})).status_code == 200

    talking(place, talk)


def test_without_a_token_loopback_names_and_own_origins_are_served(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        port = client.base_url.port
        for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST", "127.9.9.9"):
            own = {"Host": host, "Origin": f"http://{host}"}
            assert (await client.get("/api/tickets", headers=own)).status_code == 200, host
        assert (await client.get("/login")).status_code == 303

    talking(place, talk)


def test_without_a_token_another_machine_is_refused(place: Place) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: asks which address of ours would be used
        except OSError:
            pytest.skip("this machine has no address beside loopback")
        ours = probe.getsockname()[0]

    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.get(
            f"http://{ours}:{client.base_url.port}/api/tickets", headers={"Host": "localhost"}
        )
        assert answer.status_code == 403
        assert answer.json()["got"] == f"a request from {ours}"

    talking(place, talk, host="0.0.0.0")


def test_loopback_names() -> None:
    assert all(
        map(loopback, ("localhost", "LocalHost.", "a.localhost", "127.0.0.1", "[::1]", "::ffff:127.0.0.1"))
    )
    assert not any(
        map(loopback, ("", "localhost.evil.example", "0.0.0.0", "::", "192.168.0.1", "example.org"))
    )


def test_a_token_is_asked_for(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        for path in ("/api/tickets", "/metrics", "/api/openapi.json", "/api/nothing"):
            answer = await client.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == 'Bearer realm="forestall"'
        for wrong in (f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", "Bearer \xff\xfe"):
            answer = await client.get("/api/tickets", headers=[(b"authorization", wrong.encode("latin-1"))])
            assert answer.status_code == 401, wrong
        assert (await client.get("/api/tickets", headers=BEARER)).status_code == 200
        # behind a proxy, under a public name
        named = {**BEARER, "Host": "meters.example", "X-Forwarded-For": "203.0.113.9"}
        assert (await client.get("/api/tickets", headers=named)).status_code == 200
        foreign = {**named, "Origin": "https://evil.example"}
        assert (await client.get("/api/tickets", headers=foreign)).status_code == 403
        found = (await client.get("/api/openapi.json", headers=BEARER)).json()
        assert "HTTPBearer" in found["components"]["securitySchemes"]

    talking(place, talk, token=TOKEN)


def test_a_browser_signs_in_once(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        led = await client.get("/tickets/FS-1?a=b", headers=HTML)
        assert led.status_code == 303
        assert led.headers["location"] == "/login?next=/tickets/FS-1%3Fa%3Db"
        form = await client.get(led.headers["location"], headers=HTML)
        assert form.status_code == 200
        assert 'type="password"' in form.text
        assert "script" not in form.headers["content-security-policy"]
        wrong = await client.post(led.headers["location"], data={"token": "wrong"})
        assert wrong.status_code == 401
        assert "This is not the token" in wrong.text
        assert COOKIE not in client.cookies
        right = await client.post(led.headers["location"], data={"token": f" {TOKEN} "})
        assert (right.status_code, right.headers["location"]) == (303, "/tickets/FS-1?a=b")
        cookie = right.headers["set-cookie"].lower()
        assert all(
            part in cookie for part in ("httponly", "samesite=strict", "path=/", f"max-age={SESSION_S}")
        )
        assert "secure" not in cookie
        assert TOKEN not in cookie
        assert (await client.get("/api/tickets")).status_code == 200
        assert (await client.get("/login", headers=HTML)).status_code == 303
        await client.post("/logout")
        assert (await client.get("/api/tickets")).status_code == 401

    talking(place, talk, token=TOKEN)


def test_behind_tls_the_cookie_is_for_tls_only(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        proxied = {"X-Forwarded-Proto": "https", "Host": "meters.example", "Origin": "https://meters.example"}
        answer = await client.post("/login", data={"token": TOKEN}, headers=proxied)
        assert answer.status_code == 303
        assert "secure" in answer.headers["set-cookie"].lower()
        assert answer.headers["strict-transport-security"]

    talking(place, talk, token=TOKEN)


def test_the_login_speaks_chinese(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        form = await client.get("/login", headers=HTML)
        assert '<html lang="zh-CN">' in form.text
        assert "访问令牌" in form.text
        chosen = await client.get("/login", headers={**HTML, "Cookie": "forestall_language=en"})
        assert '<html lang="en">' in chosen.text

    talking(place, talk, token=TOKEN, language="zh")


def test_a_form_that_is_too_large_or_odd_is_refused(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        assert (await client.post("/login", data={"token": "x" * 10_000})).status_code == 413
        assert (await client.post("/login", content=b"\xff\xfe=\x00")).status_code == 401
        assert (await client.post("/login", content=b"")).status_code == 401

    talking(place, talk, token=TOKEN)


def test_a_link_from_elsewhere_is_led_on_by_us(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.get('/tickets/FS-"><x', headers={**HTML, "Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 200
        assert 'url=/tickets/FS-%22%3E%3Cx"' in answer.text
        assert "<x" not in answer.text

    talking(place, talk, token=TOKEN)


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        ("/", "/"),
        ("/tickets/FS-1?a=b", "/tickets/FS-1?a=b"),
        ("", "/"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/login", "/"),
        ("/" + "a" * 3000, "/"),
    ],
)
def test_the_login_leads_to_pages_of_ours_only(target: str, safe: str) -> None:
    assert local(target) == safe


def test_a_session_ends_with_its_time_and_with_its_token() -> None:
    now = 1_000_000.0
    access = Access(TOKEN, lambda: now)
    cookie = access.cookie(TOKEN)

    def allowed(by: Access, value: str) -> bool:
        return by.session(Headers({"cookie": f"{COOKIE}={value}"})) is not None

    assert allowed(access, cookie)
    assert not allowed(Access(TOKEN + "2", lambda: now), cookie)
    name, expiry, signature = cookie.split(".")
    assert not allowed(access, f"{name}.{int(expiry) + 1}.{signature}")
    forgeries = (
        "",
        ".",
        "..",
        "1",
        f"{name}.{expiry}.",
        f"{name}.{expiry}.{'0' * 64}",
        "é.é.é",
        f"{name}é.1.{signature}",
    )
    for forged in (*forgeries, f"{name}.{'9' * 5000}.{signature}", f"Ym9i.{expiry}.{signature}"):
        assert not allowed(access, forged)
    now += SESSION_S
    assert not allowed(access, cookie)
    # without a token there is nothing to sign with
    nobody = Access("", lambda: now)
    with pytest.raises(ValueError, match="configured token"):
        nobody.cookie("")
    assert nobody.actor("") is None
    assert access.actor("") is None


def test_every_answer_carries_the_security_headers(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        for path in ("/api/tickets", "/health", "/login", "/nothing", "/api/tickets/x"):
            for headers in (BEARER, {}):
                answer = await client.get(path, headers={**headers, **HTML})
                got = answer.headers
                assert got["x-content-type-options"] == "nosniff", path
                assert got["x-frame-options"] == "DENY", path
                assert "frame-ancestors 'none'" in got["content-security-policy"], path
                assert got["cache-control"] == "no-store", path
                assert "server" not in got, path
                assert "access-control-allow-origin" not in got, path

    talking(place, talk, token=TOKEN)


# -- the server -------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_said_to_be(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        made, store = sources(place.store_url, None)
        app = make_app(made, WebConfig(), pages=False)
        with pytest.raises(PortTaken, match="another program listens there"):
            await serve(app, "127.0.0.1", client.base_url.port or 0, asyncio.Event())
        store.close()

    talking(place, talk)


def test_stopping_waits_for_nobody_longer_than_three_seconds(place: Place) -> None:
    stuck = _Stuck(place.store_url)

    async def run() -> None:
        stop = asyncio.Event()
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        app = make_app(Sources(store=stuck, history=None, vocabulary=VOCABULARY), WebConfig(), pages=False)
        serving = asyncio.create_task(serve(app, "127.0.0.1", 0, stop, port.set_result))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{await port}", timeout=30) as client:
            asking = asyncio.create_task(client.get("/api/status", timeout=30))
            await asyncio.to_thread(stuck.asked.wait, 10)
            begun = time.monotonic()
            stop.set()
            await serving
            assert time.monotonic() - begun < 3
            stuck.let_go.set()
            with pytest.raises(httpx.HTTPError):
                (await asking).raise_for_status()

    asyncio.run(run())
    stuck.close()


def test_pages_and_their_socket_are_behind_the_guard(place: Place) -> None:
    with process(store=place.store_url, history=str(place.history_path), token=TOKEN) as (base, running):
        assert httpx.get(f"{base}/", headers=HTML).headers["location"] == "/login?next=/"
        assert httpx.get(f"{base}/", headers={"Accept": "*/*"}).status_code == 401
        page = httpx.get(f"{base}/", headers={**HTML, **BEARER})
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"
        asset = re.search(r"/_nicegui/[^\"]+/static/nicegui.js", page.text)
        assert asset is not None
        assert httpx.get(base + asset[0]).status_code == 401
        cached = httpx.get(base + asset[0], headers=BEARER)
        assert "immutable" in cached.headers["cache-control"]
        # what is not there is said so, to people and to programs
        nothing = httpx.get(f"{base}/<b>x", headers={**HTML, **BEARER})
        assert nothing.status_code == 404
        assert "There is no page at /&lt;b&gt;x" in nothing.text
        told = httpx.get(f"{base}/nothing", headers=BEARER)
        assert (told.status_code, told.headers["content-type"]) == (404, "application/problem+json")
        assert httpx.get(f"{base}/api/nothing", headers=BEARER).json()["expected"] == "a route of this API"
        # nothing comes from elsewhere
        assert not re.findall(r"(?:src|href)=\"https?://", page.text)
        assert "forestall_test 1.0" in httpx.get(f"{base}/metrics", headers=BEARER).text

        socket_path = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
        assert httpx.get(base + socket_path).status_code == 401
        assert httpx.get(base + socket_path, headers=BEARER).status_code == 200
        foreign = {**BEARER, "Origin": "http://evil.example"}
        assert httpx.get(base + socket_path, headers=foreign).status_code == 403
        asyncio.run(_sockets(base.replace("http", "ws"), running.pid))
        assert running.wait(5) == 0


async def _sockets(base: str, pid: int) -> None:
    url = f"{base}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    for headers in ({}, {**BEARER, "Origin": "http://evil.example"}):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, additional_headers=headers)
        assert refused.value.response.status_code == 403
    async with connect(url, additional_headers=BEARER) as open_:
        assert json.loads(str(await open_.recv()).lstrip("0"))["sid"]
        begun = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            while True:
                await asyncio.wait_for(open_.recv(), 5)
        assert time.monotonic() - begun < 3
