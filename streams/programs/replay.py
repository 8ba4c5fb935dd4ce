"""``forestall replay``: files through the same banks, with no broker; deterministic."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from msgspec.structs import replace
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from connectors.reading_files import FileChunk, FileOptions, read_files
from connectors.registry_csv import read_registry
from detectors.batch import DAY
from streams.columns import NO_DIGEST, Columns
from streams.messages import Flag, Reject
from streams.programs import compose
from streams.programs.compiling import told as compiling_told
from streams.registry import Meter, partition_of
from streams.settings import Settings
from streams.state.bank import NEVER, STEP, BankConfig, Outcome
from streams.state.episodes import iso
from streams.state.leaps import Known, Leaps
from streams.state.partition import Partition
from streams.state.quality import write_quality

_json = msgspec.json.Encoder().encode


class Replay:
    """All partitions in one process, fed in the order of time."""

    def __init__(
        self, settings: Settings, meters: dict[str, Meter], config: BankConfig | None = None
    ) -> None:
        config = config or compose.bank_config(settings)
        self._lateness = config.lateness_ns
        self.partitions = [Partition(config, number) for number in range(settings.partitions)]
        self._homes: dict[str, int] = {}
        self._names: list[str] = []  # the dictionary of the last chunk, and where its meters live
        self._home = np.zeros(0, np.int64)
        self._areas: dict[str, str] = {}  # what the files said last
        self._newest = NEVER
        self._leaps = Leaps(config.ahead_ns)
        self.counts: Counter[str] = Counter()
        self.rejects: list[Reject] = []
        rows: list[list[Meter]] = [[] for _ in self.partitions]
        for meter in meters.values():
            home = partition_of(meter.home_area, len(self.partitions))
            self._homes[meter.meter_id] = home
            rows[home].append(meter)
        for partition, own in zip(self.partitions, rows, strict=True):
            partition.bank.register(own, Outcome())

    def take(self, chunk: FileChunk) -> list[Flag]:
        """A chunk of merged readings: the flags that come of it, by the time of their decision."""
        columns = _columns(chunk)
        if chunk.areas is not self._areas:
            self._areas = chunk.areas
            for name, area in chunk.areas.items():
                if name not in self._homes:
                    # The registry does not name it, but its file says where it belongs.
                    home_of = self._homes[name] = partition_of(area, len(self.partitions))
                    self.partitions[home_of].bank.register(
                        [Meter(meter_id=name, area=area, known=False)], Outcome()
                    )
        flags: list[Flag] = []
        for part, before in self._leaps.parts(columns, self._known):
            told = self._take(part)
            if before != NEVER:
                # What was kept aside is known since another row has borne it out.
                told = [
                    replace(flag, at=max(flag.at, iso(before), key=datetime.fromisoformat)) for flag in told
                ]
            flags += told
        return sorted(flags, key=lambda flag: flag.at)

    def aside(self) -> list[Reject]:
        """Rows that nothing has borne out: what they say and why they are not believed."""
        return [
            Reject(
                f"meter {one.meter_id}: expected a time near the others', got {iso(one.time_ns)}, "
                f"{(one.time_ns - one.after_ns) // DAY} days after all readings before and followed by none of "
                "another meter; correct its year, or state received_at",
                repr(one.row.value.tolist()).encode(),
            )
            for one in self._leaps.aside
        ]

    def _known(self, meter_id: str) -> Known:
        """What its bank knows of a meter."""
        bank = self.partitions[self._home_of(meter_id)].bank
        slot = bank.slots.get(meter_id)
        spoken = sum(
            int(np.count_nonzero(p.bank.state.of("intervals", "pulse")["count"])) for p in self.partitions
        )
        if slot is None:
            return Known(0, 0, spoken == 0)
        pulse = bank.state.of("intervals", "pulse")[slot]
        return Known(int(pulse["count"]), int(pulse["spacing"]), spoken == 1 and pulse["count"] > 0)

    def _take(self, columns: Columns) -> list[Flag]:
        if columns.meters is not self._names:
            self._names = columns.meters
            self._home = np.array([self._home_of(name) for name in columns.meters], np.int64)
        home = self._home[columns.meter]
        newest = np.maximum(np.maximum.accumulate(self._leaps.believed(columns)), self._newest)
        steps = (newest - self._lateness - 1) // STEP
        before = (self._newest - self._lateness - 1) // STEP if self._newest != NEVER else steps[0]
        entered = np.flatnonzero(np.concatenate([[steps[0] != before], steps[1:] != steps[:-1]]))
        self._newest = int(newest[-1])
        outcome = Outcome()
        for number, partition in enumerate(self.partitions):
            rows = np.flatnonzero(home == number)
            self._run(partition, columns, rows, newest, steps, entered, outcome)
        self.counts.update(outcome.counts)
        self.rejects += outcome.rejects
        return outcome.flags

    @property
    def state_bytes(self) -> float:
        """Memory of what is known of a meter. Columns that nothing was ever written to take none. [bytes]"""
        total = meters = 0
        for partition in self.partitions:
            bank = partition.bank
            meters += len(bank)
            for column in (bank.state.meters, bank.frame, *bank.state.arrays.values()):
                rows = np.ascontiguousarray(column[: len(bank)])
                total += rows.nbytes if rows.view(np.uint8).any() else 0
        return total / max(meters, 1)

    def _run(
        self,
        partition: Partition,
        columns: Columns,
        rows: np.ndarray[tuple[int], np.dtype[np.int64]],
        newest: np.ndarray[tuple[int], np.dtype[np.int64]],
        steps: np.ndarray[tuple[int], np.dtype[np.int64]],
        entered: np.ndarray[tuple[int], np.dtype[np.int64]],
        outcome: Outcome,
    ) -> None:
        """Its own rows, and a clock tick wherever time entered a step in which it has none."""
        bank = partition.bank
        if not len(bank) and not len(rows):
            return
        quiet = entered[~np.isin(steps[entered], steps[rows])]
        places = np.searchsorted(rows, quiet)
        first = 0
        for place, at in zip(places.tolist(), quiet.tolist(), strict=True):
            if place > first:
                bank.update(columns.select(rows[first:place]), outcome)
                first = place
            bank.tick(int(newest[at]), outcome)
        if len(rows) > first:
            bank.update(columns.select(rows[first:]) if len(rows) < len(columns) else columns, outcome)

    def _home_of(self, meter_id: str) -> int:
        home = self._homes.get(meter_id)
        if home is None:
            home = self._homes[meter_id] = partition_of(meter_id, len(self.partitions))
        return home


def _columns(chunk: FileChunk) -> Columns:
    """A file's rows have no message of their own: each stands under its arrival where one is given."""
    if chunk.received_ns.any():
        received, source = np.unique(chunk.received_ns, return_inverse=True)
    else:
        received, source = np.zeros(1, np.int64), np.zeros(len(chunk.meter), np.int64)
    n = len(received)
    return Columns(
        chunk.meters, chunk.meter.astype(np.uint32), chunk.time_ns, chunk.value, chunk.kind, chunk.units, chunk.unit,
        chunk.quality, chunk.marks, source.astype(np.uint32), ["file"] * n, ["file"] * n, received,
        np.full(n, -1), NO_DIGEST * n, chunk.sparse,
    )  # fmt: skip


def replay_files(
    settings: Settings,
    readings: Sequence[Path],
    meters: Path,
    flags: Path,
    progress: bool,
    quality: Path | None = None,
    tz: str = "",
    time_format: str = "",
) -> str:
    """Replay; write the flags, and what was counted of the data's quality; say in a line what came of it.

    tz, time_format : as of `FileOptions`
    Raises OSError and ValueError where a file cannot be read at all; single bad rows are counted
    and told.
    """
    known, faults = read_registry(meters)
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    replay = Replay(settings, known)
    started = time.perf_counter()
    total = 0
    written = 0
    columns = (
        TextColumn("replay"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("readings"),
        TimeRemainingColumn(),
    )
    with ExitStack() as stack:
        out: BinaryIO = stack.enter_context(flags.open("wb"))
        shown = stack.enter_context(Progress(*columns, console=Console(stderr=True), disable=not progress))
        bar = shown.add_task("replay", total=None)
        stack.enter_context(compiling_told(lambda line: sys.stderr.write(f"{line}\n")))
        rejects: list[Reject] = []
        for chunk in read_files(
            readings,
            rejects.append,
            lambda done, of: shown.update(bar, completed=done, total=of),
            FileOptions(tz=tz, time_format=time_format),
        ):
            total += len(chunk.meter)
            for flag in replay.take(chunk):
                out.write(_json(flag) + b"\n")
                written += 1
    if quality is not None:
        with quality.open("w", encoding="utf-8", newline="") as table:
            write_quality(table, [partition.bank for partition in replay.partitions])
    seconds = time.perf_counter() - started
    rejects += replay.rejects + replay.aside()
    for reject in rejects[:20]:
        sys.stderr.write(f"not read: {reject.reason}\n")
    told = f"{total:,} readings, {written:,} flag events, {len(rejects):,} rows not read, {seconds:.2f} s"
    state = f"; {replay.state_bytes:,.0f} B of state a meter"
    odd = ", ".join(f"{n:,} {what}" for what, n in sorted(replay.counts.items()) if what != "readings")
    return f"{told} ({total / max(seconds, 1e-9):,.0f} readings/s){state}" + (f"; {odd}" if odd else "")
