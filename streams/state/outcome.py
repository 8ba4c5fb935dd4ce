"""What came of a message: flags, what could not be used, counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.messages import Flag, Reject


@dataclass(slots=True)
class Outcome:
    """What came of one message: flags in order, what could not be used, and counts."""

    flags: list[Flag] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, n: int = 1) -> None:
        """Add to a count."""
        if n:
            self.counts[what] = self.counts.get(what, 0) + n
