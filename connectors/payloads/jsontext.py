"""JSON read with care: what the quick decoder refuses, taken apart to save what is good in it.

Takes what meters' software writes beside the standard: ``NaN`` and ``Infinity`` (kept as floats, so that
the one value is refused and not its payload), a byte order mark, raw control characters in strings, bytes
that are not UTF-8 (kept as surrogates, refused where they stand).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import msgspec

__all__ = ["JsonError", "Repeated", "elements", "parse", "parse_carefully"]

_BOM = b"\xef\xbb\xbf"
_QUICK = msgspec.json.Decoder()
_TOO_DEEP = "expected JSON, got one nested too deeply to read"


class JsonError(ValueError):
    """The bytes are not JSON."""


class Repeated:
    """Stands for an object in which a key stands twice, so that nobody can say which is meant."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __repr__(self) -> str:
        return f"an object with the key {self.key!r} twice"


def _object(pairs: list[tuple[str, object]]) -> dict[str, object] | Repeated:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                return Repeated(key)
            seen.add(key)
    return result


def _integer(digits: str) -> int | float:
    # int() of a long text takes quadratic time and is refused above 4,300 digits
    if len(digits) <= 40:
        return int(digits)
    return float(digits) if len(digits) <= 310 else math.inf


_CAREFUL = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, strict=False)


def _text(payload: bytes) -> str:
    return payload.removeprefix(_BOM).decode("utf-8", "surrogateescape")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _value(text: str, at: int) -> tuple[object, int]:
    try:
        return _CAREFUL.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise JsonError(f"expected JSON, got {error.msg.lower()} at character {error.pos}") from None
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None


def parse(payload: bytes) -> object:
    """Read one JSON value, quickly where the standard is kept. Raises JsonError.

    Of a key that stands twice the quick way takes the last.
    """
    try:
        return _QUICK.decode(payload)
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    except ValueError:
        return parse_carefully(payload)


def parse_carefully(payload: bytes) -> object:
    """Read one JSON value; an object in which a key stands twice becomes `Repeated`. Raises JsonError."""
    text = _text(payload)
    value, end = _value(text, _skip(text, 0))
    end = _skip(text, end)
    if end < len(text):
        raise JsonError(f"expected the end of the JSON at character {end}, got more")
    return value


def elements(payload: bytes) -> Iterator[tuple[bytes, object]]:
    """Yield each element of a JSON array with its own bytes.

    Where the text breaks off or is not JSON any more, what is left is yielded with a JsonError in
    the element's place, and that is the end. Raises JsonError when it is no array at all.
    """
    text = _text(payload)
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise JsonError("expected a JSON array")
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        at += 1
    else:
        while True:
            try:
                value, end = _value(text, at)
            except JsonError as error:
                yield _bytes(text[at:]), error
                return
            yield _bytes(text[at:end]), value
            at = _skip(text, end)
            mark = text[at : at + 1]
            at += 1
            if mark == "]":
                break
            if mark != ",":
                yield _bytes(text[at - 1 :]), JsonError(f"expected , or ] at character {at - 1}")
                return
            at = _skip(text, at)
    at = _skip(text, at)
    if at < len(text):
        yield _bytes(text[at:]), JsonError(f"expected the end of the JSON at character {at}, got more")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
