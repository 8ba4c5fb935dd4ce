"""The bar of a kind: the score below which its flags open no ticket, moved by what people found.

It stands between flags and tickets and not in the detectors, so that flags stay a function
of the log (docs/adr/0014). A score is comparable across kinds: 1 is at the threshold of the
ticket budget. Nothing here reads a clock or a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from streams.messages import Flag
from streams.trade.grouping import point_of
from streams.trade.judged import wilson
from streams.trade.mutes import Muted
from streams.trade.states import Category, Urgency

LEAST, MOST, STEP = 1.0, 2.0, 0.1
_LOW, _HIGH = 10, 20  # the same in tenths: counted, so that no step is lost to rounding
#: families that no bar is ever about: safety, and Forestall itself
EXEMPT = frozenset({"leak", "tamper", "operations"})
WHY = "below the bar"
#: a flag below the bar waits for no instant: an update that reaches the bar, or its end, settles it
NO_END_NS = 2**63 - 1


def below(
    bars: Mapping[str, float],
    flag: Flag,
    category: Category = Category.METERING_BILLING,
    urgency: Urgency = Urgency.NORMAL,
) -> bool:
    """Tell whether a flag stays below the bar of its kind, and so opens no ticket for now.

    category, urgency : where the flag would go. A flag about safety, an emergency, a drill,
        and what families of ``EXEMPT`` raise always pass.
    """
    if flag.family in EXEMPT or category is Category.SAFETY or urgency is Urgency.EMERGENCY:
        return False
    if flag.evidence.get("drill") is True:
        return False
    bar = bars.get(flag.kind)
    # without a bar of its own a kind is not judged by its score: rules that simply hold may give less than 1
    return bar is not None and flag.score < bar


def held(flag: Flag, now_ns: int) -> Muted:
    """The flag as it is kept below the bar."""
    return Muted(
        flag_id=flag.id,
        service_point_id=point_of(flag),
        meter_id=flag.meter_id,
        family=flag.family,
        kind=flag.kind,
        mute_id="",
        why=WHY,
        until_ns=NO_END_NS,
        flag=flag,
        since_ns=now_ns,
        heard_ns=now_ns,
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """When verdicts move bars.

    target : share of judged flags that are to be worth raising; Wilson's lower bound is held against it
    days   : words of so many days count
    least  : so many flags of a kind must have been judged
    slack  : hysteresis: between target − slack and target + slack nothing moves
    """

    target: float = 0.5
    days: float = 180.0
    least: int = 20
    slack: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 < self.target < 1.0 or self.days <= 0 or self.least < 1 or not 0.0 <= self.slack < 0.5:
            raise ValueError(f"expected target and slack as shares, days and least above 0, got {self}")


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A move of one bar, and why: a code of ``MOVES``."""

    kind: str
    before: float
    bar: float
    why: str
    figures: dict[str, Any]


#: why a bar moves: code → (Chinese, English)
MOVES: dict[str, tuple[str, str]] = {
    "below_target": ("准确率低于目标", "precision below the target"),
    "above_target": ("降低后准确率仍达标", "precision reaches the target also one step lower"),
    "evidence_aged": ("依据已过期", "what the bar was raised for has aged out"),
    "person": ("人工调整", "set by a person"),
    "reverted": ("人工撤回", "taken back by a person"),
}


def suggest(
    kind: str, family: str, words: Sequence[tuple[float, bool]], bar: float, policy: Policy
) -> Suggestion | None:
    """One step of a kind's bar, or None where it is right as it is.

    words : score and whether it was worth raising, of the kind's flags judged within the policy's days
    bar   : as it stands

    Up, where the precision of what passes is below the target and there is a bar within the bounds
    from which on it is not; down, where it would reach the target one step lower too, or where nothing
    that was judged lies in that step any more: people see such flags again, and say what they are now.
    """
    if family in EXEMPT:
        return None
    now = round(bar * 10)
    ticks = {tick: _passing(words, tick) for tick in range(_LOW, _HIGH + 1)}
    lower = {tick: wilson(good, of)[0] for tick, (good, of) in ticks.items()}
    wanted = next(
        (t for t in ticks if ticks[t][1] >= policy.least and lower[t] >= policy.target),
        None,
    )
    to, why = now, ""
    if wanted is not None and wanted > now and lower[now] < policy.target - policy.slack:
        to, why = now + 1, "below_target"
    elif now > _LOW:
        beneath = now - 1
        if ticks[_LOW][1] < policy.least or ticks[beneath][1] == ticks[now][1]:
            to, why = beneath, "evidence_aged"
        elif lower[beneath] >= policy.target + policy.slack:
            to, why = beneath, "above_target"
    if to == now:
        return None
    (good, of), (good_to, of_to) = ticks[now], ticks[to]
    figures = {
        "judged": of,
        "precision": good / of if of else None,
        "low": lower[now] if of else None,
        "judged_after": of_to,
        "precision_after": good_to / of_to if of_to else None,
        "low_after": lower[to] if of_to else None,
        "wanted": None if wanted is None else wanted / 10,
        "target": policy.target,
        "days": policy.days,
    }
    return Suggestion(kind=kind, before=now / 10, bar=to / 10, why=why, figures=figures)


def _passing(words: Sequence[tuple[float, bool]], tick: int) -> tuple[int, int]:
    """Of the words with at least this score: how many were worth raising, and how many there are."""
    passed = [good for score, good in words if score >= tick / 10]
    return sum(passed), len(passed)
