"""The mapping file: which JSON of which topics becomes which readings. TOML or JSON.

    [[mapping]]
    name = "chirpstack"
    topic = "application/{app}/device/{dev_eui}/event/up"
    meter_id = "{dev_eui}"
    time = "$.time"

    [[mapping.values]]
    value = "$.object.total_m3"
    kind = "register"
    unit = "m3"

Every text may be a literal, a JSON path (``$.…``) or a template (``{app}/{$.id}``); see docs/payloads.md.
"""

from __future__ import annotations

import tomllib
from pathlib import Path as File
from typing import Literal

import msgspec

__all__ = ["Mapping", "MappingError", "QualityMap", "ValueMap", "load_mappings", "mappings_in"]


class MappingError(ValueError):
    """A mapping file cannot be used; says which file, which part of it, and what was expected."""


class QualityMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which native quality is which of ours."""

    path: str
    good: list[str | int | bool] = []
    uncertain: list[str | int | bool] = []
    bad: list[str | int | bool] = []
    otherwise: Literal["good", "uncertain", "bad"] = "uncertain"
    scheme: Literal["words", "opcua"] = "words"  # opcua: the two top bits of the status code


class ValueMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value of the payload. What is empty is taken from the mapping."""

    value: str  # path
    register: str = ""
    kind: str = ""
    unit: str = ""
    scale: float = 1.0  # the value is multiplied by it
    default: float | None = None  # the value where the path leads to nothing
    where: dict[str, str | int | bool | list[str | int | bool]] = {}
    meter_id: str = ""
    serial: str = ""
    time: str = ""
    time_format: str = ""
    time_zone: str = ""
    quality: QualityMap | None = None


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[[mapping]]`` says."""

    name: str
    topic: str | list[str]
    meter_id: str
    values: list[ValueMap]
    time: str = ""  # path; empty: the time of arrival
    time_format: str = "rfc3339"  # rfc3339, s, ms, us, ns, epoch, local, or a pattern such as %Y%m%d%H%M%S
    time_zone: str = ""  # IANA, for times without a zone
    time_missing: Literal["reject", "arrival"] = "reject"
    kind: str = ""
    unit: str = ""
    serial: str = ""
    sequence: str = ""
    quality: QualityMap | None = None
    attributes: dict[str, str] = {}
    where: dict[str, str | int | bool | list[str | int | bool]] = {}
    empty: Literal["reject", "ignore"] = "reject"  # what a payload without any of the values comes to


class _File(msgspec.Struct, forbid_unknown_fields=True):
    mapping: list[Mapping]


def mappings_in(text: str, name: str) -> list[Mapping]:
    """Read the mappings of a file's text; a ``name`` that ends in .json says that it is JSON.

    Raises MappingError.
    """
    try:
        read = msgspec.json.decode if name.endswith(".json") else tomllib.loads
        content = read(text)
        mappings = msgspec.convert(content, _File).mapping
    except (msgspec.ValidationError, msgspec.DecodeError, tomllib.TOMLDecodeError) as error:
        raise MappingError(f"{name}: {error}") from None
    if not mappings:
        raise MappingError(f"{name}: expected at least one [[mapping]]")
    return mappings


def load_mappings(file: File) -> list[Mapping]:
    """Read a mapping file. Raises MappingError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"{file}: expected a mapping file in UTF-8, got: {error}") from None
    return mappings_in(text, str(file))
