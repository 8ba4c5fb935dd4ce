"""One meter's state as bytes, for its move to another partition."""

from __future__ import annotations

import msgspec

from streams.registry import Meter
from streams.state.bank import Bank
from streams.state.checkpoint import FORMAT, CheckpointError
from streams.state.episodes import Episode, Episodes
from streams.state.layout import ArrayRecord, LayoutError, adopt, start_afresh, write


class _Channel(msgspec.Struct, frozen=True, array_like=True):
    channel: str
    meter: Meter
    arrays: list[ArrayRecord]
    episodes: list[Episode]


class _State(msgspec.Struct, frozen=True, array_like=True):
    format: int
    channels: list[_Channel]


_decoder = msgspec.msgpack.Decoder(_State)


def release(bank: Bank, meter_id: str) -> bytes:
    """Take a meter out of the bank and return its state; its slots stay empty."""
    channels = [
        _Channel(
            bank.channels[slot],
            bank.meter(slot),
            [*write(bank, "hot", slot, slot + 1), *write(bank, "cold", slot, slot + 1)],
            [episode for episode in bank.open_episodes() if episode.slot == slot],
        )
        for slot in bank.slots_of(meter_id)
    ]
    bank.vacate(meter_id)
    return msgspec.msgpack.encode(_State(FORMAT, channels))


def install(bank: Bank, raw: bytes) -> None:
    """Put a meter that comes from another partition into the bank, with its state and registry rows.

    Raises CheckpointError, and changes nothing, where ``raw`` is not such a state.
    """
    try:
        state = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"expected the state of a meter, got {raw[:40]!r} ({error})") from error
    if state.format > FORMAT:
        raise CheckpointError(
            f"expected a meter's state of format {FORMAT} or older, got {state.format}; update Forestall"
        )
    for channel in state.channels:
        slot = bank.slots.get(channel.channel)
        if slot is None:
            slot = bank.add(channel.channel, channel.meter)
        else:
            bank.clear(slot)  # columns of zeros alone do not come along
        try:
            changed = adopt(bank, channel.arrays, slot, 1)
        except LayoutError as error:
            bank.vacate(channel.meter.meter_id)
            raise CheckpointError(f"the state of {channel.channel} is damaged: {error}") from error
        episodes = Episodes([msgspec.structs.replace(episode, slot=slot) for episode in channel.episodes])
        episodes.keep({detector.name for detector in bank.detectors} - changed)
        for owner in bank.owners:
            if owner.name in changed:
                start_afresh(bank, owner, slot, 1)
        bank.episodes.open.update(episodes.open)
        bank.touch([slot])
