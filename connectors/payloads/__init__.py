"""Payload dialects: bytes off MQTT → readings, one file a dialect, each with golden samples."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.payloads.native import MAX_BYTES, TOPICS, Native
from connectors.payloads.router import Router

__all__ = ["PayloadConfig", "Router", "load_dialects"]


@dataclass(frozen=True)
class PayloadConfig:
    """Which payloads are read, from which topics."""

    native_topics: tuple[str, ...] = TOPICS
    ignore: tuple[str, ...] = ()  # topic filters: such messages come to nothing, and make no dead letter
    max_bytes: int = MAX_BYTES


def load_dialects(config: PayloadConfig = PayloadConfig()) -> Router:
    """Build the dialects. Raises ValueError saying which file or filter is wrong and how."""
    return Router([Native(config.native_topics, config.max_bytes)], config.ignore)
