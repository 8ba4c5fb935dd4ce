"""Figures, units and times as people read them: those of paper, and lengths of time."""

from __future__ import annotations

from connectors.web.words import Words
from streams.papers.written import Local, amount, number, parse_ns, unit

__all__ = ["Local", "amount", "duration", "number", "parse_ns", "unit"]


def duration(seconds: float, say: Words) -> str:
    """A length of time in its largest fitting unit: ``45 s``, ``12 min``, ``3 h``, ``2 d``."""
    for key, length, limit in (("n_s", 1, 120), ("n_min", 60, 120 * 60), ("n_h", 3600, 48 * 3600)):
        if seconds < limit:
            return say(key, n=int(seconds // length))
    return say("n_d", n=f"{int(seconds // 86_400):,}")
