"""The words of an evidence pack, in Chinese and English."""

from __future__ import annotations

from streams.papers.document import Language
from streams.papers.evidence_words import RAW_MESSAGE_WORDS

#: key → (Chinese, English); {names} are filled in
WORDS: dict[str, tuple[str, str]] = {
    **RAW_MESSAGE_WORDS,
    "title": ("异常用量证据材料", "Evidence pack"),
    "drill": ("演练：本材料不涉及真实用户", "DRILL: this is about no real customer"),
    "of_case": ("{category}：{kind}", "{category}: {kind}"),
    "colon": ("：", ": "),
    "and": ("；", "; "),
    "list": ("、", ", "),
    "stop": ("。", ". "),
    "none": ("无", "none"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    # sections
    "conclusion": ("一、结论", "1. Conclusion"),
    "ticket": ("二、工单", "2. The ticket"),
    "seen": ("三、发现的情况", "3. What was seen"),
    "neighbours": ("四、同区域表计对照", "4. Meters of the same area, same days"),
    "checks": ("五、核查", "5. Checks"),
    "estimates": ("六、退补测算", "6. Credit estimate"),
    "course": ("七、办理经过", "7. What was done"),
    "basis": ("八、依据", "8. Basis"),
    # the ticket
    "number": ("工单编号", "Ticket"),
    "service_point": ("用户点", "Service point"),
    "meter": ("表计", "Meter"),
    "serial": ("表号", "Serial number"),
    "area": ("区域", "Area"),
    "commodity": ("介质", "Commodity"),
    "gas": ("燃气", "gas"),
    "water": ("水", "water"),
    "electricity": ("电", "electricity"),
    "heat": ("热", "heat"),
    "scada": ("工况监测", "SCADA"),
    "category": ("类别", "Category"),
    "urgency": ("紧急程度", "Urgency"),
    "priority": ("级别", "Priority"),
    "state": ("状态", "State"),
    "escalated": ("已提级", "escalated"),
    "origin": ("来源", "Origin"),
    "purpose": ("工单性质", "Purpose"),
    "purpose_explain": ("解释：用量属实，账单前告知用户", "explanation: real use, told before the bill"),
    "opened": ("开单时间", "Opened"),
    "closed": ("办结时间", "Closed"),
    "first_owner": ("首问责任人", "First owner"),
    "owner": ("经办人", "Owner"),
    "department": ("主办部门", "Department"),
    "co_departments": ("协办部门", "With"),
    "hand_offs": ("转办次数", "Hand-offs"),
    "ack_due": ("受理时限", "Acknowledge by"),
    "acknowledged": ("受理时间", "Acknowledged"),
    "resolve_due": ("办结时限", "Resolve by"),
    "callback_due": ("回访时限", "Call back by"),
    "paused": ("计时暂停", "Clock paused since"),
    "paused_for": ("累计暂停", "Paused in all"),
    "hours": ("{n} 小时", "{n} h"),
    "kept": ("（按时）", " (kept)"),
    "missed": ("（超时）", " (missed)"),
    "related": ("关联工单", "Related tickets"),
    "merged_into": ("并入工单", "Merged into"),
    "meters": ("涉及表计", "Meters concerned"),
    "meters_of": ("共 {n} 块：{names}", "{n} in all: {names}"),
    "bill_hold": ("账单", "Bill"),
    "bill_held": ("争议期间暂缓催缴", "held while it is disputed"),
    "watched": ("处理后观察至", "Watched until"),
    "responsibility": ("责任认定", "Responsibility"),
    "resolution": ("处理方式", "Resolution"),
    "verdict": ("核实结论", "Verdict"),
    "archive_class": ("归档类别", "Archive class"),
    "callback": ("回访", "Callback"),
    "satisfied": ("用户满意", "the customer is satisfied"),
    "not_satisfied": ("用户不满意", "the customer is not satisfied"),
    "rating": ("评价 {n} 分（满分 5 分）", "rated {n} of 5"),
    "signed": ("签字确认：{how}", "signed off: {how}"),
    "no_callback": ("未回访：{why}", "none: {why}"),
    # seen
    "what": ("异常", "Anomaly"),
    "episode": ("异常时段", "Flagged span"),
    "to": ("{start} 至 {end}", "{start} to {end}"),
    "compared": ("比对的数值", "The numbers that were compared"),
    "n_d": ("{n} 天", "{n} d"),
    "n_h": ("{n} 小时", "{n} h"),
    "n_min": ("{n} 分钟", "{n} min"),
    "n_s": ("{n} 秒", "{n} s"),
    "flags": ("本工单的异常", "Flags of this ticket"),
    "status": ("进展", "Status"),
    "raised": ("发生", "raised"),
    "updated": ("更新", "updated"),
    "cleared": ("解除", "cleared"),
    "observed": ("实测", "Observed"),
    "expected": ("预期", "Expected"),
    "plot_use": ("本表用量（{unit}）", "use of this meter ({unit})"),
    "plot_value": ("本表读数（{unit}）", "readings of this meter ({unit})"),
    "plot_neighbours": ("同区域表计中位数", "median of the area's meters"),
    "plot_band": ("以往范围", "usual range"),
    "plot_level": ("此前日均", "usual mean"),
    "plot_limit": ("限值", "limit"),
    "caption_use": (
        "本表在 {start} 至 {end} 的用量，阴影为异常时段。{band}",
        "Use of this meter from {start} to {end}; the flagged span is shaded. {band}",
    ),
    "caption_value": (
        "本表在 {start} 至 {end} 的读数，阴影为异常时段。{band}",
        "Readings of this meter from {start} to {end}; the flagged span is shaded. {band}",
    ),
    "band_percentiles": (
        "以往范围为异常开始前各时段用量的第 5 至第 95 百分位。",
        "The usual range is the 5th to 95th percentile before the flagged span.",
    ),
    "band_periods": (
        "以往范围为异常开始前各时段的最低与最高用量。",
        "The usual range is the least and the greatest before the flagged span.",
    ),
    "band_none": (
        "异常开始前的时段不足，无法给出以往范围。",
        "Too little is known from before the flagged span for a usual range.",
    ),
    "no_reads": (
        "历史中没有该表在此时段的读数。",
        "The history has no readings of this meter for that time.",
    ),
    "no_history": (
        "本系统未保存读数历史，故无读数表与用量曲线。{place}",
        "No history of readings is kept here: there is neither a table of reads nor a plot. {place}",
    ),
    "kept_at": ("读数保存于 {place}。", "Readings are kept at {place}."),
    "reads": ("读数", "Reads"),
    "reads_some": (
        "读数（列出 {shown} 条，共 {n} 条：异常时段首末及最能说明情况的读数）",
        "Reads ({shown} of {n}: the flagged span's first and last, and those that tell most)",
    ),
    "register": ("寄存器", "Register"),
    "date": ("时间", "Time"),
    "value": ("数值", "Value"),
    "quality": ("质量", "Quality"),
    "source": ("来源", "Source"),
    "good": ("正常", "good"),
    "uncertain": ("存疑", "uncertain"),
    "bad": ("无效", "bad"),
    "measured": ("表计上报", "sent by the meter"),
    "retained": ("保留消息", "retained message"),
    "historical": ("历史导入", "history import"),
    "estimated": ("估抄", "estimated"),
    "edited": ("人工修正", "corrected by hand"),
    "arrival_time": ("以到达时间计", "time of arrival"),
    "gap": ("此前有缺失", "readings missing before"),
    "periods": ("以往计量周期", "Past periods"),
    "from": ("起", "From"),
    "until": ("止", "To"),
    "days": ("天数", "Days"),
    "amount": ("用量", "Amount"),
    "a_day": ("日均", "A day"),
    # neighbours
    "neighbours_lead": (
        "同区域、同介质的其他表计共 {all} 块，本表以外取 {n} 块作对照，仅列合计与中位数，不列表号。",
        (
            "The area has {all} other meters of this commodity; {n} of them are compared here, by their "
            "total and median "
            "only, without their numbers."
        ),
    ),
    "no_neighbours": (
        "台账中没有同区域、同介质的其他表计，或其在此时段没有读数，无法对照。",
        (
            "No other meter of this area and commodity is known, or none has readings of that time: "
            "there is nothing to compare."
        ),
    ),
    "this_meter": ("本表（{unit}）", "This meter ({unit})"),
    "median": ("中位数（{unit}）", "Median ({unit})"),
    "total": ("合计（{unit}）", "Total ({unit})"),
    "count": ("表数", "Meters"),
    "times": ("本表/中位数", "This / median"),
    "flagged": ("异常", "flagged"),
    "neighbours_up": (
        "异常时段内，对照表计的中位数为异常前的 {others} 倍，本表为 {own} 倍：本表的变化不是区域普遍变化。",
        (
            "In the flagged span the median of the others is {others} times that before, this meter's {own} times: "
            "its change is not that of the area."
        ),
    ),
    "neighbours_alike": (
        "异常时段内，对照表计的中位数为异常前的 {others} 倍，本表为 {own} 倍：区域用量同期也有变化。",
        (
            "In the flagged span the median of the others is {others} times that before, this meter's {own} times: "
            "the area's use has changed as well."
        ),
    ),
    # checks
    "seq": ("序", "No."),
    "check": ("核查项目", "Check"),
    "decides": ("判断的原因", "Decides on"),
    "finding": ("结果", "Result"),
    "by": ("核查人", "By"),
    "when": ("时间", "When"),
    "pending": ("待核查", "to do"),
    "positive": ("查实", "found"),
    "negative": ("排除", "excluded"),
    "unclear": ("不能确定", "unclear"),
    "done": ("已完成", "done"),
    "ranked": ("可能原因排序", "Possible causes, ranked"),
    "cause": ("原因", "Cause"),
    "weight": ("权重", "Weight"),
    "next_check": ("对应核查", "Check"),
    "weights_note": (
        "权重用于排序，随核查结果变化，不是故障概率的测量值。",
        "Weights rank the causes and change with the results; they are no measured probabilities.",
    ),
    "no_checks": ("本工单没有规定的核查项目。", "No checks are prescribed for this ticket."),
    "swap": ("换表记录", "Meter swap"),
    "old_serial": ("旧表号", "Old meter"),
    "new_serial": ("新表号", "New meter"),
    "stop_read": ("旧表止码", "Stop read of the old meter"),
    "start_read": ("新表起码", "Start read of the new meter"),
    "swapped": ("换表时间", "Swapped"),
    "told": ("告知用户", "Customer told"),
    "not_told": ("尚未告知", "not yet"),
    # estimates
    "method": ("方法", "Method"),
    "should": ("应计", "Should be"),
    "billed": ("已计", "Billed"),
    "excess": ("差额", "Excess"),
    "range": ("差额范围", "Range of the excess"),
    "money": ("金额", "Money"),
    "assumptions": ("假设与说明", "Assumptions"),
    "no_estimate": ("此类异常没有可测算的退补量。", "This kind of ticket has no amount to be credited."),
    "chosen": ("已选用", "chosen"),
    "no_range": ("不能给出", "none"),
    "credit": ("退补决定", "Credit decision"),
    "no_credit": ("尚无退补决定。", "No credit has been decided."),
    "credit_period": ("退补时段", "Period"),
    "credit_sum": ("退补合计", "Credits in sum"),
    "span": ("{start} 至 {end}", "{start} to {end}"),
    "quantity": ("退补量", "Quantity"),
    "credit_amount": ("退补金额", "Amount"),
    "credit_reason": ("选用理由", "Reason"),
    "proposed_by": ("提出", "Proposed"),
    "decided_by": ("审批", "Decided"),
    "booked_by": ("入账", "Booked"),
    "second_person": ("须第二人审批", "needs a second person"),
    "own": ("人工确定", "set by staff"),
    "who_when": ("{who}（{when}）", "{who} ({when})"),
    "later_bills": (
        "后续账单待重新计费（阶梯档位变动）",
        "Later bills to be re-rated (their place in the tiers has moved)",
    ),
    "later_bills_done": (
        "后续账单已重新计费（阶梯档位变动）",
        "Later bills re-rated (their place in the tiers had moved)",
    ),
    "period": ("时段", "Period"),
    "use": ("用量", "Use"),
    "it_was": ("原金额", "It was"),
    "would_be": ("应为金额", "Should be"),
    "range_of_bill": ("应为范围", "Range"),
    "difference": ("差额合计", "Difference in sum"),
    "replaces": ("此前通知的差额", "Told before, and replaced"),
    "rerated": ("已重新计费的差额", "Re-rated of it"),
    "rerate_due": ("尚待调整", "Still to be done"),
    "rerated_by": ("登记重新计费", "Re-rated"),
    "notices": ("告知用户", "The customer was told"),
    "situation": ("内容", "About"),
    # course
    "complaints": ("相关投诉", "Complaints"),
    "no_complaints": ("截至制作时间没有相关投诉。", "No complaint has come in about it so far."),
    "complaint": ("投诉编号", "Complaint"),
    "channel": ("渠道", "Channel"),
    "lead_time": ("先于投诉", "Known before it"),
    "hotline": ("热线", "hotline"),
    "counter": ("营业厅", "counter"),
    "site": ("网站", "website"),
    "app": ("App", "app"),
    "social": ("社交媒体", "social media"),
    "letter": ("信函", "letter"),
    "history": ("办理记录", "History"),
    "actor": ("经办", "By"),
    "action": ("事项", "Action"),
    "note": ("说明", "Note"),
    "system": ("系统", "system"),
    "record_complaint": ("一投诉", "Complaint"),
    "record_tracking": ("一跟踪", "Tracking"),
    "record_strategy": ("一策略", "Strategy"),
    "record_control": ("一管控", "Control"),
    "record": ("低电压专项记录", "Low-voltage record"),
    # basis
    "detector": ("检测规则", "Detection rule"),
    "version": ("规则版本", "Rule version"),
    "parameters": ("规则参数", "Rule parameters"),
    "program": ("系统版本", "Program"),
    "zone": ("时区", "Time zone"),
    "flag_id": ("异常编号", "Flag"),
    "digests": ("读数摘要", "Digests of the readings"),
    "digests_note": (
        "这些 SHA-256 由历史库内保存的读数计算，可按说明文档复核；历史库不逐条保存原始报文的摘要。",
        (
            "These SHA-256 are of the readings as the history keeps them, and can be computed again as the "
            "documentation says; it keeps no digest of the raw message of each."
        ),
    ),
    "no_raw_messages": (
        "所依据的读数没有原始报文可查：来自文件，或由旧版程序收入。",
        "No raw message is on record: the readings came from files, or were taken in by an earlier version.",
    ),
    "kept_readings": ("读数条数", "Readings"),
    "chain": ("办理记录末条摘要", "Digest of the last line of history"),
    "pseudonyms": (
        "本材料只以表计与用户点编号指称用户，不含姓名、地址与电话。",
        (
            "Customers appear by the numbers of their meter and service point only: no name, address or "
            "telephone number."
        ),
    ),
}


class Say:
    """Says everything in one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self.column = 0 if language == "zh" else 1

    def __call__(self, key: str, **names: object) -> str:
        """The words for a key of the table."""
        return WORDS[key][self.column].format(**names)

    def known(self, code: str) -> str:
        """The words for a code that may be in the table, else the code."""
        return WORDS[code][self.column] if code in WORDS else code.replace("_", " ")
