"""What a report says, in Chinese and in English: titles, columns, and the words of codes."""

from __future__ import annotations

from collections.abc import Mapping

from streams.papers.report_tables import UNKNOWN
from streams.trade.bars import MOVES
from streams.trade.causes import CAUSES
from streams.trade.complaint_form import CHANNELS, STAGES
from streams.trade.routing import DEPARTMENTS
from streams.trade.states import LABELS
from streams.trade.subjects import SUBJECTS
from streams.trade.verdicts import REASONS
from streams.trade.wording import KINDS

Words = Mapping[str, tuple[str, str]]

#: table → (Chinese, English)
TITLES: Words = {
    "headline": ("总体情况", "Overview"),
    "complaints_by_category": ("投诉类别分布", "Complaints by category"),
    "complaints_by_subject": ("投诉对象分布", "Complaints by subject"),
    "complaints_by_area": ("投诉区域分布", "Complaints by area"),
    "complaints_by_channel": ("受理渠道分布", "Complaints by channel"),
    "complaints_by_stage": ("投诉环节分布", "Complaints by stage"),
    "complaints_by_responsibility": ("责任归属分布", "Complaints by responsibility"),
    "complaints_by_cause": ("投诉原因分析", "Complaints by cause"),
    "tickets_by_kind": ("工单按异常类型", "Tickets by kind"),
    "tickets_by_priority": ("工单按优先级", "Tickets by priority"),
    "tickets_by_state": ("工单按状态", "Tickets by state"),
    "tickets_by_category": ("工单按类别", "Tickets by category"),
    "tickets_by_area": ("工单按区域", "Tickets by area"),
    "precision_by_detector": ("预警准确率：按检测模型", "Precision by detector"),
    "precision_by_kind": ("预警准确率：按异常类型", "Precision by kind"),
    "precision_by_area": ("预警准确率：按区域", "Precision by area"),
    "precision_by_month": ("预警准确率：按月", "Precision by month"),
    "sla": ("时限达成情况", "Deadlines kept"),
    "sla_by_priority": ("时限达成情况：按优先级", "Deadlines kept by priority"),
    "work": ("流转与返工", "Hand-offs and rework"),
    "false_alarm_reasons": ("误报原因", "Reasons of false alarms"),
    "credits": ("退补情况", "Credits and charges"),
    "callbacks": ("回访与评价", "Callbacks and ratings"),
    "reads_by_area": ("抄表准确率与及时率：按区域", "Read accuracy and timeliness by area"),
    "reads_by_route": ("抄表准确率与及时率：按抄表段", "Read accuracy and timeliness by route"),
    "reads_by_concentrator": ("抄表准确率与及时率：按集中器", "Read accuracy and timeliness by concentrator"),
    "outages_by_line": ("线路停供次数（近365天）", "Outages by line (365 days)"),
    "low_voltage": ("低电压一户一档", "Low voltage, record by case"),
    "held_back": ("低于门槛未建单的预警", "Flags held back by a bar"),
    "bar_moves": ("门槛调整记录", "Moves of bars"),
    "typical_cases": ("典型案例", "Typical cases"),
    "apart": ("另行统计", "Counted apart"),
}

#: column → (Chinese, English)
COLUMNS: Words = {
    "what": ("项目", "Item"),
    "value": ("数值", "Value"),
    "category": ("类别", "Category"),
    "subject": ("投诉对象", "Subject"),
    "area": ("区域", "Area"),
    "channel": ("渠道", "Channel"),
    "stage": ("环节", "Stage"),
    "responsibility": ("责任", "Responsibility"),
    "cause": ("原因", "Cause"),
    "kind": ("异常类型", "Kind"),
    "priority": ("优先级", "Priority"),
    "state": ("状态", "State"),
    "detector": ("检测模型", "Detector"),
    "month": ("月份", "Month"),
    "count": ("数量", "Count"),
    "share": ("占比", "Share"),
    "cumulated_share": ("累计占比", "Cumulated share"),
    "judged": ("已认定", "Judged"),
    "confirmed": ("属实", "Confirmed"),
    "explained": ("已解释", "Explained"),
    "false_alarms": ("误报", "False alarms"),
    "precision_share": ("准确率", "Precision"),
    "low_share": ("95%下限", "95 % from"),
    "high_share": ("95%上限", "to"),
    "strict_share": ("属实率", "Confirmed share"),
    "deadline": ("时限", "Deadline"),
    "department": ("部门", "Department"),
    "due": ("应达成", "Due"),
    "kept": ("按时", "Kept"),
    "kept_share": ("达成率", "Share kept"),
    "pending": ("未到期", "Not due yet"),
    "reason": ("原因", "Reason"),
    "credit_state": ("退补状态", "State"),
    "currency": ("币种", "Currency"),
    "unit": ("单位", "Unit"),
    "amount": ("金额", "Amount"),
    "quantity": ("实物量", "In kind"),
    "route": ("抄表段", "Route"),
    "concentrator": ("集中器", "Concentrator"),
    "meters": ("表数", "Meters"),
    "reads": ("抄表数", "Reads"),
    "missing": ("漏抄", "Missing"),
    "late": ("迟到", "Late"),
    "corrections": ("更正", "Corrected"),
    "misreads": ("错抄", "Misread"),
    "bad": ("无效", "Bad"),
    "accuracy_share": ("抄表准确率", "Accuracy"),
    "timeliness_share": ("抄表及时率", "Timeliness"),
    "line": ("线路", "Line"),
    "outages": ("停供次数", "Outages"),
    "level": ("管控级别", "Level"),
    "ticket": ("工单", "Ticket"),
    "record_complaint": ("一投诉", "Complaint"),
    "record_tracking": ("一跟踪", "Tracking"),
    "record_strategy": ("一策略", "Strategy"),
    "record_control": ("一管控", "Control"),
    "flags": ("预警数", "Flags"),
    "at": ("时间", "Time"),
    "before": ("调整前", "Before"),
    "bar": ("调整后", "After"),
    "by": ("操作人", "By"),
    "why": ("说明", "Why"),
    "alike": ("同类数", "Alike"),
    "complaints": ("投诉数", "Complaints"),
    "resolution": ("处理方式", "Resolution"),
}

#: what a line of a table is about → (Chinese, English)
LINES: Words = {
    "complaints": ("投诉总数", "Complaints"),
    "metering_complaints": ("计量收费类投诉", "Complaints about metering and billing"),
    "known_before": ("投诉前已发现", "Known before the customer"),
    "known_share": ("未诉先办率", "Share known before the customer"),
    "misses": ("漏发现", "Misses"),
    "lead_median_h": ("提前发现时长中位数（小时）", "Lead time, median [h]"),
    "lead_90_h": ("提前发现时长90%分位（小时）", "Lead time, 90 % [h]"),
    "tickets": ("工单总数", "Tickets"),
    "hand_offs_mean": ("平均转办次数", "Hand-offs, mean"),
    "hand_offs_most": ("最多转办次数", "Hand-offs, most"),
    "reopened": ("重开工单", "Reopened"),
    "reopened_by_staff": ("其中：人工重开", "of these by people"),
    "reopened_by_complaint": ("其中：处理后再次投诉", "of these by a complaint after the work"),
    "relapsed": ("其中：处理后复发", "of these relapsed"),
    "false_alarms": ("误报工单", "False alarms"),
    "satisfied": ("满意", "Satisfied"),
    "dissatisfied": ("不满意", "Dissatisfied"),
    "satisfied_share": ("满意率", "Share satisfied"),
    "no_callback": ("未回访（有原因）", "No callback, with a reason"),
    "rated": ("参与评价", "Rated"),
    "rating_mean": ("平均评分", "Rating, mean"),
    "acknowledge": ("响应", "Acknowledge"),
    "resolve": ("办结", "Resolve"),
    "callback": ("回访", "Callback"),
    "warning": ("预警、提级管控", "warning"),
    "study": ("专题研究、整改方案", "study"),
    "drill": ("演练工单", "Drills"),
    "own": ("系统自身工单", "Tickets about Forestall itself"),
    "proposed": ("已提出", "proposed"),
    "approved": ("已批准", "approved"),
    "refused": ("已驳回", "refused"),
    "booked": ("已入账", "booked"),
    UNKNOWN: ("未注明", "not stated"),
}

FRAME: Words = {
    "title": ("投诉与工单分析报告", "Report on complaints and tickets"),
    "span": ("统计期间：{span}（{zone}）", "Period: {span} ({zone})"),
    "scope": ("统计口径", "What is counted"),
    "none": ("本期无记录", "Nothing in this period"),
    "yes": ("有", "yes"),
    "no": ("缺", "no"),
    "about": (
        "工单按建单时间、投诉按投诉时间、预警按进入工单时间计入本期；抄表数据按读数时间（表计当地日期）计入本期。演练与系统自身工单不计入。",
        (
            "Tickets count by when they opened, complaints by when they were made, flags by when they came onto their "
            "ticket, reads by their own local day. Drills and tickets about Forestall itself are left out."
        ),
    ),
}

_SUBJECTS: Words = {code: subject.words for code, subject in SUBJECTS.items()}
#: column → tables of words for its codes; names of places and detectors stay as they are
_CODES: Mapping[str, tuple[Words, ...]] = {
    "what": (LINES,),
    "deadline": (LINES,),
    "level": (LINES,),
    "credit_state": (LINES,),
    "category": (LABELS, LINES),
    "subject": (_SUBJECTS, LINES),
    "channel": (CHANNELS, LINES),
    "stage": (STAGES, LINES),
    "responsibility": (LABELS, LINES),
    "cause": (CAUSES, LABELS, LINES),
    "kind": (KINDS, LINES),
    "state": (LABELS, LINES),
    "department": (DEPARTMENTS, LINES),
    "reason": (REASONS, LINES),
    "resolution": (LABELS, LINES),
    "why": (MOVES,),
    "area": ({UNKNOWN: LINES[UNKNOWN]},),
    "detector": ({UNKNOWN: LINES[UNKNOWN]},),
}


def said(words: Words, code: str, language: str) -> str:
    """The word for a code; the code itself where there is none."""
    pair = words.get(code)
    return code if pair is None else pair[0 if language == "zh" else 1]


def word(column: str, code: str, language: str) -> str:
    """The word for a code that stands in a column."""
    for words in _CODES.get(column, ()):
        if code in words:
            return said(words, code, language)
    return code
