"""One process of the product, and what it tells of itself."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.services.process import LOOPBACK, accepts


@dataclass(slots=True)
class Process:
    """One process of the product."""

    name: str
    role: str
    port: int  # of its metrics; of web: its own
    environment: dict[str, str]
    log: Path
    popen: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self.popen is not None and self.popen.poll() is None

    @property
    def pid(self) -> int:
        """Its id."""
        assert self.popen is not None
        return self.popen.pid

    def metrics(self) -> dict[str, float]:
        """Its metrics by name, all labels of one summed; empty where it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/metrics", timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        out: dict[str, float] = {}
        for line in text.splitlines():
            if not line.startswith("#") and line:
                name, value = line.rsplit(" ", 1)
                name = name.partition("{")[0]
                out[name] = out.get(name, 0.0) + float(value)
        return out

    def ready(self) -> bool:
        """Whether it does its work."""
        if self.role == "web":
            return accepts(self.port)
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/ready", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def tail(self, lines: int = 40) -> str:
        """The end of what it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(f"no process {pid}")
