"""Low voltage: a ticket, the record in four parts (一投诉、一跟踪、一策略、一管控), and its end."""

from __future__ import annotations

from datetime import timedelta

from tests.stories.site import OPERATOR, Utility, iso

POINT = "sp-low"
RECORD = {
    "complaint": "用户来电：晚间空调无法启动",
    "tracking": "台区变压器出口 231 V，末端 189 V",
    "strategy": "调整分接头，负荷改接 B 相",
    "control": "每日 20 时监测末端电压，连续 30 天",
}


def test_from_the_voltage_to_the_four_parts(utility: Utility) -> None:
    start = utility.now.replace(minute=0, second=0, microsecond=0)
    utility.later(hours=7)
    quarter = timedelta(minutes=15)
    volts = [221.0] * 16 + [189.0] * 9
    utility.send(
        [
            {"meter_id": "low", "time": iso(start + number * quarter), "value": value}
            for number, value in enumerate(volts)
        ]
    )
    ticket = utility.opened(POINT)
    number = ticket["id"]
    assert (ticket["category"], ticket["kind"]) == ("supply_quality", "voltage_low")
    assert ticket["owner_department"] == "operations"

    utility.later(minutes=50)
    called = utility.complain(
        service_point=POINT, name="吴女士", phone="13500002468", matter="电压低，晚上空调启动不了"
    )
    assert (called["complaint"]["subject"], called["complaint"]["ticket_id"]) == ("low_voltage", number)
    assert called["complaint"]["lead_time_s"] == 50 * 60
    utility.work(OPERATOR, number, "move", to="investigating")
    for part, text in RECORD.items():
        told = utility.work(OPERATOR, number, "record", part=part, text=text)
    assert told["record"] == RECORD
    utility.work(OPERATOR, number, "move", to="implemented", resolution="repair", responsibility="company")
    utility.work(OPERATOR, number, "move", to="callback")
    closed = utility.work(
        OPERATOR, number, "move", to="closed", verdict="confirmed", archive_class="supply",
        no_callback="用户三次未接听",
    )  # fmt: skip
    assert closed["state"] == "closed"

    pack = utility.pack(number, "zh")
    for text in RECORD.values():
        assert text.replace(" ", "") in pack, text
    (row,) = (row for row in utility.report(ticket["opened_at"])["low_voltage"] if row["ticket"] == number)
    assert [bool(row[f"record_{part}"]) for part in RECORD] == [True] * 4
    assert utility.opened(POINT)["id"] == number
