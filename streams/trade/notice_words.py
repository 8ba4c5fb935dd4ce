"""What customers are told, in Chinese and English: the whole text, and the short one for SMS.

Plain and polite, from the facts of the ticket. No name and no address: whoever sends it adds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from streams.messages import NS
from streams.trade.bill_days import local_day, local_time
from streams.trade.estimate import AFTER_SWAP, DETECTOR, HISTORY_MEAN, LAST_YEAR
from streams.trade.money_words import amount_word, credit_word, unit_word, use_word
from streams.trade.settlement import NoticeText
from streams.trade.tickets import Ticket

#: how staff came to an amount, for customers → (Chinese, English)
_METHODS = {
    HISTORY_MEAN: ("按您户以往日均用量核算", "worked out from your average daily use in the past"),
    LAST_YEAR: (
        "按您户去年同期用量并参照同片区用量变化核算",
        "worked out from your use in the same season last year and the change in your area",
    ),
    AFTER_SWAP: (
        "按换表后日均用量核算",
        "worked out from your average daily use since the meter was replaced",
    ),
    DETECTOR: ("按您户正常用量核算", "worked out from your usual use"),
}
_OWN = ("经核定", "set by our billing staff")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_VALVES_ZH = {"gas": "用气设备及阀门", "water": "水龙头、马桶及管道"}
_VALVES_EN = {"gas": "appliances and valves", "water": "taps, toilets and pipes"}
#: GSM 03.38, basic set; those of the extension count twice
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = frozenset("^{}\\[~]|€\f")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a message is made of.

    tz         : zone of the meter, for dates
    company    : who signs; hotline: where to ask. Empty: left out
    start_ns, end_ns, cause : of a planned outage
    """

    ticket: Ticket
    tz: str = ""
    company: str = ""
    hotline: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signs messages to customers, and where these may ask; empty: left out."""

    company: str = ""
    hotline: str = ""

    def facts(self, ticket: Ticket) -> Facts:
        """What a message about a ticket is made of, in the zone of its meter."""
        return Facts(ticket, str(ticket.place.get("tz", "")), self.company, self.hotline)


def sms_parts(text: str) -> int:
    """How many messages a network makes of a text: 70 characters one, 67 each of several; 160 and 153 in GSM 03.38."""
    if all(char in _GSM or char in _GSM_TWICE for char in text):
        length, one, several = len(text) + sum(char in _GSM_TWICE for char in text), 160, 153
    else:
        length, one, several = len(text.encode("utf-16-le")) // 2, 70, 67
    return 1 if length <= one else -(-length // several)


def message(situation: str, facts: Facts, language: str) -> NoticeText:
    """The message for a situation of ``SITUATIONS``, in ``zh`` or ``en``."""
    text, short = SITUATIONS[situation](facts, language == "zh")
    if language == "zh":
        ask = f"如有疑问，请拨打{facts.hotline}。" if facts.hotline else ""
        ask_short = f"详询{facts.hotline}。" if facts.hotline else ""
        whole = f"尊敬的用户：您好！{text}{ask}感谢您的理解与配合。"
        whole += f"\n{facts.company}" if facts.company else ""
        sms = (f"【{facts.company}】" if facts.company else "") + short + ask_short
    else:
        ask = f" If you have any questions, please call {facts.hotline}." if facts.hotline else ""
        whole = f"Dear customer, {text}{ask} Thank you for your understanding."
        whole += f"\n{facts.company}" if facts.company else ""
        sms = (f"{facts.company}: " if facts.company else "") + short
        sms += f" Questions: {facts.hotline}." if facts.hotline else ""
    return NoticeText(text=whole, sms=sms, sms_parts=sms_parts(sms))


def of_text(text: str, sms: str) -> NoticeText:
    """A message as staff have written it."""
    return NoticeText(text=text, sms=sms, sms_parts=sms_parts(sms))


def _usage_rise(f: Facts, zh: bool) -> tuple[str, str]:
    use, figures, short = _use(f, zh), _figures(f, zh), _short(f, zh)
    if zh:
        return (
            (
                f"我们注意到您户的{use}近期明显上升{figures}。我们正在核实原因，请您留意近期用量，"
                "并核对表具读数；如家中人口或用途有变化，也请告知我们。"
            ),
            f"您户{use}明显上升{short}，我们正在核实，请留意用量并核对表具读数。",
        )
    return (
        (
            f"we have noticed that your {use} has risen markedly{figures}. We are looking into the reason. Please keep "
            "an eye on your use and compare your meter's reading; if something has changed in your household, "
            "please let us know."
        ),
        f"Your {use} has risen markedly{short}. We are looking into it. Please check your meter.",
    )


def _leak_check(f: Facts, zh: bool) -> tuple[str, str]:
    use, commodity = _use(f, zh), f.ticket.commodity
    gas = commodity == "gas"
    if zh:
        act = use.removesuffix("量")
        parts = _VALVES_ZH.get(commodity, "用能设备")
        danger = (
            "如闻到燃气异味，请立即关闭阀门、开窗通风，不要开关电器，并到室外拨打抢修电话。" if gas else ""
        )
        return (
            (
                f"我们发现您户{act}持续不断，疑似存在泄漏。请您尽快检查{parts}是否关严、有无渗漏。{danger}"
                "我们也将安排人员上门核查。"
            ),
            f"您户{act}持续不断，疑似泄漏，请尽快检查{parts}。"
            + ("闻到异味请关阀开窗、勿动电器。" if gas else ""),
        )
    parts = _VALVES_EN.get(commodity, "appliances")
    danger = (
        " If you smell gas, close the valve at once, open the windows, do not touch electric switches, and "
        "call the emergency line from outside."
        if gas
        else ""
    )
    return (
        (
            f"your {use} has not stopped for some time, which may be a leak. Please check soon whether your {parts} "
            f"are closed and tight.{danger} We will also send somebody to look."
        ),
        f"Your {use} does not stop: there may be a leak. Please check your {parts}."
        + (" Smell of gas: close the valve, open windows, no switches." if gas else ""),
    )


def _real_use(f: Facts, zh: bool) -> tuple[str, str]:
    use, figures, short = _use(f, zh), _figures(f, zh), _short(f, zh)
    if zh:
        return (
            (
                f"您户本期{use}高于以往{figures}。经数据核对，未发现表具异常，判断属实际用量，"
                "常见原因为季节变化、人口增加或新增设备。本期账单将相应增加，特此提前告知。"
            ),
            f"您户本期{use}高于以往{short}，经核对属实际用量，账单将相应增加。",
        )
    return (
        (
            f"your {use} in this period is above the usual{figures}. Our data show no fault of the meter: the "
            "use appears to be real. Common reasons are the season, more people at home, or a new appliance. Your "
            "next bill will be higher accordingly; we wanted you to know beforehand."
        ),
        f"Your {use} is above the usual{short}. Our data show real use. Your bill will be higher.",
    )


def _meter_swapped(f: Facts, zh: bool) -> tuple[str, str]:
    swap = f.ticket.swap
    assert swap is not None
    unit, day = unit_word(swap.unit, "zh" if zh else "en"), _day(swap.at, f, zh)
    stop, start = f"{swap.stop_read:.10g}", f"{swap.start_read:.10g}"
    if zh:
        return (
            (
                f"您户的表具已于{day}更换。旧表（表号{swap.old_serial}）止码{stop}{unit}，"
                f"新表（表号{swap.new_serial}）起码{start}{unit}。请您核对，此后用量自新表起码起计算。"
            ),
            f"您户表具已于{day}更换：旧表止码{stop}，新表起码{start}，请核对。",
        )
    return (
        (
            f"your meter was replaced on {day}. Stop read of the old meter ({swap.old_serial}): {stop} {unit}. Start "
            f"read of the new meter ({swap.new_serial}): {start} {unit}. Please compare them; from now on your use "
            "counts from the new meter's start read."
        ),
        f"Your meter was replaced on {day}. Old meter stopped at {stop}, new one starts at {start}.",
    )


def _credit_approved(f: Facts, zh: bool) -> tuple[str, str]:
    credit = f.ticket.credit
    assert credit is not None
    language = "zh" if zh else "en"
    back = float(credit.amount if credit.amount is not None else credit.quantity or 0.0) > 0
    in_kind = credit.amount is None
    what = credit_word(f.ticket.commodity, back, in_kind, language)
    method = _METHODS.get(credit.method, _OWN)[0 if zh else 1]
    quantity = (
        ""
        if credit.quantity is None
        else f"{abs(credit.quantity):.10g}{'' if zh else ' '}{unit_word(credit.unit, language)}"
    )
    money = "" if credit.amount is None else amount_word(credit.amount, credit.currency, "zh" if zh else "en")
    due = money or quantity
    if zh:
        count = f"，涉及{use_word(f.ticket.commodity, 'zh')}{quantity}" if quantity and money else ""
        booking = "将在下期账单中体现" if money else "将补入您的账户" if back else "将计入您的账户"
        return (
            f"经核查，您户计量存在偏差{count}，{method}，应{what}{due}，{booking}。给您带来不便，深表歉意。",
            f"您户计量偏差已核定，{what}{due}，{booking}。",
        )
    count = f" of {quantity}" if quantity and money else ""
    booking = "It will be on your next bill." if money else "It will be put to your account."
    return (
        (
            f"we have checked your meter and found a deviation{count}. The {what} is {due}, {method}. {booking} "
            "We apologise for the inconvenience."
        ),
        _plain(f"Your meter's deviation has been settled: {what} {due}. {booking}"),
    )


def _planned_outage(f: Facts, zh: bool) -> tuple[str, str]:
    assert f.start_ns is not None
    assert f.end_ns is not None
    start, end = _instant(f.start_ns, f, zh), _instant(f.end_ns, f, zh)
    supply = {"gas": "停气", "water": "停水", "electricity": "停电", "heat": "停热"}.get(
        f.ticket.commodity, "停供"
    )
    if zh:
        cause = f"因{f.cause}，" if f.cause else ""
        return (
            f"{cause}我们计划于{start}至{end}{supply}，请您提前做好准备，并关闭相关阀门和设备；恢复后请确认一切正常再使用。",
            f"{cause}计划于{start}至{end}{supply}，请提前做好准备。",
        )
    # the office writes it in one language; an English text leaves a Chinese reason out
    cause = f" because of {f.cause}" if f.cause and f.cause.isascii() else ""
    name = f.ticket.commodity or "the"
    return (
        (
            f"we plan to interrupt {name} supply from {start} to {end}{cause}. Please prepare, and close valves and "
            "appliances; after it has come back, make sure that all is well before you use it."
        ),
        f"Planned interruption of {name} supply from {start} to {end}{cause}.",
    )


def _meter_fine(f: Facts, zh: bool) -> tuple[str, str]:
    use, figures = _use(f, zh), _figures(f, zh)
    if zh:
        return (
            (
                f"关于您户的{use}情况，我们已核查完毕{figures}：抄表无误，未发现泄漏，表具计量正常。"
                "核查记录可随时向我们索取；如您仍有疑问，可申请由法定计量检定机构检定。"
            ),
            f"您户{use}已核查：抄表无误，未发现泄漏，表具正常。如有疑问可申请检定。",
        )
    return (
        (
            f"we have finished checking your {use}{figures}: the reads are right, there is no leak, and the meter "
            "counts correctly. You may ask for the record of all checks at any time, and for a test by a legal "
            "metrology laboratory if you still have doubts."
        ),
        f"We have checked your {use}: reads are right, no leak found, the meter is fine.",
    )


#: situation → what is said: (whole text, short text)
SITUATIONS: Mapping[str, Callable[[Facts, bool], tuple[str, str]]] = {
    "usage_rise": _usage_rise,
    "leak_check": _leak_check,
    "real_use": _real_use,
    "meter_swapped": _meter_swapped,
    "credit_approved": _credit_approved,
    "planned_outage": _planned_outage,
    "meter_fine": _meter_fine,
}


def _use(f: Facts, zh: bool) -> str:
    return use_word(f.ticket.commodity, "zh" if zh else "en")


def _figures(f: Facts, zh: bool) -> str:
    """The period's use beside the usual, in brackets; empty where neither is known."""
    estimate = f.ticket.estimate
    if estimate is None:
        return ""
    language = "zh" if zh else "en"
    start = _day(str(f.ticket.evidence.get("start") or ""), f, zh)
    end = _day(str(f.ticket.evidence.get("end") or ""), f, zh)
    unit = unit_word(estimate.unit, language)
    if zh:
        span = f"{start}至{end}" if start and end else "本期"
        return f"（{span}{estimate.billed:.10g}{unit}，以往同样天数约{estimate.expected:.10g}{unit}）"
    span = f"from {start} to {end}" if start and end else "in this period"
    return (
        f" ({span}: {estimate.billed:.10g} {unit}; usual for as many days: {estimate.expected:.10g} {unit})"
    )


def _short(f: Facts, zh: bool) -> str:
    estimate = f.ticket.estimate
    if estimate is None:
        return ""
    unit = unit_word(estimate.unit, "zh" if zh else "en")
    if zh:
        return f"（{estimate.billed:.10g}{unit}，以往约{estimate.expected:.10g}）"
    return _plain(f" ({estimate.billed:.10g} {unit}, usually {estimate.expected:.10g})")


def _plain(text: str) -> str:
    """Without what costs an SMS its 160 characters."""
    return text.replace("m³", "m3")


def _day(at: str, f: Facts, zh: bool) -> str:
    """A day as people write it, in the meter's zone; the text as it came where it is no instant."""
    try:
        stamp = datetime.fromisoformat(at)
    except ValueError:
        return at
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    ns = int(stamp.timestamp()) * NS
    return _date(local_day(f.tz, ns), zh)


def _instant(ns: int, f: Facts, zh: bool) -> str:
    local = local_time(f.tz, ns)
    day = _date(local.date(), zh)
    return f"{day}{local:%H:%M}" if zh else f"{day}, {local:%H:%M}"


def _date(day: date, zh: bool) -> str:
    return f"{day.year}年{day.month}月{day.day}日" if zh else f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
