"""Sparkplug metrics → numbers, qualities, units and times (specification 3.0, 6.4.16 to 6.4.23)."""

from __future__ import annotations

from connectors.payloads.fields import FieldError, Words, number, unit_code
from connectors.payloads.sparkplug_proto import Metric, PropertyValue
from connectors.payloads.times import epoch
from streams.messages import Quality

__all__ = ["NotNumber", "properties_of", "quality_of", "text_of", "time_of", "value_of"]

#: datatype → width in bits, signed
_INTEGERS = {
    1: (8, True),
    2: (16, True),
    3: (32, True),
    4: (64, True),
    5: (8, False),
    6: (16, False),
    7: (32, False),
    8: (64, False),
}
_REAL = (9, 10)
_BOOLEAN = 11
_NAMES = {
    12: "String",
    13: "DateTime",
    14: "Text",
    15: "UUID",
    16: "DataSet",
    17: "Bytes",
    18: "File",
    19: "Template",
}


class NotNumber(FieldError):
    """The metric is of a type that no reading comes of."""


def text_of(raw: bytes, field: str) -> str:
    """Decode UTF-8. Raises FieldError."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise FieldError(field, "expected valid UTF-8", raw.decode("utf-8", "replace")) from None


def value_of(metric: Metric, datatype: int) -> float:
    """Return the metric's value: integers by the width and sign of their type, booleans as 0 and 1.

    Raises NotNumber for a type that is none, FieldError for a value that is not finite or not there.
    """
    if metric.is_null:
        raise FieldError("value", "expected a value", Words("is_null"))
    which = metric.WhichOneof("value")
    if which in ("string_value", "bytes_value") or datatype > _BOOLEAN:
        raise NotNumber("value", "expected a number", Words(_NAMES.get(datatype, f"datatype {datatype}")))
    if which is None:
        raise FieldError("value", "expected a value", Words("none"))
    native: object = getattr(metric, which)
    if which == "boolean_value":
        return 1.0 if native else 0.0
    if isinstance(native, int) and datatype in _INTEGERS:
        # unsigned on the wire; Int8 comes as 8 bits from some senders and stretched to 32 from others
        bits, signed = _INTEGERS[datatype]
        native &= (1 << bits) - 1
        if signed and native >> (bits - 1):
            native -= 1 << bits
    return number(native)


def time_of(metric: Metric, payload_ms: int) -> int:
    """Return the metric's time, or the payload's, in ns; 0 where neither is stated. Raises FieldError."""
    time_ms = metric.timestamp or payload_ms
    if not time_ms:
        return 0
    try:
        return epoch(time_ms, 1_000)
    except ValueError as error:
        raise FieldError("timestamp", str(error), time_ms) from None


def _native(value: PropertyValue) -> object:
    which = None if value.is_null else value.WhichOneof("value")
    return None if which is None else getattr(value, which)


def properties_of(metric: Metric, unit_property: str) -> tuple[int | None, str | None]:
    """Return the native quality and the unit among the metric's properties, None where not stated."""
    quality: int | None = None
    unit: str | None = None
    for key, value in zip(metric.properties.keys, metric.properties.values, strict=False):
        if key.lower() == b"quality":
            native = _native(value)
            if isinstance(native, int):
                quality = native
        elif key == unit_property.encode():
            native = _native(value)
            if isinstance(native, bytes):
                text = text_of(native, unit_property)
                unit = unit_code(text) if text else ""
    return quality, unit


def quality_of(native: int) -> int:
    """Map 192 (good), 0 (bad), 500 (stale: uncertain), and the codes of OPC DA by their two top bits."""
    if native == 500:
        return Quality.UNCERTAIN
    if not 0 <= native < 256:
        return Quality.BAD
    return (Quality.BAD, Quality.UNCERTAIN, Quality.BAD, Quality.GOOD)[native >> 6]
