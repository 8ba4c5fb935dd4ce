"""The opposite of the golden case: no misread, no leak, the meter passes; the customer gets an answer all the same."""

from __future__ import annotations

from tests.stories.site import APPROVER, OPERATOR, SECOND, Utility

POINT = "sp-sun"
CHECKS = (
    ("read_again", "照片与读数一致"),
    ("leak_test", "关闭全部用具，表不走字"),
    ("meter_test", "检定合格，误差 +0.6 %"),
    ("estimated_reads", "前两期均为实抄"),
    ("ask_customer", "用户称用途与人口未变"),
)


def test_everything_is_checked_and_nothing_found(utility: Utility) -> None:
    reads = (("2011-04-10T00:00:00Z", 0.0), ("2012-04-10T00:00:00Z", 176.0), ("2012-06-10T00:00:00Z", 449.0))
    utility.send([{"meter_id": "sun", "time": at, "value": value} for at, value in reads])
    number = utility.opened(POINT)["id"]
    utility.later(hours=3)
    called = utility.complain(
        service_point=POINT, name="孙先生", phone="13900004321", matter="质疑欠费金额，请说明依据"
    )
    assert (called["complaint"]["outcome"], called["complaint"]["subject"]) == ("known", "disputed_amount")
    assert called["complaint"]["lead_time_s"] == 3 * 3600
    # 争议期间暂缓: the subject of the complaint holds the bill by itself
    held = utility.ticket(number)
    assert (held["bill_hold"], held["hold_reason"]) == (True, f"{called['complaint']['id']}; disputed_amount")
    utility.work(OPERATOR, number, "move", to="investigating")
    steps = utility.ticket(number)["steps"]
    assert [step["check"] for step in steps] == [check for check, _ in CHECKS]
    for seq, (_, result) in enumerate(CHECKS, 1):
        told = utility.work(OPERATOR, number, f"checks/{seq}", result=result, finding="negative")
    assert told["hypotheses"][0]["cause"] == "unexplained"
    assert told["cause"] == ""

    drafted = utility.work(OPERATOR, number, "notices", situation="meter_fine")
    notice = drafted["notices"][-1]
    assert "和安燃气" in notice["zh"]["text"]
    utility.work(SECOND, number, f"notices/{notice['number']}/approve")
    utility.work(SECOND, number, f"notices/{notice['number']}/sent", channel="letter")
    utility.work(OPERATOR, number, "move", to="implemented", resolution="explanation", responsibility="none")
    utility.work(APPROVER, number, "bill-hold", hold=False, reason="核查完毕，恢复出账")
    closed = utility.work(
        OPERATOR, number, "move", to="closed", verdict="explained", archive_class="explained", satisfied=False,
        rating=3,
    )  # fmt: skip
    assert (closed["state"], closed["verdict"], closed["credit"]) == ("closed", "explained", None)
    assert closed["bill_hold"] is False

    zh, en = utility.pack(number, "zh"), utility.pack(number, "en")
    for words in (
        "规定的核查已全部完成，均未发现问题", "表计校验合格", "未发现泄漏", "243.7", "29.3", "检定合格，误差+0.6%",
        "不能解释这一差额", "已解释",
    ):  # fmt: skip
        assert words in zh, words
    for words in ("nonefoundanything", "themeterpasseditstest", "243.7", "donotexplainthedifference"):
        assert words in en, words
    types = [event["type"] for event in utility.heard(number)]
    for told_of in ("bill_held", "bill_released", "complained", "notice_sent"):
        assert types.count(f"forestall.ticket.{told_of}.v1") == 1
    assert not any("credit" in one for one in types)
    assert utility.opened(POINT)["id"] == number
    utility.whole()
