"""Which desk a flag belongs on, and how soon: category, urgency, priority, department.

Everything here is configuration: a frozen ``Routing`` holds tables that a utility may
replace. The category and urgency table is DESIGN's, the priorities are ours and aim at
5 / 15 / 80 % for P1 / P2 / P3 and P4 together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from streams.messages import Flag
from streams.trade.bill_days import days_to_bill
from streams.trade.grouping import count_of
from streams.trade.tickets import LARGE, Category, Estimate, Purpose, Urgency

PRIORITIES = ("P1", "P2", "P3", "P4")

#: department → (Chinese, English)
DEPARTMENTS: dict[str, tuple[str, str]] = {
    "emergency_repair": ("抢修中心", "emergency repair centre"),
    "operations": ("运维部", "operations and maintenance"),
    "marketing": ("市场部", "marketing and billing"),
    "customer_service": ("客服部", "customer service"),
}

_PRESSURE_UNITS = (
    *("Pa", "kPa", "MPa", "hPa", "bar", "mbar", "[psi]"),
    *("m[H2O]", "cm[H2O]", "mm[H2O]", "mm[Hg]"),
)


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table: the first that fits a flag decides. Empty means *any*."""

    category: Category
    urgency: Urgency
    family: str = ""
    kinds: tuple[str, ...] = ()
    commodity: str = ""
    units: tuple[str, ...] = ()

    def fits(self, flag: Flag) -> bool:
        """Tell whether this line is about the flag."""
        return (
            (not self.family or flag.family == self.family)
            and (not self.kinds or flag.kind in self.kinds)
            and (not self.commodity or commodity_of(flag) == self.commodity)
            and (not self.units or flag.unit in self.units)
        )


ROUTES: tuple[Route, ...] = (
    # a gas flow that never stops is an emergency until it is excluded
    Route(Category.SAFETY, Urgency.EMERGENCY, family="leak", commodity="gas"),
    Route(Category.METERING_BILLING, Urgency.NORMAL, family="leak"),
    Route(Category.METERING_BILLING, Urgency.NORMAL, family="usage_high"),
    Route(Category.METERING_BILLING, Urgency.NORMAL, family="usage_low"),
    Route(Category.METERING_BILLING, Urgency.NORMAL, family="register"),
    Route(Category.INSTALL_REPAIR, Urgency.LOW, family="data"),
    Route(Category.SAFETY, Urgency.NORMAL, family="tamper"),
    Route(Category.SAFETY, Urgency.NORMAL, "scada", ("pressure_low", "pressure_high"), "gas"),
    Route(Category.SAFETY, Urgency.NORMAL, "scada", (), "gas", _PRESSURE_UNITS),
    Route(Category.SUPPLY_QUALITY, Urgency.NORMAL, family="scada"),
    Route(Category.SUPPLY_QUALITY, Urgency.NORMAL, family="supply"),
    Route(Category.METERING_BILLING, Urgency.NORMAL, family="balance"),
    Route(Category.INSTALL_REPAIR, Urgency.NORMAL, family="operations"),
    # a family of later days: a person shall see it rather than nobody
    Route(Category.METERING_BILLING, Urgency.NORMAL),
)

_OWNERS: Mapping[Category, str] = MappingProxyType(
    {
        Category.SAFETY: "emergency_repair",
        Category.SUPPLY_QUALITY: "operations",
        Category.INSTALL_REPAIR: "operations",
        Category.METERING_BILLING: "marketing",
        Category.SERVICE_ATTITUDE: "customer_service",
        Category.POLICY_INQUIRY: "customer_service",
    }
)
_HELPERS: Mapping[Category, tuple[str, ...]] = MappingProxyType(
    {
        # whoever explains the bill to the customer knows before the customer calls
        Category.METERING_BILLING: ("customer_service",),
        Category.SAFETY: ("customer_service",),
    }
)
#: unit → excess from which a ticket is P2
_EXCESS: Mapping[str, float] = MappingProxyType({"m3": 100.0, "L": 100_000.0, "kW.h": 1000.0, "GJ": 5.0})
#: the same of a large customer, whose ordinary month is more than a household's year
_LARGE_EXCESS: Mapping[str, float] = MappingProxyType(
    {"m3": 1000.0, "L": 1_000_000.0, "kW.h": 10_000.0, "GJ": 50.0}
)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a flag belongs."""

    category: Category
    urgency: Urgency
    priority: str
    department: str
    co_departments: tuple[str, ...]
    impact: str = ""
    purpose: Purpose = Purpose.CASE


@dataclass(frozen=True, slots=True)
class Routing:
    """The tables; each may be replaced as a whole.

    routes         : first fit decides category and urgency
    owners         : category → department in charge (主办)
    helpers        : category → departments that take part (协办)
    excess_limits  : UCUM unit → excess from which P2
    many_meters    : so many meters on one flag make it P2
    bill_days      : a bill run within so many days makes it P2
    large_classes  : classes of meters (registry) of large customers: a person looks first, limits of their own
    large_excess   : of a large customer: unit → excess from which P2
    urgent_kinds   : kinds that are P2 whatever their figures
    """

    routes: tuple[Route, ...] = ROUTES
    owners: Mapping[Category, str] = field(default_factory=lambda: _OWNERS)
    helpers: Mapping[Category, tuple[str, ...]] = field(default_factory=lambda: _HELPERS)
    excess_limits: Mapping[str, float] = field(default_factory=lambda: _EXCESS)
    many_meters: int = 10
    bill_days: float = 3.0
    large_classes: frozenset[str] = frozenset({"large", "industrial"})
    large_excess: Mapping[str, float] = field(default_factory=lambda: _LARGE_EXCESS)
    urgent_kinds: frozenset[str] = frozenset(
        {"outage", "repeated_outage", "transformer_outage", "no_readings", "process_silent"}
    )

    def __post_init__(self) -> None:
        missing = [category.value for category in Category if category not in self.owners]
        if missing:
            raise ValueError(f"expected a department for every category, none for {', '.join(missing)}")
        if not any(route == Route(route.category, route.urgency) for route in self.routes):
            raise ValueError("expected a route that fits every flag, got none: add Route(category, urgency)")

    def place(self, flag: Flag, estimate: Estimate | None, now_ns: int) -> Placement:
        """Category, urgency, priority and departments for a flag and its estimate, at a moment of the wall clock."""
        route = next(route for route in self.routes if route.fits(flag))
        large = flag.place.get("class", "") in self.large_classes
        return replace(
            self.of_category(route.category, route.urgency),
            priority=self._priority(
                route, flag, estimate, self.large_excess if large else self.excess_limits, now_ns
            ),
            impact=LARGE if large else "",
            purpose=Purpose.EXPLAIN if flag.kind == "bill_shock" else Purpose.CASE,
        )

    def of_category(self, category: Category, urgency: Urgency) -> Placement:
        """Priority and departments by category and urgency alone, as of a complaint."""
        return Placement(
            category=category,
            urgency=urgency,
            priority=_by_class(category, urgency) or ("P4" if urgency is Urgency.LOW else "P3"),
            department=self.owners[category],
            co_departments=self.helpers.get(category, ()),
        )

    def billed_soon(self, place: Mapping[str, Any], now_ns: int) -> bool:
        """Whether a meter is billed within ``bill_days``."""
        days = days_to_bill(place.get("bill_day"), str(place.get("tz", "")), now_ns)
        return days is not None and days <= self.bill_days

    def _priority(
        self, route: Route, flag: Flag, estimate: Estimate | None, limits: Mapping[str, float], now_ns: int
    ) -> str:
        settled = _by_class(route.category, route.urgency)
        if settled:
            return settled
        if flag.kind in self.urgent_kinds or count_of(flag) >= self.many_meters:
            return "P2"
        if route.category is Category.METERING_BILLING:
            limit = limits.get(estimate.unit) if estimate else None
            if estimate and limit is not None and estimate.excess >= limit:
                return "P2"
            days = flag.evidence.get("days_to_bill")
            if isinstance(days, int | float) and 0 <= days <= self.bill_days:
                return "P2"
            if self.billed_soon(flag.place, now_ns):
                return "P2"
        return "P4" if route.urgency is Urgency.LOW else "P3"


def _by_class(category: Category, urgency: Urgency) -> str:
    """What category and urgency settle alone; empty: the figures decide."""
    if urgency is Urgency.EMERGENCY and category is Category.SAFETY:
        return "P1"
    return "P2" if category is Category.SAFETY or urgency is Urgency.EMERGENCY else ""


def commodity_of(flag: Flag) -> str:
    """What flows: a SCADA point names it in its evidence (``medium``)."""
    medium = flag.evidence.get("medium")
    if flag.commodity in ("", "scada") and isinstance(medium, str):
        return medium
    return flag.commodity


def department_label(code: str, language: str) -> str:
    """The name of a department in ``zh`` or ``en``."""
    return DEPARTMENTS[code][0 if language == "zh" else 1] if code in DEPARTMENTS else code
