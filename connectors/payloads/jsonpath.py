"""The small JSON path of mapping files: ``$.a.b[0]``, ``$.items[*].v``, ``$.{device}.total``, ``$['a.b']``.

``$``           the whole payload
``.name``       a member; letters, digits, ``_`` and ``-``
``['name']``    a member of any name
``[0]``         an element; ``[-1]`` the last
``[*]``         every element; an object stands for an array of itself
``.{name}``     every member, its key kept under this name for templates
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

__all__ = [
    "MISSING",
    "Element",
    "Path",
    "PathError",
    "Step",
    "elements_of",
    "getter",
    "parse_path",
    "show_path",
    "spine_of",
]


class PathError(ValueError):
    """A path that cannot be read, or paths that do not go together."""


class Step(NamedTuple):
    """One step: ``key`` (a name or an index), or an iteration, which keeps the key under ``capture``."""

    key: str | int | None
    capture: str = ""

    @property
    def iterates(self) -> bool:
        """Whether it goes to every member or element."""
        return self.key is None


Path = tuple[Step, ...]


class Missing:
    """Stands where a path leads to nothing; null counts as nothing."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()

_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z0-9_-]+)
      | \.\{(?P<capture>[a-z_][a-z0-9_]*)\}
      | \['(?P<quoted>[^']+)'\]
      | \[(?P<index>-?\d{1,6})\]
      | (?P<all>\[\*\])""",
    re.VERBOSE | re.ASCII,
)


def parse_path(text: str) -> Path:
    """Read a path. Raises PathError with the column at which it goes wrong."""
    if not text.startswith("$"):
        raise PathError(f"path {text!r}: expected $ at its start")
    steps: list[Step] = []
    at = 1
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise PathError(
                f"path {text!r}: expected .name, ['name'], [0], [*] or .{{name}} at column {at + 1}, "
                f"got {text[at : at + 12]!r}"
            )
        if found["index"] is not None:
            steps.append(Step(int(found["index"])))
        elif found["all"]:
            steps.append(Step(None))
        elif found["capture"]:
            steps.append(Step(None, found["capture"]))
        else:
            steps.append(Step(found["name"] or found["quoted"]))
        at = found.end()
    for kind, shown in (("", "[*]"), ("{}", ".{name}")):
        if sum(step.iterates and bool(step.capture) == bool(kind) for step in steps) > 1:
            raise PathError(f"path {text!r}: expected {shown} at most once")
    return tuple(steps)


def getter(steps: Sequence[Step]) -> Callable[[object], object]:
    """Return a function from an object to what stands at the steps (no iterations among them), or MISSING."""
    keys = tuple(step.key for step in steps)

    def get(value: object) -> object:
        for key in keys:
            if type(value) is dict:
                value = value.get(key, MISSING)
            elif type(value) is list and type(key) is int and -len(value) <= key < len(value):
                value = value[key]
            else:
                return MISSING
        return MISSING if value is None else value

    return get


def spine_of(paths: Sequence[Path]) -> Path:
    """Return the longest path up to an iteration, of which those of all other paths are beginnings.

    Raises PathError when two paths iterate over different things, so that nobody can say which elements
    belong together.
    """
    prefixes = [path[: 1 + max((i for i, s in enumerate(path) if s.iterates), default=-1)] for path in paths]
    spine: Path = max(prefixes, key=len, default=())
    for prefix in prefixes:
        if prefix != spine[: len(prefix)]:
            raise PathError(
                f"expected all paths to go through the same elements, "
                f"got {show_path(spine)} and {show_path(prefix)}"
            )
    return spine


def show_path(path: Path) -> str:
    """Return a path as it is written."""
    shown = "$"
    for step in path:
        if step.iterates:
            shown += f".{{{step.capture}}}" if step.capture else "[*]"
        elif isinstance(step.key, int):
            shown += f"[{step.key}]"
        else:
            shown += f"['{step.key}']" if re.search(r"[^A-Za-z0-9_-]", str(step.key)) else f".{step.key}"
    return shown


class Element(NamedTuple):
    """One element: the objects at each level of the iteration, the payload first; the keys gone through."""

    objects: tuple[object, ...]
    captures: dict[str, str]


def elements_of(spine: Path) -> Callable[[object, dict[str, str]], Iterator[Element]]:
    """Return a function that yields the elements of a payload along the spine."""
    stages: list[tuple[Callable[[object], object], str]] = []
    steps: list[Step] = []
    for step in spine:
        if step.iterates:
            stages.append((getter(steps), step.capture))
            steps = []
        else:
            steps.append(step)

    def walk(objects: tuple[object, ...], captures: dict[str, str], depth: int) -> Iterator[Element]:
        if depth == len(stages):
            yield Element(objects, captures)
            return
        get, capture = stages[depth]
        value = get(objects[-1])
        if capture:
            members = value.items() if isinstance(value, dict) else ()
            for key, member in members:
                yield from walk((*objects, member), {**captures, capture: key}, depth + 1)
        elif isinstance(value, list):
            for member in value:
                yield from walk((*objects, member), captures, depth + 1)
        elif isinstance(value, dict):
            yield from walk((*objects, value), captures, depth + 1)

    return lambda payload, captures: walk((payload,), captures, 0)
