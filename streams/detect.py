"""readings.v1 → state, flags.v1"""

from __future__ import annotations

from typing import Any

from streams.keeper import Keeper


def attach(keeper: Keeper) -> None:
    """Give the app its detecting agent."""
    topology = keeper.topology

    @topology.app.agent(topology.readings, name="detect", concurrency=1)
    async def detect(stream: Any) -> None:
        """Readings into the state of their meters; flags out."""
        # One message = one partition's batch. Not acked here: the keeper commits after a checkpoint.
        async for event in stream.noack().events():
            await keeper.take(event.message.partition, event.message.offset, event.value)
