"""The Sparkplug B payload as protobuf messages, described here instead of in generated code.

Field numbers are those of the Sparkplug 3.0 specification, section 6.4. Left out, and so passed over in what
comes in: data sets, templates, metadata, extensions. Texts are described as bytes: a name that is not UTF-8
must cost its metric, not its payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

__all__ = ["DecodeError", "Metric", "Payload", "PropertySet", "PropertyValue", "read", "rebirth_command"]

_Field = descriptor_pb2.FieldDescriptorProto
_U32, _U64 = _Field.TYPE_UINT32, _Field.TYPE_UINT64
_FLOAT, _DOUBLE, _BOOL, _BYTES = _Field.TYPE_FLOAT, _Field.TYPE_DOUBLE, _Field.TYPE_BOOL, _Field.TYPE_BYTES

#: message → (field, number, type or message, repeated, in the oneof ``value``)
_MESSAGES: dict[str, list[tuple[str, int, int | str, bool, bool]]] = {
    "PropertyValue": [
        ("type", 1, _U32, False, False),
        ("is_null", 2, _BOOL, False, False),
        ("int_value", 3, _U32, False, True),
        ("long_value", 4, _U64, False, True),
        ("float_value", 5, _FLOAT, False, True),
        ("double_value", 6, _DOUBLE, False, True),
        ("boolean_value", 7, _BOOL, False, True),
        ("string_value", 8, _BYTES, False, True),
    ],
    "PropertySet": [
        ("keys", 1, _BYTES, True, False),
        ("values", 2, "PropertyValue", True, False),
    ],
    "Metric": [
        ("name", 1, _BYTES, False, False),
        ("alias", 2, _U64, False, False),
        ("timestamp", 3, _U64, False, False),
        ("datatype", 4, _U32, False, False),
        ("is_historical", 5, _BOOL, False, False),
        ("is_transient", 6, _BOOL, False, False),
        ("is_null", 7, _BOOL, False, False),
        ("properties", 9, "PropertySet", False, False),
        ("int_value", 10, _U32, False, True),
        ("long_value", 11, _U64, False, True),
        ("float_value", 12, _FLOAT, False, True),
        ("double_value", 13, _DOUBLE, False, True),
        ("boolean_value", 14, _BOOL, False, True),
        ("string_value", 15, _BYTES, False, True),
        ("bytes_value", 16, _BYTES, False, True),
    ],
    "Payload": [
        ("timestamp", 1, _U64, False, False),
        ("metrics", 2, "Metric", True, False),
        ("seq", 3, _U64, False, False),
        ("uuid", 4, _BYTES, False, False),
        ("body", 5, _BYTES, False, False),
    ],
}


class PropertyValue(Protocol):
    """A property of a metric."""

    type: int
    is_null: bool
    int_value: int
    long_value: int
    float_value: float
    double_value: float
    boolean_value: bool
    string_value: bytes

    def WhichOneof(self, oneof: str) -> str | None:  # noqa: N802 – protobuf's name
        """Which of the values is set."""


class PropertySet(Protocol):
    """Keys and values, in parallel."""

    keys: Sequence[bytes]
    values: Sequence[PropertyValue]


class Metric(Protocol):
    """One measurement, or what a birth says of it."""

    name: bytes
    alias: int
    timestamp: int
    datatype: int
    is_historical: bool
    is_null: bool
    properties: PropertySet
    int_value: int
    long_value: int
    float_value: float
    double_value: float
    boolean_value: bool

    def WhichOneof(self, oneof: str) -> str | None:  # noqa: N802
        """Which of the values is set."""

    def HasField(self, field: str) -> bool:  # noqa: N802
        """Whether a field is there."""

    def SerializeToString(self) -> bytes:  # noqa: N802
        """The bytes that say it."""


class Payload(Protocol):
    """What an MQTT message carries."""

    timestamp: int
    metrics: Sequence[Metric]
    seq: int
    uuid: bytes

    def HasField(self, field: str) -> bool:  # noqa: N802
        """Whether a field is there."""


def _described() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="forestall/sparkplug_b.proto", package="forestall.sparkplug_b", syntax="proto2"
    )
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        if any(one_of for *_, one_of in fields):
            message.oneof_decl.add(name="value")
        for name, number, kind, repeated, one_of in fields:
            field = message.field.add(name=name, number=number)
            field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type = _Field.TYPE_MESSAGE
                field.type_name = f".forestall.sparkplug_b.{kind}"
            else:
                field.type = cast(_Field.Type.ValueType, kind)
            if one_of:
                field.oneof_index = 0
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_described())
_PAYLOAD = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("forestall.sparkplug_b.Payload"))


def read(raw: bytes) -> Payload:
    """Read a payload. Raises protobuf's DecodeError."""
    return cast(Payload, _PAYLOAD.FromString(raw))


def rebirth_command(time_ms: int) -> bytes:
    """Return the payload of the NCMD that asks an edge node for its births."""
    boolean = 11
    metric = {
        "name": b"Node Control/Rebirth",
        "timestamp": time_ms,
        "datatype": boolean,
        "boolean_value": True,
    }
    return _PAYLOAD(timestamp=time_ms, metrics=[metric]).SerializeToString()
