"""What a ticket says, in Chinese and in English: titles, texts, and the data that goes out.

Words are data here: a kind without words shows its code, which the tests refuse.
"""

from __future__ import annotations

from typing import Any

import msgspec

from streams.messages import NS
from streams.trade.causes import cause_label, check_label
from streams.trade.deliveries import TicketEvent
from streams.trade.routing import department_label
from streams.trade.settlement import sums
from streams.trade.subjects import SUBJECTS
from streams.trade.tickets import NAMED, Estimate, HistoryEntry, Ticket, Urgency, iso, label

LANGUAGES = ("zh", "en")
_COMPLAINTS = 50
#: names that do not follow the rule opened_ns → opened_at
_OUTER = {"paused_ns": "paused_s", "at_ns": "at"}

#: kind of flag → (Chinese, English)
KINDS: dict[str, tuple[str, str]] = {
    "spike": ("用量突增", "spike in use"),
    "high_usage": ("用量异常放大", "unusually high use"),
    "bill_shock": ("账单异常", "bill far above the usual"),
    "low_usage": ("用量偏低", "unusually low use"),
    "level_shift": ("用量水平变化", "change of level"),
    "zero_usage": ("零用量", "no use"),
    "stuck": ("表具卡停", "register stands still"),
    "inactive_use": ("销户仍有用量", "use at an inactive account"),
    "leak": ("疑似泄漏", "suspected leak"),
    "continuous_flow": ("持续不断流", "flow that never stops"),
    "night_flow": ("夜间流量", "flow at night"),
    "over_limit": ("超过最大流量", "flow above the meter's maximum"),
    "rollback": ("表字倒走", "register went back"),
    "rollover": ("表字回零", "register rolled over"),
    "meter_swap": ("换表", "meter swapped"),
    "misread": ("疑似抄错", "suspected misread"),
    "unit_error": ("单位或倍率错误", "unit or multiplier wrong"),
    "sum_mismatch": ("分时与总量不符", "intervals and register disagree"),
    "estimated_run": ("长期估抄", "estimated for too long"),
    "true_up": ("估抄后补足", "true-up after estimates"),
    "gap": ("数据缺失", "readings missing"),
    "silent": ("表具失联", "meter silent"),
    "sentinel": ("错误码读数", "error code in place of a reading"),
    "clock_drift": ("时钟偏差", "clock wrong"),
    "concentrator_silent": ("集中器失联", "concentrator silent"),
    "area_silent": ("片区表具集中失联", "meters of an area silent together"),
    "tamper": ("疑似破坏表具", "tamper alarm"),
    "use_on_closed_valve": ("关阀仍有用量", "use past a closed valve"),
    "limit": ("越限", "limit passed"),
    "rate": ("变化过快", "changes too fast"),
    "frozen": ("测值冻结", "value frozen"),
    "pressure_low": ("压力过低", "pressure low"),
    "pressure_high": ("压力过高", "pressure high"),
    "residual": ("偏离模型", "departs from its model"),
    "outage": ("停供", "outage"),
    "repeated_outage": ("重复停供", "repeated outages"),
    "voltage_low": ("低电压", "voltage low"),
    "voltage_high": ("高电压", "voltage high"),
    "transformer_outage": ("台区停电", "outage of a transformer district"),
    "balance": ("区域不平衡", "district does not balance"),
    "night_minimum": ("夜间最小流量升高", "night minimum has risen"),
    "line_loss": ("线损偏高", "line loss too high"),
    "no_readings": ("没有任何读数", "no readings at all"),
    "worker_lag": ("处理滞后", "processing lags"),
    "process_silent": ("进程无心跳", "process silent"),
    "outbox_stuck": ("工单推送积压", "tickets are not delivered"),
    "desk_disabled": ("接收方已停用推送", "receiver has switched delivery off"),
    "dead_letters": ("无法解析的报文激增", "unreadable messages surge"),
    # a ticket that a complaint has opened is of the kind that was complained of
    **{code: subject.words for code, subject in SUBJECTS.items()},
}

#: codes of an estimate's method and assumptions → (Chinese, English)
ESTIMATE: dict[str, tuple[str, str]] = {
    "history_mean_days": ("历史日均用量 × 本期天数", "mean daily use of the past × days billed"),
    "last_year_area_change": (
        "去年同期日均用量 × 本期天数 × 片区变化率",
        "use of the same season last year × the area's change",
    ),
    "after_swap_mean": (
        "换表后日均用量 × 本期天数",
        "mean daily use since the meter was replaced × days billed",
    ),
    "own": ("人工核定", "set by staff"),
    "detector_expectation": ("检测模型的期望值", "what the detector expected"),
    "days_not_months": ("按天数折算，不按月", "counted by days, not by months"),
    "same_use_as_before": ("假定用户用途与以往相同", "assumes that the customer's use is as before"),
    "no_season": ("未计季节差异", "takes no account of the season"),
    "one_period_no_range": ("仅有一个历史周期，无法给出范围", "one past period only: no range can be given"),
    "range_of_periods": (
        "范围取自历史各周期日均用量的最低与最高",
        "range from the least and the greatest daily use of past periods",
    ),
    "detector_period": ("周期由检测模型确定", "the period is the detector's"),
    "no_range": ("无法给出范围", "no range can be given"),
    "area_change_median": (
        "片区变化率为同片区表计本期与去年同期日均用量中位数之比",
        "the area's change is the ratio of its meters' median use now and a year before",
    ),
    "range_of_neighbours": (
        "范围取自同片区表计变化率的上下四分位数",
        "range from the quartiles of the neighbours' change",
    ),
    "area_unchanged": (
        "同片区可比表计不足五只，按片区用量不变计",
        "fewer than five comparable meters in the area: it counts as unchanged",
    ),
    "same_use_after_swap": ("假定换表前后用途相同", "assumes that use before the swap was as after it"),
    "no_billed_period": ("本期用量或天数不明", "the period billed, or its amount, is not known"),
    "no_past_period": ("没有可用的历史周期", "no past period that can be used"),
    "no_last_year": ("没有去年同期读数", "no reads of the same season last year"),
    "no_swap": ("没有换表记录", "no swap of the meter is on record"),
    "too_short_after_swap": ("换表后读数不足十四天", "fewer than fourteen days of reads since the swap"),
    "no_reads_here": ("本机没有历史读数", "no history of readings can be read here"),
    "no_bill_day": ("档案中未登记出账日", "the registry states no bill day"),
    "history_away": ("历史读数暂不可用", "the history of readings could not be reached"),
    "bills_by_reads": ("后续账单按抄表周期推定", "later bills taken to be those between its reads"),
    "bills_by_bill_day": ("后续账单按出账日推定", "later bills taken to be those from bill day to bill day"),
    "bills_unread": ("读数不全的账单未列入", "bills whose days are not covered by reads are left out"),
    "later_use_as_read": ("后续用量按读数计", "use of the later bills as it was read"),
    "range_of_credit": ("范围取自退补量的范围", "range by that of the credited use"),
    "no_tariff_file": ("未配置价格文件", "no tariff file is configured"),
    "no_tariff_named": ("档案中未登记价格类别", "the registry names no tariff for this meter"),
    "tariff_unknown": ("价格文件中没有该价格类别", "the tariff file does not have this tariff"),
    "no_price_then": ("价格文件中没有当期价格", "the tariff file has no price for that time"),
    "unit_differs": ("计量单位与价格单位不符", "the unit is not the tariff's"),
    "negative_use": ("用量为负，无法计价", "use below zero has no price"),
    "tier_place_unsure": (
        "本计费年度此前用量不全，阶梯位置按已知用量计",
        "reads do not reach back to the start of the tariff year: its tiers are counted by what is known",
    ),
    "no_period": ("计费起止日期不明", "the days that were billed are not known"),
}

#: action → (Chinese, English)
ACTIONS: dict[str, tuple[str, str]] = {
    "opened": ("新建工单", "opened"),
    "updated": ("情况更新", "updated"),
    "hold_asked": ("用户要求暂缓账单，待人工处理", "the bill is asked to be held: a person has to decide"),
    "complaint_kept": ("补录历史投诉", "an old complaint was added"),
    "joined": ("并入新的异常", "another episode joined"),
    "relapsed": ("处理后复发", "came back after the work was done"),
    "cleared": ("异常已消失", "the anomaly has ended"),
    "linked": ("关联工单", "linked to another ticket"),
    "moved": ("状态变更", "changed state"),
    "checked": ("完成核查", "check done"),
    "escalated": ("提级", "escalated"),
    "reported": ("外部系统反馈", "another system said"),
    "judged": ("认定结论", "verdict given"),
    "credit_proposed": ("提出退补方案", "credit proposed"),
    "credit_approved": ("退补方案已审批", "credit approved"),
    "credit_refused": ("退补方案被驳回", "credit refused"),
    "bills_to_rerate": ("后续账单待重新计费", "later bills are to be re-rated"),
    "bills_rerated": ("后续账单已重新计费", "later bills have been re-rated"),
    "credit_booked": ("退补已入账", "credit booked"),
    "bill_held": ("账单暂缓", "bill on hold"),
    "bill_released": ("账单恢复出账", "bill released"),
    "notice_drafted": ("拟写用户告知", "message to the customer drafted"),
    "notice_approved": ("用户告知已审批", "message to the customer approved"),
    "notice_sent": ("用户告知已发送", "message to the customer sent"),
    "complained": ("收到用户投诉", "a customer has complained"),
    "located": ("已确认用户供应点", "service point found"),
    "passed_on": ("投诉已转至首张工单", "complaint passed on to the ticket that was there first"),
    "handed_off": ("转派", "handed off"),
    "check_added": ("增加核查", "check added"),
    "merged": ("合并至其他工单", "merged into another ticket"),
    "took_over": ("并入其他工单", "took another ticket over"),
    "to_explain": ("转为用量解释", "to be explained to the customer"),
    "noted": ("备注", "note"),
    "swapped": ("登记换表起止码", "meter swap recorded"),
    "swap_seen": ("新表已有读数", "the new meter has been read"),
    "recorded": ("登记专项记录", "record kept"),
    "impact": ("影响级别", "class of impact"),
    "overdue": ("超时限", "overdue"),
    "billed_soon": ("临近出账", "bill run is near"),
}

#: lines of history that other systems are not told of: work in progress, and what is long over
UNTOLD = frozenset(
    {"checked", "check_added", "noted", "reported", "recorded", "notice_drafted", "complaint_kept"}
)

#: the words between the figures
PHRASES: dict[str, dict[str, str]] = {
    "zh": {
        "colon": "：",
        "range": "（{} … {}）",
        "stop": "。",
        "and": "；",
        "ticket": "工单",
        "meter": "表计",
        "since": "起始",
        "observed": "实测",
        "expected": "预期",
        "should": "应计",
        "billed": "已计",
        "excess": "差额",
        "causes": "可能原因与核查顺序：",
    },
    "en": {
        "colon": ": ",
        "range": " ({} … {})",
        "stop": ". ",
        "and": "; ",
        "ticket": "Ticket",
        "meter": "Meter",
        "since": "since",
        "observed": "observed",
        "expected": "expected",
        "should": "should be",
        "billed": "billed",
        "excess": "excess",
        "causes": "Possible causes, in the order of the checks:",
    },
}

_EVENT_OF = {"relapsed": "joined"}


def kind_label(kind: str, language: str) -> str:
    """The words for a kind of flag in ``zh`` or ``en``."""
    return _word(KINDS, kind, language)


def title(ticket: Ticket, language: str) -> str:
    """One line: class, what, where."""
    kind, where = kind_label(ticket.kind, language), ticket.service_point_id
    category = label(ticket.category, language)
    emergency = ticket.urgency is Urgency.EMERGENCY
    if language == "zh":
        marks = ("【演练】" if ticket.drill else "") + ("【紧急】" if emergency else "")
        return f"{marks}{category}：{kind}（{where}）"
    marks = ("[DRILL] " if ticket.drill else "") + ("[EMERGENCY] " if emergency else "")
    return f"{marks}{category}: {kind} at {where}"


def body(ticket: Ticket, entry: HistoryEntry, language: str) -> str:
    """What happened, the figures, the estimate, and the checks in their order."""
    say = PHRASES[language]
    what = _word(ACTIONS, entry.action, language)
    owner = department_label(ticket.owner_department, language)
    state = f"{label(ticket.urgency, language)} · {label(ticket.state, language)}"
    lines = [
        f"{what}{say['colon']}{entry.note}" if entry.note else what,
        f"{say['ticket']} {ticket.id} · {ticket.priority} · {state} · {owner}",
        f"{say['meter']} {ticket.meter_id} · {say['since']} {ticket.evidence.get('start', '')}",
    ]
    seen, expected = ticket.evidence.get("observed"), ticket.evidence.get("expected")
    unit = ticket.evidence.get("unit", "")
    if seen is not None:
        text = f"{say['observed']} {seen:.10g} {unit}"
        lines.append(text if expected is None else f"{text} · {say['expected']} {expected:.10g} {unit}")
    if ticket.estimate is not None:
        lines.append(_estimate_line(ticket.estimate, language))
    if ticket.hypotheses:
        lines.append(say["causes"])
    for n, h in enumerate(ticket.hypotheses, 1):
        lines.append(f"{n}. {cause_label(h.cause, language)} – {check_label(h.next_check, language)}")
    return "\n".join(lines)


def public(ticket: Ticket) -> dict[str, Any]:
    """The ticket as it goes out: JSON types, instants in ISO 8601, no history and no steps.

    Of its flags and complaints the newest 50 each and their numbers: what goes out stays small however
    long a case lasts.
    """
    fields = msgspec.to_builtins(ticket)
    for name in ("history", "steps", "external_refs", "prior", "digest"):
        del fields[name]
    fields["flag_ids"] = ticket.flag_ids[-NAMED:]
    fields["complaints"] = len(ticket.complaint_ids)
    fields["complaint_ids"] = ticket.complaint_ids[-_COMPLAINTS:]
    fields["credit_sums"] = msgspec.to_builtins(sums(ticket.credits))
    return {_outer(name): _value(name, value) for name, value in fields.items()}


def announce(ticket: Ticket, entry: HistoryEntry) -> TicketEvent:
    """The event that tells desks of one line of a ticket's history."""
    return TicketEvent(
        id=f"{ticket.id}.{entry.seq}",
        type=_EVENT_OF.get(entry.action, entry.action),
        ticket_id=ticket.id,
        time_ns=entry.at_ns,
        category=ticket.category,
        urgency=ticket.urgency,
        priority=ticket.priority,
        drill=ticket.drill,
        data={
            "ticket": public(ticket),
            "change": {_outer(k): _value(k, v) for k, v in msgspec.to_builtins(entry).items()},
            "text": {
                language: {"title": title(ticket, language), "body": body(ticket, entry, language)}
                for language in LANGUAGES
            },
        },
    )


def _estimate_line(estimate: Estimate, language: str) -> str:
    say, unit = PHRASES[language], estimate.unit
    text = (
        f"{say['should']} {estimate.expected:.10g} {unit} · {say['billed']} {estimate.billed:.10g} {unit} · "
        f"{say['excess']} {estimate.excess:.10g} {unit}"
    )
    if estimate.low is not None and estimate.high is not None:
        text += say["range"].format(f"{estimate.low:.10g}", f"{estimate.high:.10g}")
    notes = [_word(ESTIMATE, code, language) for code in (estimate.method, *estimate.assumptions)]
    return f"{text}{say['stop']}{say['and'].join(notes)}"


def _outer(name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    return f"{name[:-3]}_at" if name.endswith("_ns") else name


def _value(name: str, value: Any) -> Any:
    if name in ("sla", "callback", "swap", "credit", "rerating") and value is not None:
        return {_outer(inner): _value(inner, cell) for inner, cell in value.items()}
    if name in ("notices", "earlier_credits"):
        return [{_outer(inner): _value(inner, cell) for inner, cell in one.items()} for one in value]
    if name == "paused_ns":
        return value / NS
    return iso(value) if name.endswith("_ns") and isinstance(value, int) else value


def _word(words: dict[str, tuple[str, str]], code: str, language: str) -> str:
    pair = words.get(code)
    return code if pair is None else pair[0 if language == "zh" else 1]
