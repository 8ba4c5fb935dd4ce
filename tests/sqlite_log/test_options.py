"""What a URL says, and which partition a key belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka.partitioner import murmur2 as kafka_murmur2
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from connectors.sqlite_log import Options, log_url, murmur2, partition_of_key


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///forestall.db", Options(Path("forestall.db"))),
        ("sqlite:///data/forestall.db", Options(Path("data/forestall.db"))),
        ("sqlite:////var/lib/forestall.db", Options(Path("/var/lib/forestall.db"))),
        (
            "sqlite:///a.db?durability=normal&retention_age=30d&retention_size=2GB&when_full=drop",
            Options(Path("a.db"), "normal", 30 * 86400.0, 2 * 10**9, "drop"),
        ),
        ("sqlite:///a.db?retention_age=none", Options(Path("a.db"), retention_age_s=None)),
        ("sqlite:///a.db?retention_age=90", Options(Path("a.db"), retention_age_s=90.0)),
        (
            "sqlite:///a.db?retention_age=500ms&retention_size=64MiB",
            Options(Path("a.db"), retention_age_s=0.5, retention_size=2**26),
        ),
    ],
)
def test_a_url_is_read(url: str, expected: Options) -> None:
    assert Options.from_url(url) == expected
    # Faust hands the URL over as one of yarl's
    assert Options.from_url(str(URL(url))) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("kafka://localhost", "expected a URL sqlite:///PATH, got 'kafka://localhost'"),
        ("sqlite://forestall.db", "'forestall.db' where a host would stand"),
        ("sqlite://", "expected a file"),
        ("sqlite:///:memory:", "would not survive"),
        ("sqlite:///a.db?durability=maybe", "durability: expected one of full, normal, off, got 'maybe'"),
        ("sqlite:///a.db?when_full=panic", "when_full: expected one of refuse, drop, got 'panic'"),
        ("sqlite:///a.db?retention_age=soon", "expected an age like 30d, 12h, 15m, 90s or none, got 'soon'"),
        ("sqlite:///a.db?retention_age=0s", "retention_age: expected more than 0 s, got 0"),
        ("sqlite:///a.db?retention_size=2 elephants", "expected a size like 2GB, 512MiB or none"),
        ("sqlite:///a.db?retention_size=1MB", "expected at least 4194304 bytes, got 1000000"),
        ("sqlite:///a.db?retention=1d", "unknown option 'retention'"),
    ],
)
def test_a_bad_url_says_what_was_expected(url: str, message: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        Options.from_url(url)
    assert message in str(caught.value)


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1))
def test_any_path_survives_the_url(name: str) -> None:
    path = Path("/data") / name.replace("/", "_")
    assert Options.from_url(log_url(path)).path == path
    assert Options.from_url(log_url(path, retention_age="1d")).path == path


@given(st.binary(max_size=300), st.integers(1, 1000))
def test_murmur2_is_that_of_kafka(key: bytes, partitions: int) -> None:
    assert murmur2(key) == kafka_murmur2(key)
    assert partition_of_key(key, partitions) == (kafka_murmur2(key) & 0x7FFFFFFF) % partitions


def test_murmur2_of_known_keys() -> None:
    # org.apache.kafka.common.utils.UtilsTest.testMurmur2
    known = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        b"abc": 479470107,
    }
    for key, signed in known.items():
        assert murmur2(key) == signed & 0xFFFFFFFF
