"""10,000 fuzzed payloads between good ones: every good reading detected, every bad one a dead letter."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from pathlib import Path

import msgspec

from connectors.embedded_broker import BrokerProcess
from tests.faults.fixtures import SEED, Backend
from tests.faults.load import HOUR, START, Load, Message
from tests.faults.outcome import outcome
from tests.faults.publisher import Publisher
from tests.services.mosquitto import Mosquitto
from tests.services.process import wait_until

BAD = 10_000
TIME = START + HOUR
KEPT = 64 * 1024  # bytes of a payload that a dead letter carries

GOOD = b'{"meter_id": "x", "time": %d, "value": 1.5}' % TIME


def _fields(rng: random.Random, **wrong: bytes) -> bytes:
    cells = {"meter_id": b'"x"', "time": b"%d" % TIME, "value": b"1.5", **wrong}
    return b"{" + b", ".join(b'"%s": %s' % (name.encode(), cell) for name, cell in cells.items()) + b"}"


def _random_bytes(rng: random.Random) -> bytes:
    # never JSON: no JSON text begins with a byte of the upper half
    return bytes([rng.randrange(128, 256)]) + rng.randbytes(rng.randrange(300))


def _cut(rng: random.Random) -> bytes:
    return GOOD[: rng.randrange(1, len(GOOD))]


def _flipped(rng: random.Random) -> bytes:
    place = rng.choice([i for i, byte in enumerate(GOOD) if byte in b'{}:,"'])
    return GOOD[:place] + b"\x00" + GOOD[place + 1 :]


def _deep(rng: random.Random) -> bytes:
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    depth = rng.choice((200, 5_000, 50_000))
    closed = rng.random() < 0.5
    return opening * depth + (b"1" + closing * depth if closed else b"")


def _huge_number(rng: random.Random) -> bytes:
    huge = rng.choice((b"1e999", b"-1e400", b"9" * 5_000, b'"1e999"', b"1" + b"0" * 400))
    return _fields(rng, **{rng.choice(("value", "time")): huge})


def _not_a_number(rng: random.Random) -> bytes:
    return _fields(rng, value=rng.choice((b"NaN", b"Infinity", b"-Infinity", b'"NaN"', b'"inf"', b"nan")))


def _wrong_type(rng: random.Random) -> bytes:
    name = rng.choice(("meter_id", "time", "value", "kind", "unit", "quality", "multiplier", "marks"))
    wrong = {
        "meter_id": (b"5", b"null", b'""', b"{}", b'"%s"' % (b"m" * 129), b"true"),
        "time": (b"true", b"null", b'"yesterday"', b'"2024-03-01 10:00"', b"{}", b"1.5e3x", b'""'),
        "value": (b"true", b"null", b"{}", b'"one"', b'""', b'"0x10"'),
        "kind": (b'"cumulative?"', b"7", b"{}"),
        "unit": (b"3", b"{}", b"true"),
        "quality": (b'"perhaps"', b"0.5", b"{}"),
        "multiplier": (b"0", b"-1", b'"x"', b"{}"),
        "marks": (b'"late"', b"[1]", b'["unheard of"]'),
    }[name]
    return _fields(rng, **{name: rng.choice(wrong)})


def _another_shape(rng: random.Random) -> bytes:
    return rng.choice(
        (b"", b"null", b"5", b'"hello"', b"true", b"{}", b"[null]", b"[[]]", b"[1, 2]", b"  ", b"\xff\xfe")
    )


def _columns(rng: random.Random) -> bytes:
    return rng.choice(
        (
            b'{"meter_id": ["x", "y"], "time": [%d], "value": [1, 2, 3]}' % TIME,
            b'{"meter_id": ["x"], "time": [%d], "value": ["z"]}' % TIME,
            b'{"meter_id": ["x", "y"], "time": %d, "value": {}}' % TIME,
        )
    )


MAKERS: tuple[Callable[[random.Random], bytes], ...] = (
    _random_bytes,
    _cut,
    _flipped,
    _deep,
    _huge_number,
    _not_a_number,
    _wrong_type,
    _another_shape,
    _columns,
)


def _ten_megabytes(rng: random.Random) -> bytes:
    return b"[" + GOOD + b"," + b" " * (10 << 20) + GOOD + b"]"


def _good(number: int, rng: random.Random) -> Message:
    """A message of one to five readings of its own."""
    rows = [
        {
            "meter_id": f"g{(number + i) % 50:02}",
            "time": START + number * HOUR,
            "value": round(rng.uniform(1, 9), 3),
        }
        for i in range(rng.randint(1, 5))
    ]
    keys = tuple((str(r["meter_id"]), int(str(r["time"]))) for r in rows)
    body: object = rows[0] if len(rows) == 1 else rows
    return Message(f"forestall/readings/good/{number}", msgspec.json.encode(body), keys)


def test_garbage_between_good_readings(tmp_path: Path) -> None:
    """Seeded: the same payloads in every run."""
    rng = random.Random(SEED)
    bad: dict[str, bytes] = {}
    messages: list[Message] = []
    mixed = 0
    for number in range(BAD):
        maker = _ten_megabytes if number % 2500 == 1250 else rng.choice(MAKERS)
        topic = f"forestall/readings/bad/{number}/{maker.__name__.strip('_')}"
        payload = maker(rng)
        keys: tuple[tuple[str, int], ...] = ()
        if number % 200 == 0:
            # one bad element does not spoil the good one beside it
            key = (f"mixed-{number}", TIME)
            payload = b'[{"meter_id": "%s", "time": %d, "value": 2}, {"value": 1}]' % (key[0].encode(), TIME)
            keys, mixed = (key,), mixed + 1
        bad[topic] = payload
        messages.append(Message(topic, payload, keys))
        if number % 5 == 0:
            messages.append(_good(number // 5, rng))
        if number % 200 == 100:
            # only the worker knows that this meter does not measure energy
            body = b'{"meter_id": "u%02d", "time": %d, "value": 7, "unit": "kW.h"}' % (number // 200, TIME)
            messages.append(Message(f"forestall/readings/unit/{number}", body, ()))
    registry = "meter_id,commodity,unit,kind,interval_s,area,class\n" + "".join(
        f"{kind}{i:02},water,L,interval,3600,dma,residential\n" for i in range(50) for kind in "gu"
    )
    load = Load(registry, messages)
    with Mosquitto() if Mosquitto.missing() is None else BrokerProcess() as broker:
        site = Backend("embedded", broker, None, None).site(tmp_path / "site", load)
        try:
            site.start()
            publisher = Publisher(broker.url, messages).start()
            wait_until(lambda: publisher.done, "all to be published", 120)
            site.settle()
            assert {name: p.starts for name, p in site.processes.items()} == dict.fromkeys(site.processes, 1)
            site.stop()
        finally:
            site.close()
    told = outcome(site)
    assert mixed == BAD // 200
    letters: dict[str, list[dict[str, object]]] = {}
    for letter in told.letters:
        if letter["adapter"] != "worker":
            letters.setdefault(str(letter["source"]), []).append(letter)
    reasons = [str(letter["reason"]) for letter in told.letters if letter["adapter"] == "worker"]
    for i in range(BAD // 200):
        assert any(f"meter u{i:02}:" in reason for reason in reasons), "an amount of another quantity"
    silent = [(topic, bad[topic][:80]) for topic in bad.keys() - letters.keys()]
    assert not silent, f"{len(silent)} bad payloads without a dead letter: {silent[:5]}"
    assert letters.keys() == bad.keys(), "a good payload became a dead letter"
    assert told.readings == load.readings
    for topic, told_of in letters.items():
        for letter in told_of:
            assert letter["reason"], topic
            assert len(base64.b64decode(str(letter["raw"]))) <= KEPT
        # a part of an array or of columns is told as that part, anything else as it came
        if len(told_of) == 1 and len(bad[topic]) <= KEPT and bad[topic][:1] not in (b"[", b"{", b" "):
            assert base64.b64decode(str(told_of[0]["raw"])) == bad[topic]
