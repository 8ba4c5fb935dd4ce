"""What the tests of reading files share: files in, rows as dicts out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.payloads.times import rfc3339
from connectors.reading_files import FileChunk, FileOptions, read_files
from streams.messages import Reject

NS = 1_000_000_000
NOON = rfc3339("2024-05-01T12:00:00Z")


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(*paths: Path, options: FileOptions | None = None) -> tuple[list[dict[str, Any]], list[Reject]]:
    """All readings as dicts without what is as always, and the rejects."""
    rejects: list[Reject] = []
    return [
        row for chunk in read_files(paths, rejects.append, options=options) for row in rows_of(chunk)
    ], rejects


def rows_of(chunk: FileChunk) -> list[dict[str, Any]]:
    rows = []
    for n in range(len(chunk)):
        row: dict[str, Any] = {
            "meter_id": chunk.meters[chunk.meter[n]],
            "time_ns": int(chunk.time_ns[n]),
            "value": float(chunk.value[n]),
            "kind": int(chunk.kind[n]),
            "unit": chunk.units[chunk.unit[n]],
            "quality": int(chunk.quality[n]),
            "marks": int(chunk.marks[n]),
            "received_ns": int(chunk.received_ns[n]),
        }
        row |= {name: cells[n] for name, cells in chunk.sparse.items() if n in cells}
        rows.append({name: cell for name, cell in row.items() if cell or name == "value"})
    return rows


def reading(meter_id: str, hours: float, value: float, **more: Any) -> dict[str, Any]:
    return {"meter_id": meter_id, "time_ns": NOON + int(hours * 3600) * NS, "value": value} | more
