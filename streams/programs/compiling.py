"""Say that the detectors are being compiled: minutes at the first start after an installation or an update."""

from __future__ import annotations

import os
import pkgutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from numba.core import event

import detectors

__all__ = ["told"]

EVERY_S = 10.0


class _Counting(event.Listener):
    """Tells of the first kernel that is compiled, and of how many there are by now every ``EVERY_S``."""

    def __init__(self, say: Callable[[str], object], clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock
        self._due = 0.0
        self._began: float | None = None
        self.done = 0
        self.seconds = 0.0

    def on_start(self, event: Any) -> None:
        """A kernel is not on disk. Those that it calls are compiled within it."""
        if self._began is None:
            self._began = self._clock()
            self._due = self._began + EVERY_S
            where = os.environ.get("NUMBA_CACHE_DIR", "beside the code")
            self._say(
                f"compiling the detectors, once for this version: {len(_kernels())} kernels, a minute or two; "
                f"kept in {where}"
            )

    def on_end(self, event: Any) -> None:
        """One more is on disk."""
        self.done += 1
        now = self._clock()
        self.seconds = now - (now if self._began is None else self._began)
        if now >= self._due:
            self._due = now + EVERY_S
            self._say(f"compiling the detectors: {self.done} pieces so far")


def _kernels() -> set[int]:
    """What `detectors.kernel` has made, wherever it stands."""
    modules = [import_module(f"detectors.{found.name}") for found in pkgutil.iter_modules(detectors.__path__)]
    return {id(cell) for module in modules for cell in vars(module).values() if hasattr(cell, "overloads")}


@contextmanager
def told(say: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Within it, ``say`` is told what is compiled, and nothing where all is on disk.

    clock : of steady time [s]
    """
    counting = _Counting(say, clock)
    with event.install_listener("numba:compile", counting):
        yield
    if counting.done:
        say(f"compiled the detectors in {counting.seconds:.0f} s; the next start finds them")
