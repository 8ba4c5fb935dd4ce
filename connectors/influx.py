"""InfluxDB 2 as the history of readings and flags.

Lines are built and checked here (``line_protocol``), sent through influxdb-client's write
service, and answered for one by one: what the server refuses for good is found by halving the
batch. Retries are the caller's.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService
from urllib3.exceptions import HTTPError

from connectors.history_gate import Gate
from connectors.line_protocol import Labels, Lines, of_flags, tag_fault
from streams.columns import Columns
from streams.messages import Flag, Reject
from streams.ports import Rejected, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

BODY_BYTES = 4_000_000  # of one request, before gzip
RETRY_S = 1.0  # where the server does not say
LONGEST_RETRY_S = 3600.0
_DROPPED = re.compile(r"\bdropped=(\d+)")
_OF_A_LINE = ("unable to parse", "partial write", "line protocol", "field type")


@dataclass(frozen=True, slots=True)
class InfluxConfig:
    """Where InfluxDB is and how it is written to.

    url        : http(s)://host:port, a path before /api/v2 allowed
    token      : needs the right to write the bucket, no other
    timeout_s  : for connecting, and for each wait on the answer. [s]
    batch_lines: in one request, at most
    gzip_level : 1 (quick) to 9; 0 sends plain text
    details    : write quality and marks beside the value
    ca_file    : certificates to trust; empty: the system's
    """

    url: str
    token: str
    org: str
    bucket: str
    timeout_s: float = 10.0
    batch_lines: int = 5000
    gzip_level: int = 1
    details: bool = True
    ca_file: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected InfluxDB's url as http://host:8086 or https://…, got {self.url!r}")
        if parts.username or parts.password or parts.query:
            raise ValueError("expected InfluxDB's url without user, password or query: it takes a token")
        for name in ("token", "org", "bucket"):
            text = getattr(self, name)
            if not text or not text.isprintable():
                # without the text: it may be the token
                raise ValueError(f"expected InfluxDB's {name} as printable text that is not empty")
        if not (self.timeout_s > 0 and self.batch_lines > 0 and 0 <= self.gzip_level <= 9):
            raise ValueError(
                "expected timeout_s > 0, batch_lines > 0 and gzip_level from 0 to 9, got "
                f"{self.timeout_s}, {self.batch_lines} and {self.gzip_level}"
            )


@dataclass(slots=True)
class InfluxCounts:
    """What has happened since the start, for metrics."""

    points: int = 0  # acknowledged by the server
    rejects: int = 0  # refused here or there, for good
    requests: int = 0
    failures: int = 0  # calls that ended as Unavailable or Rejected
    bytes: int = 0  # of bodies, as sent


class _Refused(Exception):
    """The server took some or none of the lines, and will not take them later either."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"InfluxDB answered {status}: {message[:500]}")
        self.too_large = status == 413
        self.of_a_line = any(word in message for word in _OF_A_LINE)
        dropped = _DROPPED.search(message)
        self.dropped = int(dropped[1]) if dropped else None


class InfluxHistory:
    """Writes readings and flags to a bucket; ``streams.ports.History``.

    One request is under way at a time and nothing is queued beyond the calls that wait, so memory
    is bounded by the callers' own batches.

    label : what the registry knows of a meter, to be written as tags
    """

    def __init__(self, config: InfluxConfig, label: Callable[[str], Labels] | None = None) -> None:
        self.config = config
        self.counts = InfluxCounts()
        self._gate = Gate(tag_fault)
        self._lines = Lines(label, details=config.details)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="influx")
        self._client: Any = InfluxDBClient(
            url=config.url.rstrip("/"),
            token=config.token,
            org=config.org,
            timeout=round(config.timeout_s * 1000),
            ssl_ca_cert=config.ca_file or None,
        )
        service: Any = WriteService
        self._service = service(self._client.api_client)

    async def write(self, columns: Columns) -> list[Reject]:
        """Write a batch; see the port. The same point again overwrites itself."""
        return await self._run(lambda: self._write(columns))

    async def write_flags(self, flags: Sequence[Flag]) -> list[Reject]:
        """Write flag events; see the port."""
        return await self._run(lambda: self._finish(*of_flags(flags)))

    async def check(self) -> None:
        """Return if address, token, organisation and bucket are good for writing.

        Sends a write of no points, since a token that may only write can ask for nothing else.
        Raises as ``write``.
        """
        await self._run(lambda: self._send(["\n"]))

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
        self._client.close()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (Unavailable, Rejected):
            self.counts.failures += 1
            raise

    def _write(self, columns: Columns) -> list[Reject]:
        columns, rejects = self._gate.sieve(columns)
        return self._finish(self._lines.of_readings(columns), rejects)

    def _finish(self, lines: list[str], rejects: list[Reject]) -> list[Reject]:
        size = self.config.batch_lines
        for start in range(0, len(lines), size):
            part = lines[start : start + size]
            refused = self._send(part)
            rejects += refused
            self.counts.points += len(part) - len(refused)
        self.counts.rejects += len(rejects)
        return rejects

    def _send(self, lines: list[str]) -> list[Reject]:
        """Write lines, in their order, and return those that the server refuses for good.

        A refused batch is halved until each refused line stands alone or the server says that it
        dropped them all; lines written twice on the way overwrite themselves. At most two
        requests a line.
        """
        rejects: list[Reject] = []
        judged = False  # the server has told lines apart: it is the lines that are at fault
        waiting = [lines]
        while waiting:
            part = waiting.pop()
            body = "\n".join(part).encode()
            try:
                if len(body) > BODY_BYTES and len(part) > 1:
                    raise _Refused(413, f"a body of {len(body)} bytes is over our own limit")
                self._post(body)
                judged = True
            except _Refused as no:
                judged = judged or no.of_a_line
                if len(part) > 1 and no.dropped != len(part):
                    middle = len(part) // 2
                    waiting += [part[middle:], part[:middle]]
                else:
                    rejects += [Reject(str(no), line.encode()) for line in part]
        if rejects and not judged:
            # every line was refused, for a reason that names no line: it is not the lines
            raise Rejected(self.config.url, f"{rejects[0].reason}; check influx.url and its bucket")
        return rejects

    def _post(self, body: bytes) -> None:
        config, counts = self.config, self.counts
        headers = {}
        if config.gzip_level:
            body = gzip.compress(body, config.gzip_level, mtime=0)
            headers["content_encoding"] = "gzip"
        counts.requests += 1
        counts.bytes += len(body)
        try:
            self._service.post_write(config.org, config.bucket, body, precision="ns", **headers)
        except ApiException as error:
            raise self._meaning(error) from error
        except (HTTPError, OSError) as error:
            raise Unavailable(config.url, f"{type(error).__name__}: {error}", RETRY_S) from error

    def _meaning(self, error: ApiException) -> Exception:
        """What an answer other than «done» asks of us."""
        status = error.status or 0
        # a status of 0 is a failed TLS handshake
        message = str((error.message if status else error.reason) or "no message")
        url = self.config.url
        if status in (0, 408, 425, 429) or status >= 500:
            return Unavailable(url, f"{status or 'TLS'}: {message[:500]}", retry_after(error.headers))
        if status in (400, 413, 422):
            return _Refused(status, message)
        advice = {
            401: "give influx.token a token of that server that may write the bucket",
            403: "give influx.token a token that may write the bucket",
            404: "create the bucket, or correct influx.org, influx.bucket or influx.url",
        }.get(status, "correct influx.url: this is not the write service of InfluxDB 2")
        what = f"organisation {self.config.org!r}, bucket {self.config.bucket!r}"
        return Rejected(url, f"{status}: {message[:500]} ({what}); {advice}")


def retry_after(headers: Any) -> float:
    """Seconds that an answer's Retry-After header asks for: a number or a date; RETRY_S without one."""
    text = str(headers.get("Retry-After", "")).strip() if headers else ""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return RETRY_S
    return min(max(seconds, RETRY_S), LONGEST_RETRY_S) if seconds == seconds else RETRY_S
