"""Every word of the pages, in Chinese and English, in one table.

Codes of tickets and flags have their words where they are defined (``Vocabulary``,
``streams.trade.tickets.label``); what stands here is the pages' own.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors.web.words_desk import DESK
from connectors.web.words_office import OFFICE
from connectors.web.words_work import WORK
from streams.papers.evidence_words import EVIDENCE, RAW_MESSAGE_WORDS

LANGUAGES = ("zh", "en")
COOKIE = "forestall_language"

#: key → (Chinese, English); {names} are filled in
WORDS: dict[str, tuple[str, str]] = {
    "html_lang": ("zh-CN", "en"),
    "title": ("Forestall 未诉先办", "Forestall"),
    "other_language": ("English", "中文"),
    "sign_out": ("退出", "Sign out"),
    "login_lead": (
        "请输入配置中的访问令牌。",
        "Enter the token that stands in the configuration (web.token).",
    ),
    "login_token": ("访问令牌", "Token"),
    "login_button": ("进入", "Sign in"),
    "login_wrong": (
        "令牌不正确。请核对配置文件中的 web.token 后重试。",
        "This is not the token. Compare it with web.token in the configuration and try again.",
    ),
    "colon": ("：", ": "),
    "and": ("；", "; "),
    # state of the page
    "live": ("实时", "Live"),
    "not_live": ("非最新", "Not up to date"),
    "zone": ("时间：{zone}", "Times in {zone}"),
    "store_away": (
        "工单数据库无应答，正在自动重试。以下为 {when} 的数据；新读数已写入日志，不会丢失。",
        "The ticket database does not answer; trying again. What you see is of {when}. Nothing is lost.",
    ),
    "store_away_never": (
        "工单数据库尚未就绪，正在自动重试。新读数已写入日志，不会丢失。",
        "The ticket database is not there yet; trying again. Nothing is lost: readings wait in the log.",
    ),
    "history_away": (
        "历史库无法读取，正在自动重试：{error}",
        "The history cannot be read; trying again: {error}",
    ),
    "nothing_here": ("{path} 处没有页面。", "There is no page at {path}."),
    "to_the_lists": ("前往列表", "To the lists"),
    "not_found": ("没有这张工单", "There is no such ticket"),
    "not_found_hint": (
        "工单编号 {id} 不存在，请从列表中选择。",
        "No ticket has the number {id}. Choose one from the list.",
    ),
    # status strip
    "status": ("运行状态", "Status"),
    "readings_in": ("接收读数", "Readings in"),
    "per_s": ("{n}/秒", "{n}/s"),
    "since_start": ("启动以来", "since the start"),
    "batches": ("批次", "Batches"),
    "lag": ("积压", "Lag"),
    "lag_s": ("滞后 {time}", "{time} behind"),
    "up_to_date": ("无滞后", "up to date"),
    "late": ("迟到读数", "Late"),
    "dead_letters": ("死信", "Dead letters"),
    "flags": ("异常", "Flags"),
    "tickets_open": ("未结工单", "Open tickets"),
    "of_n": ("共 {n}", "of {n}"),
    "outbox": ("待推送", "Outbox"),
    "outbox_age": ("最早 {time}前", "oldest {time}"),
    "outbox_dead": ("{n} 条已放弃", "{n} given up"),
    "outbox_empty": ("无积压", "nothing waits"),
    "warming_up": ("表计预热中", "Warming up"),
    "of_meters": ("共 {n} 块表", "of {n} meters"),
    "processes": ("进程", "Processes"),
    "ingest": ("采集", "ingest"),
    "worker": ("处理", "worker"),
    "web": ("页面", "web"),
    "alive": ("正常", "alive"),
    "silent": ("{time}无心跳", "silent for {time}"),
    "none_yet": ("尚无进程心跳：请运行 forestall run", "no process has reported yet: start forestall run"),
    "says": ("提示：{error}", "says: {error}"),
    # lists
    "tickets": ("工单", "Tickets"),
    "readings": ("读数", "Readings"),
    "show_open": ("未结", "Open"),
    "show_all": ("全部", "All"),
    "shown_of": ("最新 {shown} / {n}", "newest {shown} of {n}"),
    "priority": ("级别", "Prio"),
    "opened": ("开单时间", "Opened"),
    "what": ("事项", "What"),
    "category": ("类别 / 紧急程度", "Category, urgency"),
    "expected": ("应计", "Expected"),
    "billed": ("已计", "Billed"),
    "excess": ("差额", "Excess"),
    "state": ("状态", "State"),
    "time": ("时间", "Time"),
    "meter": ("表计", "Meter"),
    "value": ("读数", "Value"),
    "remarks": ("备注", "Marks"),
    "observed": ("实测", "Observed"),
    "expected_of_flag": ("预期 {value}", "expected {value}"),
    "raised": ("发生", "raised"),
    "updated": ("更新", "updated"),
    "cleared": ("解除", "cleared"),
    "drill": ("演练", "DRILL"),
    # marks and qualities of readings
    "register": ("表底", "register"),
    "interval": ("时段量", "interval"),
    "gauge": ("瞬时", "gauge"),
    "uncertain": ("存疑", "uncertain"),
    "bad": ("无效", "bad"),
    "retained": ("保留消息", "retained"),
    "historical": ("历史补传", "historical"),
    "estimated": ("估值", "estimated"),
    "edited": ("人工修正", "edited"),
    "arrival_time": ("到达时间", "arrival time"),
    "gap": ("此前有缺失", "gap before"),
    # nothing to show
    "no_tickets": ("暂无工单", "No tickets yet"),
    "no_tickets_hint": (
        "当某块表的用量偏离其自身历史时，会在此自动开单。想先看效果，请运行 make demo。",
        "A ticket opens here when a meter departs from its own past. To see one now, run make demo.",
    ),
    "no_open": ("没有未结工单", "No open tickets"),
    "no_open_hint": ("选择“全部”可查看已办结工单。", "Choose All to see those that are closed."),
    "no_flags": ("暂无异常", "No flags yet"),
    "no_flags_hint": (
        "检测器需先了解每块表的历史；“表计预热中”为尚在学习的数量。可用 forestall import 导入历史读数。",
        "Detectors need a meter's past first (see Warming up). forestall import brings history in.",
    ),
    "no_readings": ("暂无读数", "No readings yet"),
    "no_readings_hint": (
        "请向 MQTT 主题 forestall/readings/<表号> 发送 JSON 读数；格式见 README。",
        "Publish JSON to the MQTT topic forestall/readings/<meter>; the README shows a payload.",
    ),
    "no_ingest": ("采集进程未运行", "No ingest process runs"),
    "no_ingest_hint": ("请启动：forestall run", "Start it with forestall run"),
    "no_history": ("此处不保存历史", "No history is kept here"),
    "no_history_hint": (
        "读数与异常保存于 {place}。要在此显示，请将 history.keep_days 设为大于 0。",
        "Readings and flags are kept in {place}. To see them here, set history.keep_days above 0.",
    ),
    "no_history_anywhere": (
        "配置关闭了历史。要在此显示读数与异常，请将 history.keep_days 设为大于 0。",
        "History is switched off. To see readings and flags here, set history.keep_days above 0.",
    ),
    # one ticket
    "back": ("返回列表", "Back to the lists"),
    "ticket": ("工单", "Ticket"),
    "opened_at": ("{when} 开单", "opened {when}"),
    "about": ("异常时段 {start} 至 {end}", "about {start} to {end}"),
    "department": ("主办", "Owner"),
    "ack_due": ("受理时限", "Acknowledge by"),
    "resolve_due": ("办结时限", "Resolve by"),
    "callback_due": ("回访时限", "Call back by"),
    "overdue": ("已超时", "overdue"),
    "paused": ("计时暂停", "clock paused"),
    "service_point": ("用户点", "Service point"),
    "area": ("区域", "Area"),
    "commodity": ("介质", "Commodity"),
    "gas": ("燃气", "gas"),
    "water": ("水", "water"),
    "electricity": ("电", "electricity"),
    "heat": ("热", "heat"),
    "scada": ("SCADA", "SCADA"),
    "estimate": ("退补测算", "Credit estimate"),
    "no_estimate": ("此类异常没有可测算的退补量。", "This kind of ticket has no amount to be credited."),
    "excess_range": ("差额范围 {low} 至 {high}", "excess between {low} and {high}"),
    "method": ("方法", "Method"),
    "assumptions": ("假设", "Assumptions"),
    "chart": ("表计读数", "The meter's readings"),
    "chart_rate": ("日均用量（{unit}）", "Use a day ({unit})"),
    "chart_value": ("读数（{unit}）", "Readings ({unit})"),
    "chart_usage": ("时段用量（{unit}）", "Use in each interval ({unit})"),
    "chart_episode": ("异常时段", "episode"),
    "chart_usual": ("此前日均", "usual"),
    "chart_none": (
        "历史中没有该表在此时段的读数。",
        "The history has no readings of this meter for that time.",
    ),
    "chart_error": ("暂时无法读取历史：{error}", "The history cannot be read just now: {error}"),
    "chart_thinned": ("仅显示每段最大与最小值", "shown: least and greatest of each stretch"),
    "pack": ("证据材料", "Evidence pack"),
    "causes": ("可能原因与核查顺序", "Possible causes, in the order of the checks"),
    "cause": ("原因", "Cause"),
    "weight": ("权重", "Weight"),
    "next_check": ("下一步核查", "Next check"),
    "result": ("结果", "Result"),
    "to_do": ("待核查", "to do"),
    "done_by": ("{who}，{when}", "{who}, {when}"),
    "priors": ("权重为经验先验，仅用于排序。", "Weights are priors, for the order only."),
    "evidence": ("证据", "Evidence"),
    "periods": ("以往周期", "Past periods"),
    "from": ("起", "From"),
    "to": ("止", "To"),
    "days": ("天数", "Days"),
    "amount": ("用量", "Amount"),
    "a_day": ("日均", "A day"),
    "parameters": ("检测参数", "Detector's parameters"),
    "ticket_flags": ("关联异常", "Flags of this ticket"),
    "score": ("得分", "Score"),
    "history": ("办理记录", "History"),
    "related": ("关联工单", "Related tickets"),
    "elsewhere": ("外部编号", "Numbers elsewhere"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    # lengths of time
    "n_s": ("{n} 秒", "{n} s"),
    "n_min": ("{n} 分钟", "{n} min"),
    "n_h": ("{n} 小时", "{n} h"),
    "n_d": ("{n} 天", "{n} d"),
    **RAW_MESSAGE_WORDS,
    **WORK,
    **DESK,
    **OFFICE,
}


class Words:
    """Says everything in one language."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "en"
        self._column = 0 if self.language == "zh" else 1

    def __call__(self, key: str, **names: object) -> str:
        """The words for a key of the table."""
        return WORDS[key][self._column].format(**names)

    def known(self, code: str) -> str:
        """The words for a code that may be in the table, else the code."""
        return WORDS[code][self._column] if code in WORDS else code

    def of(self, table: Mapping[str, tuple[str, str]], code: str) -> str:
        """The words for a code of another table; the code itself where it has none."""
        return table[code][self._column] if code in table else code.replace("_", " ")

    def evidence(self, key: str) -> tuple[str, str]:
        """The words for a piece of evidence, and its unit."""
        if key not in EVIDENCE:
            return key.replace("_", " "), ""
        entry = EVIDENCE[key]
        return entry[self._column], entry[2]


def language_of(cookies: Mapping[str, str], default: str) -> str:
    """The language that somebody chose, else the configured one."""
    chosen = cookies.get(COOKIE, "")
    return chosen if chosen in LANGUAGES else default
