"""The desks that may tell us something, and what became of what they told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from connectors.desks.inbound import Hook
from connectors.web.metrics import Metric
from streams.trade.remote import Heeded, RemoteChange

#: every result that is counted
RESULTS = (
    "moved", "reported", "nothing", "repeated", "overtaken", "unknown", "ignored", "unsigned", "unreadable", "away",
)  # fmt: skip


class Inbox:
    """The desks that may tell us something, what is done with it, and how often.

    hooks  : by the desk's name
    take   : takes a change into the store; blocks
    now_ns : the wall clock
    """

    def __init__(
        self,
        hooks: Mapping[str, Hook],
        take: Callable[[RemoteChange], Heeded],
        now_ns: Callable[[], int],
    ) -> None:
        self.hooks = hooks
        self.take = take
        self.now_ns = now_ns
        self.counts: Counter[tuple[str, str]] = Counter()

    def metrics(self) -> list[Metric]:
        """How many messages came to what, by desk."""
        samples = [
            ({"desk": desk, "result": result}, float(self.counts[desk, result]))
            for desk in sorted(self.hooks)
            for result in RESULTS
        ]
        return [
            Metric("forestall_hook_events", "Messages of desks, by what became of them", "counter", samples)
        ]
