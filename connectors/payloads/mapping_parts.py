"""The parts of a compiled mapping: functions from an element of the payload to one field of a reading."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC

from connectors.payloads.fields import (
    KINDS,
    QUALITIES,
    FieldError,
    choice,
    number,
    show,
    text,
    unit_code,
)
from connectors.payloads.jsonpath import MISSING, Element, Path, PathError, getter, parse_path, show_path
from connectors.payloads.mapping_file import QualityMap
from connectors.payloads.templates import parts_of
from connectors.payloads.times import epoch, local, rfc3339, zone_named

__all__ = ["Compiler", "Look", "Test", "Write", "finite", "paths_in"]

Look = Callable[[Element], object]  # → what is there, or MISSING
Write = Callable[[Element], str]
Test = Callable[[Element], bool]

_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


class Compiler:
    """Turns texts of a mapping into functions of an element.

    spine : the iteration that all paths share
    names : what templates may name
    """

    def __init__(self, spine: Path, names: Iterable[str]) -> None:
        self._spine = spine
        self._names = set(names) | {step.capture for step in spine if step.capture}
        self._levels = [place for place, step in enumerate(spine) if step.iterates]

    def look(self, path_text: str) -> Look:
        """Return what finds the value of a path."""
        path = parse_path(path_text)
        level = sum(step.iterates for step in path)
        start = self._levels[level - 1] + 1 if level else 0
        get = getter(path[start:])
        return lambda element: get(element.objects[level])

    def value(self, path_text: str) -> Look:
        """Return what finds a value. Its path must go through all iterations, else it would repeat."""
        path = parse_path(path_text)
        if path[: len(self._spine)] != self._spine:
            raise PathError(
                f"path {path_text!r}: expected it to go through {show_path(self._spine)} as the other "
                "values do; put it into a mapping of its own"
            )
        return self.look(path_text)

    def write(self, template: str, field: str, limit: int = 128) -> Write:
        """Return what makes a text of a literal, a path or a template."""
        if not template.startswith("$") and "{" not in template:
            literal = text(template, field, limit)
            return lambda element: literal
        if template.startswith("$"):
            parts: list[object] = [self.look(template)]
        else:
            parts = parts_of(template, self._names, self.look)

        def write(element: Element) -> str:
            written = ""
            for part in parts:
                if isinstance(part, str):
                    written += part
                elif isinstance(part, tuple):
                    written += element.captures[part[0]]
                elif callable(part):
                    written += _plain(part(element), field, template)
            return text(written, field, limit)

        return write

    def kind(self, template: str) -> Callable[[Element], int]:
        """Return what tells the kind: a literal, checked now, or a path."""
        if template.startswith("$"):
            write = self.write(template, "kind")
            return lambda element: choice(write(element), "kind", KINDS)
        code = choice(template, "kind", KINDS) if template else 0
        return lambda element: code

    def unit(self, template: str) -> Write:
        """Return what tells the unit."""
        if not template:
            return lambda element: ""
        if template.startswith("$") or "{" in template:
            write = self.write(template, "unit", 32)
            return lambda element: unit_code(write(element))
        code = unit_code(template)
        return lambda element: code

    def time(self, form: str, zone_name: str) -> Callable[[object], int]:
        """Return what reads a time of this format. Raises ValueError for a format that is none."""
        zone = zone_named(zone_name) if zone_name else None
        if form == "rfc3339":
            return lambda value: rfc3339(_string(value))
        if form in _TICKS:
            ticks = _TICKS[form]
            return lambda value: epoch(value, ticks)
        if form == "epoch":
            return _seconds_or_less
        if form != "local" and "%" not in form:
            raise ValueError(
                "expected rfc3339, s, ms, us, ns, epoch, local or a pattern such as %Y%m%d%H%M%S, "
                f"got {form!r}"
            )
        if zone is None and "%z" not in form:
            raise ValueError(f"expected a time_zone beside time_format {form!r}, such as Asia/Shanghai")
        read = local(zone or UTC, None if form == "local" else form)
        return lambda value: read(_string(value))

    def quality(self, spec: QualityMap) -> Callable[[Element], int]:
        """Return what tells the quality; where nothing is said it is good."""
        look = self.look(spec.path)
        table: dict[tuple[type, object], int] = {}
        for name in QUALITIES:
            words: list[str | int | bool] = getattr(spec, name)
            for word in words:
                table[(type(word), word)] = QUALITIES[name]
        otherwise = QUALITIES[spec.otherwise]

        def quality(element: Element) -> int:
            native = look(element)
            if native is MISSING:
                return 0
            if spec.scheme == "opcua":
                return _opcua(native)
            try:
                return table.get((type(native), native), otherwise)
            except TypeError:  # an object or an array
                return otherwise

        return quality

    def where(self, conditions: Mapping[str, str | int | bool | list[str | int | bool]]) -> Test | None:
        """Return what tells whether all conditions hold; None where there are none."""
        if not conditions:
            return None
        tests = [
            (self.look(path), [(type(w), w) for w in (wanted if isinstance(wanted, list) else [wanted])])
            for path, wanted in conditions.items()
        ]

        def holds(element: Element) -> bool:
            for look, wanted in tests:
                found = look(element)
                if (type(found), found) not in wanted:
                    return False
            return True

        return holds


def paths_in(template: str) -> list[str]:
    """Return the paths that stand in a text of a mapping."""
    if template.startswith("$"):
        return [template]
    return re.findall(r"\{(\$[^{}]*)\}", template)


def finite(value: object, scale: float) -> float:
    """Read a number and scale it. Raises FieldError also where the product is too large."""
    return number(number(value) * scale) if scale != 1.0 else number(value)


def _plain(value: object, field: str, template: str) -> str:
    if type(value) is str:
        return value
    if type(value) is int or type(value) is bool:
        return show(value)
    raise FieldError(field, f"expected a text at {template}", value)


def _string(value: object) -> str:
    if type(value) is str:
        return value
    raise ValueError("expected a string")


def _seconds_or_less(value: object) -> int:
    # 1990 … 2099 in seconds, in ms, in µs and in ns do not overlap
    for ticks in _TICKS.values():
        try:
            return epoch(value, ticks)
        except ValueError:
            continue
    raise ValueError("expected seconds, ms, µs or ns since 1970 between 1990 and 2099")


def _opcua(code: object) -> int:
    if isinstance(code, dict):
        code = code.get("Code", 0)
    if type(code) is not int or not 0 <= code < 2**32:
        return QUALITIES["uncertain"]
    return (QUALITIES["good"], QUALITIES["uncertain"])[code >> 30] if code >> 30 < 2 else QUALITIES["bad"]
