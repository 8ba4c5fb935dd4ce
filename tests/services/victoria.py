"""VictoriaMetrics, which takes InfluxDB's v2 write API."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from tests.services.process import LOOPBACK, Service, find_program


class Victoria(Service):
    """A single node that keeps a hundred years and one value an instant.

    It drops lines that it cannot read and answers 204 all the same, cuts times to
    milliseconds, and of two values at one instant keeps the larger.
    """

    name = "victoria-metrics"

    @staticmethod
    def missing() -> str | None:
        if find_program("victoria-metrics") is None:
            return "VictoriaMetrics is not installed; `make services` installs it"
        return None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str]:
        program = find_program("victoria-metrics")
        if program is None:
            raise RuntimeError(self.missing())
        return (
            program,
            f"-storageDataPath={self.dir}/data",
            f"-httpListenAddr={LOOPBACK}:{self.port}",
            "-retentionPeriod=100y",
            "-dedup.minScrapeInterval=1ms",
            "-memory.allowedBytes=256MB",
            "-loggerLevel=WARN",
        )

    def ready(self) -> bool:
        try:
            return self._get("/health") == b"OK"
        except OSError:
            return False

    def export(self, match: str) -> list[dict[str, Any]]:
        """All series that a selector such as ``{__name__="reading_value"}`` names, with their points."""
        self._get("/internal/force_flush")
        body = self._get("/api/v1/export?" + urllib.parse.urlencode({"match[]": match}))
        return [json.loads(line) for line in body.splitlines()]

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            data: bytes = answer.read()
            return data
