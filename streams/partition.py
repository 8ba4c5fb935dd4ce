"""One partition of ``readings.v1``: each message in, in order; flags and hand-overs out."""

from __future__ import annotations

from collections.abc import Mapping

from streams.bank import Bank, BankConfig, Outcome
from streams.checkpoint import CheckpointError, Draft, Ledger, restore
from streams.columns import Arrive, Columns, Depart, Expect, Registry, Tick, decode, encode, encode_control
from streams.handover import install, release
from streams.messages import Reject
from streams.moves import HELD, Waiting
from streams.registry import Meter


class Partition:
    """A bank, its last checkpoint and the next offset that it expects."""

    def __init__(
        self, config: BankConfig, number: int, table: Mapping[bytes, bytes] | None = None, generation: int = 0
    ) -> None:
        self.bank, self.ledger = restore(config, number, table or {}, generation)
        self.next_offset = self.ledger.next_offset  # −1: wherever the log begins

    def handle(self, raw: bytes) -> tuple[Outcome, list[tuple[int, bytes]]]:
        """Take one message in.

        Returns what came of it, and messages for other partitions (partition, message) that
        must be durable before the next checkpoint. A message that is none of ours becomes a
        reject of the outcome: the flow goes on.
        """
        try:
            message = decode(raw)
        except ValueError as error:
            outcome = Outcome()
            outcome.rejects.append(Reject(str(error), raw))
            return outcome, []
        bank = self.bank
        if isinstance(message, Columns):
            return self._readings(message), []
        if isinstance(message, Tick):
            return bank.tick(message.now_ns), []
        if isinstance(message, Registry):
            return bank.register(message.meters), []
        if isinstance(message, Expect):
            return self._expect(message), []
        if isinstance(message, Depart):
            arrive = Arrive(message.move, message.meter, release(bank, message.meter.meter_id))
            outcome = Outcome()
            outcome.count("meters_departed")
            return outcome, [(message.partition, encode_control(arrive))]
        return self._arrive(message), []

    def draft(self) -> Draft | None:
        """A checkpoint of all that has been handled; None where nothing has been since the last."""
        if self.next_offset <= self.ledger.next_offset:
            return None
        return self.ledger.draft(self.bank, self.next_offset)

    def _readings(self, columns: Columns) -> Outcome:
        waiting = self.bank.moves.waiting
        if not waiting or not (held := [i for i, name in enumerate(columns.meters) if name in waiting]):
            return self.bank.update(columns)
        keep = columns.meter == columns.meter  # all true
        for code in held:
            mine = columns.meter == code
            keep &= ~mine
            rows = columns.select(mine)
            wait = waiting[columns.meters[code]]
            wait.batches.append(encode(rows))
            wait.readings += len(rows)
        outcome = self.bank.update(columns.select(keep)) if keep.any() else Outcome()
        while self.bank.moves.held > HELD:
            # The state does not come: start afresh rather than hold back without end.
            name = next(iter(waiting))
            outcome = _sum(outcome, self._release_held(name, waiting[name].meter))
            outcome.count("moves_given_up")
        return outcome

    def _expect(self, message: Expect) -> Outcome:
        moves = self.bank.moves
        if message.move not in moves.done and message.meter.meter_id not in self.bank.slots:
            moves.waiting.setdefault(message.meter.meter_id, Waiting(message.move, message.meter))
        return self.bank.register([]) if message.meter.meter_id in moves.waiting else self.bank.register([message.meter])

    def _arrive(self, message: Arrive) -> Outcome:
        moves = self.bank.moves
        outcome = Outcome()
        if message.move in moves.done:
            return outcome
        meter_id = message.meter.meter_id
        if meter_id in self.bank.slots:
            moves.finish(message.move)
            outcome.count("moves_too_late")
            return outcome
        try:
            install(self.bank, message.meter, message.state)
        except CheckpointError as error:
            outcome.rejects.append(Reject(str(error), message.state))
        moves.finish(message.move)
        outcome.count("meters_arrived")
        return _sum(outcome, self._release_held(meter_id, message.meter))

    def _release_held(self, meter_id: str, meter: Meter) -> Outcome:
        outcome = self.bank.register([meter])
        wait = self.bank.moves.waiting.pop(meter_id, None)
        for raw in wait.batches if wait else ():
            columns = decode(raw)
            assert isinstance(columns, Columns)
            # Their messages were seen as new when they came; here each row is taken once.
            columns.digests = bytes(len(columns.digests))
            outcome = _sum(outcome, self.bank.update(columns))
        return outcome


def _sum(first: Outcome, second: Outcome) -> Outcome:
    first.flags += second.flags
    first.rejects += second.rejects
    for what, n in second.counts.items():
        first.count(what, n)
    return first
