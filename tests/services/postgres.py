"""PostgreSQL, the database of tickets in the large size."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg

from tests.services.process import LOOPBACK, Service, find_program

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
OWNER = "forestall"


class Postgres(Service):
    """A cluster of its own; ``new_database`` gives each test an empty database."""

    name = "postgres"

    def __init__(self) -> None:
        super().__init__()
        self.data = self.dir / "data"

    @staticmethod
    def missing() -> str | None:
        if find_program("postgres", *PLACES) is None or find_program("initdb", *PLACES) is None:
            return "PostgreSQL is not installed; `make services` installs it"
        if os.geteuid() == 0 and _unprivileged() is None:
            return "PostgreSQL refuses to run as root and there is no account `postgres` or `nobody`"
        return None

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database ``postgres``."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """SQLAlchemy URL of one of its databases."""
        return f"postgresql+psycopg://{OWNER}@{LOOPBACK}:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database and return its SQLAlchemy URL."""
        name = f"t_{secrets.token_hex(6)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url_of(name)

    def prepare(self) -> None:
        account = self.user()
        if account is not None:
            shutil.chown(self.dir, account)
        done = subprocess.run(
            [
                _program("initdb"),
                f"--pgdata={self.data}",
                f"--username={OWNER}",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            user=account,
            cwd=self.dir,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed with {done.returncode}:\n{done.stderr[-2000:]}")

    def user(self) -> str | None:
        return _unprivileged() if os.geteuid() == 0 else None

    def command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": str(self.dir),
            # the tests kill the process, never the machine: what the kernel has is not lost
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": "60",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return (_program("postgres"), "-D", str(self.data), "-p", str(self.port), *options)

    def ready(self) -> bool:
        """A port that accepts is not enough: after a kill it refuses until it has recovered."""
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def stop_signal(self) -> int:
        return signal.SIGINT  # its "fast" shutdown: does not wait for clients to leave

    def _may_try_again(self) -> bool:
        # children of a killed server hold its shared memory for a moment
        return "is still in use" in self.log_tail(5)

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=LOOPBACK, port=self.port, user=OWNER, dbname="postgres", autocommit=True, connect_timeout=5
        )


def _program(name: str) -> str:
    found = find_program(name, *PLACES)
    if found is None:
        raise RuntimeError(Postgres.missing())
    return str(Path(found).resolve())


def _unprivileged() -> str | None:
    for account in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(account).pw_name
        except KeyError:
            continue
    return None
