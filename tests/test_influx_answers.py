"""InfluxHistory against a server that answers as it is told: slow, busy, broken, choosy."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from connectors.influx import InfluxConfig, InfluxHistory, retry_after
from streams.columns import Columns
from streams.messages import Reject
from streams.ports import Rejected, Unavailable
from tests.line_servers import T0, columns

#: status, headers, body
Answer = tuple[int, dict[str, str], str]
DONE: Answer = (204, {}, "")


class Scripted:
    """An HTTP server on loopback that asks a function for each answer, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer: Callable[[list[str]], Answer] = lambda _: DONE
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.path, dict(self.headers), body))
                text = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                status, headers, message = outer.answer(text.decode().splitlines())
                if status < 0:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(status)
                data = message.encode()
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.close()


def message(status: int, text: str, **headers: str) -> Answer:
    return (
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps({"message": text}),
    )


def write(url: str, batch: Columns, **more: Any) -> tuple[list[Reject], InfluxHistory]:
    async def run() -> tuple[list[Reject], InfluxHistory]:
        history = InfluxHistory(InfluxConfig(url, "a-secret", "org", "bucket", **more))
        try:
            return await history.write(batch), history
        finally:
            await history.close()

    return asyncio.run(run())


ONE = columns(("m", T0, 1.0))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_unavailable(scripted: Scripted, status: int) -> None:
    scripted.answer = lambda _: message(status, "not now", Retry_After="17")
    with pytest.raises(Unavailable, match="not now") as caught:
        write(scripted.url, ONE)
    assert caught.value.retry_after == 17.0
    assert len(scripted.requests) == 1  # it is the caller who tries again


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("17", 17, 17), ("0", 1, 1), ("-5", 1, 1), ("1e9", 3600, 3600), ("nan", 1, 1), ("soon", 1, 1),
        ("", 1, 1),
        (600, 500, 600), (-86_400, 1, 1),
    ],
)  # fmt: skip
def test_retry_after_in_all_its_forms(header: str | int, least: float, most: float) -> None:
    """As text, and as a date so many seconds from now."""
    if isinstance(header, int):
        header = format_datetime(datetime.now(UTC) + timedelta(seconds=header), usegmt=True)
    assert least <= retry_after({"Retry-After": header}) <= most
    assert retry_after(None) == retry_after({}) == 1.0


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "influx.token"), (403, "influx.token"), (404, "influx.bucket"), (302, "influx.url")],
)
def test_what_a_person_must_set_right_is_rejected(scripted: Scripted, status: int, advice: str) -> None:
    scripted.answer = lambda _: message(status, "no", Location="/elsewhere")
    with pytest.raises(Rejected, match=advice) as caught:
        write(scripted.url, ONE)
    assert "a-secret" not in str(caught.value)


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable, match="retry in 1 s"):
            write(f"http://127.0.0.1:{unused.getsockname()[1]}", ONE)


def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        with pytest.raises(Unavailable, match="timed out"):
            write(f"http://127.0.0.1:{silent.getsockname()[1]}", ONE, timeout_s=0.3)
        assert 0.25 < time.monotonic() - start < 5


def test_a_slow_server_does_not_hold_up_the_event_loop(scripted: Scripted) -> None:
    beats = 0
    go = threading.Event()

    def slowly(_: list[str]) -> Answer:
        go.wait(10)
        return DONE

    scripted.answer = slowly

    async def run() -> None:
        nonlocal beats
        history = InfluxHistory(InfluxConfig(scripted.url, "t", "o", "b"))
        writing = asyncio.create_task(history.write(ONE))
        while not scripted.requests or beats < 5:
            beats += 1
            await asyncio.sleep(0.001)
        assert not writing.done()
        go.set()
        assert await writing == []
        await history.close()

    asyncio.run(run())
    assert beats >= 5


def test_a_connection_cut_before_the_answer_is_unavailable(scripted: Scripted) -> None:
    scripted.answer = lambda _: (-1, {}, "")
    with pytest.raises(Unavailable):
        write(scripted.url, ONE)


def test_the_body_is_what_it_says(scripted: Scripted) -> None:
    write(scripted.url, columns(("a b", T0, 1.5)), gzip_level=1)
    write(scripted.url + "/behind/a/proxy/", columns(("a b", T0, 1.5)), gzip_level=0)
    line = f"reading,meter=a\\ b value=1.5,quality=0,marks=0 {T0}".encode()
    (path, headers, body), (path_0, headers_0, body_0) = scripted.requests
    assert (gzip.decompress(body), headers["Content-Encoding"]) == (line, "gzip")
    assert (body_0, "Content-Encoding" in headers_0) == (line, False)
    assert path == "/api/v2/write?org=org&bucket=bucket&precision=ns"
    assert path_0 == "/behind/a/proxy/api/v2/write?org=org&bucket=bucket&precision=ns"
    assert headers["Authorization"] == "Token a-secret"
    assert headers["Content-Type"] == "text/plain"


def choosy(scripted: Scripted, bad: set[int], text: str, status: int = 400) -> list[int]:
    """A server that takes all lines of a body or, if one is bad, none; returns what it took, in order."""
    taken: list[int] = []

    def answer(lines: list[str]) -> Answer:
        numbers = [int(line.split("meter=m")[1].split(" ")[0]) for line in lines]
        if bad.intersection(numbers):
            return message(status, text)
        taken.extend(numbers)
        return DONE

    scripted.answer = answer
    return taken


@pytest.mark.parametrize("text", ["unable to parse 'x': missing fields", "a reason that nobody has foreseen"])
@pytest.mark.parametrize("bad", [{0}, {99}, {17, 18, 63}, set(range(40, 60))], ids=len)
def test_only_the_offending_lines_are_rejected(scripted: Scripted, bad: set[int], text: str) -> None:
    taken = choosy(scripted, bad, text)
    batch = columns(*((f"m{i}", T0, float(i)) for i in range(100)))
    rejects, history = write(scripted.url, batch)
    assert [reject.raw.split(b" ")[0].decode() for reject in rejects] == [
        f"reading,meter=m{i}" for i in sorted(bad)
    ]
    assert all(text in reject.reason for reject in rejects)
    assert taken == [i for i in range(100) if i not in bad]  # in their order: the later value wins
    assert (history.counts.points, history.counts.rejects) == (100 - len(bad), len(bad))
    assert len(scripted.requests) <= 200


def test_all_lines_refused_for_their_own_sake_are_rejects(scripted: Scripted) -> None:
    choosy(scripted, set(range(8)), "unable to parse")
    rejects, _ = write(scripted.url, columns(*((f"m{i}", T0, 1.0) for i in range(8))))
    assert len(rejects) == 8


def test_all_lines_refused_for_no_reason_of_theirs_is_nobody_s_dead_letter(scripted: Scripted) -> None:
    choosy(scripted, set(range(8)), "invalid precision")
    with pytest.raises(Rejected, match="invalid precision"):
        write(scripted.url, columns(*((f"m{i}", T0, 1.0) for i in range(8))))


def test_a_body_that_is_too_large_is_halved(scripted: Scripted) -> None:
    sizes: list[int] = []

    def answer(lines: list[str]) -> Answer:
        if len(lines) > 30:
            return message(413, "too large")
        sizes.append(len(lines))
        return DONE

    scripted.answer = answer
    rejects, history = write(scripted.url, columns(*((f"m{i}", T0, 1.0) for i in range(100))))
    assert (rejects, sizes, history.counts.points) == ([], [25, 25, 25, 25], 100)


def test_a_long_body_is_halved_before_it_is_sent(scripted: Scripted) -> None:
    name = "x" * 1000
    rejects, _ = write(scripted.url, columns(*((f"{name}{i}", T0, 1.0) for i in range(5000))), gzip_level=0)
    assert rejects == []
    assert len(scripted.requests) == 2
    assert max(len(body) for _, _, body in scripted.requests) <= 4_000_000


def test_unavailable_in_the_middle_of_halving_leaves_the_batch_whole(scripted: Scripted) -> None:
    taken = choosy(scripted, {5}, "unable to parse")
    choose, calls = scripted.answer, 0

    def answer(lines: list[str]) -> Answer:
        nonlocal calls
        calls += 1
        return message(503, "restarting") if calls == 4 else choose(lines)

    scripted.answer = answer
    batch = columns(*((f"m{i}", T0, 1.0) for i in range(16)))
    with pytest.raises(Unavailable):
        write(scripted.url, batch)
    rejects, _ = write(scripted.url, batch)
    assert len(rejects) == 1
    assert set(taken) == set(range(16)) - {5}


def test_many_writers_wait_for_one_request_at_a_time(scripted: Scripted) -> None:
    under_way, most = 0, 0
    lock = threading.Lock()

    def answer(_: list[str]) -> Answer:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.002)
        with lock:
            under_way -= 1
        return DONE

    scripted.answer = answer

    async def run() -> None:
        history = InfluxHistory(InfluxConfig(scripted.url, "t", "o", "b"))
        assert await asyncio.gather(*(history.write(ONE) for _ in range(20))) == [[]] * 20
        await history.close()
        assert history.counts.points == history.counts.requests == 20

    asyncio.run(run())
    assert most == 1


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"url": "localhost:8086"}, "url"), ({"url": "ftp://x"}, "url"), ({"url": "http://u:p@x"}, "token"),
        ({"token": ""}, "token"), ({"token": "a\nb"}, "token"), ({"org": ""}, "org"),
        ({"bucket": ""}, "bucket"), ({"timeout_s": 0}, "timeout_s"), ({"batch_lines": 0}, "batch_lines"),
        ({"gzip_level": 10}, "gzip_level"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told_at_once(wrong: dict[str, Any], word: str) -> None:
    right = {"url": "http://x:8086", "token": "t", "org": "o", "bucket": "b"}
    with pytest.raises(ValueError, match=word):
        InfluxConfig(**{**right, **wrong})
