"""What may lie behind a flag: ranked hypotheses, each with the check that decides it.

The order is the trade's: what is cheap to exclude and what is dangerous come first
(misread 抄错 → leak 漏气 → meter test 校表). The weights are priors of ours, not
measured frequencies; they rank, and verdicts of staff are to replace them. None says
that a meter *is* defective: the same picture is known from meters that pass their test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams.messages import Flag
from streams.trade.tickets import Hypothesis, Step, StepKind

#: cause → (Chinese, English)
CAUSES: dict[str, tuple[str, str]] = {
    "misread": ("抄错", "misread"),
    "leak": ("泄漏", "leak"),
    "meter_fault": ("计量器具故障", "meter fault"),
    "true_up": ("前期估抄、本期补足", "true-up after estimated reads"),
    "real_use": ("用量确有增加", "the use is real"),
    "appliance": ("燃器具或水龙头未关", "an appliance or tap left open"),
    "vacancy": ("房屋空置", "the premises are vacant"),
    "meter_stuck": ("表具卡停", "the meter is stuck"),
    "bypass": ("绕表用气或窃用", "use past the meter"),
    "wrong_multiplier": ("单位或倍率错误", "wrong unit or multiplier"),
    "meter_swap": ("换表未登记", "a meter swap that was not recorded"),
    "device_reset": ("表具重置", "the device was reset"),
    "rollover": ("表字回零", "the register rolled over"),
    "direction": ("双向计量未登记（如光伏上网）", "it counts both ways, and the registry does not say so"),
    "communication": ("通信中断", "communication failure"),
    "battery": ("电池耗尽", "battery empty"),
    "power_loss": ("现场停电", "no power on site"),
    "device_clock": ("表具时钟错误", "the device's clock is wrong"),
    "sensor_fault": ("传感器故障", "sensor fault"),
    "interference": ("人为破坏", "interference with the meter"),
    "valve_passing": ("阀门关闭不严", "the valve does not close"),
    "process": ("工艺异常", "the process itself"),
    "line_fault": ("线路或设备故障", "line or equipment fault"),
    "planned_work": ("计划停供", "planned work"),
    "overload": ("负荷过大", "overload"),
    "registry": ("台账错误", "the registry is wrong"),
    "unexplained": ("查无原因", "nothing found"),
    "our_process": ("本系统进程故障", "a process of ours"),
    "receiver": ("对方系统不可用", "the receiving system is away"),
    "source": ("上游数据源中断", "the source of readings is away"),
}

#: check → (kind of step, Chinese, English)
CHECKS: dict[str, tuple[StepKind, str, str]] = {
    "read_again": (
        StepKind.DATA_QUERY,
        "复核抄表：对照本次与上次读数、照片或再抄一次",
        "check the read: this one against the last, its photo, or read again",
    ),
    "leak_test": (
        StepKind.SITE_VISIT,
        "上门检漏：关闭全部用具，观察表具是否走字",
        "look for a leak on site: everything shut, does the meter still move?",
    ),
    "meter_test": (
        StepKind.DEVICE_TEST,
        "校表：送检并取得检定报告",
        "have the meter tested and keep the report",
    ),
    "estimated_reads": (
        StepKind.DATA_QUERY,
        "查询前期是否为估抄",
        "see whether earlier reads were estimated",
    ),
    "ask_customer": (
        StepKind.INTERVIEW,
        "询问用户：人口、用具、用途是否变化",
        "ask the customer: people, appliances, purpose – what changed?",
    ),
    "shut_off": (
        StepKind.INTERVIEW,
        "联系用户，逐一关闭用具与龙头",
        "call the customer: shut appliances and taps one by one",
    ),
    "vacancy_record": (
        StepKind.DATA_QUERY,
        "查询空置登记与其他表计用量",
        "look at the vacancy record and at the other meters of the premises",
    ),
    "inspect_meter": (
        StepKind.SITE_VISIT,
        "现场查看表具、铅封与旁通",
        "look at meter, seal and bypass on site",
    ),
    "device_record": (
        StepKind.DATA_QUERY,
        "核对表号、倍率、换表记录",
        "compare serial, multiplier and swap records",
    ),
    "network_state": (
        StepKind.DATA_QUERY,
        "查询集中器与网络状态",
        "look at the concentrator and the network",
    ),
    "replace_battery": (
        StepKind.SITE_VISIT,
        "现场检查电池并更换",
        "check and replace the battery on site",
    ),
    "control_room": (
        StepKind.INTERVIEW,
        "联系调度室核实工况",
        "ask the control room what the plant is doing",
    ),
    "test_sensor": (
        StepKind.DEVICE_TEST,
        "校验传感器",
        "test the sensor",
    ),
    "inspect_line": (
        StepKind.SITE_VISIT,
        "巡线并检查设备",
        "walk the line and check the equipment",
    ),
    "line_study": (
        StepKind.DATA_QUERY,
        "专题研究该线路，制定整改方案",
        "study the line and draw up a plan to mend it",
    ),
    "work_calendar": (
        StepKind.DATA_QUERY,
        "查询计划停供安排与通知",
        "look at the calendar of planned work and its notices",
    ),
    "registry_check": (
        StepKind.DATA_QUERY,
        "核对区域内表计清单",
        "compare the list of meters of the area",
    ),
    "process_log": (
        StepKind.DATA_QUERY,
        "查看进程日志与资源",
        "look at the process, its log, memory and disk",
    ),
    "call_receiver": (
        StepKind.INTERVIEW,
        "联系接收系统的管理员",
        "call whoever runs the receiving system",
    ),
    "call_source": (
        StepKind.INTERVIEW,
        "联系数据源与 MQTT 服务的管理员",
        "call whoever runs the head-end and the MQTT broker",
    ),
}

POSITIVE, NEGATIVE, UNCLEAR = "positive", "negative", "unclear"
UNEXPLAINED = "unexplained"
_FINDS, _WRONGLY, _REST = 0.95, 0.02, 0.02

_Ranked = tuple[tuple[str, float, str], ...]

_MISREAD = ("misread", "read_again")
_LOW: _Ranked = (
    ("true_up", 0.2, "estimated_reads"),
    ("vacancy", 0.25, "vacancy_record"),
    ("meter_fault", 0.3, "meter_test"),
    ("bypass", 0.25, "inspect_meter"),
)
_STOPPED: _Ranked = (
    ("vacancy", 0.4, "vacancy_record"),
    ("meter_stuck", 0.4, "inspect_meter"),
    ("bypass", 0.2, "inspect_meter"),
)
#: the same amount again and again: somebody is there, and it is counted
_SAME: _Ranked = (
    ("communication", 0.4, "estimated_reads"),  # a head end fills in what it has not heard
    ("meter_stuck", 0.6, "inspect_meter"),
)
_SILENT: _Ranked = (
    ("communication", 0.5, "network_state"),
    ("battery", 0.3, "replace_battery"),
    ("meter_fault", 0.2, "inspect_meter"),
)
_PLANT: _Ranked = (
    ("process", 0.6, "control_room"),
    ("sensor_fault", 0.4, "test_sensor"),
)
_OUTAGE: _Ranked = (
    ("planned_work", 0.3, "work_calendar"),
    ("line_fault", 0.7, "inspect_line"),
)
_VOLTAGE: _Ranked = (
    ("overload", 0.6, "inspect_line"),
    ("line_fault", 0.4, "inspect_line"),
)
_HIGH_GAS: _Ranked = (
    (_MISREAD[0], 0.35, _MISREAD[1]),
    ("leak", 0.25, "leak_test"),
    ("meter_fault", 0.2, "meter_test"),
    ("true_up", 0.1, "estimated_reads"),
    ("real_use", 0.1, "ask_customer"),
)
_HIGH_POWER: _Ranked = (
    (_MISREAD[0], 0.3, _MISREAD[1]),
    ("real_use", 0.3, "ask_customer"),
    ("meter_fault", 0.2, "meter_test"),
    ("true_up", 0.2, "estimated_reads"),
)
_FALLS_DAILY: _Ranked = (
    ("direction", 0.6, "device_record"),
    ("meter_fault", 0.25, "meter_test"),
    ("communication", 0.15, "network_state"),
)
_LEAK: _Ranked = (
    ("leak", 0.6, "leak_test"),
    ("appliance", 0.25, "shut_off"),
    ("meter_fault", 0.15, "meter_test"),
)

_BY_FAMILY: Mapping[str, _Ranked] = {
    "usage_high": _HIGH_GAS,
    "usage_low": _LOW,
    "leak": _LEAK,
    "register": (
        (_MISREAD[0], 0.4, _MISREAD[1]),
        ("meter_swap", 0.3, "device_record"),
        ("device_reset", 0.3, "inspect_meter"),
    ),
    "data": _SILENT,
    "tamper": (("interference", 0.7, "inspect_meter"), ("sensor_fault", 0.3, "test_sensor")),
    "scada": _PLANT,
    "supply": _OUTAGE,
    "balance": (
        ("registry", 0.3, "registry_check"),
        ("leak", 0.4, "inspect_line"),
        ("bypass", 0.3, "inspect_meter"),
    ),
    "operations": (("our_process", 1.0, "process_log"),),
}
_BY_KIND: Mapping[str, _Ranked] = {
    "zero_usage": _STOPPED,
    "stuck": _STOPPED,
    "inactive_use": (("registry", 0.4, "device_record"), ("bypass", 0.6, "inspect_meter")),
    "over_limit": (
        ("appliance", 0.5, "ask_customer"),
        ("leak", 0.3, "leak_test"),
        ("meter_fault", 0.2, "meter_test"),
    ),
    "misread": ((_MISREAD[0], 0.8, _MISREAD[1]), ("device_reset", 0.2, "inspect_meter")),
    "rollover": (("rollover", 0.8, "read_again"), ("device_reset", 0.2, "inspect_meter")),
    "meter_swap": (("meter_swap", 0.9, "device_record"), ("registry", 0.1, "device_record")),
    "unit_error": (("wrong_multiplier", 0.7, "device_record"), (_MISREAD[0], 0.3, _MISREAD[1])),
    "sum_mismatch": (("wrong_multiplier", 0.4, "device_record"), ("communication", 0.6, "network_state")),
    "estimated_run": (("communication", 0.6, "network_state"), ("battery", 0.4, "replace_battery")),
    "true_up": (("true_up", 0.9, "estimated_reads"), ("real_use", 0.1, "ask_customer")),
    "sentinel": (("meter_fault", 0.7, "inspect_meter"), ("communication", 0.3, "network_state")),
    "clock_drift": (("device_clock", 0.8, "network_state"), ("battery", 0.2, "replace_battery")),
    "area_silent": (("power_loss", 0.3, "inspect_line"), ("communication", 0.7, "network_state")),
    "concentrator_silent": (("power_loss", 0.5, "inspect_line"), ("communication", 0.5, "network_state")),
    "use_on_closed_valve": (("valve_passing", 0.5, "inspect_meter"), ("bypass", 0.5, "inspect_meter")),
    "frozen": (("sensor_fault", 0.8, "test_sensor"), ("process", 0.2, "control_room")),
    "repeated_outage": (("line_fault", 0.7, "inspect_line"), ("overload", 0.3, "line_study")),
    "voltage_low": _VOLTAGE,
    "voltage_high": (("line_fault", 1.0, "inspect_line"),),
    "night_minimum": (("leak", 0.8, "inspect_line"), ("real_use", 0.2, "control_room")),
    "no_readings": (("source", 0.6, "call_source"), ("our_process", 0.4, "process_log")),
    "outbox_stuck": (("receiver", 0.8, "call_receiver"), ("our_process", 0.2, "process_log")),
    "desk_disabled": (("receiver", 1.0, "call_receiver"),),
    "dead_letters": (("source", 0.8, "call_source"), ("our_process", 0.2, "process_log")),
}


def hypotheses(flag: Flag) -> tuple[Hypothesis, ...]:
    """The causes to be considered for a flag, in the order in which they are checked."""
    if flag.kind == "rollback" and flag.evidence.get("falls_of_late"):
        ranked = _FALLS_DAILY
    elif flag.kind == "stuck" and _same(flag):
        ranked = _SAME
    elif flag.kind in _BY_KIND:
        ranked = _BY_KIND[flag.kind]
    elif flag.family == "usage_high" and flag.commodity == "electricity":
        ranked = _HIGH_POWER  # there is nothing to leak
    else:
        ranked = _BY_FAMILY.get(flag.family, _HIGH_GAS)
    return tuple(Hypothesis(cause, weight, check) for cause, weight, check in ranked)


def _same(flag: Flag) -> bool:
    """Whether a meter that is stuck tells the same use hour by hour, or day by day, and not none."""
    return "equal_hours" in flag.evidence or flag.evidence.get("detector") == "high_low"


def steps(causes: tuple[Hypothesis, ...], known: tuple[str, ...] = ()) -> tuple[Step, ...]:
    """The checks that decide the hypotheses and are not ``known``, numbered after those; each stands once."""
    found: dict[str, Step] = {}
    for cause in causes:
        check = cause.next_check
        if check not in found and check not in known:
            kind = CHECKS[check][0]
            found[check] = Step(seq=len(known) + len(found) + 1, kind=kind, check=check, cause=cause.cause)
    return tuple(found.values())


def weigh(flag_causes: tuple[Hypothesis, ...], done: Iterable[Step]) -> tuple[Hypothesis, ...]:
    """The causes after the checks that are done, the likeliest first; what is excluded stays, with what is left of it.

    Bayes' rule on the prior shares: a check finds its cause where it is the cause in ``_FINDS`` of the
    cases, and finds it wrongly in ``_WRONGLY``. What no check looks for begins with ``_REST``: it
    leads once everything is excluded.
    """
    odds = {cause.cause: cause.weight * (1 - _REST) for cause in flag_causes if cause.cause != UNEXPLAINED}
    odds[UNEXPLAINED] = _REST
    looks_for = {cause.cause: cause.next_check for cause in flag_causes}
    for step in done:
        if step.finding not in (POSITIVE, NEGATIVE):
            continue
        for cause in odds:
            looked = looks_for.get(cause) == step.check
            if step.finding == NEGATIVE:
                odds[cause] *= 1 - _FINDS if looked else 1 - _WRONGLY
            else:
                # one check may look for two causes: what it has found is written on the step
                odds[cause] *= _FINDS if looked and cause == step.cause else _WRONGLY
    total = sum(odds.values())
    weighed = [
        Hypothesis(cause, round(weight / total, 4), looks_for.get(cause, "ask_customer"))
        for cause, weight in odds.items()
        if cause != UNEXPLAINED or any(step.finding == NEGATIVE for step in done)
    ]
    return tuple(sorted(weighed, key=lambda one: -one.weight))


def cause_label(code: str, language: str) -> str:
    """The word for a cause in ``zh`` or ``en``."""
    return CAUSES[code][0 if language == "zh" else 1] if code in CAUSES else code


def check_label(code: str, language: str) -> str:
    """The words for a check in ``zh`` or ``en``."""
    return CHECKS[code][1 if language == "zh" else 2] if code in CHECKS else code
