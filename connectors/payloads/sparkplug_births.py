"""What births tell of Sparkplug edge nodes: the metrics behind aliases, and the order of messages."""

from __future__ import annotations

import zlib

import msgspec

__all__ = ["Births", "Device", "Known", "Node"]


class Known(msgspec.Struct, array_like=True, omit_defaults=True):
    """What a birth says of one metric, and what the configuration makes of its name once that was asked."""

    name: str
    datatype: int
    unit: str
    skipped: bool = False
    meter_id: str = ""
    register: str = ""


class Device(msgspec.Struct, array_like=True):
    """The metrics of a device, or of the node itself (device "")."""

    alive: bool = False
    by_name: dict[str, Known] = {}
    by_alias: dict[int, Known] = {}

    def add(self, alias: int | None, metric: Known) -> None:
        """Take up a metric from a birth."""
        self.by_name[metric.name] = metric
        if alias is not None:
            self.by_alias[alias] = metric


class Node(msgspec.Struct):
    """One edge node.

    last_seq    of its newest message, 0 … 255; -1: none yet
    restored    known from an earlier run only: its next message must follow on
    packed      the devices as `Births.snapshot` keeps them; empty when they have changed
    """

    alive: bool = False
    bd_seq: int = -1
    last_seq: int = -1
    restored: bool = False
    asked_ns: int = 0
    devices: dict[str, Device] = {}
    packed: bytes = b""

    def born(self, bd_seq: int, seq: int) -> None:
        """Forget everything: a birth starts anew."""
        self.alive, self.bd_seq, self.last_seq, self.restored = True, bd_seq, seq, False
        self.devices, self.packed = {}, b""

    def follows(self, seq: int) -> bool:
        """Note the number of a message and tell whether it is the next one, or the last one again."""
        expected = self.last_seq < 0 or seq in ((self.last_seq + 1) % 256, self.last_seq)
        self.last_seq = seq
        return expected

    def may_ask(self, now_ns: int, interval_ns: int) -> bool:
        """Tell whether a rebirth may be asked for now, and note that it is."""
        if self.asked_ns and 0 <= now_ns - self.asked_ns < interval_ns:
            return False
        self.asked_ns = now_ns
        return True


class _KeptNode(msgspec.Struct, array_like=True):
    name: str
    bd_seq: int
    last_seq: int
    devices: bytes


class _Kept(msgspec.Struct, array_like=True):
    version: int
    nodes: list[_KeptNode]


class Births:
    """All edge nodes that have been heard of, by ``group/node``; at most ``limit`` of them."""

    def __init__(self, limit: int) -> None:
        self.nodes: dict[str, Node] = {}
        self._limit = limit

    def node(self, name: str) -> Node | None:
        """Return the node, made known if it was not; None where there is no room for another."""
        node = self.nodes.get(name)
        if node is None and len(self.nodes) < self._limit:
            node = self.nodes[name] = Node()
        return node

    def snapshot(self, limit: int) -> bytes:
        """Return what is known of living nodes, for `restore`.

        Nodes that do not fit into ``limit`` bytes are left out: after a restart they are asked for a rebirth.
        """
        kept: list[_KeptNode] = []
        size = 0
        for name, node in self.nodes.items():
            if not node.alive:
                continue
            if not node.packed:
                node.packed = zlib.compress(msgspec.msgpack.encode(node.devices), 1)
            size += len(node.packed) + len(name) + 16
            if size > limit:
                break
            kept.append(_KeptNode(name, node.bd_seq, node.last_seq, node.packed))
        return msgspec.msgpack.encode(_Kept(1, kept))

    def restore(self, snapshot: bytes) -> None:
        """Take up what an earlier run knew. Raises ValueError."""
        try:
            kept = msgspec.msgpack.decode(snapshot, type=_Kept)
            if kept.version != 1:
                raise ValueError(f"version {kept.version}")
            nodes = {
                node.name: Node(
                    alive=True,
                    bd_seq=node.bd_seq,
                    last_seq=node.last_seq,
                    restored=True,
                    devices=msgspec.msgpack.decode(zlib.decompress(node.devices), type=dict[str, Device]),
                )
                for node in kept.nodes
            }
        except (ValueError, zlib.error) as error:
            raise ValueError(f"expected a snapshot of Sparkplug births, version 1, got {error}") from None
        for node in nodes.values():
            for device in node.devices.values():
                # the configuration may have changed, and one object a metric is enough for both ways to it
                device.by_name = {
                    name: Known(k.name, k.datatype, k.unit) for name, k in device.by_name.items()
                }
                device.by_alias = {a: device.by_name[k.name] for a, k in device.by_alias.items()}
        self.nodes = nodes
