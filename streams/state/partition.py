"""One partition of ``readings.v1``: each message in, in order; flags and hand-overs out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from streams.columns import (
    NO_DIGEST,
    Arrive,
    Columns,
    Control,
    Depart,
    Expect,
    Registry,
    Tick,
    decode,
    encode,
    encode_control,
)
from streams.messages import Reject
from streams.state.bank import BankConfig, Outcome
from streams.state.checkpoint import CheckpointError, Draft, restore
from streams.state.handover import install, release
from streams.state.moves import HELD, Waiting

Sends = list[tuple[int, bytes]]  # (partition, message of readings.v1)


class Partition:
    """A bank, its last checkpoint and the next offset that it expects."""

    def __init__(self, config: BankConfig, number: int, table: Mapping[bytes, bytes] | None = None) -> None:
        self.number = number
        self.bank, self.ledger = restore(config, number, table or {})
        self.next_offset = self.ledger.next_offset  # −1: wherever the log begins

    def handle(self, raw: bytes) -> tuple[Outcome, Sends]:
        """Take one message in.

        Returns what came of it, and messages for other partitions, which must be durable
        before the next checkpoint. A message that is none of ours becomes a reject of the
        outcome: the flow goes on.
        """
        outcome = Outcome()
        sends: Sends = []
        try:
            message = decode(raw)
        except ValueError as error:
            outcome.rejects.append(Reject(str(error), raw))
            return outcome, sends
        self._take(message, outcome, sends)
        moves = self.bank.moves
        while moves.held > HELD:
            # The state does not come: start afresh rather than hold back without end.
            name = next(name for name, wait in moves.waiting.items() if wait.readings)
            moves.seen[name] = moves.waiting[name].number
            self._release(name, outcome, sends)
            outcome.count("moves_given_up")
        return outcome, sends

    def _take(self, message: Columns | Control, outcome: Outcome, sends: Sends) -> None:
        if isinstance(message, Columns):
            self._readings(message, outcome, sends)
        elif isinstance(message, Tick):
            self.bank.tick(message.now_ns, outcome)
        elif isinstance(message, Registry):
            self._registry(message, outcome, sends)
        elif isinstance(message, Expect):
            self._expect(message, outcome, sends)
        elif isinstance(message, Depart):
            self._depart(message, outcome, sends)
        else:
            self._arrive(message, outcome, sends)

    def draft(self) -> Draft | None:
        """A checkpoint of all that has been handled; None where nothing has been since the last."""
        if self.next_offset <= self.ledger.next_offset:
            return None
        return self.ledger.draft(self.bank, self.next_offset)

    def _readings(self, columns: Columns, outcome: Outcome, sends: Sends) -> None:
        moves = self.bank.moves
        if moves.waiting or moves.gone:
            names = columns.meters
            away = [i for i, name in enumerate(names) if name in moves.waiting or name in moves.gone]
            if away:
                # A message that was taken before must not be taken again in two parts.
                columns = self.bank.unrepeated(columns, outcome)
                for code in away:
                    self._hold(names[code], columns.select(columns.meter == code), sends)
                columns = columns.select(~np.isin(columns.meter, away))
                columns = replace(columns, digests=bytes(len(columns.digests)))
        self.bank.update(columns, outcome)

    def _hold(self, name: str, rows: Columns, sends: Sends) -> None:
        """Keep a meter's readings until its state is here, or send them on."""
        if not len(rows):
            return
        moves = self.bank.moves
        raw = encode(replace(rows, digests=_own_digests(rows.digests, name)))
        wait = moves.waiting.get(name)
        if wait is None:
            sends.append((moves.gone[name], raw))
        else:
            wait.told.append(raw)
            wait.readings += len(rows)

    def _registry(self, message: Registry, outcome: Outcome, sends: Sends) -> None:
        moves = self.bank.moves
        here = []
        for meter in message.meters:
            if meter.meter_id in moves.waiting:
                moves.waiting[meter.meter_id].meter = meter
            elif meter.meter_id in moves.gone:
                sends.append((moves.gone[meter.meter_id], encode_control(Registry([meter]))))
            else:
                here.append(meter)
        self.bank.register(here, outcome)

    def _expect(self, message: Expect, outcome: Outcome, sends: Sends) -> None:
        moves = self.bank.moves
        for meter, number in zip(message.meters, message.moves, strict=True):
            name = meter.meter_id
            wait = moves.waiting.get(name)
            if wait is not None and number > wait.latest:
                wait.told.append(encode_control(Expect([meter], [number])))
                wait.latest = number
            elif wait is not None:
                wait.meter = meter
            elif name not in self.bank.slots and number > moves.seen.get(name, 0):
                moves.gone.pop(name, None)
                moves.waiting[name] = Waiting(meter, number, number)
            else:
                # It is here, or has been here and has left since: then the new row follows it.
                self._registry(Registry([meter]), outcome, sends)

    def _depart(self, message: Depart, outcome: Outcome, sends: Sends) -> None:
        moves = self.bank.moves
        target = message.partition
        states: dict[str, tuple[int, bytes]] = {}
        for name, number in message.meters.items():
            wait = moves.waiting.get(name)
            left = moves.left.get(name, {})
            if wait is not None:
                wait.told.append(encode_control(Depart({name: number}, target, message.astray)))
                wait.latest = max(wait.latest, number)
            elif target == self.number or (left.get(number) == target and not message.astray):
                continue  # done
            elif name in moves.gone:
                if moves.gone[name] != target:
                    sends.append((moves.gone[name], encode_control(Depart({name: number}, target, True))))
            else:
                hop = max(number, moves.seen.get(name, 0) + 1)
                states[name] = (hop, release(self.bank, name) if name in self.bank.slots else b"")
                moves.seen[name] = hop
                moves.gone[name] = target
                moves.left[name] = {**left, number: target}
                outcome.count("meters_departed")
        if states:
            sends.append((target, encode_control(Arrive(states))))

    def _arrive(self, message: Arrive, outcome: Outcome, sends: Sends) -> None:
        moves = self.bank.moves
        for name, (number, state) in message.states.items():
            waited = name in moves.waiting
            news = number > moves.seen.get(name, 0) and name not in self.bank.slots
            if not news or not (waited or state):
                outcome.count("arrivals_repeated")
                continue
            moves.seen[name] = number
            moves.gone.pop(name, None)
            if state:
                try:
                    install(self.bank, state)
                except CheckpointError as error:
                    outcome.rejects.append(Reject(f"meter {name} starts afresh: {error}", state))
            outcome.count("meters_arrived")
            if waited:
                self._release(name, outcome, sends)

    def _release(self, name: str, outcome: Outcome, sends: Sends) -> None:
        """A meter is waited for no longer: do what it was told meanwhile."""
        wait = self.bank.moves.waiting.pop(name)
        self.bank.register([wait.meter], outcome)
        for raw in wait.told:
            self._take(decode(raw), outcome, sends)


def _own_digests(digests: bytes, meter_id: str) -> bytes:
    """Digests for one meter's share of raw messages, so that the share is known when it comes again."""
    name = meter_id.encode()
    return b"".join(
        digest if digest == NO_DIGEST else hashlib.blake2b(digest + name, digest_size=len(NO_DIGEST)).digest()
        for digest in (digests[i : i + len(NO_DIGEST)] for i in range(0, len(digests), len(NO_DIGEST)))
    )
