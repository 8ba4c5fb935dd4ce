"""Findings → flags: one open episode a meter and family, with an id that a replay repeats."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from streams.messages import FAMILY_OF, NS, Flag
from streams.registry import Meter

#: Of two kinds in one family, the later here explains more: it names the episode; of those on one line, the newer.
#: A limit that is passed says more than how fast; a clock, more than the gap that it seems to leave, but not where
#: nothing comes at all; a point that stood still, more than the jump with which it goes on.
RANK = (
    *(("spike",), ("high_usage",), ("bill_shock",)),
    *(("rollback",), ("misread",), ("unit_error",), ("meter_swap",)),
    *(("sentinel",), ("gap",), ("clock_drift",), ("silent",), ("concentrator_silent",)),
    *(("rate",), ("frozen",), ("residual",), ("limit",), ("pressure_low", "pressure_high")),
    *(("voltage_low", "voltage_high"), ("outage",), ("repeated_outage",), ("transformer_outage",)),
)
_PLACE = {kind: place for place, line in enumerate(RANK, 1) for kind in line}


def iso(time_ns: int) -> str:
    """An instant as ISO 8601 in UTC, to the microsecond where there are any."""
    seconds, rest = divmod(time_ns, NS)
    stamp = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    return stamp.isoformat().replace("+00:00", "Z")


def flag_id(meter_id: str, register: str, family: str, at_ns: int) -> str:
    """Id of an episode: meter, register, family and the first instant at which it was known."""
    text = f"{meter_id}\0{register}\0{family}\0{at_ns}".encode()
    return hashlib.blake2b(text, digest_size=12).hexdigest()


class Episode(msgspec.Struct, array_like=True):
    """One open episode; part of a checkpoint."""

    slot: int
    family: str
    id: str
    start_ns: int
    kind: str
    score: float
    active: list[str]  # detectors that hold it open
    at_ns: int = 0  # of its newest event


class Found(msgspec.Struct, frozen=True):
    """A finding in words: what a detector says, before it becomes part of an episode."""

    slot: int
    detector: str
    kind: str
    verb: int  # detectors.base.RAISE, UPDATE, CLEAR
    at_ns: int
    start_ns: int
    end_ns: int
    score: float
    observed: float
    expected: float
    evidence: dict[str, Any]


def _instants(value: Any) -> Any:
    """Turn ``x_ns`` into an ISO ``x``, at any depth."""
    if isinstance(value, dict):
        return {
            name.removesuffix("_ns"): iso(cell) if name.endswith("_ns") else _instants(cell)
            for name, cell in value.items()
        }
    if isinstance(value, list):
        return [_instants(cell) for cell in value]
    return value


class Episodes:
    """The open episodes of a partition."""

    def __init__(self, open_: list[Episode] | None = None) -> None:
        self.open: dict[tuple[int, str], Episode] = {(e.slot, e.family): e for e in open_ or ()}

    def take(self, found: Found, meter: Meter, register: str) -> Flag | None:
        """Fold one finding in; return the flag event that it amounts to, if any."""
        family = FAMILY_OF[found.kind]
        episode = self.open.get((found.slot, family))
        if found.verb == 3:  # CLEAR
            if episode is None or found.detector not in episode.active:
                return None
            episode.active.remove(found.detector)
            if episode.active:
                return None
            del self.open[found.slot, family]
            return self._flag(episode, "cleared", found, meter, register)
        if episode is None:
            if found.verb == 2:  # UPDATE of an episode that was never raised (it was history)
                return None
            episode = Episode(
                found.slot,
                family,
                flag_id(meter.meter_id, register, family, found.at_ns),
                found.start_ns,
                found.kind,
                found.score,
                [found.detector],
            )
            self.open[found.slot, family] = episode
            return self._flag(episode, "raised", found, meter, register)
        if found.detector not in episode.active:
            episode.active.append(found.detector)
        if found.verb == 2 or _rank(found.kind) >= max(_rank(episode.kind), 1):
            episode.kind = found.kind
        episode.score = max(episode.score, found.score)
        return self._flag(episode, "updated", found, meter, register)

    def forget(self, slot: int) -> None:
        """Drop the episodes of a slot whose meter is gone: they end without a word."""
        for key in [key for key in self.open if key[0] == slot]:
            del self.open[key]

    def keep(self, detectors: set[str]) -> None:
        """Drop what only other detectors hold open: they are gone, or have started afresh."""
        for key, episode in list(self.open.items()):
            episode.active = [name for name in episode.active if name in detectors]
            if not episode.active:
                del self.open[key]

    def _flag(self, episode: Episode, status: str, found: Found, meter: Meter, register: str) -> Flag:
        evidence = {"detector": found.detector, **_instants(found.evidence)}
        # What ends it may be a reading from before the watermark, or the arrival, that told of it.
        episode.at_ns = max(episode.at_ns, found.at_ns)
        if found.kind != episode.kind:
            evidence["seen_as"] = found.kind
        if register:
            evidence["register"] = register
        return Flag(
            id=episode.id,
            meter_id=meter.meter_id,
            kind=episode.kind,
            family=episode.family,
            status=status,
            at=iso(episode.at_ns),
            start=iso(episode.start_ns),
            end=iso(found.end_ns),
            score=round(episode.score, 4),
            observed=_number(found.observed),
            expected=_number(found.expected),
            unit=meter.unit,
            evidence=evidence,
            service_point_id=meter.point,
            area=meter.home_area,
            commodity=meter.commodity,
            place=meter.place,
        )


def _rank(kind: str) -> int:
    return _PLACE.get(kind, 0)


def _number(value: float) -> float | None:
    return round(float(value), 6) if value == value else None
