"""Payload dialects: bytes off MQTT → readings, one file a dialect, each with golden samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from connectors.payloads.mapping import Mapped
from connectors.payloads.mapping_file import MappingError, load_mappings
from connectors.payloads.native import MAX_BYTES, TOPICS, Native
from connectors.payloads.router import Router
from connectors.payloads.sparkplug import Sparkplug
from connectors.payloads.sparkplug_config import NodeStatus, SparkplugConfig
from streams.ports import Dialect

__all__ = ["MappingError", "NodeStatus", "PayloadConfig", "Router", "SparkplugConfig", "load_dialects"]


@dataclass(frozen=True)
class PayloadConfig:
    """Which payloads are read, from which topics.

    mappings    mapping files; `connectors.payloads.examples` holds some to begin with
    sparkplug   None: not read
    ignore      topic filters of messages that come to nothing, and make no dead letter
    """

    native_topics: tuple[str, ...] = TOPICS
    mappings: tuple[Path, ...] = ()
    sparkplug: SparkplugConfig | None = None
    ignore: tuple[str, ...] = ()
    max_bytes: int = MAX_BYTES


def load_dialects(config: PayloadConfig) -> Router:
    """Build the dialects and the router over them.

    Raises ValueError (MappingError among them) saying which file, mapping or topic filter is wrong and how.
    """
    dialects: list[Dialect] = []
    if config.native_topics:
        dialects.append(Native(config.native_topics, config.max_bytes))
    for file in config.mappings:
        for mapping in load_mappings(file):
            try:
                dialects.append(Mapped(mapping, config.max_bytes))
            except MappingError as error:
                raise MappingError(f"{file}: {error}") from None
    if config.sparkplug is not None:
        dialects.append(Sparkplug(config.sparkplug))
    return Router(dialects, config.ignore)
