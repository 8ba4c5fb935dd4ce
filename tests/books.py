"""The half numbers of a habit's book, whole again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.daybook import AMOUNTS, FIGURES


def whole_numbers(packed: NDArray[Any]) -> NDArray[np.float32]:
    """Half numbers as those that they stand for."""
    return (packed.astype(np.uint32) << 16).view(np.float32)


def book_of(packed: NDArray[Any]) -> NDArray[np.float32]:
    """Figures of each day: (…, DAYS * FIGURES) → (…, DAYS, FIGURES)."""
    return whole_numbers(packed).reshape(*packed.shape[:-1], -1, FIGURES)


def assert_book_scaled(one: NDArray[Any], other: NDArray[Any], factors: NDArray[np.float64]) -> None:
    """Levels of use are in the meter's unit; what is a ratio to the usual is not."""
    x, y, own = book_of(one), book_of(other), AMOUNTS
    np.testing.assert_allclose(x[..., :own] * factors.reshape(-1, 1, 1), y[..., :own], rtol=2e-2, atol=1e-2)
    np.testing.assert_allclose(x[..., own:], y[..., own:], rtol=5e-2, atol=5e-2)
