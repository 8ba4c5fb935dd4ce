"""What the tests of InfluxHistory share: batches, flags, and a real server that can be asked what it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from connectors.influx import InfluxConfig, InfluxHistory
from connectors.line_protocol import Labels, iso_ns
from streams.columns import Columns, from_rows
from streams.messages import Flag, Reject, Source
from streams.ports import History, Rows
from tests.services.influx import Influx
from tests.services.victoria import Victoria

T0 = 1_700_000_000_000_000_000
HOUR = 3_600_000_000_000

#: (measurement, field, tags) → {time in ns: value}
Points = dict[tuple[str, str, frozenset[tuple[str, str]]], dict[int, float]]


def columns(*readings: tuple[str, int, float], **more: Any) -> Columns:
    """A batch of (meter, time, value); ``more`` is kind, unit, quality, marks or a sparse field of all."""
    rows = Rows()
    plain = {name: more.pop(name) for name in ("kind", "unit", "quality", "marks") if name in more}
    for meter, time_ns, value in readings:
        rows.add(meter, time_ns, value, **plain)
        for name, cell in more.items():
            rows.note(name, cell)
    source = Source(adapter="test", topic="t", received_ns=T0)
    return from_rows(rows, [source], np.zeros(len(rows), np.uint32))


def flag(**more: Any) -> Flag:
    plain: dict[str, Any] = {
        "id": "f-1", "meter_id": "w-17", "kind": "bill_shock", "family": "usage_high", "status": "raised",
        "at": "2023-11-14T22:13:20.123Z", "start": "2023-09-01T00:00:00Z", "end": "2023-11-14T22:13:20Z",
        "score": 9, "observed": 273.0, "expected": 29.3, "unit": "m3", "area": "dma 7", "commodity": "gas",
    }  # fmt: skip
    return Flag(**{**plain, **more})


class Server:
    """A real server, and how to ask it what it holds."""

    def __init__(self, service: Victoria | Influx) -> None:
        self.service = service

    def config(self, **more: Any) -> InfluxConfig:
        plain = {"org": Influx.org, "bucket": Influx.bucket, "token": Influx.token}
        return InfluxConfig(self.service.url, **{**plain, **more})

    def interrupt(self) -> None:
        """End it as roughly as it bears without losing what it has acknowledged."""
        if isinstance(self.service, Influx):
            self.service.kill()
        else:
            # a killed VictoriaMetrics has lost the last seconds by design
            self.service.stop()

    def points(self, measurement: str, area: str) -> Points:
        """All that it holds of a measurement in one area (tags without the area itself)."""
        out: Points = {}
        if isinstance(self.service, Victoria):
            for series in self.service.export(f'{{__name__=~"{measurement}_.*",area="{area}"}}'):
                labels = series["metric"]
                field = labels.pop("__name__").removeprefix(f"{measurement}_")
                labels.pop("area")
                key = (measurement, field, frozenset(labels.items()))
                times = [ms * 1_000_000 for ms in series["timestamps"]]
                out[key] = dict(zip(times, series["values"], strict=True))
            return out
        rows = self.service.query(
            f'from(bucket: "{Influx.bucket}") |> range(start: 0, stop: 2262-01-01T00:00:00Z) '
            f'|> filter(fn: (r) => r._measurement == "{measurement}" and r.area == "{area}") '
            '|> filter(fn: (r) => r._field != "id")'
        )
        for row in rows:
            known = {"", "result", "table", "area"}
            tags = {k: v for k, v in row.items() if k not in known and not k.startswith("_") and v}
            key = (measurement, row["_field"], frozenset(tags.items()))
            out.setdefault(key, {})[iso_ns(row["_time"])] = float(row["_value"])
        return out

    def values(self, area: str) -> dict[str, dict[int, float]]:
        """Meter → {time: value} of an area's readings."""
        out: dict[str, dict[int, float]] = {}
        for (_, field, tags), points in self.points("reading", area).items():
            if field == "value":
                out.setdefault(dict(tags)["meter"], {}).update(points)
        return out


def write(
    config: InfluxConfig, *batches: Columns, area: str = "", flags: Sequence[Flag] = ()
) -> list[Reject]:
    """Write through a history of its own and return what it refused."""

    async def run() -> list[Reject]:
        history = InfluxHistory(config, (lambda _: Labels("gas", area)) if area else None)
        port: History = history
        try:
            rejects = [reject for batch in batches for reject in await port.write(batch)]
            if flags:
                rejects += await port.write_flags(flags)
            return rejects
        finally:
            await port.close()

    return asyncio.run(run())
