"""A complaint as somebody fills it in → the values; every fault named at once.

The same form for API, CSV and topic. Required (投诉时间、投诉人姓名、联系方式、投诉事项): ``time``, ``name``, one of
``phone``, ``email``, ``address``, and ``matter``. Codes may be given in words, Chinese or English.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from streams.messages import NS
from streams.trade.complaints import Attachment, Channel, Complainant, Complaint, Faults, Stage
from streams.trade.states import LABELS, Category, Urgency
from streams.trade.subjects import SUBJECTS, endangers, plain, recognised, subject_of

__all__ = ["CHANNELS", "FIELDS", "IMPACTS", "PERSONAL", "STAGES", "Faults", "Filled", "complaint_id", "fill"]

#: field → most characters
FIELDS: Mapping[str, int] = {
    "source": 64,
    "reference": 200,
    "time": 64,
    "name": 200,
    "phone": 64,
    "email": 254,
    "address": 500,
    "matter": 10_000,
    "demand": 2000,
    "service_point": 200,
    "channel": 32,
    "stage": 32,
    "category": 64,
    "subject": 64,
    "urgency": 32,
    "impact": 32,
    "taken_by": 100,
    "language": 8,
    "hold_bill": 16,
}
#: what says who somebody is: never logged, never in a dead letter
PERSONAL = frozenset({"name", "phone", "email", "address"})

#: code → (Chinese, English)
CHANNELS: Mapping[str, tuple[str, str]] = {
    "hotline": ("客服热线", "hotline"),
    "counter": ("营业厅", "counter"),
    "site": ("网站", "website"),
    "app": ("手机应用", "app"),
    "social": ("社交媒体", "social media"),
    "letter": ("来信来访", "letter"),
}
STAGES: Mapping[str, tuple[str, str]] = {
    "installation": ("安装投诉", "installation"),
    "use": ("使用投诉", "use"),
}
IMPACTS: Mapping[str, tuple[str, str]] = {
    "vip": ("VIP 客户", "VIP customer"),
    "key_account": ("大客户", "key account"),
    "hospital": ("医院", "hospital"),
    "school": ("学校", "school"),
    "dialysis": ("居家医疗", "medical need at home"),
}
#: whether the bill is to wait while it is disputed (争议账单暂缓)
HOLDS: Mapping[str, tuple[str, str]] = {"yes": ("是", "yes"), "no": ("否", "no")}
_SPOKEN: Mapping[str, Mapping[str, str]] = {
    "channel": {
        "热线": "hotline", "电话": "hotline", "客服电话": "hotline", "telephone": "hotline", "phone": "hotline",
        "柜台": "counter", "窗口": "counter", "现场": "counter", "web": "site", "官网": "site", "在线客服": "site",
        "小程序": "app", "客户端": "app", "微信": "social", "公众号": "social", "微博": "social", "信件": "letter",
        "信函": "letter", "来信": "letter", "邮件": "letter", "mail": "letter",
    },
    "stage": {"安装": "installation", "使用": "use"},
    "urgency": {"紧急投诉": "emergency", "一般投诉": "normal", "urgent": "emergency", "普通": "normal"},
    "category": {
        "供气质量": "supply_quality", "供水质量": "supply_quality", "供电质量": "supply_quality",
        "计量收费": "metering_billing", "安装维修": "install_repair", "安全管理": "safety",
        "服务态度": "service_attitude", "政策咨询": "policy_inquiry",
    },
    "hold_bill": {"true": "yes", "1": "yes", "暂缓": "yes", "false": "no", "0": "no", "不暂缓": "no"},
    "impact": {"vip": "vip", "vip客户": "vip", "大客户": "key_account"},
}  # fmt: skip

_MOST_ATTACHMENTS = 20
_AHEAD_NS = 300 * NS  # by which another's clock may be ahead of ours
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
_LOCAL = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[T\s]*(\d{1,2})[:时點点](\d{1,2})(?:[:分](\d{1,2})秒?)?分?)?"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class Filled(NamedTuple):
    """A form that can be taken."""

    complaint: Complaint
    person: Complainant


def complaint_id(source: str, reference: str) -> str:
    """A complaint's number, made of who told us and its number there: the same again is the same.

    64 bits of BLAKE2b in base 32.
    """
    digest = hashlib.blake2b(f"{source}\x1f{reference}".encode(), digest_size=8).digest()
    return "CP-" + base64.b32encode(digest).decode().rstrip("=")


def fill(form: Mapping[str, Any], source: str, now_ns: int, zone: str) -> Filled:
    """Read a form. Raises Faults, which names everything that is missing or wrong.

    source : who tells us, where the form does not say
    zone   : of times that name none, an IANA name
    """
    faults: list[str] = []
    given = {name: _text(name, form.get(name), faults) for name in FIELDS}
    unknown = sorted(str(name)[:64] for name in form if name not in FIELDS and name != "attachments")
    if unknown:
        faults.append(f"expected only known fields, got {', '.join(unknown[:10])}")
    _require(given, faults)
    at_ns = _instant(given["time"], zone, now_ns, faults) if given["time"] else now_ns
    if given["phone"] and sum(sign.isdigit() for sign in given["phone"]) < 3:
        faults.append("phone: expected a telephone number of at least 3 digits")
    if given["email"] and not _EMAIL.fullmatch(given["email"]):
        faults.append("email: expected an address such as name@example.org")
    subject = _subject(given, faults)
    about = SUBJECTS[subject]
    channel = _code("channel", given["channel"] or "hotline", CHANNELS, faults)
    stage = _code("stage", given["stage"] or "use", STAGES, faults)
    category = _code("category", given["category"] or about.category, dict.fromkeys(Category), faults)
    urgency = _code("urgency", given["urgency"] or about.urgency, dict.fromkeys(Urgency), faults)
    impact = _code("impact", given["impact"], IMPACTS, faults) if given["impact"] else ""
    hold_bill = _code("hold_bill", given["hold_bill"], HOLDS, faults) if given["hold_bill"] else ""
    language = given["language"] or "zh"
    if language not in ("zh", "en"):
        faults.append(f"language: expected zh or en, got {language!r}")
    attachments = _attachments(form.get("attachments"), faults)
    if faults:
        raise Faults(faults)
    told_by = given["source"] or source
    reference = given["reference"] or _content_reference(given, at_ns)
    if subject == "gas_leak":
        # whoever fills in the form may call it what they like: it is an emergency at once
        category, urgency = about.category, about.urgency
    complaint = Complaint(
        id=complaint_id(told_by, reference),
        source=told_by,
        reference=reference,
        at_ns=at_ns,
        received_ns=now_ns,
        channel=Channel(channel),
        stage=Stage(stage),
        category=Category(category),
        urgency=Urgency(urgency),
        impact=impact,
        subject=subject,
        named=given["service_point"],
        content=given["matter"],
        demand=given["demand"],
        attachments=attachments,
        taken_by=given["taken_by"],
        language=language,
        hold_bill=hold_bill,
    )
    person = Complainant(
        name=given["name"],
        phone=given["phone"],
        email=given["email"],
        address=given["address"],
        language=language,
    )
    return Filled(complaint, person)


def _text(name: str, value: Any, faults: list[str]) -> str:
    """The text of a field as every database takes it; numbers count as their digits."""
    if value is None:
        return ""
    if isinstance(value, bool) and name == "hold_bill":
        value = "yes" if value else "no"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**40:
        value = str(value)  # a number that a program did not write as text
    if not isinstance(value, str):
        faults.append(f"{name}: expected text, got {type(value).__name__}")
        return ""
    text = _clean(value).strip()
    if len(text) > FIELDS[name]:
        faults.append(f"{name}: expected at most {FIELDS[name]} characters, got {len(text)}")
    return text


def _clean(text: str) -> str:
    """Without what PostgreSQL refuses: NUL and lone surrogates."""
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _require(given: Mapping[str, str], faults: list[str]) -> None:
    missing = [
        word
        for name, word in (
            ("time", "time (投诉时间)"),
            ("name", "name (投诉人姓名)"),
            ("phone", "a contact: phone, email or address (联系方式)"),
            ("matter", "matter (投诉事项)"),
        )
        if not (given[name] or (name == "phone" and (given["email"] or given["address"])))
    ]
    if missing:
        faults.append(f"expected {', '.join(missing)}; got none")


def _instant(text: str, zone: str, now_ns: int, faults: list[str]) -> int:
    """Nanoseconds since 1970 of ISO 8601, or of a local time as offices write it."""
    stamp = None
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        if found := _LOCAL.fullmatch(text):
            try:
                year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
                stamp = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the zone follows
            except ValueError:
                stamp = None
    if stamp is None:
        faults.append(f"time: expected a time such as 2026-06-01T09:30:00+08:00, got {text[:64]!r}")
        return now_ns
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=ZoneInfo(zone))
    try:
        past = stamp.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        early = stamp < _OLDEST
    except OverflowError:
        early = True
    if early:
        faults.append(f"time: expected a time since 1990, got {text[:64]!r}")
        return now_ns
    at_ns = (past.days * 86_400 + past.seconds) * NS + past.microseconds * 1000
    if at_ns > now_ns + _AHEAD_NS:
        faults.append(f"time: expected a time that has been, got {text[:64]!r}")
    return min(at_ns, now_ns)


def _subject(given: Mapping[str, str], faults: list[str]) -> str:
    """The subject as it was named, or as the matter speaks of it; gas that escapes goes before both."""
    if endangers(f"{given['matter']}\n{given['demand']}"):
        return "gas_leak"
    if not given["subject"]:
        return recognised(given["matter"])
    named = subject_of(given["subject"])
    if not named:
        faults.append(f"subject: expected one of {', '.join(SUBJECTS)}, got {given['subject'][:64]!r}")
    return named or "other"


def _code(name: str, text: str, known: Mapping[str, Any], faults: list[str]) -> str:
    """The code that a text names, by itself or in words."""
    said = plain(text)
    for code in known:
        words = known[code] or LABELS.get(code, ())
        if said in (plain(code), *(plain(word) for word in words)):
            return str(code)
    spoken = {plain(word): code for word, code in _SPOKEN.get(name, {}).items()}
    if said in spoken:
        return spoken[said]
    faults.append(f"{name}: expected one of {', '.join(known)}, got {text[:64]!r}")
    return next(iter(known))


def _attachments(given: Any, faults: list[str]) -> tuple[Attachment, ...]:
    """Photos, recordings, bills: their names, hashes and where they are kept."""
    if not given:
        return ()
    if not isinstance(given, list) or len(given) > _MOST_ATTACHMENTS:
        faults.append(f"attachments: expected a list of at most {_MOST_ATTACHMENTS}")
        return ()
    out = []
    for n, one in enumerate(given):
        fields = dict(one) if isinstance(one, Mapping) else {}
        cells = {name: fields.get(name) or "" for name in ("name", "media_type", "sha256", "url")}
        where = f"attachments[{n}]"
        if not fields or not all(isinstance(cell, str) and len(cell) <= 2000 for cell in cells.values()):
            faults.append(f"{where}: expected an object of texts: name, media_type, sha256, url")
            continue
        cells = {name: _clean(cell) for name, cell in cells.items()}
        if not cells["name"]:
            faults.append(f"{where}.name: expected the name of the file, got none")
        if cells["sha256"] and not _SHA256.fullmatch(cells["sha256"]):
            faults.append(f"{where}.sha256: expected 64 hexadecimal digits")
        if cells["url"] and not re.match(r"https?://[^\s/]", cells["url"]):
            faults.append(f"{where}.url: expected an http or https address")
        out.append(Attachment(**{**cells, "sha256": cells["sha256"].lower()}))
    return tuple(out)


def _content_reference(given: Mapping[str, str], at_ns: int) -> str:
    """A number for a complaint that came without one: the same form again has the same.

    128 bits of BLAKE2b over who, when, where and what.
    """
    parts = [
        str(at_ns),
        *(given[name] for name in ("name", "phone", "email", "address", "service_point", "matter")),
    ]
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
