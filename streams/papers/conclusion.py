"""What a case comes to, in plain words for the customer, from what its checks have found.

Nothing is claimed that no check has shown: what is excluded is named, what is open is said to be
open, and a difference that nothing explains is called just that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from streams.papers.document import Language
from streams.papers.written import amount
from streams.trade.causes import cause_label, check_label
from streams.trade.tickets import Estimate, State, Step, Ticket, Verdict


class Outcome(StrEnum):
    """What a case comes to."""

    METER = "meter"  # the meter is faulty
    MISREAD = "misread"  # a read, or what the books say of the meter, is wrong
    LEAK = "leak"
    REAL_USE = "real_use"
    OTHER = "other"  # a cause that is none of these
    UNEXPLAINED = "unexplained"  # all was checked and nothing found
    FALSE_ALARM = "false_alarm"
    UNDER_WAY = "under_way"


_OUTCOMES: dict[str, Outcome] = {
    **dict.fromkeys(("meter_fault", "meter_stuck", "battery", "device_clock", "sensor_fault"), Outcome.METER),
    **dict.fromkeys(
        (
            "misread",
            "true_up",
            "wrong_multiplier",
            "meter_swap",
            "device_reset",
            "rollover",
            "registry",
            "direction",
        ),
        Outcome.MISREAD,
    ),
    **dict.fromkeys(("leak", "valve_passing"), Outcome.LEAK),
    **dict.fromkeys(("real_use", "appliance", "vacancy"), Outcome.REAL_USE),
}

#: what a check that found nothing shows → (Chinese, English)
EXCLUDED: dict[str, tuple[str, str]] = {
    "misread": ("未发现抄错", "the read was checked and is right"),
    "leak": ("未发现泄漏", "no leak was found"),
    "meter_fault": ("表计校验合格", "the meter passed its test"),
    "meter_stuck": ("表计走字正常", "the meter moves as it should"),
    "true_up": ("前期读数不是估抄", "earlier reads were not estimated"),
    "real_use": ("未了解到用途或用具的变化", "no change in use or appliances is known"),
    "appliance": ("未发现用具或龙头未关", "no appliance or tap was left open"),
    "vacancy": ("房屋并非空置", "the premises are not vacant"),
    "bypass": ("未发现绕表用气或窃用", "no use past the meter was found"),
    "wrong_multiplier": ("单位与倍率无误", "unit and multiplier are right"),
    "meter_swap": ("换表记录无误", "the records of swaps are right"),
    "device_reset": ("表计未曾重置", "the meter was not reset"),
    "direction": ("计量方向登记无误", "the registry is right about the direction"),
    "interference": ("未发现人为破坏", "no interference was found"),
}

_SAID: dict[Outcome, tuple[str, str]] = {
    Outcome.METER: (
        "经核查，本次异常由计量器具引起：{cause}。读数不能反映实际用量，差额按下列测算处理。",
        (
            "The checks have found the cause in the meter: {cause}. Its reads do not show the real use; "
            "the difference is "
            "settled by the estimate below."
        ),
    ),
    Outcome.MISREAD: (
        "经核查，本次异常由抄表或台账数据引起：{cause}。它不是实际用量，账单按更正后的数据计算。",
        (
            "The checks have found the cause in the read or the records: {cause}. It is no real use; the "
            "bill is made "
            "with the corrected figures."
        ),
    ),
    Outcome.LEAK: (
        "经核查，查实：{cause}。计量的量确已通过表计，未经修复并复检合格，请勿继续使用。",
        (
            "The checks have found: {cause}. What was metered did pass the meter. Please do not use the "
            "supply before it is "
            "repaired and has passed its test."
        ),
    ),
    Outcome.REAL_USE: (
        "经核查，计量无误，用量确已发生：{cause}。",
        "The checks have found no fault of the metering: the use was real ({cause}).",
    ),
    Outcome.OTHER: ("经核查，查实的原因是：{cause}。", "The checks have found the cause: {cause}."),
    Outcome.UNEXPLAINED: (
        "规定的核查已全部完成，均未发现问题：{excluded}。",
        "All checks that are prescribed were made, and none found anything: {excluded}.",
    ),
    Outcome.FALSE_ALARM: (
        "经复核，本次异常为误报，不影响您的账单。",
        "On review this was a false alarm. It does not touch the bill.",
    ),
    Outcome.UNDER_WAY: (
        "核查尚未完成（已完成 {done} 项，待完成 {open} 项）。以下为截至制作时间已知的情况，不是最终结论。",
        (
            "The checks are not complete ({done} done, {open} to do). What follows is known so far, and "
            "is no final conclusion."
        ),
    ),
}

_NOT_BEGUN = (
    "尚无核查记录。以下为截至制作时间已知的情况，不是最终结论。",
    "No check is on record. What follows is known so far, and is no final conclusion.",
)

_MORE: dict[str, tuple[str, str]] = {
    "excluded": ("已排除：{excluded}。", "Excluded so far: {excluded}."),
    "unclear": ("不能确定的项目：{checks}。", "Could not be decided: {checks}."),
    "pending": ("待完成的核查：{checks}。", "Still to be checked: {checks}."),
    "figures": (
        "按本表历史，本期应计 {expected}，实际计量 {billed}，差额 {excess}{range}。",
        (
            "By the meter's own past {expected} were to be expected for the period; {billed} were "
            "metered, a difference of "
            "{excess}{range}."
        ),
    ),
    "range": ("（范围 {low} 至 {high}）", " (between {low} and {high})"),
    "no_explanation": (
        "上述核查不能解释这一差额。现有证据不足以认定差额的成因，本材料将核查的依据与结果如实列出，供您查阅。",
        (
            "These checks do not explain the difference, and the evidence does not show its cause. What "
            "was checked, how and "
            "with what result is set out below as it is."
        ),
    ),
    "metered": (
        "表计校验合格且读数无误，即所计的量确已通过表计。",
        (
            "A meter that has passed its test, and a read that is right, mean that what was metered did "
            "pass the meter."
        ),
    ),
    "rights": (
        (
            "如对校验结果有异议，您可以申请由法定计量检定机构复检；也可以核对异常时段内新增的用具、人员与使用习惯，"
            "并将情况告知我们。"
        ),
        (
            "If you doubt the test you may ask for another by an independent, accredited laboratory. You "
            "may also tell us of new "
            "appliances, people or habits in the flagged span."
        ),
    ),
    "hold": ("争议期间暂缓催缴该期账单。", "The bill is held while it is disputed."),
    "watch": (
        "处理后继续观察该表；若异常再次出现，本工单将重开。",
        "The meter is being watched: if it happens again the ticket is reopened.",
    ),
    "reason": ("说明：{reason}。", "Reason: {reason}."),
}


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The outcome, the sentence that says it, and what else the customer should know."""

    outcome: Outcome
    level: Literal["info", "good", "warning"]
    said: str
    more: tuple[str, ...]


def conclude(ticket: Ticket, language: Language) -> Conclusion:
    """Judge by what the steps have found first, then by the verdict; a case without either is under way."""
    column = 0 if language == "zh" else 1
    positive = [step for step in ticket.steps if step.finding == "positive"]
    negative = [step for step in ticket.steps if step.finding == "negative"]
    unclear = [step for step in ticket.steps if step.finding == "unclear"]
    pending = [step for step in ticket.steps if not _done(step)]
    # one check may look for several causes: where it finds nothing, all of them are excluded
    ruled_out = [cause for step in negative for cause in _sought(ticket, step)]
    outcome = _outcome(ticket, positive, ruled_out)
    excluded = _each_once(_excluded(cause, column) for cause in ruled_out)
    cause = _each_once(cause_label(step.cause, language) for step in positive)
    if not cause:
        cause = [("经用户说明", "as the customer has explained")[column]]
    said = _SAID[outcome][column].format(
        cause=_join(cause, language),
        excluded=_join(excluded, language),
        done=sum(_done(step) for step in ticket.steps),
        open=len(pending),
    )

    def also(key: str, **names: object) -> str:
        return _MORE[key][column].format(**names)

    more: list[str] = []
    if ticket.verdict_reason and outcome in (Outcome.FALSE_ALARM, Outcome.REAL_USE):
        more.append(also("reason", reason=ticket.verdict_reason.rstrip("。. ")))
    if ticket.estimate is not None and outcome is not Outcome.FALSE_ALARM:
        more.append(_figures(ticket.estimate, column))
    if outcome is Outcome.UNEXPLAINED:
        tested = {"misread", "meter_fault"} <= set(ruled_out)
        more += [also("metered")] if tested else []
        more += [also("no_explanation"), also("rights")]
    elif excluded:
        more.append(also("excluded", excluded=_join(excluded, language)))
    for key, steps in (("unclear", unclear), ("pending", pending)):
        if steps and outcome is not Outcome.FALSE_ALARM:
            names = _each_once(check_label(step.check, language) for step in steps)
            more.append(also(key, checks="；".join(names) if column == 0 else "; ".join(names)))
    more += [also("hold")] if ticket.bill_hold else []
    more += [also("watch")] if ticket.watch_until_ns is not None and ticket.open else []
    if outcome is Outcome.UNDER_WAY and not ticket.steps:
        said = _NOT_BEGUN[column]
    return Conclusion(outcome, _LEVELS.get(outcome, "info"), said, tuple(more))


_LEVELS: dict[Outcome, Literal["info", "good", "warning"]] = {
    Outcome.METER: "warning",
    Outcome.LEAK: "warning",
    Outcome.UNEXPLAINED: "good",
    Outcome.REAL_USE: "good",
    Outcome.FALSE_ALARM: "good",
}


def _outcome(ticket: Ticket, positive: list[Step], ruled_out: list[str]) -> Outcome:
    if positive:
        found = [_OUTCOMES.get(step.cause, Outcome.OTHER) for step in positive]
        # of several the gravest: a leak is not hidden behind a misread
        return min(found, key=list(Outcome).index) if Outcome.LEAK not in found else Outcome.LEAK
    if ticket.verdict == Verdict.FALSE_ALARM or ticket.state is State.FALSE_ALARM:
        return Outcome.FALSE_ALARM
    # that the customer has explained it is not said where they were asked and could not
    if ticket.verdict == Verdict.EXPLAINED and "real_use" not in ruled_out:
        return Outcome.REAL_USE
    if ruled_out and all(_done(step) for step in ticket.steps):
        return Outcome.UNEXPLAINED
    return Outcome.UNDER_WAY


def _done(step: Step) -> bool:
    return step.done_ns is not None or bool(step.result) or bool(step.finding)


def _sought(ticket: Ticket, step: Step) -> list[str]:
    """The causes that a check looks for."""
    return [one.cause for one in ticket.hypotheses if one.next_check == step.check] or [step.cause]


def _excluded(cause: str, column: int) -> str:
    if cause in EXCLUDED:
        return EXCLUDED[cause][column]
    language: Language = "zh" if column == 0 else "en"
    return ("已排除{}", "{} is excluded")[column].format(cause_label(cause, language))


def _figures(estimate: Estimate, column: int) -> str:
    digits = 1 if abs(estimate.billed) >= 10 else 3

    def told(value: float) -> str:
        return amount(value, estimate.unit, digits)

    between = ""
    if estimate.low is not None and estimate.high is not None:
        between = _MORE["range"][column].format(low=told(estimate.low), high=told(estimate.high))
    return _MORE["figures"][column].format(
        expected=told(estimate.expected),
        billed=told(estimate.billed),
        excess=told(estimate.excess),
        range=between,
    )


def _each_once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _join(texts: list[str], language: Language) -> str:
    return ("、" if language == "zh" else ", ").join(texts)
