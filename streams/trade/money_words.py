"""Words of credits, bill runs and notices in Chinese and English, by code."""

from __future__ import annotations

from decimal import Decimal

#: states of a credit, what becomes of a bill and why, situations and channels → (Chinese, English)
MONEY: dict[str, tuple[str, str]] = {
    "proposed": ("待审批", "proposed"),
    "approved": ("已审批", "approved"),
    "refused": ("已驳回", "refused"),
    "booked": ("已入账", "booked"),
    "draft": ("草稿", "draft"),
    "sent": ("已发送", "sent"),
    "hold": ("暂缓出账", "hold"),
    "send": ("正常出账", "send"),
    "send_estimated": ("按估算出账", "send estimated"),
    "rerate": ("待重新计费", "to be re-rated"),
    "tiers_shifted": ("此前已出账单的阶梯档位有变", "earlier bills stood at the wrong place in the tiers"),
    "held": ("争议账单已暂缓", "the bill is disputed and held"),
    "credit_pending": ("退补待审批", "a credit waits for approval"),
    "credit_settled": ("退补已审批", "the credit is approved"),
    "customer_told": ("属实际用量，已告知用户", "real use, and the customer has been told"),
    "tell_first": ("出账前请先告知用户", "tell the customer before the bill goes out"),
    "work_done": ("已处理完毕", "the work is done"),
    "no_read": ("无可用读数", "there is no read to bill by"),
    "stands_still": ("表具卡停，读数不可用", "the register stands still"),
    "read_in_doubt": ("读数存疑，待核实", "the read is in doubt"),
    "excess_open": ("用量异常，原因未查明", "use above the usual, cause not found yet"),
    "bill_not_touched": ("不影响计费", "does not concern the bill"),
    "usage_rise": ("用量上升提醒", "use has risen"),
    "leak_check": ("疑似泄漏，请自查", "please check for a leak"),
    "real_use": ("实际用量说明", "real use, explained before the bill"),
    "meter_swapped": ("换表起止码告知", "meter swapped: stop and start reads"),
    "credit_approved": ("退补结果告知", "credit approved"),
    "planned_outage": ("计划停供告知", "planned outage"),
    "meter_fine": ("核查结果：表具正常", "outcome: the meter is fine"),
    "sms": ("短信", "SMS"),
    "phone": ("电话", "telephone"),
    "app": ("掌上营业厅", "app"),
    "email": ("电子邮件", "e-mail"),
    "letter": ("书面通知", "letter"),
    "visit": ("上门告知", "visit"),
}

#: commodity → (what it is called, the money for it, what a prepaid meter is given back)
_THINGS_ZH = {
    "gas": ("燃气", "气费", "补气"),
    "water": ("自来水", "水费", "退水量"),
    "electricity": ("电", "电费", "退补电量"),
    "heat": ("供热", "热费", "退热量"),
}
_USE_ZH = {"gas": "用气量", "water": "用水量", "electricity": "用电量", "heat": "用热量"}
_USE_EN = {"gas": "gas use", "water": "water use", "electricity": "electricity use", "heat": "heat use"}
#: UCUM → (Chinese, English)
UNITS: dict[str, tuple[str, str]] = {
    "m3": ("立方米", "m³"),
    "L": ("升", "L"),
    "kW.h": ("千瓦时", "kWh"),
    "W.h": ("瓦时", "Wh"),
    "GJ": ("吉焦", "GJ"),
    "MJ": ("兆焦", "MJ"),
}
_CURRENCY_ZH = {"CNY": "元", "HKD": "港元", "USD": "美元", "EUR": "欧元"}


def money_word(code: str, language: str) -> str:
    """The word for a code in ``zh`` or ``en``; the code itself where there is none."""
    pair = MONEY.get(code)
    return code if pair is None else pair[0 if language == "zh" else 1]


def use_word(commodity: str, language: str) -> str:
    """What use of a commodity is called."""
    return _USE_ZH.get(commodity, "用量") if language == "zh" else _USE_EN.get(commodity, "use")


def unit_word(unit: str, language: str) -> str:
    """A unit as customers know it."""
    pair = UNITS.get(unit)
    return unit if pair is None else pair[0 if language == "zh" else 1]


def credit_word(commodity: str, back: bool, in_kind: bool, language: str) -> str:
    """What a credit is called: 退水费, 补收电费, 补气 …

    back    : the customer gets it; else it is charged
    in_kind : given or charged as use, not as money
    """
    if language != "zh":
        what = "credit" if back else "additional charge"
        return f"{what} of {_USE_EN.get(commodity, 'use')}" if in_kind else what
    _, fee, kind = _THINGS_ZH.get(commodity, ("", "费用", "退量"))
    if in_kind:
        return kind if back else f"补计{_USE_ZH.get(commodity, '用量')}"
    return f"退{fee}" if back else f"补收{fee}"


def amount_word(amount: Decimal, currency: str, language: str) -> str:
    """Money without its sign, as customers read it: 646.81 元, CNY 646.81."""
    plain = f"{abs(amount):,f}" if language == "en" else f"{abs(amount):f}"
    if language == "zh" and currency in _CURRENCY_ZH:
        return f"{plain}{_CURRENCY_ZH[currency]}"
    return f"{currency} {plain}".strip()
