"""Category, urgency, priority and department of every kind of flag."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.messages import FAMILIES, FAMILY_OF
from streams.trade.causes import CAUSES, CHECKS, cause_label, check_label, hypotheses, steps
from streams.trade.routing import DEPARTMENTS, ROUTES, Route, Routing, department_label
from streams.trade.states import LABELS, TMF621, TRANSITIONS, StepKind
from streams.trade.tickets import Category, Estimate, Origin, State, Urgency
from streams.trade.wording import KINDS
from tests.tickets.tools import NOON, flag

BILLING, REPAIR, SAFETY, SUPPLY = (
    Category.METERING_BILLING,
    Category.INSTALL_REPAIR,
    Category.SAFETY,
    Category.SUPPLY_QUALITY,
)
NORMAL, LOW, EMERGENCY = Urgency.NORMAL, Urgency.LOW, Urgency.EMERGENCY


@pytest.mark.parametrize(
    ("kind", "commodity", "category", "urgency", "priority"),
    [
        ("spike", "gas", BILLING, NORMAL, "P3"),
        ("high_usage", "water", BILLING, NORMAL, "P3"),
        ("zero_usage", "gas", BILLING, NORMAL, "P3"),
        ("leak", "gas", SAFETY, EMERGENCY, "P1"),
        ("continuous_flow", "gas", SAFETY, EMERGENCY, "P1"),
        ("over_limit", "gas", SAFETY, EMERGENCY, "P1"),
        ("continuous_flow", "water", BILLING, NORMAL, "P3"),
        ("rollback", "electricity", BILLING, NORMAL, "P3"),
        ("silent", "gas", REPAIR, LOW, "P4"),
        ("tamper", "water", SAFETY, NORMAL, "P2"),
        ("pressure_low", "gas", SAFETY, NORMAL, "P2"),
        ("pressure_low", "water", SUPPLY, NORMAL, "P3"),
        ("limit", "scada", SUPPLY, NORMAL, "P3"),
        ("outage", "electricity", SUPPLY, NORMAL, "P2"),
        ("voltage_low", "electricity", SUPPLY, NORMAL, "P3"),
        ("balance", "water", BILLING, NORMAL, "P3"),
    ],
)
def test_the_table(kind: str, commodity: str, category: Category, urgency: Urgency, priority: str) -> None:
    place = Routing().place(flag(kind, commodity=commodity, unit="m3"), None, NOON)
    assert (place.category, place.urgency, place.priority) == (category, urgency, priority)
    assert place.department in DEPARTMENTS


def test_a_scada_point_in_gas_is_safety_by_its_unit_or_medium() -> None:
    routing = Routing()
    assert routing.place(flag("limit", commodity="gas", unit="kPa"), None, NOON).category is SAFETY
    assert routing.place(flag("rate", commodity="gas", unit="m3/h"), None, NOON).category is SUPPLY
    medium = {"medium": "gas"}
    point = flag("pressure_high", commodity="scada", unit="kPa", evidence=medium)
    assert routing.place(point, None, NOON).category is SAFETY


def test_what_makes_a_billing_ticket_urgent() -> None:
    routing = Routing()

    def estimate(excess: float) -> Estimate:
        return Estimate(
            expected=1.0, billed=1.0 + excess, excess=excess, unit="m3", method="history_mean_days"
        )

    assert routing.place(flag(), estimate(243.7), NOON).priority == "P2"
    assert routing.place(flag(), estimate(99.0), NOON).priority == "P3"
    assert routing.place(flag(evidence={"days_to_bill": 2}), None, NOON).priority == "P2"
    assert routing.place(flag(evidence={"days_to_bill": 9}), None, NOON).priority == "P3"
    assert (
        routing.place(flag("concentrator_silent", evidence={"meters": ["m"] * 40}), None, NOON).priority
        == "P2"
    )
    assert routing.place(flag("concentrator_silent", evidence={"meters": 40}), None, NOON).priority == "P2"
    assert routing.place(flag("concentrator_silent", evidence={"meters": ["m"]}), None, NOON).priority == "P4"
    higher = replace(routing, excess_limits={"m3": 500.0})
    assert higher.place(flag(), estimate(243.7), NOON).priority == "P3"


def test_a_table_must_place_every_flag() -> None:
    with pytest.raises(ValueError, match="expected a route that fits every flag"):
        Routing(routes=ROUTES[:-1])
    with pytest.raises(ValueError, match="expected a department for every category"):
        Routing(owners={BILLING: "marketing"})
    only = Routing(routes=(Route(SUPPLY, LOW),))
    assert only.place(flag("leak"), None, NOON).category is SUPPLY


def test_every_kind_has_a_place_words_and_causes_whose_weights_sum_to_one() -> None:
    for kind in FAMILY_OF:
        for commodity in ("gas", "water", "electricity", "heat", "scada", ""):
            found = hypotheses(flag(kind, commodity=commodity))
            assert sum(h.weight for h in found) == pytest.approx(1.0), kind
            assert {h.cause for h in found} <= CAUSES.keys()
            assert {h.next_check for h in found} <= CHECKS.keys()
        assert kind in KINDS
    assert FAMILIES.keys() == {route.family for route in ROUTES} - {"", "operations"}


def test_high_gas_use_is_checked_in_the_trades_order() -> None:
    found = hypotheses(flag("high_usage", commodity="gas"))
    assert [h.cause for h in found][:3] == ["misread", "leak", "meter_fault"]
    weights = [h.weight for h in found]
    assert weights == sorted(weights, reverse=True)
    assert [step.seq for step in steps(found)] == [1, 2, 3, 4, 5]
    assert "leak" not in {h.cause for h in hypotheses(flag("high_usage", commodity="electricity"))}


@pytest.mark.parametrize(
    ("evidence", "causes"),
    [
        ({"detector": "habit"}, ["vacancy", "meter_stuck", "bypass"]),
        ({"detector": "habit", "equal_hours": 49}, ["communication", "meter_stuck"]),
        ({"detector": "high_low"}, ["communication", "meter_stuck"]),
    ],
)
def test_who_uses_the_same_again_and_again_is_not_away(
    evidence: dict[str, object], causes: list[str]
) -> None:
    found = hypotheses(flag("stuck", evidence=evidence))
    assert [h.cause for h in found] == causes
    assert sum(h.weight for h in found) == pytest.approx(1.0)


def test_steps_that_are_known_are_not_listed_again() -> None:
    found = hypotheses(flag("high_usage"))
    more = steps(found, known=("read_again", "leak_test"))
    assert [step.check for step in more] == ["meter_test", "estimated_reads", "ask_customer"]
    assert more[0].seq == 3


def test_every_code_has_words_in_both_languages() -> None:
    codes = {*State, *Category, *Urgency, *Origin, *StepKind}
    assert {str(code) for code in codes} <= LABELS.keys()
    for zh, en in (*LABELS.values(), *CAUSES.values(), *KINDS.values(), *DEPARTMENTS.values()):
        assert zh
        assert en
        assert zh != en
    assert cause_label("leak", "zh") == "泄漏"
    assert check_label("meter_test", "en").startswith("have the meter tested")
    assert department_label("marketing", "zh") == "市场部"


def test_every_state_has_a_status_of_tmf621_and_a_way_on() -> None:
    assert TMF621.keys() == set(State) == TRANSITIONS.keys()
    ends = {state for state, following in TRANSITIONS.items() if not following}
    assert ends == {State.ARCHIVED, State.MERGED}
    reached = {following for after in TRANSITIONS.values() for following in after}
    assert reached == set(State) - {State.NEW}
