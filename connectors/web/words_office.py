"""The words of the pages for auditors and for people's data: what was done to what, what is held of whom."""

from __future__ import annotations

#: key → (Chinese, English)
OFFICE: dict[str, tuple[str, str]] = {
    "nav_audit": ("审计日志", "Audit log"),
    "nav_people": ("个人信息", "People's data"),
    # pages of a list
    "paging": ("翻页", "Pages"),
    "newest": ("回到最新", "Newest"),
    "newer": ("较新", "Newer"),
    "older": ("较早", "Older"),
    "page_n": ("第 {n} 页", "page {n}"),
    # the audit log
    "audit_log": ("审计日志", "The audit log"),
    "audit_hint": (
        "查询日志本身也记入日志。",
        "To read it is a line of it.",
    ),
    "who": ("操作人", "Who"),
    "deed": ("操作", "What was done"),
    "target": ("对象", "About"),
    "target_hint": (
        "工单号、投诉号、人员代号（PN-…）或用户点",
        "number of a ticket, complaint or person (PN-…), or a service point",
    ),
    "from_day": ("起始日期", "From day"),
    "to_day": ("截止日期", "To day"),
    "any_deed": ("全部操作", "everything"),
    "all_of": ("{what}：全部", "{what}: all"),
    "search": ("查询", "Search"),
    "seq": ("序号", "No."),
    "details": ("详情", "Details"),
    "digest": ("摘要值", "Digest"),
    "by_itself": ("系统自动", "by itself"),
    "no_lines": ("没有符合条件的记录", "No line fits"),
    "no_lines_hint": ("请放宽查询条件。", "Leave some of the fields empty, or take other days."),
    "chain": ("完整性核验", "Is the record whole?"),
    "chain_hint": (
        "逐条核对审计日志与各工单办理记录的摘要链，查出被改动、删除、移位或插入的记录。",
        (
            "Checks the chain of digests of the audit log and of every ticket's history: what was changed, taken "
            "away, moved or put in between is found."
        ),
    ),
    "verify": ("开始核验", "Check now"),
    "noted_seq": ("此前抄录的序号", "Number noted down earlier"),
    "noted_head": ("此前抄录的摘要值", "Digest noted down earlier"),
    "noted_hint": (
        "填写后可查出末尾是否被删去，可不填",
        "tells whether rows are missing at the end; may be left out",
    ),
    "chain_whole": (
        "记录完整：审计日志 {rows} 条、工单办理记录 {lines} 条，均与写入时一致。",
        (
            "The record is whole: {rows} rows of the audit log and {lines} lines of tickets' histories stand as they "
            "were written."
        ),
    ),
    "chain_broken": (
        "记录不完整：发现 {n} 处异常。请保全数据库和备份，并报告信息安全负责人。",
        (
            "THE RECORD IS NOT WHOLE: {n} faults. Keep the database and its backups as they are, and tell whoever is "
            "responsible."
        ),
    ),
    "chain_many": (
        "记录不完整：异常不少于 {n} 处，以下为最先发现的部分。请保全数据库和备份，并报告信息安全负责人。",
        (
            "THE RECORD IS NOT WHOLE: {n} faults or more, the first of them below. Keep the database and its backups "
            "as they are, and tell whoever is responsible."
        ),
    ),
    "chain_old": (
        "另有 {n} 条办理记录早于摘要链启用，无法核验。",
        "{n} lines of histories are from before there were digests, and cannot be checked.",
    ),
    "chain_note": (
        "请另行抄录最新一条，供下次核验：序号 {seq}，摘要值",
        "Note the newest row down elsewhere, for the next check: number {seq}, digest",
    ),
    "fault_missing": ("第 {first} 至 {last} 条缺失", "rows {first} to {last} are missing"),
    "fault_missing_end": ("末尾第 {first} 至 {last} 条缺失", "rows {first} to {last} are missing at the end"),
    "fault_changed": (
        "内容被改动，或前一条的摘要值被改动，或位置被移动",
        "it was changed, or the digest of the row before was, or it stood elsewhere",
    ),
    "fault_noted": ("摘要值与此前抄录的不一致", "its digest is not the one that was noted down"),
    "row_n": ("第 {n} 条", "row {n}"),
    "of_ticket": ("工单 {id}", "ticket {id}"),
    # what is held of whom
    "find_person": ("查找用户", "Find a person or a place"),
    "find_by": (
        "用户点、表号、别名、电话、人员代号、投诉号或工单号",
        "Service point, meter, other name, telephone, number of a person, complaint or ticket",
    ),
    "find": ("查找", "Find"),
    "find_hint": (
        "查阅、复制与删除均按用户点办理；一人有多处用户点时请逐处办理。每次查看均记入审计日志。",
        (
            "Access and erasure are by service point; whoever has several is served at each. Every look is a line of "
            "the audit log."
        ),
    ),
    "no_place_yet": (
        "该人员的投诉尚未归属用户点，按人员单独办理；如已查明地址，请先在“投诉受理”页指定用户点。",
        (
            "What they complained of has no service point yet, so they are served alone. Where the place is known, say "
            "so on the page of complaints first."
        ),
    ),
    "nothing_found": ("没有查到：{named}", "Nothing is known of {named}."),
    "the_point": ("用户点 {name}", "{name}"),
    "the_person": ("人员 {name}", "{name}"),
    "held_of": ("{point} 的留存信息", "What is held of {point}"),
    "held_people": ("个人（已脱敏）", "People (masked)"),
    "no_people": ("没有留存个人的姓名和联系方式。", "No names, numbers or addresses are held."),
    "erased_at": ("已于 {when} 删除", "erased {when}"),
    "held_rest": ("其他留存记录", "What else is held"),
    "held_what": ("类别", "Kind"),
    "held_count": ("数量", "How many"),
    "held_meters": ("该处表计", "Meters there"),
    "held_history": ("工单办理记录", "Lines of tickets' histories"),
    "held_steps": ("核查步骤", "Checks"),
    "held_flags": ("异常", "Flags"),
    "held_verdicts": ("核定结论", "Verdicts"),
    "held_registry": ("表计档案", "Meters in the registry"),
    "held_aliases": ("别名", "Other names of the place"),
    "open_there": (
        "该处有未结工单，删除后将无法联系用户：",
        "Tickets are open there, whose customer could not be reached any more:",
    ),
    "export": ("导出副本", "Export a copy"),
    "export_hint": (
        "导出内容为明文，请通过安全途径交付本人。",
        "The copy is in the clear: hand it over in a safe way.",
    ),
    "exported": ("已导出：{name}（{size}）", "Exported: {name} ({size})"),
    "request_reason": ("事由（记入审计日志）", "Why (kept in the audit log)"),
    "request_hint": (
        "如：用户书面申请查阅；不要填写姓名、电话或地址",
        "such as: access asked for in writing; no name, number or address",
    ),
    "erase": ("删除个人信息", "Erase"),
    "held_open": ("该处有未结工单", "Tickets are open there"),
    "erase_open_too": (
        "仍要删除：未结工单将无法联系用户",
        "erase all the same: nobody can be called about the open tickets",
    ),
    "erase_next": ("下一步：确认", "Next: confirm"),
    "confirm_erase": ("确认删除", "Confirm the erasure"),
    "erase_what": (
        (
            "将删除{point} 的个人姓名与联系方式（{people} 人）、投诉内容（{complaints} 件）以及工单中人员书写的"
            "文字（{tickets} 张）。删除后不可恢复。"
        ),
        (
            "This erases names, numbers and addresses at {point} (people: {people}), what complaints say "
            "({complaints}) and what people wrote on tickets ({tickets}). It cannot be taken back."
        ),
    ),
    "erase_still_open": (
        "该处有未结工单，请先办结，或勾选仍要删除。",
        "Tickets are open there: close them first, or tick that they may lose their customer.",
    ),
    "type_again": ("请再次输入用户点以确认", "Type the service point again to confirm"),
    "type_again_person": ("请再次输入人员代号以确认", "Type the person's number again to confirm"),
    "not_the_same": ("与{point} 不一致，未删除。", "That is not {point}: nothing was erased."),
    "erase_now": ("永久删除", "Erase for good"),
    "erased_done": ("已删除{point} 的个人信息", "Erased at {point}"),
    "erased_people": ("个人", "People"),
    "erased_lines": ("办理记录中的文字", "Lines of histories"),
    "erased_deliveries": ("待发及已发的副本", "Copies in the outbox"),
    "erased_meters": ("读数已与表号脱离的表计", "Meters whose readings have lost their name"),
    "erased_stays": (
        "工单号、投诉号、代码、数值与时间以化名保留，统计不变。",
        (
            "Numbers of tickets and complaints, codes, figures and instants stay, under pseudonyms: the statistics "
            "count the same."
        ),
    ),
    "erased_not": (
        "以下不在删除范围内，请另行处理：外部系统中的工单、消息日志、备份、InfluxDB 中的读数。",
        (
            "Not reached, to be seen to elsewhere: desks outside that were told, topics of the log, backups, readings "
            "in InfluxDB."
        ),
    ),
}

#: action of the audit log → (Chinese, English); what it is about stands before the full stop
DEEDS: dict[str, tuple[str, str]] = {
    "person.shown": ("查看用户（脱敏）", "somebody shown, masked"),
    "person.sought": ("按电话查找用户", "people sought by telephone"),
    "person.unmasked": ("查看用户完整信息", "somebody shown in full"),
    "people.listed": ("查看留存的个人信息", "what is held looked at"),
    "people.exported": ("导出个人信息", "personal data exported"),
    "people.erased": ("删除个人信息", "personal data erased"),
    "people.resealed": ("更换加密密钥", "sealed with the new key"),
    "audit.read": ("查询审计日志", "audit log read"),
    "audit.verified": ("核验完整性", "record checked"),
    "audit.pruned": ("清理到期日志", "oldest rows deleted by age"),
    "retention.swept": ("清理到期数据", "deleted by age"),
    "complaint.taken": ("受理投诉", "complaint taken"),
    "complaint.assigned": ("投诉归属用户点", "complaint assigned to its place"),
    "alias.kept": ("登记别名", "other name kept"),
    "mute.kept": ("登记停供、空置或暂缓", "planned quiet kept"),
    "mute.ended": ("结束停供、空置或暂缓", "planned quiet ended"),
    "bar.moved": ("调整开单门槛", "bar moved"),
    "ticket.opened": ("手工开单", "ticket opened by hand"),
    "ticket.moved": ("工单转入", "ticket moved to"),
    "ticket.checked": ("填写核查结果", "check done"),
    "ticket.check_added": ("增加核查", "check added"),
    "ticket.handed_off": ("转派工单", "ticket handed off"),
    "ticket.merged": ("合并工单", "ticket merged"),
    "ticket.escalated": ("工单提级", "ticket escalated"),
    "ticket.to_explain": ("转为用量解释", "real use to be explained"),
    "ticket.noted": ("添加备注", "note added"),
    "ticket.swapped": ("登记换表", "meter swap recorded"),
    "ticket.recorded": ("登记低电压记录", "low-voltage record kept"),
    "ticket.impact": ("设定影响等级", "class of impact set"),
    "ticket.judged": ("核定异常", "flags judged"),
    "ticket.propose_credit": ("提出退补", "credit proposed"),
    "ticket.approve_credit": ("审批退补", "credit approved"),
    "ticket.refuse_credit": ("驳回或撤回退补", "credit refused or withdrawn"),
    "ticket.book_credit": ("退补入账", "credit booked"),
    "ticket.hold_bill": ("暂缓出账", "bill put on hold"),
    "ticket.release_bill": ("恢复出账", "bill released"),
    "ticket.rerate_bills": ("账单重算已办理", "bills re-rated"),
    "ticket.draft_notice": ("起草告知", "message drafted"),
    "ticket.approve_notice": ("审核告知", "message approved"),
    "ticket.send_notice": ("发送告知", "message sent"),
}

#: kind of what a line is about → (Chinese, English)
TARGETS: dict[str, tuple[str, str]] = {
    "ticket": ("工单", "ticket"),
    "complaint": ("投诉", "complaint"),
    "person": ("人员", "person"),
    "people": ("人员", "people"),
    "service_point": ("用户点", "service point"),
    "mute": ("停供与暂缓", "planned quiet"),
    "bar": ("开单门槛", "bar"),
    "alias": ("别名", "other name"),
    "audit": ("审计日志", "audit log"),
    "retention": ("保存期限", "retention"),
}

#: key within the details of a line → (Chinese, English)
PARTICULARS: dict[str, tuple[str, str]] = {
    "ticket": ("工单", "ticket"),
    "taken_by": ("受理人员", "taken by"),
    "found": ("查到的人员", "found"),
    "phone": ("按电话", "by telephone"),
    "all": ("全部", "all"),
    "audit": ("审计日志", "audit log"),
    "rows": ("条数", "rows"),
    "head": ("最新摘要值", "newest digest"),
    "faults": ("异常处数", "faults"),
    "digest": ("摘要值", "digest"),
    "object": ("对象", "about"),
    "actor": ("操作人", "who"),
    "action": ("操作", "what was done"),
    "start": ("起", "from"),
    "end": ("止", "until"),
    "before": ("此前", "before"),
    "kind": ("类型", "kind"),
    "count": ("数量", "how many"),
    "place": ("范围", "where"),
    "end_ns": ("结束时间", "until"),
    "service_point_id": ("用户点", "service point"),
    "people": ("个人", "people"),
    "complaints": ("投诉", "complaints"),
    "tickets": ("工单", "tickets"),
    "history": ("办理记录", "lines of histories"),
    "lines": ("办理记录的新摘要值", "digests of the lines as they are now"),
    "steps": ("核查步骤", "checks"),
    "flags": ("异常", "flags"),
    "mutes": ("停供与暂缓", "planned quiet"),
    "muted_flags": ("暂缓中的异常", "flags that wait"),
    "verdicts": ("核定结论", "verdicts"),
    "meters": ("表计", "meters"),
    "aliases": ("别名", "other names"),
    "deliveries": ("待发及已发的副本", "copies in the outbox"),
    "bar": ("门槛", "bar"),
    "why": ("依据", "why"),
}
