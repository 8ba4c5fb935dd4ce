"""Files of complaints as offices export them: Chinese from Excel, odd lines, and the command that takes them."""

from __future__ import annotations

import contextlib
import csv
import io
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.complaint_csv import HEADINGS, REASON, read_complaints
from connectors.store import Store
from streams.trade.complaint_form import FIELDS
from streams.trade.complaints import ComplaintFilter

HEAD = "投诉编号,投诉时间,投诉人姓名,联系电话,投诉事项,户号,受理渠道,备注"
ROWS = (
    "T-001,2026/6/1 9:30,王小明,13800001234,本期气费偏高,sp-1,客服热线,x",
    'T-002,2026-06-01 10:00:00,李雷,13900005678,"停气三次，\n请核实",sp-2,营业厅,',
)


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_chinese_file_as_excel_writes_it(
    tmp_path: Path, encoding: str, separator: str, ending: str
) -> None:
    text = ending.join((HEAD, *ROWS, "")).replace(",", separator)
    table = read_complaints(written(tmp_path / "投诉.csv", text, encoding))
    assert table.unknown == ["备注"]
    first, second = table.rows
    assert first.form == {
        "reference": "T-001",
        "time": "2026/6/1 9:30",
        "name": "王小明",
        "phone": "13800001234",
        "matter": "本期气费偏高",
        "service_point": "sp-1",
        "channel": "客服热线",
    }
    assert "请核实" in second.form["matter"]
    assert first.line == 2


def test_english_and_traditional_headings(tmp_path: Path) -> None:
    text = "Number,Complaint Time,Name*,E-Mail,Matter\n1,2026-06-01T09:30:00Z,Li Lei,li@example.test,no gas\n"
    (row,) = read_complaints(written(tmp_path / "a.csv", text)).rows
    assert row.form["email"] == "li@example.test"
    text = "投訴時間,投訴人姓名,聯繫方式,投訴事項\n2026-06-01,王小明,12345,停電\n"
    (row,) = read_complaints(written(tmp_path / "b.csv", text, "gb18030")).rows
    assert row.form["name"] == "王小明"


def test_every_field_has_headings_in_both_languages() -> None:
    assert set(HEADINGS) == set(FIELDS)
    for words in HEADINGS.values():
        assert any(word.isascii() for word in words)
        assert any(not word.isascii() for word in words)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "headings"),
        ("姓名,电话\n王,1\n".encode(), "投诉时间"),
        (b"time,time,matter\n", "one column each for time"),
        ("\ufeff投诉时间,投诉事项".encode("utf-16"), "UTF-8"),
        (b"\x00\x01\x02\xff", "expected"),
    ],
)
def test_what_is_no_such_table(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=told):
        list(read_complaints(path).rows)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "x.csv"
        path.write_bytes("投诉时间,投诉人姓名,联系电话,投诉事项\n".encode() + content)
        # the one thing that it may say of a whole file is that it is none
        with contextlib.suppress(ValueError):
            for row in read_complaints(path).rows:
                assert row.fault or row.form.keys() <= FIELDS.keys()


def run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command, as somebody types it."""
    config = tmp_path / "forestall.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n[tickets]\ntime_zone = "Asia/Shanghai"\n')
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "complaints", "import", *words, "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )


def test_the_command_takes_what_can_be_taken_and_names_the_rest(tmp_path: Path) -> None:
    bad = (
        "T-003,,无名氏,,没有时间没有联系方式,,,",
        "T-004,2026-06-01 11:00,韩梅梅,13700001111,漏气,sp-3,信鸽,",
        "太短",
    )
    path = written(tmp_path / "投诉.csv", "\r\n".join((HEAD, *ROWS, *bad)), "gb18030")
    (tmp_path / "data").mkdir()
    done = run(tmp_path, str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "2 complaints taken (0 known before, 1 missed), 0 were there already, 3 refused"
    )
    assert "备注" in done.stdout
    rejects = tmp_path / "投诉.csv.rejects.csv"
    assert rejects.stat().st_mode & 0o077 == 0
    rows = list(csv.DictReader(io.StringIO(rejects.read_text("utf-8-sig"))))
    assert [row["行号 line"] for row in rows] == ["5", "6", "7"]
    assert "投诉时间" in rows[0][REASON]
    assert "联系方式" in rows[0][REASON]
    assert "channel" in rows[1][REASON]
    assert "expected 8 cells, got 1" in rows[2][REASON]
    for name in ("王小明", "13800001234", "无名氏"):
        assert name not in done.stdout + done.stderr
    again = run(tmp_path, str(path))
    assert again.stdout.startswith(
        "0 complaints taken (0 known before, 0 missed), 2 were there already, 3 refused"
    )
    store = Store(f"sqlite:///{tmp_path / 'data' / 'tickets.db'}")
    kept = store.complaints(ComplaintFilter(), 10)
    assert [(one.reference, one.source, one.subject) for one in kept] == [
        ("T-002", "csv", "no_supply"),
        ("T-001", "csv", "high_bill"),
    ]
    # 9:30 in Shanghai
    assert kept[1].at_ns == 1_780_277_400_000_000_000
    store.close()
    # what was refused is mended and taken
    text = rejects.read_text("utf-8-sig").replace("信鸽", "微信")
    mended = run(tmp_path, str(written(tmp_path / "mended.csv", text, "utf-8-sig")))
    assert mended.stdout.startswith("1 complaints taken")


def test_an_archive_is_kept_and_opens_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "2025.csv", "\r\n".join((HEAD, *ROWS)), "gb18030")
    (tmp_path / "data").mkdir()
    done = run(tmp_path, str(path), "--archive")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "2 complaints kept as history (0 known before, 1 missed), 0 were there already, 0 refused"
    )
    store = Store(f"sqlite:///{tmp_path / 'data' / 'tickets.db'}")
    assert [(one.outcome, one.archive) for one in store.complaints(ComplaintFilter(), 10)] == [
        ("kept", True)
    ] * 2
    assert store.tickets(None, 10) == []
    store.close()
    again = run(tmp_path, str(path))  # without the word: they are there, and stay what they are
    assert again.stdout.startswith("0 complaints taken (0 known before, 0 missed), 2 were there already")


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    nothing = run(tmp_path, str(tmp_path / "none.csv"))
    assert nothing.returncode == 2
    assert "none.csv" in nothing.stderr
    wrong = run(tmp_path, str(written(tmp_path / "x.csv", "a,b\n1,2\n")))
    assert wrong.returncode == 2
    assert "投诉时间" in wrong.stderr
    assert "Traceback" not in wrong.stderr
