"""MQTT topic filters: checked, compared, and compiled into one matcher.

``+`` stands for one level, ``#`` at the end for any number of them, none included. A filter that begins
with a wildcard does not match topics that begin with ``$`` (MQTT 5.0, 4.7).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

__all__ = ["check_filter", "matcher"]


def check_filter(topic_filter: str) -> str:
    """Return the filter. Raises ValueError saying what is wrong with it."""
    levels = topic_filter.split("/")
    if not topic_filter or "\0" in topic_filter:
        raise ValueError(f"expected an MQTT topic filter, got {topic_filter!r}")
    for place, level in enumerate(levels):
        if "#" in level and (level != "#" or place != len(levels) - 1):
            raise ValueError(f"expected # alone as the last level of a topic filter, got {topic_filter!r}")
        if "+" in level and level != "+":
            raise ValueError(f"expected + alone in its level of a topic filter, got {topic_filter!r}")
    return topic_filter


def _pattern(topic_filter: str) -> str:
    parts: list[str] = []
    levels = topic_filter.split("/")
    for place, level in enumerate(levels):
        slash = "/" if place else ""
        if level == "#":
            parts.append("(?:/.*)?" if place else ".*")
        elif level == "+":
            parts.append(slash + "[^/]*")
        else:
            parts.append(slash + re.escape(level))
    guard = r"(?!\$)" if levels[0] in ("+", "#") else ""
    return guard + "".join(parts)


def _breadth(topic_filter: str) -> list[int]:
    """Sort key: what is spelt out comes before what a wildcard takes, level by level."""
    return [{"+": 1, "#": 2}.get(level, 0) for level in topic_filter.split("/")]


def matcher(filters: Sequence[str]) -> Callable[[str], int]:
    """Return a function from topic to the place in ``filters`` of the narrowest one that matches, or -1.

    Raises ValueError for a filter that is none or stands twice.
    """
    order = sorted(range(len(filters)), key=lambda place: _breadth(check_filter(filters[place])))
    for place, topic_filter in enumerate(filters):
        if topic_filter in filters[:place]:
            raise ValueError(f"expected every topic filter once, got {topic_filter!r} twice")
    if not filters:
        return lambda topic: -1
    match = re.compile("|".join(f"({_pattern(filters[place])})" for place in order), re.DOTALL).fullmatch

    def find(topic: str) -> int:
        found = match(topic)
        # each filter is one group of the pattern, so the last group that matched is the filter
        return -1 if found is None else order[(found.lastindex or 0) - 1]

    return find
