"""A worker's durable world for the tests of checkpoints: a log, a changelog, and owners that come and go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from detectors import default
from streams.columns import Registry, encode, encode_control
from streams.registry import Meter
from streams.state.bank import BankConfig
from streams.state.checkpoint import Draft
from streams.state.partition import Partition
from tests.streams_of_readings import DAY, Row, as_columns, instant

CONFIG = BankConfig(default())
CRASH = "crash"  # the process is gone; the next one starts from what is durable


@dataclass(frozen=True)
class Checkpoint:
    """Take a draft, handle some more messages meanwhile, then make its writes durable one by one."""

    writes: int | None = None  # crash after so many of them; None: all, and what they replace is deleted
    meanwhile: int = 0
    refused: bool = False  # written, but its commit is not accepted


@dataclass(frozen=True)
class Zombie:
    """Another owner takes over while this one writes; the rest of its writes arrive late."""

    writes: int  # before the other starts
    messages: int  # that the other handles first
    then: bool  # and whether it has made a checkpoint of its own before the late writes


Step = int | str | Checkpoint | Zombie  # a number: handle so many messages


class World:
    """What is durable: a log, a compacted changelog; and the processes that come and go."""

    def __init__(self, log: Sequence[bytes]) -> None:
        self.log = log
        self.table: dict[bytes, bytes] = {}
        self.flags: set[bytes] = set()
        self.worker = self.start()

    def start(self) -> Partition:
        """The next owner: what is durable, and its claim."""
        self.worker = Partition(CONFIG, 0, dict(self.table))
        key, value = self.worker.ledger.claim
        self.table[key] = value
        return self.worker

    def take(self, messages: int) -> None:
        worker = self.worker
        first = max(worker.next_offset, 0)
        for offset, raw in enumerate(self.log[first : first + messages], first):
            outcome, _ = worker.handle(raw)
            assert not outcome.rejects
            self.flags |= {msgspec.json.encode(flag, order="deterministic") for flag in outcome.flags}
            worker.next_offset = offset + 1

    def writes(self, draft: Draft) -> Iterator[None]:
        """One write after the other; the marker is the last."""
        for key, value in [*draft.records, draft.marker]:
            self.table[key] = value
            yield

    def checkpoint(self, step: Checkpoint) -> None:
        worker = self.worker
        draft = worker.draft()
        if draft is None:
            return
        self.take(step.meanwhile)
        for done, _ in enumerate(self.writes(draft), 1):
            if done == step.writes:
                self.start()
                return
        if step.refused:
            worker.ledger.abandon(draft, worker.bank)
            return
        stale = worker.ledger.complete(draft)
        for done, key in enumerate(stale, len(draft.records) + 2):
            del self.table[key]
            if done == step.writes:
                self.start()
                return

    def zombie(self, step: Zombie) -> None:
        old = self.worker
        draft = old.draft()
        late = self.writes(draft) if draft else iter(())
        for _ in range(step.writes):
            next(late, None)
        self.start()
        self.take(step.messages)
        if step.then:
            self.checkpoint(Checkpoint())
        for _ in late:
            pass

    def run(self, script: Sequence[Step]) -> None:
        for step in script:
            if isinstance(step, int):
                self.take(step)
            elif isinstance(step, Checkpoint):
                self.checkpoint(step)
            elif isinstance(step, Zombie):
                self.zombie(step)
            else:
                self.start()


def a_log(messages: int = 12, meters: int = 3) -> list[bytes]:
    """Registers that grow, one of which falls; a message is a round of readings."""
    start = instant("2024-01-01")
    log = [encode_control(Registry([Meter(meter_id=f"m{i}", kind="register") for i in range(meters)]))]
    for n in range(messages):
        rows = [
            Row(
                f"m{i}",
                start + n * DAY,
                10.0 * n - (35.0 if n > 6 and i == 1 else 0),
                digest=bytes([n + 1]) * 16,
            )
            for i in range(meters)
        ]
        log.append(encode(as_columns(rows)))
    return log
