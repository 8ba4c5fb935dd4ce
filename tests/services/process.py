"""What every real server of the tests has in common: a program, a port, a directory, a log."""

from __future__ import annotations

import abc
import atexit
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on.

    It lies below the range that the kernel takes for outgoing connections: a client that
    keeps trying a killed server's port inside that range can be given the very same port
    as its own, connect to itself and keep the server from coming back.
    """
    for _ in range(1000):
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"expected a free port between 20000 and 32000 on {LOOPBACK}, found none in 1000 tries")


def accepts(port: int) -> bool:
    """Tell whether something accepts connections on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def wait_until(
    condition: Callable[[], bool], what: str, deadline_s: float = 30.0, step_s: float = 0.02
) -> None:
    """Return as soon as ``condition()`` holds; raise TimeoutError naming ``what`` after ``deadline_s``."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"expected {what} within {deadline_s:g} s, it did not come")
        time.sleep(step_s)


def find_program(name: str, *places: str) -> str | None:
    """Return a program's path: from PATH, the system's own directories, or glob patterns ``places``."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if found:
        return found
    for place in places:
        # the newest version last: /usr/lib/postgresql/15/bin, /usr/lib/postgresql/16/bin
        for directory in sorted(Path("/").glob(place.lstrip("/")), reverse=True):
            found = shutil.which(name, path=str(directory))
            if found:
                return found
    return None


class Service(abc.ABC):
    """A server that a test starts on 127.0.0.1, with its data in a temporary directory.

    A subclass says which program (``missing``, ``command``) and may prepare its
    directory (``prepare``, once) and refine when it is up (``ready``). ``kill`` and
    ``start`` again continue with the same port and data; ``close`` stops it and removes
    the data. As a context manager it is started and closed.
    """

    name: ClassVar[str]  # for messages
    optional: ClassVar[bool] = False  # True: may be left out where skipping is forbidden
    start_s: ClassVar[float] = 30.0  # how long a start may take

    def __init__(self) -> None:
        self.port = free_port()
        self.dir = Path(tempfile.mkdtemp(prefix=f"forestall-{self.name}-"))
        self.log = self.dir / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared = False
        atexit.register(self.close)

    @staticmethod
    @abc.abstractmethod
    def missing() -> str | None:
        """Say why it cannot run here and how to change that; None where it can."""

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The address under which our own programs reach it."""

    @abc.abstractmethod
    def command(self) -> Sequence[str]:
        """The program with its arguments; it must stay in the foreground."""

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Make what the first start needs (configuration, an empty data directory)."""

    def environment(self) -> Mapping[str, str]:
        """Variables that the program gets beside ours."""
        return {}

    def user(self) -> str | None:
        """The account to run as; None: our own."""
        return None

    def ready(self) -> bool:
        """Tell whether it serves."""
        return accepts(self.port)

    @property
    def running(self) -> bool:
        """Tell whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id; RuntimeError if it does not run."""
        if self._process is None or not self.running:
            raise RuntimeError(f"{self.name} does not run: call start() first")
        return self._process.pid

    def start(self) -> Self:
        """Start it and return when it serves; does nothing if it runs already."""
        if self.running:
            return self
        if not self._prepared:
            self.prepare()
            self._prepared = True
        end = time.monotonic() + self.start_s
        process = self._spawn()
        while not self.ready():
            if process.poll() is not None:
                if not self._may_try_again():
                    raise RuntimeError(f"{self.name} ended while starting; its log ends:\n{self.log_tail()}")
                process = self._spawn()
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(
                    f"expected {self.name} on port {self.port} within {self.start_s:g} s; "
                    f"its log ends:\n{self.log_tail()}"
                )
            time.sleep(0.02)
        return self

    def stop(self, deadline_s: float = 30.0) -> None:
        """Ask it to end in good order and wait; RuntimeError if it had to be killed."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(self.stop_signal())
        try:
            self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(
                f"{self.name} was still there {deadline_s:g} s after it was asked to end; killed. "
                f"Its log ends:\n{self.log_tail()}"
            ) from None
        self._process = None

    def kill(self) -> None:
        """End it and the processes of its group at once (SIGKILL)."""
        if self._process is None:
            return
        if self.running:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """Stop it and remove its data."""
        atexit.unregister(self.close)
        try:
            self.stop()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def log_tail(self, lines: int = 25) -> str:
        """The end of its log, for messages."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop_signal(self) -> int:
        """The signal that asks it to end in good order."""
        return signal.SIGTERM

    def _may_try_again(self) -> bool:
        """Tell whether a start that failed may be repeated within the same deadline."""
        return False

    def _spawn(self) -> subprocess.Popen[bytes]:
        account = self.user()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                list(self.command()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.dir,
                env={**os.environ, **self.environment()},
                user=account,
                group=None if account is None else pwd.getpwnam(account).pw_gid,
                extra_groups=None if account is None else [],
                # a group of its own: Ctrl-C in the terminal is not for it, and kill() reaches its children
                start_new_session=True,
            )
        return self._process

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
