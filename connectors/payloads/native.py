"""The native JSON dialect: one reading, an array of readings, or columns.

    {"meter_id": "w-17", "time": "2024-05-01T12:00:00Z", "value": 482.31}
    [{…}, {…}]
    {"meter_id": ["w-17", "w-18"], "time": "2024-05-01T12:00:00Z", "value": [482.31, 97.4], "unit": "m3"}

In columns a scalar stands for all rows. `connectors.payloads.native_fields` lists every field.

Two ways lead through here. The quick one checks whole payloads at once and gives up at the first doubt;
the careful one then takes the same payload element by element, keeps every good one and names what is wrong
with each other one. Both make the same readings of a good payload (tests hold them against each other).

Cost, own CPU (`docs/payloads.md`, measured by ``tests/test_payloads.py -m bench``): about 0.4 µs a reading in
arrays of 100, 0.3 µs in columns, 1.7 µs for a message with a single one.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.payloads.fields import FieldError, Refusals
from connectors.payloads.jsontext import JsonError, elements, parse_carefully
from connectors.payloads.native_fields import add, add_columns, columns_in
from connectors.payloads.native_quick import Doubt, quickly
from streams.messages import Mark, RawMessage
from streams.ports import Decoded

__all__ = ["MAX_BYTES", "TOPICS", "Native"]

MAX_BYTES = 4 * 1024 * 1024
TOPICS = ("forestall/readings/#",)


class Native:
    """Decodes the native JSON. Keeps nothing between messages."""

    name = "native"
    shareable = True

    def __init__(self, topics: Sequence[str] = TOPICS, max_bytes: int = MAX_BYTES) -> None:
        self.topics: Sequence[str] = tuple(topics)
        self._max_bytes = max_bytes

    def decode(self, message: RawMessage) -> Decoded:
        """Turn a payload into rows; what is wrong with it stands in ``rejects``."""
        out = Decoded()
        payload = message.payload
        if len(payload) > self._max_bytes:
            refuse_size(out, payload, self._max_bytes)
            return out
        marks = int(Mark.RETAINED) if message.retained else 0
        try:
            quickly(payload, marks, out)
        except (Doubt, ValueError, RecursionError):
            out = Decoded()
            _carefully(payload, marks, out)
        return out


def refuse_size(out: Decoded, payload: bytes, limit: int) -> None:
    """Reject a payload that is too long to be looked at."""
    Refusals(out.rejects).add(f"payload: expected at most {limit} bytes, got {len(payload)}", payload)


def _carefully(payload: bytes, marks: int, out: Decoded) -> None:
    """Take a payload element by element."""
    refusals = Refusals(out.rejects)
    if payload.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")[:1] == b"[":
        for raw, element in elements(payload):
            if isinstance(element, JsonError):
                refusals.add(str(element), raw)
            else:
                _one(element, raw, marks, out, refusals)
    else:
        try:
            value = parse_carefully(payload)
        except JsonError as error:
            refusals.add(str(error), payload)
        else:
            if columns_in(value):
                add_columns(value, payload, marks, out, refusals)
            else:
                _one(value, payload, marks, out, refusals)
    refusals.close()


def _one(element: object, raw: bytes, marks: int, out: Decoded, refusals: Refusals) -> None:
    try:
        add(element, marks, out)
    except FieldError as error:
        refusals.add(str(error), raw)
