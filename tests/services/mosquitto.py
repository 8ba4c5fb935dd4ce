"""Eclipse Mosquitto, the MQTT broker."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tests.services.process import LOOPBACK, Service, find_program


class Mosquitto(Service):
    """A broker that queues without bound and survives a kill with its sessions of a second ago.

    anonymous : whether clients need no password
    lines     : more lines of its configuration, for the listener (``cafile …``) or for all
    """

    name = "mosquitto"

    def __init__(self, *, anonymous: bool = True, lines: Sequence[str] = ()) -> None:
        super().__init__()
        self.anonymous = anonymous
        self.lines = tuple(lines)

    @staticmethod
    def missing() -> str | None:
        if find_program("mosquitto") is None:
            return "Mosquitto is not installed; `make services` installs it"
        return None

    @property
    def url(self) -> str:
        return f"mqtt://{LOOPBACK}:{self.port}"

    @property
    def config(self) -> str:
        """The text of its configuration file."""
        lines = [
            "persistence true",
            f"persistence_location {self.dir}/",
            # it writes what it holds every second; a killed broker forgets at most that
            "autosave_interval 1",
            "max_queued_messages 0",
            "max_inflight_messages 1000",
            "connection_messages false",
            "log_dest stdout",
            "log_timestamp_format %Y-%m-%dT%H:%M:%S",
            f"allow_anonymous {str(self.anonymous).lower()}",
        ]
        if os.geteuid() == 0:
            # started as root it would change to an account that cannot write our directory
            lines.append("user root")
        lines += [f"listener {self.port} {LOOPBACK}", "set_tcp_nodelay true", *self.lines]
        return "\n".join(lines) + "\n"

    def prepare(self) -> None:
        (self.dir / "mosquitto.conf").write_text(self.config)

    def command(self) -> Sequence[str]:
        program = find_program("mosquitto")
        if program is None:
            raise RuntimeError(self.missing())
        return (program, "-c", str(self.dir / "mosquitto.conf"))
