"""A complaint's form: everything that is missing at once, words in two languages, hostile input."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.trade.complaint_form import CHANNELS, FIELDS, IMPACTS, STAGES, Faults, complaint_id, fill
from streams.trade.complaints import Channel, Stage
from streams.trade.states import Category, Urgency
from streams.trade.subjects import SUBJECTS, endangers, recognised, subject_of
from streams.trade.tickets import iso
from tests.tickets.complaint_tools import filled, form
from tests.tickets.tools import DAY, NOON


def faults(**fields: object) -> str:
    with pytest.raises(Faults) as caught:
        filled(**fields)  # type: ignore[arg-type]
    return str(caught.value)


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(Faults) as caught:
        fill({}, "api", NOON, "Asia/Shanghai")
    told = str(caught.value)
    for word in ("投诉时间", "投诉人姓名", "联系方式", "投诉事项"):
        assert word in told
    assert "time" not in faults(name=" ", phone=None)
    assert faults(name="", matter="\t") == "expected name (投诉人姓名), matter (投诉事项); got none"


@pytest.mark.parametrize("contact", ["phone", "email", "address"])
def test_one_contact_is_enough(contact: str) -> None:
    given_contacts: dict[str, Any] = {
        "phone": "",
        contact: {"phone": "12345", "email": "a@b.cn", "address": "幸福里"}[contact],
    }
    person = filled(**given_contacts).person
    assert getattr(person, contact)


def test_the_six_groups_of_fields() -> None:
    complaint, person = filled(
        name="王小明",
        channel="热线",
        stage="使用",
        subject="费用或用量偏高",
        category="计量收费类",
        urgency="一般",
        impact="大客户",
        demand="退费",
        attachments=[{"name": "账单.pdf"}],
        taken_by="agent-7",
        language="en",
    )
    assert (complaint.channel, complaint.stage, complaint.subject) == (
        Channel.HOTLINE,
        Stage.USE,
        "high_bill",
    )
    assert (complaint.category, complaint.urgency) == (Category.METERING_BILLING, Urgency.NORMAL)
    assert (complaint.impact, complaint.demand, complaint.taken_by) == ("key_account", "退费", "agent-7")
    assert complaint.attachments[0].name == "账单.pdf"
    assert (person.name, person.language) == ("王小明", "en")
    assert complaint.id == complaint_id("call-centre", "12345-001")


def test_every_code_can_be_said_in_both_languages() -> None:
    for name, words in (("channel", CHANNELS), ("stage", STAGES), ("impact", IMPACTS)):
        for code, said in words.items():
            for text in (code, code.upper(), *said):
                fields: dict[str, Any] = {name: text}
                assert getattr(filled(**fields).complaint, name) == code
    assert set(CHANNELS) == set(Channel)
    assert set(STAGES) == set(Stage)
    for code, subject in SUBJECTS.items():
        for text in (code, *subject.words):
            assert subject_of(text) == code
        for text in filter(None, subject.spoken.split("|")):
            assert subject_of(text) == code, text
            sentence = f"about {text} here" if text.isascii() else f"用户反映{text}"
            assert code == "other" or recognised(sentence) != "other"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-01T12:00:00Z", NOON),
        ("2026-06-01T20:00:00+08:00", NOON),
        ("2026-06-01 20:00", NOON),
        ("2026/6/1 20:00", NOON),
        ("2026/6/1 20:00:00", NOON),
        ("2026年6月1日 20时00分", NOON),
        ("2026年6月1日20:00", NOON),
        ("2026-06-01", NOON - DAY * 20 // 24),
    ],
)
def test_times_as_offices_write_them(text: str, expected: int) -> None:
    assert filled(time=text).complaint.at_ns == expected


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "2026/2/30 10:00", "1970-01-01T00:00:00Z", "0001-01-01", "9" * 60]
)
def test_times_that_are_none(text: str) -> None:
    assert "time: expected a time" in faults(time=text)


def test_a_complaint_is_not_made_in_the_future() -> None:
    assert "has been" in faults(time=iso(NOON + DAY), now_ns=NOON)
    # another's clock may be a little ahead; it earns nothing by it
    assert filled(time=iso(NOON + 10**9), now_ns=NOON).complaint.at_ns == NOON


def test_what_is_wrong_is_said_of_every_field() -> None:
    told = faults(
        phone="ab",
        email="nobody",
        channel="pigeon",
        stage="later",
        subject="weather",
        urgency="soon",
        impact="king",
        language="fr",
        attachments=[{"name": "x", "sha256": "zz", "url": "javascript:alert(1)"}, 3],
        colour="red",
        demand=["x"],
    )
    for word in (
        "phone",
        "email",
        "channel",
        "stage",
        "subject",
        "urgency",
        "impact",
        "language",
        "sha256",
        "url",
        "colour",
    ):
        assert word in told
    assert "attachments[1]" in told
    assert "demand: expected text, got list" in told


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"time"}))
def test_nothing_is_longer_than_its_field(name: str) -> None:
    assert f"{name}: expected at most {FIELDS[name]} characters" in faults(**{name: "1" * (FIELDS[name] + 1)})


def test_without_a_number_the_content_makes_one() -> None:
    one, again, other = (filled(reference="", matter=matter).complaint for matter in ("停电", "停电", "停水"))
    assert one.id == again.id != other.id
    assert "13800001234" not in one.reference
    assert filled(reference="").complaint.id != filled(reference="", name="李雷").complaint.id


@pytest.mark.parametrize(
    ("text", "danger"),
    [
        ("厨房闻到煤气味", True),
        ("廚房有天然氣味", True),
        ("SMELL  OF GAS in the stairs", True),
        ("怀疑漏气，此前说没有漏气", True),
        ("检查过不漏气，要求校表", False),
        ("not a gas leak, the bill", True),  # rather once too often
        ("no gas leak was found", False),
        ("账单太高", False),
        ("漏水", False),
    ],
)
def test_gas_that_escapes_is_heard_and_its_denial_too(text: str, danger: bool) -> None:
    assert endangers(text) is danger
    complaint = filled(matter=text, subject="other", urgency="low").complaint
    assert (complaint.subject == "gas_leak") is danger
    assert (complaint.urgency is Urgency.EMERGENCY) is danger


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*FIELDS, "attachments", "x"]), ANY))
def test_whatever_comes_is_taken_or_told(fields: dict[str, object]) -> None:
    try:
        complaint, person = fill(form() | fields, "api", NOON, "Asia/Shanghai")
    except Faults:
        return
    for text in (*msgspec.structs.astuple(person), complaint.content, complaint.named, complaint.reference):
        assert "\0" not in text
        text.encode()
    assert msgspec.convert(msgspec.to_builtins(complaint), type(complaint)) == complaint
