"""Where the embedded log lies and how it is kept: what a ``sqlite://`` URL says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

__all__ = ["DURABILITIES", "Options", "log_url", "parse_age", "parse_size"]

#: how hard a commit is: PRAGMA synchronous
DURABILITIES = {
    "full": "FULL",  # on the disk when a send returns: survives a power cut
    "normal": "NORMAL",  # survives a killed process; a power cut may take the last seconds
    "off": "OFF",  # for tests
}
WHEN_FULL = ("refuse", "drop")

AGES = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")

#: the smallest bound that leaves room for a transaction beside the data
SMALLEST_SIZE = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Options:
    """How an embedded log is kept.

    path            : the database file; ``PATH-wal``, ``PATH-shm``, ``PATH.lock`` and
                      ``PATH.consumer.lock`` lie beside it
    durability      : ``full``, ``normal`` or ``off``
    retention_age_s : records of ``delete`` topics older than this go, once every group has
                      read them. [s] None: never
    retention_size  : the database file never grows beyond this. [bytes] None: no bound
    when_full       : what happens at the bound where a group has not read what would have to go:
                      ``refuse`` new records, or ``drop`` the oldest, loudly
    """

    path: Path
    durability: str = "full"
    retention_age_s: float | None = 7 * 86400.0
    retention_size: int | None = None
    when_full: str = "refuse"

    def __post_init__(self) -> None:
        if self.durability not in DURABILITIES:
            raise ValueError(
                f"durability: expected one of {', '.join(DURABILITIES)}, got {self.durability!r}"
            )
        if self.when_full not in WHEN_FULL:
            raise ValueError(f"when_full: expected one of {', '.join(WHEN_FULL)}, got {self.when_full!r}")
        if self.retention_age_s is not None and self.retention_age_s <= 0:
            raise ValueError(f"retention_age: expected more than 0 s, got {self.retention_age_s:g}")
        if self.retention_size is not None and self.retention_size < SMALLEST_SIZE:
            raise ValueError(
                f"retention_size: expected at least {SMALLEST_SIZE} bytes, got {self.retention_size}"
            )

    @classmethod
    def from_url(cls, url: str) -> Options:
        """Read ``sqlite:///relative.db`` or ``sqlite:////absolute/path.db``, with a query.

        The query takes ``durability``, ``retention_age`` (``30d``, ``12h``, ``90s``),
        ``retention_size`` (``2GB``, ``512MiB``) and ``when_full``; ``none`` lifts a bound.

        Raises ValueError, saying what was expected.
        """
        parts = urlsplit(url)
        if parts.scheme != "sqlite":
            raise ValueError(f"expected a URL sqlite:///PATH, got {url!r}")
        if parts.netloc:
            raise ValueError(
                f"expected sqlite:///relative.db or sqlite:////absolute/path.db, "
                f"got {url!r} with {parts.netloc!r} where a host would stand"
            )
        path = unquote(parts.path.removeprefix("/"))
        if not path or path == ":memory:":
            raise ValueError(f"expected a file in {url!r}: a log in memory would not survive its process")
        given: dict[str, object] = {}
        for name, text in parse_qsl(parts.query, keep_blank_values=True):
            if name == "retention_age":
                given["retention_age_s"] = parse_age(text)
            elif name == "retention_size":
                given["retention_size"] = parse_size(text)
            elif name in ("durability", "when_full"):
                given[name] = text
            else:
                raise ValueError(
                    f"unknown option {name!r} in {url!r}; "
                    "expected durability, retention_age, retention_size or when_full"
                )
        return cls(Path(path), **given)  # type: ignore[arg-type]

    @property
    def endpoint(self) -> str:
        """How messages name this log."""
        return f"the log {self.path}"


def log_url(path: Path | str, **options: str) -> str:
    """Return the URL of a log file, quoted so that Faust does not split it at ``,`` or ``;``.

    A path that holds one of these must reach Faust inside a ``yarl.URL`` or a list, because
    Faust splits strings before it decodes them; everything else may use the string.
    """
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
    return f"sqlite:///{quote(str(path), safe='/')}" + (f"?{query}" if query else "")


def parse_age(text: str) -> float | None:
    """Return seconds: ``30d``, ``12h``, ``15m``, ``90s``, ``500ms``, ``90``; None for ``none``."""
    if text.lower() == "none":
        return None
    found = NUMBER.fullmatch(text.strip())
    if not found or found[2] not in AGES:
        raise ValueError(f"expected an age like 30d, 12h, 15m, 90s or none, got {text!r}")
    return float(found[1]) * AGES[found[2]]


def parse_size(text: str) -> int | None:
    """Return bytes: ``2GB``, ``512MiB``, ``1000000``; None for ``none``."""
    if text.lower() == "none":
        return None
    found = NUMBER.fullmatch(text.strip())
    if not found or found[2] not in SIZES:
        raise ValueError(f"expected a size like 2GB, 512MiB or none, got {text!r}")
    return int(float(found[1]) * SIZES[found[2]])
