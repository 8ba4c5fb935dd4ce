"""What a source's connections have in common: they come and go, this stays."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from connectors.mqtt_config import MqttConfig
from connectors.mqtt_inbox import Inbox

State = Literal["stopped", "connecting", "connected", "waiting"]


@dataclass(slots=True)
class Counters:
    """What the network thread has seen since the program started."""

    state: State = "stopped"
    protocol: str = ""
    last_error: str = ""
    attempts: int = 0
    connections: int = 0
    received: int = 0
    received_bytes: int = 0
    pauses: int = 0
    paused: bool = False
    replies: int = 0
    replies_dropped: int = 0
    acknowledged: int = 0
    stale: int = 0


@dataclass(slots=True)
class Shared:
    """What outlives a connection: one belongs to each source."""

    config: MqttConfig
    filters: list[str]
    inbox: Inbox
    counters: Counters = field(default_factory=Counters)
    replies: deque[tuple[str, bytes]] = field(default_factory=deque)
    stopping: threading.Event = field(default_factory=threading.Event)
    sequence: int = 1  # number of the next message
    known: bool = False  # this program has subscribed once, so a kept session has all filters
