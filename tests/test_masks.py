"""What is shown of a person, and how numbers are found again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.trade.masks import (
    mask_address,
    mask_email,
    mask_name,
    mask_phone,
    normal_email,
    normal_phone,
    redact,
    substantial,
    telltale,
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("张伟", "张*"),
        ("王小芳", "王**"),
        ("欧阳修", "欧阳*"),
        ("欧阳娜娜", "欧阳**"),
        ("歐陽娜娜", "歐陽**"),
        ("司马", "司*"),  # two characters: one is the given name
        ("东方", "东*"),
        ("司马光", "司马*"),
        ("范徐丽泰", "范***"),
        ("张", "*"),
        (" 李 ", "*"),
        ("北京某某燃气有限公司", "北***"),
        ("阿依古丽·买买提", "阿*** 买***"),
        ("김민수", "김**"),
        ("John Smith", "J*** S***"),
        ("Li", "L***"),
        ("Jean-Luc O'Neill", "J*** L*** O***"),
        ("Иван Петров", "И*** П***"),
        ("", ""),
    ],
)
def test_names(name: str, shown: str) -> None:
    assert mask_name(name) == shown


@pytest.mark.parametrize(
    ("phone", "shown"),
    [
        ("13812345678", "138****5678"),
        ("138 1234 5678", "138****5678"),
        ("+86 138-1234-5678", "138****5678"),
        ("0086 13812345678", "138****5678"),
        ("１３８１２３４５６７８", "138****5678"),
        ("010-12345678", "010-****5678"),
        ("(0755) 8123 4567 转 801", "0755-****4567"),
        ("+86 (0)10 1234 5678", "010-****5678"),
        ("+44 7911 123456", "+44****56"),
        ("+1 (212) 555-0187", "+12****87"),
        ("12345678", "****78"),
        ("110", "****"),
        ("none", ""),
    ],
)
def test_telephone_numbers(phone: str, shown: str) -> None:
    assert mask_phone(phone) == shown


def test_one_spelling_of_a_number() -> None:
    same = ("13812345678", "+86 13812345678", "8613812345678", "0086-138-1234-5678", "１３８ 1234 5678")
    assert {normal_phone(one) for one in same} == {"+8613812345678"}
    assert normal_phone("010-12345678") == normal_phone("+86 10 12345678") == "+861012345678"
    assert normal_phone("+44 7911 123456") == normal_phone("00447911123456")
    assert normal_email(" Anna@Example.COM ") == "anna@example.com"


@pytest.mark.parametrize(
    ("email", "shown"),
    [
        ("anna@example.com", "a***@example.com"),
        ("A@b.cn", "a***@b.cn"),
        ("王@例子.中国", "王***@例子.中国"),
        ("nobody", "***"),
        ("@example.com", "***"),
        ("", ""),
    ],
)
def test_e_mail(email: str, shown: str) -> None:
    assert mask_email(email) == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("广东省深圳市南山区科苑路1号", "广东省深圳市南山区***"),
        ("北京市朝阳区建国路88号3栋501", "北京市朝阳区***"),
        ("上海市浦东新区世纪大道100号", "上海市浦东新区***"),
        ("新疆维吾尔自治区乌鲁木齐市天山区解放路2号", "新疆维吾尔自治区乌鲁木齐市天山区***"),
        ("浙江省义乌市稠城街道", "浙江省义乌市***"),
        ("朝阳区幸福小区3栋", "朝阳区***"),
        ("幸福小区3栋501", "***"),
        ("阳光花园小区12号", "***"),
        ("解放路12号", "***"),
        ("12 Main Street, London", "***, London"),
        ("12 Main Street, Springfield, IL 62704", "***"),
        ("12 Main Street", "***"),
        ("", ""),
    ],
)
def test_addresses(address: str, shown: str) -> None:
    assert mask_address(address) == shown


@given(st.text(min_size=5, max_size=20))
def test_no_mask_shows_everything(text: str) -> None:
    for mask in (mask_name, mask_phone, mask_email, mask_address):
        assert not text.strip() or mask(text) != text or "*" in text or not any(c.isalnum() for c in text)


@given(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True))
def test_the_middle_of_a_mobile_number_is_never_shown(phone: str) -> None:
    assert mask_phone(phone) == phone[:3] + "****" + phone[7:]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("call 13812345678", "a telephone number"),
        ("电话138 1234 5678核实", "a telephone number"),
        ("010-12345678", "a telephone number"),
        ("+44 7911 123456", "a telephone number"),
        ("write to anna@example.com", "an e-mail address"),
        ("身份证11010519491231002X", "an identity card's number"),
        ("meter 2023123456789 at point 44", ""),
        ("预约上门检表", ""),
    ],
)
def test_what_gives_a_person_away(text: str, what: str) -> None:
    assert telltale(text) == what


def test_what_gives_a_person_away_is_left_out() -> None:
    told = "电话13812345678, anna@example.com, 身份证11010519491231002X, meter 2023123456789"
    assert redact(told) == "电话[…], […], 身份证[…], meter 2023123456789"


@pytest.mark.parametrize("reason", ["预约上门检表", "核实地址", "call the customer back", "回访用户"])
def test_reasons_of_substance(reason: str) -> None:
    assert substantial(reason)


@pytest.mark.parametrize(
    "reason", ["", "   ", "test", "asdf asdf", "....", "核实", "。。。。。", "aaaaaaaa aaaaaaa", "1234567890"]
)
def test_reasons_that_say_nothing(reason: str) -> None:
    assert not substantial(reason)
