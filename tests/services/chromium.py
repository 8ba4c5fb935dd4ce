"""Chromium, headless, driven over its debugging port."""

from __future__ import annotations

import urllib.request
from collections.abc import Sequence
from contextlib import suppress

from tests.services.process import LOOPBACK, Service, find_program


class Chromium(Service):
    """A browser with an empty profile that talks to nobody unasked; Playwright connects to ``url``."""

    name = "chromium"

    @staticmethod
    def missing() -> str | None:
        if find_program("chromium") is None:
            return "Chromium is not installed; `make services` installs it"
        return None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str]:
        program = find_program("chromium")
        if program is None:
            raise RuntimeError(self.missing())
        return (
            program,
            "--headless=new",
            f"--remote-debugging-port={self.port}",
            f"--user-data-dir={self.dir}/profile",
            # a container has neither user namespaces nor a graphics card
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-sync",
            "--no-first-run",
            "about:blank",
        )

    def ready(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/json/version", timeout=5) as answer:
            return bool(answer.status == 200)
        return False
