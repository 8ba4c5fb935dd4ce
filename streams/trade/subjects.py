"""What may be complained of (投诉对象), and what each means: class, family, urgency, words.

A complaint joins the ticket of a flag where the two are about one matter: each subject names the
families of flags that it can be about, its own first. Families that no flag has (``service``,
``installation``, ``policy``, ``other``) hold tickets of complaints only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from streams.trade.states import Category, Urgency


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that may be complained of.

    words     : Chinese, English
    family    : of its ticket; with ``also`` the families of flags that it can be about
    like      : kind of flag whose causes and checks its ticket gets; empty: none
    commodity : where only one can be meant
    spoken    : other ways to say it, with | between; the longest that a text holds decides
    """

    words: tuple[str, str]
    category: Category
    family: str
    like: str = ""
    also: tuple[str, ...] = ()
    urgency: Urgency = Urgency.NORMAL
    commodity: str = ""
    spoken: str = ""

    @property
    def families(self) -> tuple[str, ...]:
        """Families of flags that this can be about, the likeliest first."""
        return (self.family, *self.also)


_METERING = Category.METERING_BILLING
_SUPPLY = Category.SUPPLY_QUALITY

SUBJECTS: Mapping[str, Subject] = MappingProxyType(
    {
        "gas_leak": Subject(
            ("燃气泄漏或异味", "gas leak or smell of gas"),
            Category.SAFETY,
            "leak",
            "leak",
            urgency=Urgency.EMERGENCY,
            commodity="gas",
            spoken=(
                "漏气|泄漏燃气|燃气泄漏|煤气泄漏|天然气泄漏|煤气味|燃气味|天然气味|瓦斯味|臭鸡蛋味|闻到气味|"
                "gas leak|leaking gas|smell of gas|smell gas|smells of gas|gas smell|gas odour|gas odor"
            ),
        ),
        "high_bill": Subject(
            ("费用或用量偏高", "bill or use too high"),
            _METERING,
            "usage_high",
            "bill_shock",
            ("leak", "register"),
            spoken=(
                "气费偏高|水费偏高|电费偏高|气费过高|水费过高|电费过高|费用高|账单高|用量大增|突然增多|多扣费|多计|"
                "用量偏高|用气量异常|用水量异常|用电量异常|气量异常|水量异常|电量异常|费用偏高|费用过高|"
                "气费高|水费高|电费高|气费太高|水费太高|电费太高|用量突增|量突增|账单过高|多收费|high bill|"
                "bill too high|bill is too high|overcharged|high usage|high consumption"
            ),
        ),
        "disputed_amount": Subject(
            ("质疑欠费金额", "amount owed is disputed"),
            _METERING,
            "usage_high",
            "bill_shock",
            ("register", "leak"),
            spoken="欠费金额|质疑欠费|金额有异议|计算标准|计费标准|disputed amount|disputed bill",
        ),
        "low_bill": Subject(
            ("费用或用量偏低", "bill or use too low"),
            _METERING,
            "usage_low",
            "low_usage",
            ("register", "data"),
            spoken="用量偏低|用量偏小|费用偏低|low bill|bill too low|low usage",
        ),
        "meter_stopped": Subject(
            ("表具不走字", "meter stands still"),
            _METERING,
            "usage_low",
            "stuck",
            ("data", "register"),
            spoken="不走字|表不走|表停|表具故障|死表|meter stopped|meter stuck",
        ),
        "meter_accuracy": Subject(
            ("表具计量不准", "meter measures wrong"),
            _METERING,
            "usage_high",
            "high_usage",
            ("register", "usage_low"),
            spoken="计量不准|表不准|表快|走得快|要求校表|meter inaccurate|meter runs fast",
        ),
        "misread": Subject(
            ("错抄", "misread"),
            _METERING,
            "register",
            "misread",
            ("usage_high", "usage_low"),
            spoken="抄错|抄表错误|读数不符|wrong reading|misreading",
        ),
        "estimated_reading": Subject(
            ("估抄", "estimated reading"),
            _METERING,
            "register",
            "estimated_run",
            ("data", "usage_high", "usage_low"),
            spoken="估算|估表|长期估抄|estimated read",
        ),
        "missed_reading": Subject(
            ("漏抄", "missed reading"),
            _METERING,
            "data",
            "gap",
            ("register",),
            spoken="未抄表|没有抄表|没抄表|missing reading|not read",
        ),
        "late_reading": Subject(
            ("抄表不及时", "meter reading not timely"),
            _METERING,
            "data",
            "gap",
            ("register",),
            spoken="抄表延误|抄表晚|late reading",
        ),
        "swap_not_told": Subject(
            ("换表起止码未告知", "reads at the meter swap not told"),
            _METERING,
            "register",
            "meter_swap",
            ("usage_high",),
            spoken="起止码|换表未告知|换表底码|换表止码|meter swap|meter replaced",
        ),
        "no_supply": Subject(
            ("停供", "no supply"),
            _SUPPLY,
            "supply",
            "outage",
            ("data", "scada"),
            spoken="停电|停水|停气|没电|没水|没气|无电|无水|无气|outage|power cut|no gas|no water|no power",
        ),
        "repeated_outage": Subject(
            ("频繁停供", "repeated outages"),
            _SUPPLY,
            "supply",
            "repeated_outage",
            ("data",),
            spoken=(
                "频繁停电|频繁停水|频繁停气|多次停电|经常停电|经常停水|经常停气|repeated outage|"
                "frequent outages"
            ),
        ),
        "low_pressure": Subject(
            ("压力不足", "pressure too low"),
            _SUPPLY,
            "scada",
            "pressure_low",
            ("supply",),
            spoken="水压低|水压不足|气压低|气压不足|压力低|火小|水小|low pressure",
        ),
        "low_voltage": Subject(
            ("低电压", "voltage too low"),
            _SUPPLY,
            "supply",
            "voltage_low",
            ("scada",),
            commodity="electricity",
            spoken="电压低|电压不足|电压不稳|low voltage|voltage drop",
        ),
        "outage_not_told": Subject(
            ("停供通知不及时", "outage notice not given"),
            _SUPPLY,
            "supply",
            "outage",
            spoken="停电通知|停水通知|停气通知|未提前通知|没有通知|未通知|no notice|not notified",
        ),
        "water_leak": Subject(
            ("漏水", "water leak"),
            _METERING,
            "leak",
            "leak",
            ("usage_high", "balance"),
            commodity="water",
            spoken="管道漏水|水管爆裂|爆管|leaking water|burst pipe",
        ),
        "installation_delay": Subject(
            ("安装延误", "installation delayed"),
            Category.INSTALL_REPAIR,
            "installation",
            spoken="装表延误|迟迟未安装|报装|开户延误|延迟安装|installation delay",
        ),
        "repair_quality": Subject(
            ("维修质量或不及时", "repair late or badly done"),
            Category.INSTALL_REPAIR,
            "installation",
            spoken="维修不及时|维修质量|安装质量|没修好|repair late|bad repair",
        ),
        "staff_attitude": Subject(
            ("服务态度", "staff attitude"),
            Category.SERVICE_ATTITUDE,
            "service",
            spoken="态度恶劣|态度差|态度不好|推诿|rude|attitude",
        ),
        "policy_question": Subject(
            ("政策咨询", "policy question"),
            Category.POLICY_INQUIRY,
            "policy",
            urgency=Urgency.LOW,
            spoken="咨询|阶梯价格|价格政策|policy|enquiry|inquiry",
        ),
        "other": Subject(("其他", "other matter"), Category.POLICY_INQUIRY, "other", spoken="其它"),
    }
)

#: what turns a word of danger into its opposite where it stands right before it
_DENIED = re.compile(
    r"(?:不|没|沒|无|無|未|非|并未|没有|沒有|未见|未发现|没发现|排除|no|not|without|never)\s*(?:any\s+)?$",
    re.IGNORECASE,
)
#: traditional signs of the words above → simplified
_SIMPLIFIED = str.maketrans(
    "氣錯電壓費漏聞瓦異錶計過態務詢停後換達價質疑額標準開戶裝遲頻經無維門",
    "气错电压费漏闻瓦异表计过态务询停后换达价质疑额标准开户装迟频经无维门",
)


def plain(text: str) -> str:
    """Text as it is compared: compatible forms as one, small letters, single blanks, simplified signs."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_SIMPLIFIED)
    return " ".join(folded.replace("_", " ").split())


_SAID = tuple(
    sorted(
        (
            (plain(word), code)
            for code, subject in SUBJECTS.items()
            for word in (code, *subject.words, *subject.spoken.split("|"))
            if word
        ),
        key=lambda pair: (-len(pair[0]), pair[0]),
    )
)
_EXACT: dict[str, str] = dict(reversed(_SAID))


def subject_of(text: str) -> str:
    """The code of a subject that is named by its code or by one of its words; empty: none is."""
    return _EXACT.get(plain(text), "")


def recognised(text: str) -> str:
    """The subject that a free text speaks of; ``other`` where it says none of the words."""
    if endangers(text):
        return "gas_leak"
    said = plain(text)
    return next((code for word, code in _SAID if code != "gas_leak" and _holds(said, word)), "other")


def endangers(text: str) -> bool:
    """Tell whether a text speaks of gas that escapes, and not only to deny it."""
    said = plain(text)
    for word, code in _SAID:
        if code != "gas_leak":
            continue
        for hit in re.finditer(re.escape(word), said):
            if not _DENIED.search(said[: hit.start()]):
                return True
    return False


def _holds(said: str, word: str) -> bool:
    """Whether a text holds a word; Latin letters must not go on before or after it."""
    return bool(re.search(rf"\b{re.escape(word)}\b", said)) if word.isascii() else word in said


def subject_label(code: str, language: str) -> str:
    """The words for a subject in ``zh`` or ``en``."""
    return SUBJECTS[code].words[0 if language == "zh" else 1] if code in SUBJECTS else code
