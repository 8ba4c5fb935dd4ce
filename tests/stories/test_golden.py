"""The household that the product exists for, from its reads to the archive."""

from __future__ import annotations

import hashlib

from tests.stories.site import (
    APPROVER,
    BILLING,
    HOTLINE,
    OPERATOR,
    SECOND,
    Fields,
    Utility,
    iso,
)

HOUR = 3600
READS = (("2011-04-10T00:00:00Z", 0.0), ("2012-04-10T00:00:00Z", 176.0), ("2012-06-10T00:00:00Z", 449.0))
POINT = "sp-wei"


def read(at: str, value: float, serial: str) -> Fields:
    return {"meter_id": "wei", "time": at, "value": value, "serial": serial}


def test_from_the_reads_to_the_archive(utility: Utility) -> None:
    for at, value in READS:
        utility.send([read(at, value, "wei-old")])
    sent = [hash_of(topic, payload) for topic, payload in utility.published[-len(READS) :]]
    ticket = utility.opened(POINT)
    number = ticket["id"]
    assert (ticket["category"], ticket["kind"], ticket["priority"]) == (
        "metering_billing",
        "high_usage",
        "P2",
    )
    assert ticket["origin"] == "proactive"
    found = ticket["estimate"]
    assert (found["expected"], found["billed"], found["excess"], found["unit"]) == (29.3, 273.0, 243.7, "m3")
    assert [step["check"] for step in ticket["steps"][:3]] == ["read_again", "leak_test", "meter_test"]

    # 气表抄错 → 漏气 → 校表: two are excluded before she calls
    utility.later(hours=1)
    utility.work(OPERATOR, number, "move", to="investigating")
    utility.work(OPERATOR, number, "checks/1", result="照片与读数一致", finding="negative")
    utility.later(hours=1)
    told = utility.work(OPERATOR, number, "checks/2", result="关闭全部用具，表不走字", finding="negative")
    assert told["hypotheses"][0]["cause"] == "meter_fault"

    utility.later(minutes=17, seconds=5)
    called = utility.complain(service_point=POINT, matter="本期气费偏高，要求核实", demand="退费")
    complaint = called["complaint"]
    assert (complaint["outcome"], complaint["ticket_id"], complaint["miss"]) == ("known", number, False)
    lead = 2 * HOUR + 17 * 60 + 5
    assert complaint["lead_time_s"] == lead
    answer = called["answer"]
    assert answer["situation"] == "known"
    assert answer["ticket"]["id"] == number
    assert len(answer["done"]) == 2
    assert [one["value"] for one in answer["readings"]][:1] == [449.0]
    assert utility.ticket(number)["lead_time_s"] == lead
    utility.work(HOTLINE, number, "move", 403, to="waiting_lab")

    utility.work(OPERATOR, number, "move", to="waiting_lab", note="拆表送检")
    utility.later(hours=6)
    utility.work(OPERATOR, number, "move", to="investigating")
    told = utility.work(OPERATOR, number, "checks/3", result="检定报告 17：误差 +8 %", finding="positive")
    assert told["cause"] == "meter_fault"

    swapped = iso(utility.now)
    utility.work(
        OPERATOR, number, "swap", old_serial="wei-old", new_serial="wei-new", stop_read=450.2, start_read=0.3,
        unit="m3", at=swapped,
    )  # fmt: skip
    utility.later(hours=5)
    utility.send([read(iso(utility.now), 0.4, "wei-new")])
    ticket = utility.becomes(number, "has seen the new meter", lambda one: "seen_at" in (one["swap"] or {}))
    assert ticket["swap"]["seen_at"] == iso(utility.now)
    assert ticket["state"] == "investigating"

    methods = utility.get(BILLING, f"/api/tickets/{number}/estimates")["items"]
    assert methods[0]["method"] == "history_mean_days"
    utility.work(BILLING, number, "credit", method="history_mean_days", reason="检定不合格，按历史用量退补")
    utility.work(BILLING, number, "credit/approve", 409, revision=1)
    told = utility.work(APPROVER, number, "credit/approve", revision=1, note="同意")
    assert (told["credit"]["state"], told["credit"]["amount"]) == ("approved", "646.81")
    utility.work(BILLING, number, "credit/booked", revision=1, reference="CIS-4711")
    for situation in ("meter_swapped", "credit_approved"):
        told = utility.work(OPERATOR, number, "notices", situation=situation)
        notice = told["notices"][-1]["number"]
        utility.work(SECOND, number, f"notices/{notice}/approve")
        utility.work(SECOND, number, f"notices/{notice}/sent", channel="phone")
    assert "450.2" in told["notices"][0]["zh"]["text"]
    assert "646.81" in told["notices"][1]["zh"]["text"]

    utility.work(
        OPERATOR, number, "move", to="implemented", resolution="replacement", responsibility="company"
    )
    utility.later(hours=20)
    utility.work(OPERATOR, number, "move", to="callback")
    utility.work(OPERATOR, number, "move", 409, to="closed", verdict="confirmed", archive_class="metering")
    closed = utility.work(
        OPERATOR, number, "move", to="closed", verdict="confirmed", archive_class="metering", satisfied=True,
        rating=5, signed="电话确认",
    )  # fmt: skip
    assert (closed["state"], closed["callback"]["rating"]) == ("closed", 5)

    # the meter is watched; its first month is an ordinary one, and ends the episode on record
    utility.later(days=28)
    utility.send([read(iso(utility.now), 14.2, "wei-new")])
    utility.becomes(number, "has its episode ended", lambda one: _cleared(one, "high_usage"))
    assert utility.ticket(number)["state"] == "closed"
    assert [one["id"] for one in utility.tickets(POINT)] == [number]
    utility.later(days=63)
    ticket = utility.becomes(number, "is in the archive", lambda one: one["state"] == "archived")
    assert ticket["history"][-1]["actor"] == "forestall"

    _told(utility, number)
    _pack(utility, number, lead)
    _messages(utility, number, sent)
    _counted(utility, ticket, complaint)
    utility.whole()


def _cleared(ticket: Fields, kind: str) -> bool:
    return any(one["kind"] == kind and one["status"] == "cleared" for one in ticket["episodes"])


def _told(utility: Utility, number: str) -> None:
    """The helpdesk has heard all that is worth telling, in order, each once."""
    events = utility.heard(number)
    types = [event["type"].removeprefix("forestall.ticket.").removesuffix(".v1") for event in events]
    assert types[0] == "opened"
    moves = [event["data"]["ticket"]["state"] for event in events if event["type"].endswith(".moved.v1")]
    assert moves == [
        "investigating", "waiting_lab", "investigating", "implemented", "callback", "closed", "archived",
    ]  # fmt: skip
    others = [one for one in types if one not in ("opened", "moved", "updated")]
    assert others == [
        "complained", "swapped", "swap_seen", "cleared", "credit_proposed", "credit_approved", "credit_booked",
        "bills_to_rerate",
        "notice_approved", "notice_sent", "notice_approved", "notice_sent",
    ]  # fmt: skip


def _pack(utility: Utility, number: str, lead: int) -> None:
    """All of it can be printed, in Chinese and in English."""
    zh, en = utility.pack(number, "zh"), utility.pack(number, "en")
    for text in (zh, en):
        for words in (
            number,
            "243.7",
            "29.3",
            "449",
            "wei-old",
            "wei-new",
            "450.2",
            "0.3",
            "646.81",
            "CIS-4711",
        ):
            assert words in text, words
        assert "检定报告17：误差+8%" in text
        assert f"{lead / HOUR:.1f}" in text
        assert "13800001234" not in text
        assert "魏女士" not in text
    for words in ("本次异常由计量器具引起", "照片与读数一致", "属实", "企业责任", "更换", "满意"):
        assert words in zh, words
    for words in ("Thecheckshavefoundthecauseinthemeter", "confirmed", "thecompany", "replacement"):
        assert words in en, words


def _messages(utility: Utility, number: str, sent: list[str]) -> None:
    """API and pack name the messages of the read that was flagged and of the one before, and of the last."""
    (episode,) = [one for one in utility.ticket(number)["episodes"] if one["kind"] == "high_usage"]
    told = episode["evidence"]["raw_messages"]
    first = {one["role"]: one for one in told if one["status"] == "raised"}
    assert first["decided"]["digest"] == f"sha-256-128:{sent[2]}"
    assert first["decided"]["topic"] == utility.published[0][0]
    assert first["before"]["digest"] == f"sha-256-128:{sent[1]}"
    assert first["before"]["received"] < first["decided"]["received"]
    ended = hash_of(*utility.published[-1])
    assert (told[-2]["status"], told[-2]["digest"]) == ("cleared", f"sha-256-128:{ended}")
    query = {"format": "html", "language": "zh"}
    page = utility.ask(BILLING, "GET", f"/api/tickets/{number}/pack", params=query).text
    assert "原始报文摘要" in page
    for digest in (*sent[1:], ended):
        assert digest in page
        assert digest in utility.pack(number, "en")
    # what could not be read has the digest of its message, too
    utility.publish(b'{"meter_id":')
    utility.until(lambda: bool(utility.letters()), "the dead letter")
    assert utility.letters()[-1]["digest"] == f"sha-256-128:{hash_of(*utility.published[-1])}"


def hash_of(topic: str, payload: bytes) -> str:
    """As docs/documents.md computes it."""
    return hashlib.sha256(topic.encode() + bytes(1) + payload).hexdigest()[:32]


def _counted(utility: Utility, ticket: Fields, complaint: Fields) -> None:
    """The report of the month has the case, its complaint and its credit."""
    tables = utility.report(ticket["opened_at"])
    assert {"area": "block-wei", "count": 1}.items() <= _row(
        tables, "tickets_by_area", area="block-wei"
    ).items()
    assert _row(tables, "credits", credit_state="booked", currency="CNY")["amount"] == "646.81"
    # the use, and the swap that was seen
    assert _row(tables, "precision_by_area", area="block-wei")["confirmed"] == 2
    tables = utility.report(complaint["at"])
    assert _row(tables, "complaints_by_area", area="block-wei")["count"] == 1
    cause = _row(tables, "complaints_by_cause", cause="meter_fault")
    assert cause["count"] == 1
    headline = {row["what"]: row["value"] for row in tables["headline"]}
    assert headline["known_before"] >= 1
    assert headline["metering_complaints"] >= headline["known_before"]
    assert headline["lead_median_h"] > 0


def _row(tables: dict[str, list[Fields]], table: str, **wanted: str) -> Fields:
    found = [row for row in tables[table] if wanted.items() <= row.items()]
    assert len(found) == 1, (wanted, tables[table])
    return found[0]
