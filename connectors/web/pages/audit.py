"""The audit log for auditors: who did what, when, to what and why; and whether the record is whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import msgspec

from connectors.web.pages.door import segment
from connectors.web.pages.forms import Field, Form, Look, Values, text
from connectors.web.pages.pager import Pager
from connectors.web.pages.parts import Tag, empty
from connectors.web.pages.refusals import refusal
from connectors.web.pages.view import View
from connectors.web.words_office import DEEDS, PARTICULARS, TARGETS

_PAGE = 50
_SYSTEM = "forestall"
#: how the numbers of things begin, and what they are
_NUMBERS = (("FS-", "ticket"), ("CP-", "complaint"), ("PN-", "person"))
_MUTE = re.compile("M-[0-9a-f]{16}", re.IGNORECASE)  # a place may begin so, too
#: what a check says of a fault → the key of the page's words
_FAULTS = (
    (re.compile(r"(?:rows|lines) (\d+) to (\d+) are missing"), "fault_missing"),
    (re.compile(r"(?:rows|lines) (\d+) to (\d+) are missing at the end"), "fault_missing_end"),
    (re.compile(r"it was changed, .*"), "fault_changed"),
    (re.compile(r"its digest is not .*"), "fault_noted"),
)
_MOST_FAULTS = 100  # that a check tells


class Audit:
    """The check at the top, what to look for below it, then the lines."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._wanted: dict[str, str] = {}
        say = view.say
        self._allowed = view.door.may("audit")
        if not self._allowed:
            Tag("p", say("not_allowed", role=view.role()), "sub")
            return
        with Tag("section", look="panel", id="chain", aria_labelledby="chain-title"):
            Tag("h2", say("chain"), id="chain-title")
            Tag("p", say("chain_hint"), "sub")
            noted = (
                Field("seq", say("noted_seq"), "number", hint=say("noted_hint")),
                Field("head", say("noted_head"), most=64),
            )
            Form(say, say("chain"), noted, self._verify, Look(submit=say("verify")))
            self._verdict = Tag("div", aria_live="polite")
        with Tag("section", look="panel", id="audit", aria_labelledby="audit-title"):
            Tag("h2", say("audit_log"), id="audit-title")
            Tag("p", say("audit_hint"), "sub")
            form = Form(
                say, say("audit_log"), self._fields(), self._search, Look(submit=say("search"), asks=True)
            )
            self._place = Tag("div")
            self._pager = Pager(say, say("audit_log"), self._turn, form.element)

    async def load(self) -> None:
        """Show the newest lines."""
        if self._allowed:
            await self._ask()

    # -- whether it is whole ------------------------------------------------------------------

    async def _verify(self, values: Values) -> str:
        view, say = self._view, self._view.say
        answer = await view.door.get("/api/audit/verify", seq=text(values, "seq"), head=text(values, "head"))
        self._verdict.clear()
        if not answer.ok:
            return refusal(answer, say, view.named)
        found = answer.data
        faults: list[Mapping[str, Any]] = found["faults"]
        with self._verdict:
            if faults:
                words = "chain_many" if len(faults) >= _MOST_FAULTS else "chain_broken"
                Tag("p", say(words, n=len(faults)), "verdict miss", role="alert")
                with Tag("ul", look="faults"):
                    for one in faults:
                        Tag("li", f"{self._where(one)}{say('colon')}{self._fault(str(one['what']))}")
            else:
                counts = {name: f"{found[name]:,}" for name in ("rows", "lines")}
                Tag("p", say("chain_whole", **counts), "verdict known")
            if found["unchained"]:
                Tag("p", say("chain_old", n=f"{found['unchained']:,}"), "sub")
            if found["seq"]:
                Tag("p", say("chain_note", seq=found["seq"]), "sub")
                Tag("code", found["head"], "digest")
        return ""

    def _where(self, fault: Mapping[str, Any]) -> str:
        say = self._view.say
        kind, _, name = str(fault["chain"]).partition("/")
        chain = say("of_ticket", id=name) if kind == "ticket" else say("audit_log")
        return f"{chain} · {say('row_n', n=fault['seq'])}"

    def _fault(self, what: str) -> str:
        for pattern, key in _FAULTS:
            found = pattern.fullmatch(what)
            if found:
                return self._view.say(key, **dict(zip(("first", "last"), found.groups(), strict=False)))
        return what

    # -- what is looked for -------------------------------------------------------------------

    def _fields(self) -> tuple[Field, ...]:
        say = self._view.say
        deeds, last = [("", say("any_deed"))], ""
        for code in sorted(DEEDS, key=lambda code: (list(TARGETS).index(code.partition(".")[0]), code)):
            kind = code.partition(".")[0]
            if kind != last:
                deeds.append((f"{kind}.", say("all_of", what=say.of(TARGETS, kind))))
            deeds.append((code, f"\N{EM SPACE}{say.of(DEEDS, code)}"))
            last = kind
        return (
            Field("actor", say("who"), most=64),
            Field("action", say("deed"), "select", choices=deeds),
            Field("object", say("target"), hint=say("target_hint"), most=300),
            Field("start", say("from_day"), "day"),
            Field("end", say("to_day"), "day"),
        )

    async def _search(self, values: Values) -> str:
        start, end = text(values, "start"), text(values, "end")
        self._wanted = {
            "actor": text(values, "actor"),
            "action": text(values, "action"),
            "object": target(text(values, "object")),
            "start": self._midnight(start, 0),
            "end": self._midnight(end, 1),  # the day itself is included
        }
        self._pager.reset()
        return await self._ask()

    def _midnight(self, day: str, later: int) -> str:
        """The beginning of a day here, or of one after it."""
        try:
            return self._view.instant(f"{date.fromisoformat(day) + timedelta(days=later)}T00:00")
        except (ValueError, OverflowError):
            return ""

    # -- the lines ----------------------------------------------------------------------------

    async def _turn(self) -> None:
        why = await self._ask()
        if why:
            self._place.clear()
            with self._place:
                Tag("p", why, "refusal", role="alert")

    async def _ask(self) -> str:
        view, say = self._view, self._view.say
        before = self._pager.before
        answer = await view.door.get("/api/audit", **self._wanted, limit=_PAGE, before=before)
        if not answer.ok:
            return refusal(answer, say, view.named)
        self._pager.show(answer.data["next"])
        self._place.clear()
        with self._place:
            if not answer.data["items"]:
                empty(say("no_lines"), say("no_lines_hint"))
                return ""
            with Tag("table", look="trail", aria_label=say("audit_log")):
                with Tag("thead"), Tag("tr"):
                    for key in ("seq", "time", "who", "deed", "target", "reason", "details"):
                        Tag("th", say(key), f"c-{key}", scope="col")
                with Tag("tbody"):
                    for one in answer.data["items"]:
                        self._line(one)
        return ""

    def _line(self, one: Mapping[str, Any]) -> None:
        view, say = self._view, self._view.say
        system = one["actor"] == _SYSTEM
        with Tag("tr"):
            Tag("td", f"{one['seq']:,}", "c-seq")
            Tag("td", view.local.short(one["at_ns"]), "c-time", title=view.local.full(one["at_ns"]))
            with Tag("td", look="c-who"):
                Tag("span", one["actor"])
                Tag("span", say("by_itself" if system else f"role_{one['role']}"), "sub")
            Tag("td", self._deed(one["action"]), "c-deed", title=one["action"])
            with Tag("td", look="c-target", title=one["object"]):
                kind, _, name = one["object"].partition("/")
                Tag("span", say.of(TARGETS, kind), "sub")
                if kind == "ticket":
                    Tag("a", name, href=f"/tickets/{segment(name)}")
                else:
                    Tag("span", self._view.kind(name) if kind == "bar" else self._name(kind, name))
            Tag("td", one["reason"], "c-reason")
            with Tag("td", look="c-details"), Tag("details"):
                Tag("summary", say("details"))
                with Tag("dl"):
                    for key, value in one["details"].items():
                        Tag("dt", say.of(PARTICULARS, key))
                        Tag("dd", self._particular(key, value))
                    Tag("dt", say("digest"))
                    Tag("dd", one["digest"], "digest")

    def _name(self, kind: str, name: str) -> str:
        """The name of what a line is about; of the log itself its kind says it all."""
        if kind == "audit":
            return "" if name == "log" else name
        return self._view.say.of(PARTICULARS, name) if kind in ("people", "retention") else name

    def _deed(self, action: str) -> str:
        view, say = self._view, self._view.say
        if action.startswith("ticket.moved."):
            state = view.code(action.removeprefix("ticket.moved."))
            return say("do_move", state=state)
        return say.of(DEEDS, action)

    def _particular(self, key: str, value: Any) -> str:
        if key.endswith("_ns") and isinstance(value, int):
            return self._view.local.full(value)
        if isinstance(value, str):
            return self._view.any(value) if key in ("kind", "why") else value
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return ", ".join(value) or "–"
        return msgspec.json.encode(value).decode()


def number_of(written: str) -> str:
    """The number of a ticket, complaint or person as it is kept, however it was written; else what was written."""
    upper = written.upper()
    if upper.startswith("PN-"):
        return f"PN-{written[3:].lower()}"
    return upper if upper.startswith(("FS-", "CP-")) else written


def target(written: str) -> str:
    """What a line is about, of what somebody has written: a number says itself what it is, else it is a place."""
    kind, slash, _ = written.partition("/")
    if not written or (slash and kind in TARGETS):
        return written
    number = number_of(written)
    for start, named in _NUMBERS:
        if number.startswith(start):
            return f"{named}/{number}"
    if _MUTE.fullmatch(written):
        return f"mute/M-{written[2:].lower()}"
    return f"service_point/{written}"
