"""The embedded log: topics, partitions and groups, durable in one SQLite file.

One process consumes, any number write. ``SqliteLog`` is its face; ``connectors.sqlite_transport``
puts Faust on it. How it is kept is said in its URL (``options.Options``).
"""

from connectors.sqlite_log.failures import ConsumerTaken, LogFull, SchemaMismatch
from connectors.sqlite_log.log import Partition, SqliteLog
from connectors.sqlite_log.options import Options, log_url
from connectors.sqlite_log.partitioner import murmur2, partition_of_key
from connectors.sqlite_log.records import Record
from connectors.sqlite_log.stats import Stats

__all__ = [
    "ConsumerTaken",
    "LogFull",
    "Options",
    "Partition",
    "Record",
    "SchemaMismatch",
    "SqliteLog",
    "Stats",
    "log_url",
    "murmur2",
    "partition_of_key",
]
