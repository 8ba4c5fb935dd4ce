"""docs/mission.md has every row of the trade's wishes, in their words, and names what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: seed and words, in the order of the sources
WISHES = """
000 本次和上次的气量比对 … 变被动为主动
000 气表抄错 → 漏气 → 校表
000 更换气表 / 补气处理
000 没有抄错、不漏气、校验合格 … 无法解释
000 投诉档案 … 定期分析 … 避免同类投诉再次发生
000 远程抄表 / SCADA
000 安装投诉、使用投诉
001 多渠道接收
001 用户信息 / 投诉对象 / 内容 / 诉求 / 证据 / 受理人员
001 紧急投诉 … 一般投诉
001 企业 / 用户 / 第三方 / 不可抗力
001 供气质量 计量收费 安装维修 安全管理 服务态度 政策咨询
001 抢修中心、运维部、市场部、客服部; 处理时限; 主办、协办
001 现场勘查、数据查询、人员访谈、设备检测
001 维修、更换、解释说明、费用调整、道歉
002 停电2次 → 预警、提级管控; 3次及以上 → 专题研究、整改方案
002 低电压 一投诉、一跟踪、一策略、一管控
002 估抄、漏抄、错抄
002 客户电能表出现故障,抄表人员未能及时发现,估算电能量
002 调表后电能表起、止码不告诉客户
002 首问责任制
002 停电通知不及时
002 VIP客户或紧急投诉的分类分级
002 台区线损长期居高不下
002 后续的追踪监控
003 質疑欠費金額 / 缺乏計算的標準
003 大客戶預警分析(大數據與人工相結合)
003 臨時停氣未被提前通知; 小區替換名字
003 多個部門的轉接
004 投訴時間、投訴人姓名、聯繫方式、投訴事項
004 [X]個工作日內 … 直至滿意
004 抄表數據異常 及時核實和處理
004 抄表準確率、及時率
004 回訪; 簽字確認、評價
004 客戶信息保密
004 應急預案 … 演練
004 定期對投訴案例進行分析總結
"""


def rows() -> list[list[str]]:
    lines = (ROOT / "docs" / "mission.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def paths(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_wish_has_its_row_in_its_words() -> None:
    wished = [tuple(line.split(" ", 1)) for line in WISHES.strip().splitlines()]
    assert len(wished) == 37
    assert [(row[0], row[1]) for row in rows()] == wished


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[1])
def test_what_a_row_names_is_there(row: list[str]) -> None:
    assert len(row) == 5
    assert row[2]
    code, tests = paths(row[3]), paths(row[4])
    assert code
    assert tests
    assert all(path.split("/")[0] in ("connectors", "detectors", "streams") for path in code)
    assert all(re.fullmatch(r"tests/(\w+/)?test_\w+\.py", path) for path in tests)
    missing = [path for path in (*code, *tests) if not (ROOT / path).is_file()]
    assert missing == []
    for path in tests:
        assert re.search(r"^def test_", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), path
