"""Sparkplug B: SCADA over MQTT, with births, aliases, deaths and sequence numbers.

A DATA message may name its metrics by alias alone: without the birth it cannot be read. So the births of
every node are remembered; what cannot be read is rejected with its reason, and a rebirth is asked for (NCMD
``Node Control/Rebirth``), at most once in ``rebirth_interval_s`` a node.

Over a restart births are kept by `snapshot` and `restore`, because Sparkplug's DATA is QoS 0: what arrives
between a start and the answer to a rebirth would be lost otherwise. Restored births are believed only while
the node's sequence goes on without a gap, and a rebirth is asked for in any case to confirm them.

One ingest alone must read a node: a shared subscription would tear births from data (``shareable`` is False).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from connectors.payloads.fields import KINDS, FieldError, Refusals, Words, choice, show, text
from connectors.payloads.native import refuse_size
from connectors.payloads.sparkplug_births import Births, Device, Known, Node
from connectors.payloads.sparkplug_config import NodeStatus, SparkplugConfig
from connectors.payloads.sparkplug_proto import DecodeError, Metric, Payload, read, rebirth_command
from connectors.payloads.sparkplug_values import (
    NotNumber,
    properties_of,
    quality_of,
    text_of,
    time_of,
    value_of,
)
from streams.messages import NS, Mark, RawMessage
from streams.ports import Decoded

__all__ = ["Sparkplug"]

_CONTROL = ("Node Control/", "Device Control/", "Node Info/", "Properties/")
_MOST_HOSTS = 100
_MOST_KEPT = 700_000  # bytes of a snapshot: it is a record of the log, and Kafka's are up to 1 MB
_NODE = ("NBIRTH", "NDATA", "NDEATH")
_DEVICE = ("DBIRTH", "DDATA", "DDEATH")


class _Message(NamedTuple):
    """One message on its way through."""

    raw: RawMessage
    payload: Payload
    group: str
    kind: str  # NBIRTH, DDATA, …
    node: str
    device: str
    out: Decoded
    refusals: Refusals


class Sparkplug:
    """Decodes Sparkplug B; remembers births. Raises ValueError for a template or kind that is none."""

    name = "sparkplug"
    shareable = False

    def __init__(self, config: SparkplugConfig) -> None:
        self._config = config
        self._births = Births(config.max_nodes)
        self._interval_ns = int(config.rebirth_interval_s * NS)
        self._kind = choice(config.kind, "kind", KINDS) if config.kind else 0
        self._kept, self._kept_ns, self._now_ns, self._changed = b"", 0, 0, False
        self.hosts: dict[str, bool] = {}  # host application → online, from STATE
        for template in (config.meter_id, config.register):
            try:
                template.format(group="g", node="n", device="d", metric="m")
            except (KeyError, IndexError, ValueError):
                raise ValueError(
                    f"sparkplug: expected a template of {{group}}, {{node}}, {{device}} and {{metric}}, "
                    f"got {template!r}"
                ) from None
        topics = [f"spBv1.0/{g}/{kind}/+" for g in config.groups or ("+",) for kind in _NODE]
        topics += [f"spBv1.0/{g}/{kind}/+/+" for g in config.groups or ("+",) for kind in _DEVICE]
        self.topics: Sequence[str] = (*topics, "spBv1.0/STATE/+")

    def snapshot(self) -> bytes:
        """Return the births, for `restore`; the same bytes again until a second after a birth or death.

        Sequence numbers alone renew it every ten seconds: after a crash they may be behind, and then the
        births are not believed.
        """
        age_ns = self._now_ns - self._kept_ns
        if not self._kept or age_ns > (NS if self._changed else 10 * NS):
            self._kept, self._kept_ns, self._changed = self._births.snapshot(_MOST_KEPT), self._now_ns, False
        return self._kept

    def restore(self, snapshot: bytes) -> None:
        """Take up the births of an earlier run. Raises ValueError."""
        self._births.restore(snapshot)

    def nodes(self) -> list[NodeStatus]:
        """Return what is known of every edge node."""
        return [
            NodeStatus(
                name,
                node.alive,
                {device: d.alive and node.alive for device, d in node.devices.items() if device},
                sum(len(device.by_name) for device in node.devices.values()),
            )
            for name, node in self._births.nodes.items()
        ]

    def decode(self, message: RawMessage) -> Decoded:
        """Turn a payload into rows, rejects, and perhaps a rebirth command among ``replies``."""
        out = Decoded()
        refusals = Refusals(out.rejects)
        if len(message.payload) > self._config.max_bytes:
            refuse_size(out, message.payload, self._config.max_bytes)
            return out
        levels = message.topic.split("/")
        if levels[1:2] == ["STATE"] and len(levels) == 3:
            self._state(levels[2], message.payload, refusals)
            return out
        wanted = {4: _NODE, 5: _DEVICE}.get(len(levels), ())
        if levels[0] != "spBv1.0" or len(levels) < 4 or levels[2] not in wanted or not all(levels):
            refusals.add(
                f"topic: expected spBv1.0/group/NDATA/node, …/DDATA/node/device or the like, "
                f"got {show(message.topic)}",
                message.payload,
            )
            return out
        try:
            payload = read(message.payload)
        except DecodeError:
            refusals.add("payload: expected a Sparkplug B protobuf, got other bytes", message.payload)
            return out
        group, kind, name, device = levels[1], levels[2], levels[3], "".join(levels[4:])
        node = self._births.node(f"{group}/{name}")
        if node is None:
            refusals.add(
                f"node: expected at most {self._config.max_nodes} of them, got another", message.payload
            )
            return out
        out.sequence = payload.seq if payload.HasField("seq") and payload.seq < 256 else -1
        self._now_ns = max(self._now_ns, message.received_ns)
        self._changed |= kind not in ("NDATA", "DDATA")
        m = _Message(message, payload, group, kind, name, device, out, refusals)
        if kind == "NDEATH":
            self._node_death(node, m)
        elif kind == "NBIRTH":
            node.born(_bd_seq(payload), payload.seq % 256)
            self._birth(node, m, 0)
        else:
            self._later(node, m)
        refusals.close()
        return out

    def _later(self, node: Node, m: _Message) -> None:
        """Take what may only come after the node's birth."""
        seq = m.payload.seq % 256 if m.payload.HasField("seq") else -1
        if not node.alive:
            self._ask(node, m)
            if m.kind == "DBIRTH":  # it says all that is needed, of itself
                self._birth(None, m, 0)
            elif m.kind == "DDATA" or m.kind == "NDATA":
                self._refuse_all(m, "expected a birth of this node before its data; a rebirth is asked for")
            return
        gap = seq >= 0 and not node.follows(seq)
        if node.restored:
            # Births of an earlier run hold only if nothing was missed since, a birth least of all.
            node.restored = False
            self._ask(node, m)
            if gap or seq < 0:
                node.alive = False
                self._later(node, m)
                return
        elif gap:
            self._ask(node, m)
        marks = int(Mark.GAP) if gap else 0
        if m.kind == "DBIRTH":
            self._birth(node, m, marks)
        elif m.kind == "DDEATH":
            node.devices.setdefault(m.device, Device()).alive, node.packed = False, b""
        else:
            self._data(node, m, marks)

    def _node_death(self, node: Node, m: _Message) -> None:
        bd_seq = _bd_seq(m.payload)
        if bd_seq < 0 or node.bd_seq < 0 or bd_seq == node.bd_seq:  # else: of a session that is over already
            node.alive = False

    def _birth(self, node: Node | None, m: _Message, marks: int) -> None:
        """Learn the metrics of a node or device, and take the values that they have."""
        device = Device(True, {}, {})
        for metric in m.payload.metrics:
            try:
                name = text(text_of(metric.name, "name"), "name", 512)
                _, unit = properties_of(metric, self._config.unit_property)
                known = Known(name, metric.datatype, unit or "")
                device.add(metric.alias if metric.HasField("alias") else None, known)
                if not metric.is_null:
                    self._take(m, metric, known, marks)
            except NotNumber:
                continue  # a birth also tells of what is no measurement
            except FieldError as error:
                self._refuse(m, metric, error)
        if node is not None:
            node.devices[m.device], node.packed = device, b""

    def _data(self, node: Node, m: _Message, marks: int) -> None:
        device = node.devices.get(m.device)
        if device is None or not device.alive:
            self._ask(node, m)
            self._refuse_all(m, "expected a birth of this device before its data; a rebirth is asked for")
            return
        for metric in m.payload.metrics:
            try:
                known = self._known(device, metric)
                if known is None:
                    self._ask(node, m)
                    got = (
                        f"alias {metric.alias}"
                        if metric.HasField("alias")
                        else show(text_of(metric.name, "name"))
                    )
                    raise FieldError(
                        "metric", "expected one of the birth's; a rebirth is asked for", Words(got)
                    )
                self._take(m, metric, known, marks)
            except FieldError as error:
                self._refuse(m, metric, error)

    @staticmethod
    def _known(device: Device, metric: Metric) -> Known | None:
        if metric.HasField("alias"):
            return device.by_alias.get(metric.alias)
        return device.by_name.get(text_of(metric.name, "name"))

    def _take(self, m: _Message, metric: Metric, known: Known, marks: int) -> None:
        """Append the reading of one metric. Raises FieldError."""
        if not known.meter_id:
            self._christen(m, known)
        if known.skipped:
            return
        value = value_of(metric, metric.datatype or known.datatype)
        time_ns = time_of(metric, m.payload.timestamp)
        native, unit = properties_of(metric, self._config.unit_property)
        if not time_ns:
            time_ns, marks = m.raw.received_ns, marks | Mark.ARRIVAL_TIME
        if metric.is_historical:
            marks |= Mark.HISTORICAL
        if m.raw.retained:
            marks |= Mark.RETAINED
        quality = 0 if native is None else quality_of(native)
        rows = m.out.rows
        rows.add(
            known.meter_id,
            time_ns,
            value,
            self._kind,
            known.unit if unit is None else unit,
            quality,
            int(marks),
        )
        if known.register:
            rows.note("register", known.register)
        if native is not None and native != 192:
            rows.note("attributes", {"quality_code": f"spb:{native}"})

    def _christen(self, m: _Message, known: Known) -> None:
        """Find what a metric is called here. Raises FieldError."""
        name = known.name
        known.skipped = name == "bdSeq" or name.startswith(_CONTROL)
        known.skipped |= any(fnmatchcase(name, pattern) for pattern in self._config.ignore)
        names = {"group": m.group, "node": m.node, "device": m.device or m.node, "metric": name}
        if self._config.register:
            known.register = text(self._config.register.format(**names), "register")
        full = "/".join(filter(None, (m.group, m.node, m.device, name)))
        template = self._config.meter_id
        known.meter_id = text(template.format(**names) if template else full, "meter_id")

    def _ask(self, node: Node, m: _Message) -> None:
        if self._config.rebirth and node.may_ask(m.raw.received_ns, self._interval_ns):
            command = rebirth_command(m.raw.received_ns // 1_000_000)
            m.out.replies.append((f"spBv1.0/{m.group}/NCMD/{m.node}", command))

    def _refuse_all(self, m: _Message, reason: str) -> None:
        for metric in m.payload.metrics:
            m.refusals.add(f"{_label(metric)}: {reason}", _raw(metric))

    @staticmethod
    def _refuse(m: _Message, metric: Metric, error: FieldError) -> None:
        m.refusals.add(f"{_label(metric)}: {error}", _raw(metric))

    def _state(self, host: str, payload: bytes, refusals: Refusals) -> None:
        try:
            state = json.loads(payload)
        except (ValueError, RecursionError):
            state = {"online": payload == b"ONLINE"} if payload in (b"ONLINE", b"OFFLINE") else None
        if not isinstance(state, dict) or not isinstance(state.get("online"), bool):
            refusals.add(
                'STATE: expected {"online": true or false, "timestamp": …}, got other bytes', payload
            )
        elif host in self.hosts or len(self.hosts) < _MOST_HOSTS:
            self.hosts[host] = state["online"]


def _bd_seq(payload: Payload) -> int:
    """Return the number of the session that a node's birth and death belong to, or -1."""
    for metric in payload.metrics:
        if metric.name == b"bdSeq":
            return int(metric.long_value or metric.int_value)
    return -1


def _label(metric: Metric) -> str:
    if metric.name:
        return f"metric {show(metric.name.decode('utf-8', 'replace'))}"
    return f"metric with alias {metric.alias}"


def _raw(metric: Metric) -> bytes:
    return metric.SerializeToString()
