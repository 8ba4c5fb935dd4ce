"""The status strip: what comes in, what lags, what waits, and which processes live."""

from __future__ import annotations

from connectors.web.feed import Snapshot
from connectors.web.figures import Process
from connectors.web.format import duration, number
from connectors.web.pages.parts import Tag
from connectors.web.pages.view import View

_LAG_S = 60.0  # behind by so much is worth a colour
_OUTBOX_S = 300.0


class _Tile:
    """One figure with its name above and a remark below."""

    def __init__(self, label: str) -> None:
        with Tag("div", look="tile") as self._box:
            Tag("dt", label)
            self._value = Tag("dd", "–", "figure")
            self._remark = Tag("dd", "", "remark")

    def show(self, value: str, remark: str = "", *, warn: bool = False) -> None:
        self._value.say(value)
        self._remark.say(remark)
        self._box.look("warn", warn)


class _Light(Tag):
    """One process: a dot, its name, how it is."""

    def __init__(self) -> None:
        super().__init__("li")
        with self:
            Tag("span", "", "dot", aria_hidden="true")
            self._name = Tag("b")
            self._state = Tag("span", "", "sub")

    def show(self, alive: bool, name: str, state: str, title: str) -> None:
        self.look("dead", not alive)
        self.set("title", title)
        self._name.say(name)
        self._state.say(state)


class Strip:
    """Builds itself where it is made; ``refresh`` fills it."""

    def __init__(self, view: View) -> None:
        self._view = view
        say = view.say
        with Tag("section", look="strip", aria_label=say("status")):
            with Tag("dl", look="tiles"):
                self._in = _Tile(say("readings_in"))
                self._batches = _Tile(say("batches"))
                self._lag = _Tile(say("lag"))
                self._late = _Tile(say("late"))
                self._dead = _Tile(say("dead_letters"))
                self._flags = _Tile(say("flags"))
                self._tickets = _Tile(say("tickets_open"))
                self._outbox = _Tile(say("outbox"))
                self._warming = _Tile(say("warming_up"))
            with Tag("div", look="processes"):
                Tag("span", say("processes"), "label")
                self._processes = Tag("ul")
        self._lights: list[_Light] = []

    async def refresh(self, found: Snapshot) -> None:
        """Show a snapshot."""
        say, sums, counts = self._view.say, found.totals, found.counts
        if not found.beats and counts is None:
            return  # nothing is known yet
        since = say("since_start")
        rate = say("per_s", n=number(round(found.rate, 1))) if found.rate is not None else since
        self._in.show(_count(sums.readings_in), rate)
        self._batches.show(_count(sums.batches), since)
        behind = say("lag_s", time=duration(sums.lag_s, say)) if sums.lag_s >= 1 else say("up_to_date")
        self._lag.show(_count(sums.lag), behind, warn=sums.lag_s >= _LAG_S)
        self._late.show(_count(sums.late), since)
        self._dead.show(_count(sums.dead_letters), since, warn=sums.dead_letters > 0)
        self._flags.show(_count(sums.flags), since)
        if counts is not None:
            self._tickets.show(_count(counts.open), say("of_n", n=_count(sum(counts.tickets.values()))))
            self._show_outbox(counts.outbox_pending, counts.outbox_oldest_ns, counts.dead, found.at_ns)
        meters = say("of_meters", n=_count(sums.meters))
        self._warming.show(_count(sums.meters_warming_up), meters)
        self._show_processes(found.processes)

    def _show_outbox(self, pending: int, oldest_ns: int | None, dead: int, now_ns: int) -> None:
        say = self._view.say
        remark, age_s = say("outbox_empty"), 0.0
        if oldest_ns is not None:
            age_s = max(0.0, (now_ns - oldest_ns) / 1e9)
            remark = say("outbox_age", time=duration(age_s, say))
        if dead:
            remark = say("outbox_dead", n=_count(dead))
        self._outbox.show(_count(pending), remark, warn=age_s >= _OUTBOX_S or dead > 0)

    def _show_processes(self, shown: list[Process]) -> None:
        say = self._view.say
        wanted = [
            (p.alive, _name(p, say.known(p.role), shown), self._state(p), f"{p.name} {p.error}".strip())
            for p in shown
        ] or [(False, "", say("none_yet"), "")]
        for light in self._lights[len(wanted) :]:
            light.delete()
        del self._lights[len(wanted) :]
        with self._processes:
            self._lights += [_Light() for _ in range(len(self._lights), len(wanted))]
        for light, told in zip(self._lights, wanted, strict=True):
            light.show(*told)

    def _state(self, process: Process) -> str:
        say = self._view.say
        if not process.alive:
            return say("silent", time=duration(process.age_s, say))
        return say("says", error=process.error[:120]) if process.error else say("alive")


def _name(process: Process, role: str, shown: list[Process]) -> str:
    """The role; where several have it, with the process's own name."""
    alone = sum(other.role == process.role for other in shown) == 1
    return role if alone else f"{role} {process.name.partition('@')[2]}"


def _count(value: int) -> str:
    return f"{value:,}"
