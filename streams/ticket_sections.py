"""The table ``tickets`` of the configuration: when what is due, whose it is, what the clock does."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from streams.section import Section
from streams.trade.routing import PRIORITIES
from streams.trade.states import Category
from streams.zones import transitions

T = TypeVar("T")


class LimitSettings(Section):
    """How soon tickets of a priority are to be acknowledged and resolved, in one unit each."""

    ack_minutes: float | None = Field(None, gt=0)
    ack_days: int | None = Field(None, ge=1)
    resolve_hours: float | None = Field(None, gt=0)
    resolve_days: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_unit(self) -> LimitSettings:
        for one, other in (("ack_minutes", "ack_days"), ("resolve_hours", "resolve_days")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"expected {one} or {other}, got both: time on the wall, or working days")
        return self


class TicketsSettings(Section):
    """When the offices work, for what tickets are due; whose they are; what the clock does to them."""

    calendar: Path | None = Field(
        None,
        description="working hours, holidays, make-up days: docs/tickets.md; none: Monday to Friday, 09:00-18:00",
    )
    time_zone: str = Field("UTC", description="IANA name, e.g. Asia/Shanghai; where the calendar names none")
    limits: dict[str, LimitSettings] = Field(
        {},
        description="by priority, e.g. limits.P3 = { ack_days = 1, resolve_days = 5 }; none: docs/tickets.md",
    )
    callback_days: int = Field(2, ge=1, description="working days from the work to the call to the customer")
    watch_days: float = Field(
        30.0, ge=0, description="after a case is closed its meter is watched: what comes back reopens it"
    )
    archive_days: float = Field(90.0, ge=0, description="ended cases go into the archive; 0: by hand only")
    escalate: bool = Field(True, description="overdue tickets of P1 to P3 are escalated")
    departments: dict[str, str] = Field({}, description="category → department in charge")
    co_departments: dict[str, tuple[str, ...]] = Field(
        {}, description="category → departments that take part"
    )
    department_names: dict[str, tuple[str, str]] = Field(
        {}, description="further departments: code → [Chinese, English]"
    )
    large_classes: tuple[str, ...] = Field(
        ("large", "industrial"), description="classes of meters of large customers: a person looks first"
    )
    large_excess: dict[str, float] = Field(
        {}, description="their limits of P2 by unit; by default ten times those of others"
    )
    excess_limits: dict[str, float] = Field({}, description="excess by unit from which a ticket is P2")
    many_meters: int = Field(10, ge=2, description="so many meters on one flag make it P2")
    bill_days: float = Field(3.0, ge=0, description="a bill run within so many days makes a ticket P2")
    precision_target: float = Field(
        0.5, gt=0, lt=1, description="share of judged flags that are to be worth raising: docs/verdicts.md"
    )
    bars: Literal["off", "propose", "apply"] = Field(
        "propose", description="whether verdicts move the bars of kinds: not, by a person, by themselves"
    )
    bars_days: float = Field(180.0, gt=0, description="verdicts of so many days count for the bars")
    bars_least: int = Field(20, ge=1, description="so many flags of a kind must have been judged")
    tariffs: Path | None = Field(
        None, description="tiered prices: docs/estimates.md; none: credits have no price"
    )
    credit_limit: dict[str, Decimal] = Field(
        {},
        description="currency → amount up to which one person decides on a credit, e.g. {CNY = 500}; else two",
    )
    company: str = Field("", max_length=40, description="who signs messages to customers")
    hotline: str = Field("", max_length=40, description="where customers may ask, named in messages to them")

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        transitions(value)
        return value

    @field_validator("credit_limit")
    @classmethod
    def _amounts(cls, value: dict[str, Decimal]) -> dict[str, Decimal]:
        for currency, amount in value.items():
            if not re.fullmatch(r"[A-Z]{3}", currency) or not amount.is_finite() or amount < 0:
                raise ValueError(
                    f"expected a currency such as CNY and an amount of 0 or more, got {currency} = {amount}"
                )
        return value

    @field_validator("limits")
    @classmethod
    def _priorities(cls, value: dict[str, LimitSettings]) -> dict[str, LimitSettings]:
        return _known(value, PRIORITIES)

    @field_validator("departments", "co_departments")
    @classmethod
    def _categories(cls, value: dict[str, object]) -> dict[str, object]:
        return _known(value, tuple(Category))


def _known(table: dict[str, T], names: tuple[str, ...]) -> dict[str, T]:
    strangers = sorted(set(table) - set(names))
    if strangers:
        raise ValueError(f"expected keys of {', '.join(names)}, got {', '.join(strangers)}")
    return table
