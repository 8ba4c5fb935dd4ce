"""The monthly report: what we knew before the customer first, then all its tables; the bars of detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.web.format import number
from connectors.web.pages.bars import Bars
from connectors.web.pages.forms import Field, Form, Look, Values, text
from connectors.web.pages.parts import Tag
from connectors.web.pages.refusals import refusal
from connectors.web.pages.view import View

_APART = frozenset({"headline", "bar_moves", "held_back"})


class Reports:
    """A month, its headline figures, its tables."""

    def __init__(self, view: View) -> None:
        self._view = view
        say = view.say
        with Tag("section", look="panel report", aria_label=say("reports")):
            Tag("h2", say("reports"))
            with Tag("div", look="lookup"):
                month = Field("month", say("month"), "month", required=True, value=self._month())
                Form(say, say("reports"), (month,), self._choose, Look(submit=say("show"), asks=True))
            self._place = Tag("div")
        self._bars = Bars(view)

    def _month(self) -> str:
        return self._view.local.date(self._view.now_ns)[:7]

    async def load(self) -> None:
        """Show this month, and the bars."""
        why = await self._show(self._month())
        if why:
            with self._place:
                Tag("p", why, "refusal", role="alert")
        await self._bars.load()

    async def _choose(self, values: Values) -> str:
        return await self._show(text(values, "month"))

    async def _show(self, month: str) -> str:
        view, say = self._view, self._view.say
        answer = await view.door.get("/api/reports", month=month, format="json")
        self._place.clear()
        if not answer.ok:
            return refusal(answer, say, view.named)
        tables: Mapping[str, Sequence[Mapping[str, Any]]] = answer.data["tables"]
        with self._place:
            self._headline({row["what"]: row["value"] for row in tables["headline"]}, tables)
            with Tag("p", look="papers"):
                Tag("span", f"{say('whole_report')}{say('colon')}", "sub")
                for form in ("html", "pdf", "csv"):
                    href = f"/api/reports?month={month}&format={form}&language={say.language}"
                    Tag("a", form.upper(), href=href, target="_blank", rel="noopener")
            with Tag("div", look="tables"):
                for code, rows in tables.items():
                    if code not in _APART and rows:
                        with Tag("div"):
                            self._table(code, rows, month)
        return ""

    def _headline(self, values: Mapping[str, Any], tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        say = self._view.say
        judged = sum(row["judged"] for row in tables["precision_by_detector"])
        good = judged - sum(row["false_alarms"] for row in tables["precision_by_detector"])
        share, lead = values["known_share"], values["lead_median_h"]
        known = say("known_before_of", known=values["known_before"], all=values["metering_complaints"])
        told = (
            ("known_before", _percent(share), known),
            ("median_lead", "–" if lead is None else say("n_h", n=f"{lead:,.1f}"), ""),
            (
                "precision",
                _percent(good / judged if judged else None),
                say("precision_of", good=good, judged=judged) if judged else say("no_verdicts"),
            ),
        )
        with Tag("dl", look="headline"):
            for key, figure, remark in told:
                with Tag("div", data_figure=key):
                    Tag("dt", say(key))
                    Tag("dd", figure)
                    if remark:
                        Tag("dd", remark, "sub")

    def _table(self, code: str, rows: Sequence[Mapping[str, Any]], month: str) -> None:
        """A table of the report; shares as bars, the largest first (Pareto)."""
        view, say = self._view, self._view.say
        known = view.vocabulary
        title = say.of(known.report_titles, code)
        with Tag("div", look="head-of-table"):
            Tag("h3", title)
            href = f"/api/reports?month={month}&format=csv&language={say.language}&table={code}"
            Tag("a", "CSV", "sub", href=href, aria_label=f"{title} CSV")
        columns = list(rows[0])
        with Tag("table", look="plain report-table", aria_label=title):
            with Tag("thead"), Tag("tr"):
                for column in columns:
                    look = "num" if any(_is_number(row[column]) for row in rows) else ""
                    Tag("th", say.of(known.report_columns, column), look, scope="col")
            with Tag("tbody"):
                for row in rows:
                    with Tag("tr"):
                        for column in columns:
                            self._cell(column, row[column])

    def _cell(self, column: str, value: Any) -> None:
        if column == "share" and _is_number(value):
            with Tag("td", look="num"):
                Tag("span", look="meter-bar", aria_hidden="true").style(f"width: {round(90 * value)}px")
                Tag("span", _percent(value))
            return
        if column.endswith("share"):
            Tag("td", _percent(value), "num")
        elif _is_number(value):
            Tag("td", number(value), "num")
        elif isinstance(value, bool):
            Tag("td", self._view.say("yes" if value else "no"))
        elif value is None or value == "":
            Tag("td", "–")
        else:
            Tag("td", self._view.vocabulary.report_word(column, str(value), self._view.say.language))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
