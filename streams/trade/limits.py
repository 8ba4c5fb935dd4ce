"""Up to which amount one person decides about a credit, with all that counts beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from streams.trade.settlement import Credit, CreditState, Granted

#: states in which somebody may act on a credit
MONEY = (CreditState.APPROVED, CreditState.BOOKED)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Up to which amount one person is enough, by currency. One that is not named always needs two."""

    alone: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))

    def second_person(
        self, amount: Decimal | None, currency: str, earlier: Iterable[Credit] = (), later: Decimal = _ZERO
    ) -> bool:
        """Tell whether somebody else has to approve a credit; what has no price always needs it.

        earlier : credits of the ticket and of others at its service point: what is approved or booked counts with it,
            whatever its sign, so that nobody divides a credit to stay below the limit; beside use without a price,
            money of another currency, and a credit whose period is not known, nobody can add up. What took the place of
            an approved one and was refused or withdrawn counts with that one: somebody may have acted on it
        later   : what later bills move by the credit in the tiers; it counts with the amount, whatever its sign
        """
        if amount is None or currency not in self.alone:
            return True
        moved = abs(amount) + abs(later)
        for one in earlier:
            found = granted(one)
            if found is None:
                continue
            if found.amount is None or found.currency != currency:
                return True
            moved += found.amount
        return moved > self.alone[currency]


def granted(credit: Credit) -> Granted | None:
    """What somebody may have acted on: what an approved credit moves, else what the one moved whose place it took."""
    if credit.state not in MONEY:
        return credit.granted
    if credit.amount is None or credit.start_ns is None or credit.end_ns is None:
        return Granted(None, credit.currency)
    return Granted(abs(credit.amount) + abs(credit.later), credit.currency)
