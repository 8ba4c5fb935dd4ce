"""The bar of a kind: the score below which its flags open no ticket, moved by what people found.

It stands between flags and tickets and not in the detectors, so that flags stay a function
of the log (docs/adr/0014). A score is comparable across kinds: 1 is at the threshold of the
ticket budget. Nothing here reads a clock or a store.
"""

from __future__ import annotations

from collections.abc import Mapping

from streams.grouping import point_of
from streams.messages import Flag
from streams.mutes import Muted
from streams.states import Category, Urgency

LEAST, MOST, STEP = 1.0, 2.0, 0.1
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
    )
