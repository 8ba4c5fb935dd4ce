"""What the demo publishes: a concentrator's hourly message for each estate, and one household's reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from streams.state.episodes import iso

DATA = resources.files("streams.programs") / "demo_data"
GOLDEN = "wei"
#: The reads of the golden case, spacing kept (366 and 61 days), so that the last falls into the replayed months.
LAST_READ = datetime(2018, 1, 10, tzinfo=UTC)
READS = (
    (LAST_READ - timedelta(days=61 + 366), 0.0),
    (LAST_READ - timedelta(days=61), 176.0),
    (LAST_READ, 449.0),
)
GOLDEN_ROW = f"{GOLDEN},gas,m3,register,,block-1,residential\n"


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message of the demo."""

    time_ns: int
    topic: str
    payload: bytes
    readings: int


def registry(path: Path) -> None:
    """Write the registry of the packaged meters and the household."""
    path.write_text((DATA / "meters.csv").read_text(encoding="utf-8") + GOLDEN_ROW, encoding="utf-8")


def messages() -> Iterator[Message]:
    """All of them, by event time."""
    with resources.as_file(DATA / "readings.parquet") as path:
        table = pq.read_table(path)
        plain = table["meter_id"].cast(pa.string())
        table = table.set_column(table.schema.get_field_index("meter_id"), "meter_id", plain).sort_by(
            [("time", "ascending"), ("meter_id", "ascending")]
        )
    meters = table["meter_id"].to_pylist()
    times = table["time"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_pylist()
    values = table["value"].to_pylist()
    reads = [(round(when.timestamp()) * 1_000_000_000, value) for when, value in READS]
    row = 0
    while row < len(times):
        time_ns = times[row]
        while reads and reads[0][0] <= time_ns:
            when, value = reads.pop(0)
            body = {"meter_id": GOLDEN, "time": iso(when), "value": value}
            yield Message(when, f"forestall/readings/manual/{GOLDEN}", msgspec.json.encode(body), 1)
        last = row
        while last < len(times) and times[last] == time_ns:
            last += 1
        stamp = iso(time_ns)
        for estate in ("gas", "elec"):
            hour = [
                {"meter_id": meters[i], "time": stamp, "value": values[i]}
                for i in range(row, last)
                if meters[i].endswith(estate)
            ]
            if hour:
                yield Message(
                    time_ns, f"forestall/readings/concentrator-{estate}", msgspec.json.encode(hour), len(hour)
                )
        row = last
