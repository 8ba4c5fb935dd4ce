"""One partition of ``readings.v1``: each message in, in order; flags and hand-overs out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from streams.bank import BankConfig, Outcome
from streams.checkpoint import CheckpointError, Draft, restore
from streams.columns import Arrive, Columns, Depart, Expect, Registry, Tick, decode, encode, encode_control
from streams.handover import install, release
from streams.messages import Reject
from streams.moves import HELD, Waiting

Sends = list[tuple[int, bytes]]  # (partition, message of readings.v1)


class Partition:
    """A bank, its last checkpoint and the next offset that it expects."""

    def __init__(
        self, config: BankConfig, number: int, table: Mapping[bytes, bytes] | None = None, generation: int = 0
    ) -> None:
        self.bank, self.ledger = restore(config, number, table or {}, generation)
        self.next_offset = self.ledger.next_offset  # −1: wherever the log begins

    def handle(self, raw: bytes) -> tuple[Outcome, Sends]:
        """Take one message in.

        Returns what came of it, and messages for other partitions, which must be durable
        before the next checkpoint. A message that is none of ours becomes a reject of the
        outcome: the flow goes on.
        """
        outcome, sends = Outcome(), []
        try:
            message = decode(raw)
        except ValueError as error:
            outcome.rejects.append(Reject(str(error), raw))
            return outcome, []
        if isinstance(message, Columns):
            self._readings(message, outcome, sends)
        elif isinstance(message, Tick):
            self.bank.tick(message.now_ns, outcome)
        elif isinstance(message, Registry):
            self.bank.register(message.meters, outcome)
        elif isinstance(message, Expect):
            self._expect(message, outcome)
        elif isinstance(message, Depart):
            self._depart(message, outcome, sends)
        else:
            self._arrive(message, outcome, sends)
        return outcome, sends

    def draft(self) -> Draft | None:
        """A checkpoint of all that has been handled; None where nothing has been since the last."""
        if self.next_offset <= self.ledger.next_offset:
            return None
        return self.ledger.draft(self.bank, self.next_offset)

    def _readings(self, columns: Columns, outcome: Outcome, sends: Sends) -> None:
        moves = self.bank.moves
        if moves.waiting or moves.gone:
            away = [i for i, name in enumerate(columns.meters) if name in moves.waiting or name in moves.gone]
            if away:
                # A message that was taken before must not be taken again in two parts.
                columns = self.bank.unrepeated(columns, outcome)
                columns = replace(columns, digests=bytes(len(columns.digests)))
                self._hold(columns, away, sends)
                columns = columns.select(~np.isin(columns.meter, away))
        self.bank.update(columns, outcome)
        while moves.held > HELD:
            # The state does not come: start afresh rather than hold back without end.
            self._release(next(iter(moves.waiting)), outcome, sends)
            outcome.count("moves_given_up")

    def _hold(self, columns: Columns, away: list[int], sends: Sends) -> None:
        for code in away:
            name = columns.meters[code]
            rows = columns.select(columns.meter == code)
            if not len(rows):
                continue
            wait = self.bank.moves.waiting.get(name)
            if wait is None:
                sends.append((self.bank.moves.gone[name], encode(rows)))
            else:
                wait.batches.append(encode(rows))
                wait.readings += len(rows)

    def _expect(self, message: Expect, outcome: Outcome) -> None:
        moves = self.bank.moves
        for meter in message.meters:
            moves.gone.pop(meter.meter_id, None)
            if meter.meter_id in self.bank.slots:
                self.bank.register([meter], outcome)
            else:
                moves.waiting.setdefault(meter.meter_id, Waiting(meter))

    def _depart(self, message: Depart, outcome: Outcome, sends: Sends) -> None:
        moves = self.bank.moves
        states = {}
        for name in message.meters:
            if name in moves.waiting:
                moves.waiting[name].onward = message.partition
                continue
            states[name] = release(self.bank, name) if name in self.bank.slots else b""
            moves.gone[name] = message.partition
            outcome.count("meters_departed", 1 if states[name] else 0)
        if states:
            sends.append((message.partition, encode_control(Arrive(states))))

    def _arrive(self, message: Arrive, outcome: Outcome, sends: Sends) -> None:
        for name, state in message.states.items():
            wait = self.bank.moves.waiting.get(name)
            if wait is None:
                continue
            if state:
                try:
                    install(self.bank, wait.meter, state)
                    outcome.count("meters_arrived")
                except CheckpointError as error:
                    outcome.rejects.append(Reject(str(error), state))
            self._release(name, outcome, sends)

    def _release(self, name: str, outcome: Outcome, sends: Sends) -> None:
        """A meter is waited for no longer: take the readings that were held back for it."""
        wait = self.bank.moves.waiting.pop(name)
        self.bank.register([wait.meter], outcome)
        for raw in wait.batches:
            columns = decode(raw)
            assert isinstance(columns, Columns)
            self.bank.update(columns, outcome)
        if wait.onward >= 0:
            self._depart(Depart([name], wait.onward), outcome, sends)
