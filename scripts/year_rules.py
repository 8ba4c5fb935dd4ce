"""What the documents say of flags and subjects: category, priority, department (docs/tickets.md, docs/complaints.md).

Of ``check_year.py``: the standard library alone, nothing of ours.
"""

from __future__ import annotations

from typing import Any

#: subject → its category, and the families of tickets that it can be about, its own first
SUBJECTS = {
    "gas_leak": ("safety", ("leak",)),
    "high_bill": ("metering_billing", ("usage_high", "leak", "register")),
    "disputed_amount": ("metering_billing", ("usage_high", "register", "leak")),
    "low_bill": ("metering_billing", ("usage_low", "register", "data")),
    "meter_stopped": ("metering_billing", ("usage_low", "data", "register")),
    "meter_accuracy": ("metering_billing", ("usage_high", "register", "usage_low")),
    "misread": ("metering_billing", ("register", "usage_high", "usage_low")),
    "estimated_reading": ("metering_billing", ("register", "data", "usage_high", "usage_low")),
    "missed_reading": ("metering_billing", ("data", "register")),
    "late_reading": ("metering_billing", ("data", "register")),
    "water_leak": ("metering_billing", ("leak", "usage_high", "balance")),
    "installation_delay": ("install_repair", ("installation",)),
    "staff_attitude": ("service_attitude", ("service",)),
    "policy_question": ("policy_inquiry", ("policy",)),
}
DEPARTMENTS = {
    "safety": "emergency_repair",
    "install_repair": "operations",
    "metering_billing": "marketing",
    "service_attitude": "customer_service",
    "policy_inquiry": "customer_service",
}
#: unit → excess from which a ticket about metering is P2
EXCESS = {"m3": 100.0, "L": 100_000.0, "kW.h": 1000.0, "GJ": 5.0}
NEAR = 3  # days until the bill run: P2
MANY = 10  # meters on one flag: P2
GRAVE = ("P1", "P2", "P3", "P4")  # gravest first


def category(line: dict[str, Any]) -> str:
    """Where a flag belongs."""
    family, gas = line["family"], line["commodity"] == "gas"
    if (family == "leak" and gas) or family == "tamper":
        return "safety"
    return "install_repair" if family == "data" else "metering_billing"


def priority(line: dict[str, Any], excess: float | None, billed_in: int | None) -> str:
    """How soon a flag is to be looked at.

    excess    : by the estimate that stands for it. [unit of the flag]
    billed_in : days until its meter's bill run; None: not known
    """
    where = category(line)
    if where == "safety":
        return "P1" if line["family"] == "leak" else "P2"
    limit = EXCESS.get(line["says"]["unit"])
    over = excess is not None and limit is not None and excess >= limit
    near = billed_in is not None and billed_in <= NEAR
    if (where == "metering_billing" and (over or near)) or line["says"]["meters"] >= MANY:
        return "P2"
    return "P4" if line["family"] == "data" else "P3"


def priority_of(subject: str) -> str:
    """The same of a complaint."""
    return {"gas_leak": "P1", "policy_question": "P4"}.get(subject, "P3")


def estimate(line: dict[str, Any]) -> tuple[str, float] | None:
    """By what a flag's excess is estimated, and the excess (docs/tickets.md, "The credit estimate").

    The history's mean where the flag names past periods and the billed one; else what its detector expected, of
    high use and bill shocks in amounts. To a tenth from ten on, else to a thousandth, as on paper.
    """
    says = line["says"]
    past = [(days, amount) for days, amount in says["periods"] if days > 0 and amount >= 0]
    billed, days = says["billed_amount"], says["billed_days"]
    if billed is not None and days is not None and days > 0 and past:
        mean = sum(amount for _, amount in past) / sum(length for length, _ in past)
        return "history", _excess(mean * days, billed)
    observed, expected = says["observed"], says["expected"]
    amounts = line["kind"] in ("high_usage", "bill_shock") and not says["rate"]
    if amounts and observed is not None and expected is not None and observed > expected >= 0:
        return "detector", _excess(expected, observed)
    return None


def _excess(expected: float, billed: float) -> float:
    digits = 1 if abs(billed) >= 10 else 3
    return round(round(billed, digits) - round(expected, digits), digits)
