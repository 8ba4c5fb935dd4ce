"""Topics as Faust declares them, and as its assignor wants to see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from faust.types import TP
from mode.utils.times import Seconds, want_seconds

from connectors.sqlite_log import SqliteLog
from streams.ports import Rejected

if TYPE_CHECKING:
    from faust.types import AppT

__all__ = ["assign_all", "create_topic"]


async def create_topic(
    log: SqliteLog,
    topic: str,
    partitions: int,
    *,
    config: Mapping[str, Any] | None = None,
    retention: Seconds | None = None,
    compacting: bool | None = None,
    deleting: bool | None = None,
    ensure_created: bool = False,
) -> None:
    """Create a topic as Faust asks for it; one that exists is left as it is, as on Kafka."""
    if log.partitions(topic) is not None and not ensure_created:
        return
    settings: dict[str, str] = {}
    if compacting or deleting:
        settings["cleanup.policy"] = ",".join(
            policy for policy, wanted in (("compact", compacting), ("delete", deleting)) if wanted
        )
    if retention:
        settings["retention.ms"] = str(int(want_seconds(retention) * 1000))
    settings.update({name: str(value) for name, value in (config or {}).items()})
    try:
        await log.ensure_topic(topic, partitions, settings=settings)
    except Rejected:
        # another process created it in between, in another shape
        if ensure_created or log.partitions(topic) is None:
            raise


class _Cluster:
    """What Faust's assignor asks of a Kafka cluster."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self._partitions = partitions

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self._partitions.get(topic, 0)))


def assign_all(app: AppT, partitions: Mapping[str, int]) -> set[TP]:
    """Give an app all partitions of its topics, by Faust's own assignor, and return them.

    partitions : topic → number of partitions, of every topic that it subscribes to and that exists

    The assignor then knows what its tables, its router and its recovery ask of it.
    """
    assignor: Any = app.assignor
    member = "embedded"
    metadata = assignor.metadata(set(partitions))
    assignment = assignor.assign(_Cluster(partitions), {member: metadata})[member]
    assignor.on_assignment(assignment)
    return {TP(topic, number) for topic, numbers in assignment.assignment for number in numbers}


def all_partitions(partitions: Mapping[str, int]) -> Iterable[TP]:
    """Return every partition of the topics."""
    return (TP(topic, number) for topic, count in partitions.items() for number in range(count))
