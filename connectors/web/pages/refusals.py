"""What the API refuses, as it is said at the place where somebody tried.

The API says it in English: what was expected, what came, what to do. For Chinese pages the sentences that
staff meet in their work are matched here; what is not among them is given in the API's own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from connectors.web.pages.door import Answer
from connectors.web.words import Words

Named = Callable[[str], str]

#: what the API says → what a Chinese page says; {1}, {2} are its groups, in words where they are codes
_SENTENCES: tuple[tuple[str, str], ...] = (
    (r"one of (.+) after (\w+), got (\w+)", "工单现处于“{2}”，不能转入“{3}”。"),
    (r"closed needs (.+)", "办结还缺：{1}。"),
    (r"false_alarm needs the release of its bill", "判为误报前须先办理账单恢复出账。"),
    (r"false_alarm needs the release of its bill and .+", "判为误报前须先办理账单恢复出账，并写明原因。"),
    (r"false_alarm needs .+", "判为误报须写明原因。"),
    (r"the reason of the false alarm, got none", "判为误报须写明原因。"),
    (r"no open ticket of \S+ at \S+, got (\S+): .+", "该用户点已有同类未结工单 {1}，请在该工单上办理。"),
    (r"a check without a result, step \d+ has one already: (.+)", "这项核查已有结果：{1}"),
    (r"the check's result and the name .+", "请填写核查结果。"),
    (r"a check that is not waiting to be done, got (\w+)", "这项核查已在待办之列：{1}。"),
    (r"another department or person than (.+)", "工单已在该部门（人）处：{1}。"),
    (r"another open ticket to merge into, got (\S+) .+", "只能合并到另一张未结工单，{1} 不是。"),
    (r"the id of another ticket, got (.+)", "没有编号为 {1} 的工单。"),
    (r"two real tickets or two drills.+", "演练工单与真实工单不能合并。"),
    (
        r"a ticket without credits, got (\S+) with .+",
        "工单 {1} 已有退补，不能合并到其他工单；请将另一张工单合并到该工单。",
    ),
    (r"a ticket whose bill is not held, got (\S+): .+", "工单 {1} 的账单已暂缓出账，请先恢复出账再合并。"),
    (r"a ticket whose work is not done, got .+", "工单已处理完毕，不能再合并。"),
    (r"an open ticket that is not escalated, got .+", "只有未结且未提级的工单可以提级。"),
    (r"an open ticket, got one that is .+", "工单已结束，请先重开。"),
    (r"a ticket about high use that is a case still.*", "只有用量偏高的待办工单可以转为用量解释。"),
    (r"two serial numbers, got .+", "新旧表号须齐全，且不能相同。"),
    (r"reads that are not negative, got .+", "起止码不能为负数。"),
    (r"an end after the start and after now.+", "结束时间须晚于开始时间和现在，且不超过一年。"),
    (r"the reason, got none", "请填写原因。"),
    (
        r"a place such as meter/123 .+",
        "范围须写成 meter/表号、service_point/用户点、area/区域、line/线路、transformer/台区 或 concentrator/集中器。",
    ),
    (r"a rating from 1 to 5 beside .+", "评价须与回访结果一并填写。"),
    (r"a method and the reason why .+", "请选择方法并写明理由。"),
    (r"a method that gives an estimate, got (\w+): .+", "“{1}”无法测算，请另选方法或人工核定。"),
    (r"no figures beside a method, got some.+", "已选测算方法时不能再填数量或金额；需自行核定时请选“人工核定”。"),
    (r"a quantity, an amount of money, or both, got neither", "人工核定须填写数量或金额。"),
    (r"the approval of somebody other than (.+?),.+", "须由 {1} 以外的另一人审批。"),
    (r"a credit that waits for approval, got .+", "没有待审批的退补。"),
    (r"an approved credit, got .+", "退补尚未审批通过。"),
    (
        r"a credit that a second person has approved, got one of (.+) alone: .+",
        "该退补由 {1} 一人审批，连同后续账单的重算差额已超限额，请重新提出，由另一人审批。",
    ),
    (r"later bills that wait to be re-rated, got none", "没有待重新计费的后续账单。"),
    (r"the difference .+ of the later bills, got .+", "后续账单的重算差额已变更，请重新查看后再办理。"),
    (r"the period that the further credit is for, .+", "再次退补须注明所属时段，请先按时段测算。"),
    (
        r"a period beside the one that is booked as (.+?), got .+",
        "该时段与已入账（凭证号 {1}）的退补时段重叠，请另选时段，或在计费系统中更正原账。",
    ),
    (
        r"a period beside the one that is credited on (\S+), got .+",
        "该时段与同一用户点工单 {1} 的退补时段重叠，请另选时段，或在该工单上办理。",
    ),
    (r"fewer than \d+ credits on a ticket.+", "该工单的退补次数已达上限，请另建工单办理。"),
    (r"revision \d+ of the credit, got .+", "退补内容已变更，请重新查看后再办理。"),
    (r"at most the (.+) that were billed, got (.+)", "不能超过已计的 {1}。"),
    (r"a bill that is .*on hold, got one that is.*", "账单状态已变更，请重新查看。"),
    (r"a message that is \w+, got one that is (\w+)", "该告知现为“{1}”，请重新查看。"),
    (r"a meter that was found to be fine, got .+", "只有核查结论为表具正常时才能起草此告知。"),
    (r"a swap with its stop and start reads .+", "请先登记换表起止码。"),
    (r"an approved credit, got none: .+", "退补审批通过后才能告知。"),
    (r"when the outage begins and when it ends.+", "请填写停供的开始与结束时间。"),
    (r"a real ticket, got a drill: no customer .+", "演练工单不告知用户。"),
    (r"a real ticket, got a drill: no money .+", "演练工单不办理退补。"),
    (r"a meter, service point or alias that is known, got .+", "没有查到这个表号、用户点或别名。"),
    (r"a complaint without a service point, it has (\S+)", "该投诉已归属用户点 {1}。"),
    (r"the right '\w+' .+", "您的角色没有此项权限。"),
    (
        r"reason: a sentence that an auditor can follow, .+, got too little",
        "事由过于简单，请写明具体用途，如：用户书面申请查阅。",
    ),
    (
        r"reason: a sentence that an auditor can follow, .+",
        "事由中不要填写电话、邮箱或证件号码，日志会长期保存。",
    ),
    (r"no open ticket at the service point, got (.+)", "该处有未结工单 {1}，请先办结，或勾选仍要删除。"),
    (r"the id of a person, got (.+)", "没有查到该人员。"),
    (r"a place that is not muted, got (\S+): .+", "该处处于暂缓提醒期：{1}。"),
)  # fmt: skip
_MISSING = {
    "a verdict": "核查结论",
    "a callback result or the reason for none": "回访结果或未回访原因",
    "an archive class": "归档类别",
    "the release of its bill": "账单恢复出账",
}
_COMPILED = [(re.compile(pattern), said) for pattern, said in _SENTENCES]
#: faults of a complaint's form, a sentence each
_FAULTS = (
    (re.compile(r"expected (.*); got none"), "请填写：{1}。"),
    (re.compile(r"phone: .*"), "电话号码至少 3 位数字。"),
    (re.compile(r"email: .*"), "电子邮箱格式不正确。"),
    (re.compile(r"time: expected a time that has been.*"), "投诉时间不能晚于现在。"),
    (re.compile(r"time: .*"), "投诉时间格式不正确。"),
)
_REQUIRED = {
    "time (投诉时间)": "投诉时间",
    "name (投诉人姓名)": "投诉人姓名",
    "a contact: phone, email or address (联系方式)": "联系方式（电话、邮箱或地址）",
    "matter (投诉事项)": "投诉事项",
}


def refusal(answer: Answer, say: Words, named: Named) -> str:
    """Why it was not done, in the page's language; empty where it was done.

    named : the word for a code
    """
    if answer.ok:
        return ""
    data = answer.data if isinstance(answer.data, dict) else {}
    expected, got = str(data.get("expected", "")), str(data.get("got", ""))
    if answer.status == 401:
        return say("session_over")
    if answer.status >= 500:
        return say("no_answer")
    if say.language == "zh":
        return _chinese(expected, got, str(data.get("detail", "")), named)
    if expected.startswith("a complaint with time"):
        return f"{got[:1].upper()}{got[1:]}."
    told = f"expected {expected}; got {got}" if got else expected
    return say("not_done", why=_words(told, named))


def _chinese(expected: str, got: str, detail: str, named: Named) -> str:
    whole = f"{expected}, got {got}"
    if expected.startswith("a complaint with time"):
        return "".join(_fault(one) for one in got.split("; expected") if one)
    texts = (whole, expected) if got else (expected,)
    for text in (*texts, detail.removeprefix("expected ")):
        for pattern, said in _COMPILED:
            found = pattern.fullmatch(text)
            if found:
                groups = [_group(one or "", named) for one in found.groups()]
                return said.format("", *groups)
    return f"未能办理。要求：{expected}" + (f"；实际：{got}。" if got else "。")


def _group(text: str, named: Named) -> str:
    parts = [_MISSING.get(one) for one in text.split(" and ")]
    if all(parts):
        return "、".join(one for one in parts if one)
    return named(text.strip("'\""))


def _fault(text: str) -> str:
    text = text.strip()
    full = text if re.match(r"(expected |\w+: )", text) else f"expected {text}"
    for pattern, said in _FAULTS:
        found = pattern.fullmatch(full)
        if found:
            names = found.groups()[0] if found.groups() else ""
            for word, chinese in _REQUIRED.items():
                names = names.replace(word, chinese)
            return said.format("", names.replace(", ", "、"))
    return f"{full}。"


def _words(text: str, named: Named) -> str:
    """Codes within an English sentence as words: whatever has an underscore in it."""
    return re.sub(r"\b[a-z]+(?:_[a-z]+)+\b", lambda found: named(found[0]), text)
