"""``forestall import``: files into the log, by the path that MQTT's readings take."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from connectors.reading_files import FileChunk, FileOptions, read_files
from connectors.registry_csv import read_registry
from streams.clock import Clock
from streams.columns import Columns, encode, split
from streams.dead_letters import dead_letter
from streams.messages import DEAD_LETTERS, NS, READINGS, Mark, Reject
from streams.ports import Log, Unavailable
from streams.programs import compose
from streams.roster import Roster
from streams.settings import Settings

PIECE = 20_000  # readings in a message
AT_ONCE = 16  # messages on their way to the log


async def import_files(
    settings: Settings,
    readings: Sequence[Path],
    *,
    live: bool,
    progress: bool,
    tz: str = "",
    time_format: str = "",
) -> str:
    """Import; say in a line what came of it.

    History (the default) is marked as such: it seeds baselines and raises nothing. Each message
    carries a digest of its content, so that the same file imported again changes nothing. A row of
    tomorrow becomes a dead letter: no arrival tells that its clock is wrong, and the event time of all
    others would be moved by it.
    """
    durable = compose.open_log(settings)
    try:
        await compose.prepare_log(settings, durable)
        roster = Roster(durable, settings.partitions, compose.instance(settings))
        await roster.load()
        if settings.ingest.registry is not None:
            known, _ = read_registry(settings.ingest.registry)
            await roster.publish(known)
        clock = compose.make_clock(settings)
        latest_ns = clock.now_ns() + round(settings.worker.ahead_s * NS)
        options = FileOptions(tz=tz, time_format=time_format, latest_ns=latest_ns)
        return await _import(durable, roster, readings, options, clock, live, progress)
    finally:
        await durable.close()


async def _import(
    durable: Log,
    roster: Roster,
    readings: Sequence[Path],
    options: FileOptions,
    clock: Clock,
    live: bool,
    progress: bool,
) -> str:
    name = ", ".join(path.name for path in readings)
    rejects: list[Reject] = []
    total = 0
    bars = (
        TextColumn("import"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("readings"),
        TimeRemainingColumn(),
    )
    with Progress(*bars, console=Console(stderr=True), disable=not progress) as shown:
        bar = shown.add_task("import", total=None)
        chunks = read_files(
            readings, rejects.append, lambda done, of: shown.update(bar, completed=done, total=of), options
        )
        for chunk in chunks:
            # Partition by partition in order; within a round all partitions at once.
            for pieces in _pieces(chunk, roster, name, live):
                for first in range(0, len(pieces), AT_ONCE):
                    await asyncio.gather(
                        *(_append(durable, *piece) for piece in pieces[first : first + AT_ONCE])
                    )
            total += len(chunk.meter)
    now = clock.now_ns()
    for reject in rejects:
        letter = dead_letter(name, "file", reject.reason, reject.raw, now)
        await durable.append(DEAD_LETTERS, letter, key=name.encode())
    return f"{total:,} readings imported, {len(rejects):,} rows made dead letters"


def _pieces(chunk: FileChunk, roster: Roster, name: str, live: bool) -> list[list[tuple[int, bytes]]]:
    out = []
    for first in range(0, len(chunk.meter), PIECE):
        rows = slice(first, min(first + PIECE, len(chunk.meter)))
        n = rows.stop - rows.start
        used, meter = np.unique(chunk.meter[rows], return_inverse=True)
        meters = [chunk.meters[i] for i in used]
        content = hashlib.sha256("\0".join(meters).encode())
        for column in (meter, chunk.time_ns[rows], chunk.value[rows]):
            content.update(np.ascontiguousarray(column).tobytes())
        marks = chunk.marks[rows] if live else chunk.marks[rows] | int(Mark.HISTORICAL)
        columns = Columns(
            meters, meter.astype(np.uint32), chunk.time_ns[rows], chunk.value[rows], chunk.kind[rows], chunk.units,
            chunk.unit[rows], chunk.quality[rows], marks.astype(np.uint16), np.zeros(n, np.uint32), ["file"], [name],
            np.zeros(1, np.int64), np.full(1, -1), content.digest()[:16],
            {
                field: {row - first: cell for row, cell in cells.items() if rows.start <= row < rows.stop}
                for field, cells in chunk.sparse.items()
            },
        )  # fmt: skip
        home = roster.homes[roster.codes(meters)].astype(np.int64)[columns.meter]
        out.append([(partition, encode(part)) for partition, part in split(columns, home)])
    return out


async def _append(durable: Log, partition: int, message: bytes) -> None:
    delay = 0.2
    while True:
        try:
            await durable.append(READINGS, message, partition=partition)
            return
        except Unavailable:
            await asyncio.sleep(delay)
            delay = min(2 * delay, 5.0)
