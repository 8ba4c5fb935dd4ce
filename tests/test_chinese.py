"""Chinese text has Chinese punctuation: full-width, in tables and in what is put together of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from streams.trade import causes, wording
from streams.trade.routing import DEPARTMENTS
from streams.trade.tickets import Estimate, HistoryEntry
from tests.tickets.tools import MemoryStore, golden

ROOT = Path(__file__).parents[1]
CHINESE = "[\u3400-\u9fff\u3001-\u303f\uff00-\uffef]"
ASCII = re.compile(rf"{CHINESE}\s?[,:;()?]|[,:;()?]\s?{CHINESE}")


def constants(path: Path) -> Iterator[tuple[int, str]]:
    """Texts of a module, but for docstrings: those are English and quote the trade's words."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


@pytest.mark.parametrize(
    "module",
    [
        "streams/trade/wording.py",
        "streams/trade/causes.py",
        "streams/trade/routing.py",
        "streams/papers/report_words.py",
        "streams/trade/verdicts.py",
        "streams/trade/bars.py",
        "streams/trade/answer_words.py",
        "connectors/web/words.py",
        "connectors/web/words_office.py",
        "streams/papers/pack_words.py",
        "streams/papers/conclusion.py",
        "streams/papers/document.py",
        "streams/papers/evidence_words.py",
    ],
)
def test_no_chinese_text_has_ascii_punctuation(module: str) -> None:
    texts = [(line, text) for line, text in constants(ROOT / module) if re.search(CHINESE, text)]
    assert texts
    assert [(line, text) for line, text in texts if ASCII.search(text)] == []


def test_no_table_has_it_either() -> None:
    words = [zh for table in (wording.KINDS, wording.ESTIMATE, wording.ACTIONS) for zh, _ in table.values()]
    words += [zh for zh, _ in causes.CAUSES.values()] + [zh for _, zh, _ in causes.CHECKS.values()]
    words += [names[0] for names in DEPARTMENTS.values()]
    assert [text for text in words if re.search(r"[,:;()?]", text)] == []


@pytest.mark.parametrize("drill", [True, False])
def test_no_ticket_that_goes_out_has_it(drill: bool) -> None:
    store = MemoryStore()
    (ticket,) = store.take(golden())
    estimate = ticket.estimate
    assert isinstance(estimate, Estimate)
    ticket = replace(ticket, drill=drill, estimate=replace(estimate, low=20.0, high=40.0))
    entry = HistoryEntry(seq=1, at_ns=0, actor="forestall", action="opened", note="用量")
    told = wording.title(ticket, "zh") + "\n" + wording.body(ticket, entry, "zh")
    assert "（20 … 40）" in told
    assert re.search(rf"：.*（{re.escape(ticket.service_point_id)}）", told)
    # times, ids and units may have theirs
    assert [line for line in told.splitlines() if ASCII.search(line)] == []
    english = wording.body(ticket, entry, "en")
    assert " (20 … 40). " in english
