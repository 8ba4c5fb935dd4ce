"""The plain program to be measured against: paho, json.loads, a dict of objects, one EWMA.

    python -m benchmarks.plain mqtt://127.0.0.1:1883 TOPIC READINGS

No log, no Faust, no checkpoint, no duplicates, one detector. It prints ``ready`` when it is
subscribed and ``done`` when it has seen all readings.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion


@dataclass
class Meter:
    """Mean and variance of a meter, exponentially weighted."""

    mean: float = 0.0
    variance: float = 1.0
    flags: int = 0


def main() -> None:
    url, topic, expected = urlsplit(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    meters: dict[str, Meter] = {}
    seen = 0
    done = threading.Event()

    def on_message(client: Client, userdata: Any, message: Any) -> None:
        nonlocal seen
        body = json.loads(message.payload)
        for reading in body if isinstance(body, list) else [body]:
            meter = meters.get(reading["meter_id"])
            if meter is None:
                meter = meters[reading["meter_id"]] = Meter()
            difference = reading["value"] - meter.mean
            if difference * difference > 25 * meter.variance:
                meter.flags += 1
            meter.mean += 0.05 * difference
            meter.variance += 0.05 * (difference * difference - meter.variance)
            seen += 1
        if seen >= expected:
            done.set()

    client = Client(CallbackAPIVersion.VERSION2, client_id="bench-plain", clean_session=True)
    client.on_message = on_message
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.on_connect = lambda c, *_: c.subscribe(topic, qos=1)
    client.connect(url.hostname or "127.0.0.1", url.port or 1883)
    client.loop_start()
    done.wait()
    print("done", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
