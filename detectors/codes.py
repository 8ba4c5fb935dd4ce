"""Whether an error code could be a reading after all: a meter may count through any value."""

from __future__ import annotations

from detectors.batch import DAY, INTERVAL, REGISTER, WEAK, Row
from detectors.kernel import kernel

NEAR = 1e-3  # so near to the value before, relative to the code, it is the next value
STEPS = 20.0  # a register's step may be this multiple of its last rate, or of what matters a day
SIZE, WEAK_SIZE = 8.0, 50.0  # an amount before that is this many times smaller makes it an error


@kernel
def could_be(p: Row, kind: int, code: int, t: int, v: float, floor: float) -> bool:
    """A value that is an error code as sent: whether the meter's newest reading explains it."""
    if p.count == 0:
        return bool(code == WEAK)
    if t <= p.time:
        return bool(v == p.value or code == WEAK)
    before = p.pend_value if p.pend > 0 else p.value
    if abs(v - before) <= NEAR * abs(v):
        return True
    if v < 0 <= before and kind == INTERVAL:
        return False  # a size like that of the amounts before makes no amount of it
    if kind == REGISTER:
        rate = floor / DAY
        if p.pend == 0 and p.time > p.prev_time:
            rate = max(rate, (p.value - p.prev_value) / (p.time - p.prev_time))
        return bool(0 <= v - before <= STEPS * rate * (t - p.time))
    return bool(abs(before) * (WEAK_SIZE if code == WEAK else SIZE) >= abs(v))
