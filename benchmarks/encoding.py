"""The batch message: raw numpy buffers in MessagePack beside Arrow IPC.

python -m benchmarks encoding
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.measure import table
from streams.columns import Columns, decode, encode

ROWS = 1_000


def _best(function: Callable[[], Any], repeat: int) -> float:
    """Least time of a call over several rounds. [ns a reading]"""
    best = np.inf
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(repeat):
            function()
        best = min(best, (time.perf_counter() - began) / repeat)
    return 1e9 * best / ROWS


def run(share: float = 1.0) -> str:
    """Measure; return the table."""
    n = ROWS
    names = [f"m{i:07d}" for i in range(n)]
    columns = Columns(
        names, np.arange(n, dtype=np.uint32), np.full(n, 1_767_225_600_000_000_000) + np.arange(n), np.arange(n) / 7,
        np.zeros(n, np.uint8), [""], np.zeros(n, np.uint8), np.zeros(n, np.uint8), np.zeros(n, np.uint16),
        np.zeros(n, np.uint32), ["native"], ["forestall/readings/x"], np.ones(1, np.int64), np.zeros(1, np.int64),
        bytes(16),
    )  # fmt: skip

    def to_arrow() -> bytes:
        batch = pa.record_batch(
            {
                "meter": pa.DictionaryArray.from_arrays(
                    pa.array(columns.meter.astype(np.int32)), pa.array(names)
                ),
                "time": pa.array(columns.time_ns),
                "value": pa.array(columns.value),
                "kind": pa.array(columns.kind),
                "quality": pa.array(columns.quality),
                "marks": pa.array(columns.marks),
                "source": pa.array(columns.source),
            }
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return bytes(sink.getvalue())

    def from_arrow(raw: bytes) -> Any:
        batch = pa.ipc.open_stream(raw).read_next_batch()
        meters = batch["meter"]
        return (
            meters.dictionary.to_pylist(), meters.indices.to_numpy(), batch["time"].to_numpy(),
            batch["value"].to_numpy(), batch["kind"].to_numpy(), batch["quality"].to_numpy(),
            batch["marks"].to_numpy(), batch["source"].to_numpy(),
        )  # fmt: skip

    ours, arrow = encode(columns), to_arrow()
    repeat = max(10, round(1_000 * share))
    rows: list[tuple[str, ...]] = [
        (
            "MessagePack, raw buffers",
            f"{len(ours) / n:.1f}",
            f"{_best(lambda: encode(columns), repeat):.0f}",
            f"{_best(lambda: decode(ours), repeat):.0f}",
        ),
        (
            "Arrow IPC stream",
            f"{len(arrow) / n:.1f}",
            f"{_best(to_arrow, repeat):.0f}",
            f"{_best(lambda: from_arrow(arrow), repeat):.0f}",
        ),
    ]
    return table((f"{n:,} readings a message", "bytes a reading", "encode [ns]", "decode [ns]"), rows)
