"""Templates of mapping files: of topics (``v3/{app}@{tenant}/devices/{meter_id}/up``) and of texts."""

from __future__ import annotations

import re
from collections.abc import Callable

from connectors.payloads.jsonpath import PathError
from connectors.payloads.topics import check_filter

__all__ = ["TopicTemplate", "parts_of"]

_CAPTURE = re.compile(r"\{([a-z_][a-z0-9_]*)(#?)\}")
_PART = re.compile(r"\{([^{}]*)\}")


class TopicTemplate:
    """A topic with named parts.

    ``{name}`` takes a level or a part of one, ``{name#}`` at the end takes all that follows; ``+`` and ``#``
    are as in MQTT. ``filter`` is what to subscribe to, ``names`` the parts, ``match`` returns them for a
    topic, or None. Raises ValueError for a template that cannot be a topic.
    """

    def __init__(self, template: str) -> None:
        self.template = template
        self.names: list[str] = []
        levels = template.split("/")
        filters: list[str] = []
        patterns: list[str] = []
        for place, level in enumerate(levels):
            last = place == len(levels) - 1
            whole = _CAPTURE.fullmatch(level)
            if whole is not None and whole[2]:
                if not last:
                    raise ValueError(f"topic {template!r}: expected {level} as the last level")
                self._name(whole[1])
                filters.append("#")
                patterns.append(f"(?P<{whole[1]}>.+)")
            elif level in ("+", "#"):
                filters.append(level)
                patterns.append("[^/]*" if level == "+" else ".*")
            else:
                filters.append("+" if _CAPTURE.search(level) else level)
                patterns.append(self._level(level))
        self.filter = check_filter("/".join(filters))
        self._match = re.compile("/".join(patterns), re.DOTALL).fullmatch

    def _name(self, name: str) -> None:
        if name in self.names:
            raise ValueError(f"topic {self.template!r}: expected {{{name}}} once")
        self.names.append(name)

    def _level(self, level: str) -> str:
        pattern, at = "", 0
        for found in _CAPTURE.finditer(level):
            if found[2]:
                raise ValueError(f"topic {self.template!r}: expected {found[0]} alone in its level")
            self._name(found[1])
            pattern += re.escape(level[at : found.start()]) + f"(?P<{found[1]}>[^/]+)"
            at = found.end()
        rest = level[at:]
        if re.search(r"[{}]", _CAPTURE.sub("", level)):
            raise ValueError(
                f"topic {self.template!r}: expected names in braces to be like {{meter_id}}, got {level!r}"
            )
        return pattern + re.escape(rest)

    def match(self, topic: str) -> dict[str, str] | None:
        """Return the named parts of a topic, or None where it is another one."""
        found = self._match(topic)
        return None if found is None else found.groupdict()


def parts_of(template: str, names: set[str], path: Callable[[str], object]) -> list[object]:
    """Split a text template into literals (str), names (as ``{name}``) and paths.

    ``path`` makes of ``{$.…}`` what stands for it. Raises PathError for a name that neither the topic nor a
    path gives.
    """
    parts: list[object] = []
    at = 0
    for found in _PART.finditer(template):
        if found.start() > at:
            parts.append(template[at : found.start()])
        inner = found[1]
        if inner.startswith("$"):
            parts.append(path(inner))
        elif inner in names:
            parts.append((inner,))
        else:
            known = ", ".join(sorted(names)) or "none"
            raise PathError(
                f"template {template!r}: expected one of the names {known} in braces, got {inner!r}"
            )
        at = found.end()
    if at < len(template):
        parts.append(template[at:])
    return parts
