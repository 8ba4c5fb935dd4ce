"""A mapping at work: one dialect for each ``[[mapping]]`` of a mapping file.

Every value of the mapping that is there becomes a reading or, with its path and the reason, a reject; one
that is not there (or null) is passed over, unless it has a default and the object that it belongs in is
there. Where nothing at all was there, the payload is rejected, or ignored if the mapping says so.

Cost, own CPU (docs/payloads.md): some 5 µs a message and 5 µs a value, attributes apart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from connectors.payloads.fields import FieldError, Refusals, attributes, show
from connectors.payloads.jsonpath import MISSING, Element, elements_of, parse_path, show_path, spine_of
from connectors.payloads.jsontext import JsonError, parse
from connectors.payloads.mapping_file import Mapping, MappingError, ValueMap
from connectors.payloads.mapping_parts import Compiler, Look, finite, paths_in
from connectors.payloads.native import MAX_BYTES, refuse_size
from connectors.payloads.templates import TopicTemplate
from streams.messages import Mark, RawMessage
from streams.ports import Decoded

__all__ = ["Mapped"]

T = TypeVar("T")


class _Value:
    """One compiled ``[[mapping.values]]``."""

    def __init__(self, compiler: Compiler, mapping: Mapping, spec: ValueMap) -> None:
        self.label = spec.value
        self.scale = _at("scale", lambda: _scale(spec.scale))
        self.default = spec.default
        self.look = _at("value", lambda: compiler.value(spec.value))
        self.home = compiler.look(show_path(parse_path(spec.value)[:-1]))
        self.where = _at("where", lambda: compiler.where(spec.where))
        self.kind = _at("kind", lambda: compiler.kind(spec.kind or mapping.kind))
        self.unit = _at("unit", lambda: compiler.unit(spec.unit or mapping.unit))
        self.meter_id = _at("meter_id", lambda: compiler.write(spec.meter_id or mapping.meter_id, "meter_id"))
        self.register = _optional(compiler, spec.register, "register")
        self.serial = _optional(compiler, spec.serial or mapping.serial, "serial")
        quality = spec.quality or mapping.quality
        self.quality = None if quality is None else _at("quality", lambda: compiler.quality(quality))
        path = spec.time or mapping.time
        form, zone = spec.time_format or mapping.time_format, spec.time_zone or mapping.time_zone
        self.time: Look | None = _at("time", lambda: compiler.look(path)) if path else None
        self.read_time = _at("time_format", lambda: compiler.time(form, zone))
        self.arrival = mapping.time_missing == "arrival"

    def instant(self, element: Element, received_ns: int) -> tuple[int, int]:
        """Return the time and the mark that goes with it. Raises FieldError."""
        if self.time is None:
            return received_ns, Mark.ARRIVAL_TIME
        native = self.time(element)
        if native is MISSING:
            if self.arrival:
                return received_ns, Mark.ARRIVAL_TIME
            raise FieldError("time", "expected one in the payload", native)
        try:
            return self.read_time(native), 0
        except ValueError as error:
            raise FieldError("time", str(error), native) from None


class Mapped:
    """A dialect made of one mapping. Keeps nothing between messages. Raises MappingError."""

    shareable = True

    def __init__(self, mapping: Mapping, max_bytes: int = MAX_BYTES) -> None:
        self.name = mapping.name
        self._max_bytes = max_bytes
        self._empty = mapping.empty
        try:
            _at("name", lambda: _name(mapping.name))
            topics = [mapping.topic] if isinstance(mapping.topic, str) else mapping.topic
            if not topics or not mapping.values:
                raise MappingError("expected at least one topic and one of [[mapping.values]]")
            self._templates = _at("topic", lambda: [TopicTemplate(topic) for topic in topics])
            names = set.intersection(*(set(t.names) for t in self._templates))
            spine = _at("paths", lambda: spine_of([parse_path(path) for path in _paths(mapping)]))
            self._elements = elements_of(spine)
            compiler = Compiler(spine, names)
            self._where = _at("where", lambda: compiler.where(mapping.where))
            self._sequence = (
                _at("sequence", lambda: compiler.look(mapping.sequence)) if mapping.sequence else None
            )
            self._attributes = [
                (name, _at(f"attributes.{name}", partial(compiler.look, path)))
                for name, path in mapping.attributes.items()
            ]
            self._values = [
                _at(f"values[{place}]", partial(_Value, compiler, mapping, spec))
                for place, spec in enumerate(mapping.values)
            ]
        except MappingError as error:
            raise MappingError(f"mapping {mapping.name!r}: {error}") from None
        self.topics: Sequence[str] = tuple(template.filter for template in self._templates)

    def decode(self, message: RawMessage) -> Decoded:
        """Turn a payload into rows; what is wrong with it stands in ``rejects``."""
        out = Decoded()
        payload = message.payload
        if len(payload) > self._max_bytes:
            refuse_size(out, payload, self._max_bytes)
            return out
        refusals = Refusals(out.rejects)
        captures = self._captures(message.topic)
        if captures is None:
            wanted = ", ".join(template.template for template in self._templates)
            refusals.add(f"topic: expected {wanted}, got {show(message.topic)}", payload)
            return out
        try:
            content = parse(payload)
        except JsonError as error:
            refusals.add(str(error), payload)
            return out
        elements = list(self._elements(content, captures))
        seen = 0
        for element in elements:
            if self._where is not None and not self._where(element):
                seen += 1  # not meant by this mapping: nothing is missing
                continue
            raw = payload if len(elements) == 1 else _raw(element)
            seen += self._take(element, message, raw, out, refusals)
        if not seen and self._empty == "reject":
            wanted = ", ".join(value.label for value in self._values[:8])
            refusals.add(f"payload: expected a value at one of {wanted}, got none", payload)
        refusals.close()
        return out

    def _captures(self, topic: str) -> dict[str, str] | None:
        for template in self._templates:
            captures = template.match(topic)
            if captures is not None:
                return captures
        return None

    def _take(
        self, element: Element, message: RawMessage, raw: bytes, out: Decoded, refusals: Refusals
    ) -> int:
        """Take all values of one element; returns how many were there."""
        marks = int(Mark.RETAINED) if message.retained else 0
        seen = 0
        if self._sequence is not None:
            sequence = self._sequence(element)
            if type(sequence) is int and 0 <= sequence < 2**63:
                out.sequence = sequence
        for value in self._values:
            if value.where is not None and not value.where(element):
                continue
            native = value.look(element)
            if native is MISSING:
                if value.default is None or not isinstance(value.home(element), dict):
                    continue
                native = value.default
            seen += 1
            try:
                self._add(value, native, element, message.received_ns, marks, out)
            except FieldError as error:
                refusals.add(f"{value.label}: {error}", raw)
        return seen

    def _add(
        self, value: _Value, native: object, element: Element, received_ns: int, marks: int, out: Decoded
    ) -> None:
        result = finite(native, value.scale)
        time_ns, mark = value.instant(element, received_ns)
        quality = 0 if value.quality is None else value.quality(element)
        meter_id, kind, unit = value.meter_id(element), value.kind(element), value.unit(element)
        register = value.register(element) if value.register is not None else ""
        serial = value.serial(element) if value.serial is not None else ""
        noted: dict[str, object] = {}
        for name, look in self._attributes:
            cell = look(element)
            if cell is not MISSING:
                noted[name] = cell
        if noted:
            noted = dict(attributes(noted))
        out.rows.add(meter_id, time_ns, result, kind, unit, quality, marks | mark)
        for place, note in (("register", register), ("serial", serial), ("attributes", noted)):
            if note:
                out.rows.note(place, note)


def _at(label: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise MappingError(f"{label}: {error}") from None


def _scale(scale: float) -> float:
    if not math.isfinite(scale) or scale == 0:
        raise ValueError(f"expected a finite number other than 0, got {scale}")
    return scale


def _name(name: str) -> str:
    if not name or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise ValueError(f"expected letters, digits, - and _, got {name!r}")
    return name


def _optional(compiler: Compiler, template: str, field: str) -> Callable[[Element], str] | None:
    """Return what writes a field that may be missing: then it is empty."""
    if not template:
        return None
    write = _at(field, lambda: compiler.write(template, field))
    if not template.startswith("$"):
        return write
    look = compiler.look(template)
    return lambda element: "" if look(element) in (MISSING, "") else write(element)


def _paths(mapping: Mapping) -> list[str]:
    """Return every path that the mapping names."""
    texts = [mapping.meter_id, mapping.serial, mapping.time, mapping.kind, mapping.unit, mapping.sequence]
    texts += [*mapping.attributes.values(), *mapping.where]
    texts += [mapping.quality.path] if mapping.quality else []
    for value in mapping.values:
        texts += [
            value.value,
            value.register,
            value.kind,
            value.unit,
            value.meter_id,
            value.serial,
            value.time,
        ]
        texts += [*value.where]
        texts += [value.quality.path] if value.quality else []
    return [path for text in texts for path in paths_in(text)]


def _raw(element: Element) -> bytes:
    return json.dumps(element.objects[-1], default=show).encode("utf-8", "replace")
