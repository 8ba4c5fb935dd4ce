"""Metrics, health and readiness, asked over real sockets."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors.web.metrics import Exposition
from connectors.web.probe import Metric, PortTaken, Probe

TOKEN = "a-token-of-some-length"
COUNTED = Metric("forestall_readings_in_total", "Readings in", "counter", 1234567)
BY_STATUS = Metric(
    "forestall_readings_by_status_total",
    "Readings",
    "counter",
    [({"status": "late"}, 3), ({"status": 'a "quoted"\nname'}, 4.5)],
)
LEVEL = Metric("forestall_lag_seconds", "Lag", "gauge", 0.25)


def some() -> Iterable[Metric]:
    return (COUNTED, BY_STATUS, LEVEL)


def probing(
    talk: Callable[[httpx.AsyncClient], Awaitable[None]],
    *,
    token: str = "",
    ready: Callable[[], tuple[bool, str]] = lambda: (True, ""),
    families: Callable[[], Iterable[Metric]] = some,
) -> None:
    async def run() -> None:
        probe = Probe("127.0.0.1", 0, token, families, ready)
        await probe.start()
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{probe.port}") as client:
                await talk(client)
        finally:
            await probe.stop()

    asyncio.run(run())


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_are_read_at_the_scrape_and_say_what_they_are() -> None:
    total = 1.0

    def growing() -> Iterator[Metric]:
        yield Metric("forestall_batches_total", "Batches", "counter", total)
        yield from some()

    async def talk(client: httpx.AsyncClient) -> None:
        nonlocal total
        answer = await client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "# TYPE forestall_readings_in_total counter" in answer.text
        assert "# HELP forestall_lag_seconds Lag" in answer.text
        found = samples(answer.text)
        assert found["forestall_batches_total", ()] == 1
        assert found["forestall_readings_in_total", ()] == 1234567
        assert found["forestall_readings_by_status_total", (("status", "late"),)] == 3
        assert found["forestall_readings_by_status_total", (("status", 'a "quoted"\nname'),)] == 4.5
        assert found["forestall_lag_seconds", ()] == 0.25
        assert found["process_resident_memory_bytes", ()] > 1e6
        total = 2.0
        assert samples((await client.get("/metrics")).text)["forestall_batches_total", ()] == 2

    probing(talk, families=growing)


def test_openmetrics_is_spoken_when_asked_for() -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.get(
            "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
        )
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")

    probing(talk)


def test_samples_with_other_labels_are_refused() -> None:
    mixed = Metric("forestall_x", "x", "gauge", [({"a": "1"}, 1), ({"b": "1"}, 1)])
    with pytest.raises(ValueError, match=r"forestall_x: expected the labels \['a'\].*got \['b'\]"):
        Exposition(lambda: [mixed]).render("")


def test_a_metric_without_samples_is_named_all_the_same() -> None:
    body, _ = Exposition(lambda: [Metric("forestall_x", "x", "gauge", [])]).render("")
    assert b"# TYPE forestall_x gauge" in body


def test_readiness_says_why_not_and_health_stays() -> None:
    state = (False, "recovering: no partitions are ready yet")

    async def talk(client: httpx.AsyncClient) -> None:
        nonlocal state
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "reason": state[1]})
        assert (await client.get("/health")).json() == {"alive": True}
        state = (True, "")
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()) == (200, {"ready": True})

    probing(talk, ready=lambda: state)


def test_a_token_guards_metrics_and_nothing_else() -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        refused = await client.get("/metrics")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == 'Bearer realm="forestall"'
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["got"] == "no token"
        wrong = await client.get("/metrics", headers={"Authorization": "Bearer wrong"})
        assert (wrong.status_code, wrong.json()["got"]) == (401, "another token")
        for scheme in ("Bearer", "bearer"):
            right = await client.get("/metrics", headers={"Authorization": f"{scheme} {TOKEN}"})
            assert right.status_code == 200
        basic = await client.get("/metrics", headers={"Authorization": f"Basic {TOKEN}"})
        assert basic.status_code == 401
        # a supervisor has no token, and asks under whatever name
        for path in ("/health", "/ready"):
            assert (await client.get(path, headers={"Host": "10.1.2.3:9101"})).status_code == 200

    probing(talk, token=TOKEN)


def test_without_a_token_another_host_name_is_refused() -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.get("/metrics", headers={"Host": "rebound.example:9101"})
        assert answer.status_code == 403
        assert "rebound.example" in answer.json()["got"]

    probing(talk)


def test_an_unknown_path_is_told_what_there_is() -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.get("/tickets")
        assert answer.status_code == 404
        assert answer.json()["expected"] == "/metrics, /health or /ready"

    probing(talk)


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    async def run() -> None:
        first = Probe("127.0.0.1", 0, "", some, lambda: (True, ""))
        await first.start()
        try:
            second = Probe("127.0.0.1", first.port, "", some, lambda: (True, ""))
            with pytest.raises(PortTaken, match=f"port {first.port} of 127.0.0.1 to be free"):
                await second.start()
        finally:
            await first.stop()
        # and free again at once
        again = Probe("127.0.0.1", first.port, "", some, lambda: (True, ""))
        await again.start()
        await again.stop()

    asyncio.run(run())


def test_stopping_what_never_started_is_nothing() -> None:
    asyncio.run(Probe("127.0.0.1", 0, "", some, lambda: (True, "")).stop())


def test_signals_stay_with_the_process() -> None:
    async def run() -> None:
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
        before = signal.getsignal(signal.SIGINT)
        probe = Probe("127.0.0.1", 0, "", some, lambda: (True, ""))
        await probe.start()
        assert signal.getsignal(signal.SIGINT) is before
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(asked.wait(), 5)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{probe.port}/health")).status_code == 200
        await probe.stop()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)

    asyncio.run(run())
