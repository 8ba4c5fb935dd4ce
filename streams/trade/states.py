"""The states of a ticket and the codes of the trade, with their words in Chinese and English.

States map to the statuses of TM Forum's TMF621 trouble ticket API; categories and
urgencies are those of a gas utility's complaint handling.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a ticket stands."""

    NEW = "new"
    TRIAGED = "triaged"
    ASSIGNED = "assigned"
    INVESTIGATING = "investigating"
    PROPOSED = "proposed"
    REOPENED = "reopened"
    WAITING_CUSTOMER = "waiting_customer"
    WAITING_LAB = "waiting_lab"
    IMPLEMENTED = "implemented"
    CALLBACK = "callback"
    CLOSED = "closed"
    ARCHIVED = "archived"
    FALSE_ALARM = "false_alarm"
    MERGED = "merged"


class Category(StrEnum):
    """The trade's classes of complaint."""

    SUPPLY_QUALITY = "supply_quality"
    METERING_BILLING = "metering_billing"
    INSTALL_REPAIR = "install_repair"
    SAFETY = "safety"
    SERVICE_ATTITUDE = "service_attitude"
    POLICY_INQUIRY = "policy_inquiry"


class Urgency(StrEnum):
    """How soon somebody must look."""

    EMERGENCY = "emergency"
    NORMAL = "normal"
    LOW = "low"


class Origin(StrEnum):
    """What opened the ticket."""

    PROACTIVE = "proactive"
    COMPLAINT = "complaint"
    MANUAL = "manual"


class StepKind(StrEnum):
    """Kinds of investigation."""

    SITE_VISIT = "site_visit"
    DATA_QUERY = "data_query"
    INTERVIEW = "interview"
    DEVICE_TEST = "device_test"


#: states after which the next episode of the same family opens a ticket of its own
ENDED = frozenset({State.CLOSED, State.ARCHIVED, State.FALSE_ALARM, State.MERGED})
#: states that count as open: at most one such ticket for a service point and family
OPEN = frozenset(State) - ENDED
#: states in which the clock of the due dates stands still
PAUSED = frozenset({State.WAITING_CUSTOMER, State.WAITING_LAB})
#: open states in which the work is done: a new episode is a relapse
RESOLVED = frozenset({State.IMPLEMENTED, State.CALLBACK})

#: state → status of TM Forum's TMF621 trouble ticket
TMF621: dict[State, str] = {
    State.NEW: "acknowledged",
    State.TRIAGED: "acknowledged",
    State.ASSIGNED: "acknowledged",
    State.INVESTIGATING: "inProgress",
    State.PROPOSED: "inProgress",
    State.REOPENED: "inProgress",
    State.WAITING_CUSTOMER: "pending",
    State.WAITING_LAB: "pending",
    State.IMPLEMENTED: "resolved",
    State.CALLBACK: "resolved",
    State.CLOSED: "closed",
    State.ARCHIVED: "closed",
    State.FALSE_ALARM: "rejected",
    State.MERGED: "cancelled",
}

_WORKING = {
    State.INVESTIGATING,
    State.PROPOSED,
    State.WAITING_CUSTOMER,
    State.WAITING_LAB,
    State.IMPLEMENTED,
    State.FALSE_ALARM,
    State.MERGED,
}
#: state → states that may follow it
TRANSITIONS: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.TRIAGED, State.ASSIGNED, *_WORKING} - {State.IMPLEMENTED, State.PROPOSED}),
    State.TRIAGED: frozenset({State.ASSIGNED, *_WORKING} - {State.IMPLEMENTED}),
    State.ASSIGNED: frozenset({State.TRIAGED, State.ASSIGNED, *_WORKING} - {State.IMPLEMENTED}),
    State.INVESTIGATING: frozenset({State.ASSIGNED, *_WORKING} - {State.INVESTIGATING}),
    State.PROPOSED: frozenset({State.ASSIGNED, *_WORKING} - {State.PROPOSED}),
    State.REOPENED: frozenset({State.TRIAGED, State.ASSIGNED, *_WORKING}),
    State.WAITING_CUSTOMER: frozenset({State.ASSIGNED, *_WORKING} - {State.WAITING_CUSTOMER}),
    State.WAITING_LAB: frozenset({State.ASSIGNED, *_WORKING} - {State.WAITING_LAB}),
    State.IMPLEMENTED: frozenset({State.CALLBACK, State.CLOSED, State.REOPENED}),
    State.CALLBACK: frozenset({State.CLOSED, State.REOPENED}),
    State.CLOSED: frozenset({State.ARCHIVED, State.REOPENED}),
    State.ARCHIVED: frozenset(),
    State.FALSE_ALARM: frozenset({State.REOPENED, State.ARCHIVED}),
    State.MERGED: frozenset(),
}

#: 责任: whose fault it was
RESPONSIBILITIES = ("company", "customer", "third_party", "force_majeure", "none")
#: what was done
RESOLUTIONS = (
    "repair", "replacement", "explanation", "fee_adjustment", "apology", "shut_off", "registry_mended", "no_action",
)  # fmt: skip
#: under what a case is kept in the archive
ARCHIVES = (
    "metering",
    "billing",
    "leak",
    "supply",
    "device",
    "safety",
    "service",
    "explained",
    "false_alarm",
)
CODES: dict[str, tuple[str, ...]] = {
    "responsibility": RESPONSIBILITIES,
    "resolution": RESOLUTIONS,
    "archive_class": ARCHIVES,
}

#: code → (Chinese, English), for every code of this module
LABELS: dict[str, tuple[str, str]] = {
    "new": ("新建", "new"),
    "triaged": ("已研判", "triaged"),
    "assigned": ("已分派", "assigned"),
    "investigating": ("调查中", "investigating"),
    "proposed": ("待确认方案", "solution proposed"),
    "reopened": ("重开", "reopened"),
    "waiting_customer": ("待用户", "waiting for the customer"),
    "waiting_lab": ("待检定", "waiting for the meter test"),
    "implemented": ("已处理", "implemented"),
    "callback": ("待回访", "callback due"),
    "closed": ("已办结", "closed"),
    "archived": ("已归档", "archived"),
    "false_alarm": ("误报", "false alarm"),
    "merged": ("合并", "merged"),
    "escalated": ("提级", "escalated"),
    "supply_quality": ("供气质量类", "supply quality"),
    "metering_billing": ("计量收费类", "metering and billing"),
    "install_repair": ("安装维修类", "installation and repair"),
    "safety": ("安全管理类", "safety"),
    "service_attitude": ("服务态度类", "staff attitude"),
    "policy_inquiry": ("政策咨询类", "policy enquiry"),
    "emergency": ("紧急", "emergency"),
    "normal": ("一般", "normal"),
    "low": ("低", "low"),
    "proactive": ("未诉先办", "proactive"),
    "complaint": ("投诉", "complaint"),
    "manual": ("人工", "manual"),
    "site_visit": ("现场勘查", "site visit"),
    "data_query": ("数据查询", "data query"),
    "interview": ("人员访谈", "interview"),
    "device_test": ("设备检测", "device test"),
    "drill": ("演练", "drill"),
    "case": ("处理", "case"),
    "explain": ("用量解释", "explain the use"),
    "large_customer": ("大客户", "large customer"),
    "company": ("企业责任", "the company"),
    "customer": ("用户责任", "the customer"),
    "third_party": ("第三方责任", "a third party"),
    "force_majeure": ("不可抗力", "force majeure"),
    "none": ("无责任方", "nobody"),
    "repair": ("维修", "repair"),
    "replacement": ("更换", "replacement"),
    "explanation": ("解释说明", "explanation"),
    "fee_adjustment": ("费用调整", "fee adjustment"),
    "apology": ("道歉", "apology"),
    "shut_off": ("停用", "shut off"),
    "registry_mended": ("更正档案", "registry mended"),
    "no_action": ("无需处理", "nothing to be done"),
    "confirmed": ("属实", "confirmed"),
    "explained": ("已解释", "explained"),
    "metering": ("计量", "metering"),
    "billing": ("收费", "billing"),
    "leak": ("泄漏", "leak"),
    "supply": ("供应", "supply"),
    "device": ("设备", "device"),
    "service": ("服务", "service"),
    "positive": ("查实", "found"),
    "negative": ("排除", "excluded"),
    "unclear": ("未定", "unclear"),
    "planned_outage": ("计划停供", "planned outage"),
    "vacancy": ("空置", "vacancy"),
    "snooze": ("暂缓提醒", "snoozed"),
}


def label(code: str, language: str) -> str:
    """The word for a code in ``zh`` or ``en``; the code itself where there is none."""
    pair = LABELS.get(code)
    if pair is None:
        return code
    return pair[0] if language == "zh" else pair[1]
