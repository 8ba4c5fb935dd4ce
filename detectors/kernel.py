"""The compiler of the detectors' loops.

A kernel is an ordinary loop over readings in log order, compiled by Numba and cached on
disk. It is the loop that one would write first, so its order within a meter is right by
construction, and it is as fast on forty meters over years as on a million in an hour
(docs/adr/0007).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile ``function`` on its first call; keep the machine code on disk."""
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))
