"""Which partition a key belongs to: the same as Apache Kafka's default."""

from __future__ import annotations

import struct
from functools import lru_cache

__all__ = ["murmur2", "partition_of_key"]

SEED = 0x9747B28C
FACTOR = 0x5BD1E995
WORD = 0xFFFFFFFF


@lru_cache(maxsize=16384)
def murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 of ``data``, with the seed that Kafka uses.

    .. A. Appleby, MurmurHash2, 2008; org.apache.kafka.common.utils.Utils.murmur2.
    """
    length = len(data)
    body = length & ~3
    h = SEED ^ length
    for (word,) in struct.iter_unpack("<I", data[:body]):
        mixed = (word * FACTOR) & WORD
        mixed ^= mixed >> 24
        h = ((h * FACTOR) & WORD) ^ ((mixed * FACTOR) & WORD)
    if body != length:
        h = ((h ^ int.from_bytes(data[body:], "little")) * FACTOR) & WORD
    h ^= h >> 13
    h = (h * FACTOR) & WORD
    return h ^ (h >> 15)


def partition_of_key(key: bytes, partitions: int) -> int:
    """Return the partition, 0 … partitions − 1, that Kafka's default partitioner gives a key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
