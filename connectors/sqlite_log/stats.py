"""What a process has done with a log since it opened it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Stats"]


@dataclass(slots=True)
class Stats:
    """Counters, for metrics.

    commits     : transactions
    jobs        : records and offset commits in them
    bytes       : of keys and values
    seconds     : spent in transactions, waiting for the turn and the disk included
    checkpoints : of the WAL
    failed      : jobs that failed (disk full, file locked, …)
    refused     : records refused because retention_size is reached
    """

    commits: int = 0
    jobs: int = 0
    bytes: int = 0
    seconds: float = 0.0
    checkpoints: int = 0
    failed: int = 0
    refused: int = 0

    def committed(self, jobs: int, size: int, seconds: float) -> None:
        """Count one transaction."""
        self.commits += 1
        self.jobs += jobs
        self.bytes += size
        self.seconds += seconds
