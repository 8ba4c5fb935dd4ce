"""How Sparkplug is read, and what is known of its nodes."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from connectors.payloads.native import MAX_BYTES

__all__ = ["NodeStatus", "SparkplugConfig"]


@dataclass(frozen=True)
class SparkplugConfig:
    """How Sparkplug is read.

    groups      groups to subscribe to; none: all
    meter_id    template of ``{group} {node} {device} {metric}``; empty: group/node/device/metric. For a
                node's own metric ``{device}`` is the node
    register    template of the register's name; empty: none
    kind        register, interval or gauge; empty: the registry's
    ignore      patterns of metrics that are no readings (``*/Firmware``)
    """

    groups: tuple[str, ...] = ()
    meter_id: str = ""
    register: str = ""
    kind: str = ""
    ignore: tuple[str, ...] = ()
    unit_property: str = "engUnit"
    rebirth: bool = True
    rebirth_interval_s: float = 10.0
    max_nodes: int = 10_000
    max_bytes: int = MAX_BYTES


class NodeStatus(msgspec.Struct, frozen=True):
    """What is known of an edge node, for pages."""

    node: str  # group/node
    alive: bool
    devices: dict[str, bool]
    metrics: int
