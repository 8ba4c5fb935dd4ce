"""What goes out and what is written about it agree."""

from __future__ import annotations

import json
import re
from pathlib import Path

from streams.trade.deliveries import cloud_event
from streams.trade.routing import DEPARTMENTS
from streams.trade.states import LABELS, TMF621, TRANSITIONS
from streams.trade.tickets import State
from streams.trade.wording import ACTIONS, ESTIMATE, KINDS, UNTOLD, announce, public
from streams.watch import WatchConfig
from tests.tickets.tools import HOUR, NOON, MemoryStore, flag, golden

PAGE = (Path(__file__).parents[2] / "docs" / "tickets.md").read_text(encoding="utf-8")


def test_the_page_has_every_state_with_its_way_on() -> None:
    for state in State:
        following = ", ".join(after for after in State if after in TRANSITIONS[state]) or "–"
        assert f"| {state} | {LABELS[state][0]} | {TMF621[state]} | {following} |" in PAGE


def test_the_page_has_what_the_self_watch_can_find() -> None:
    watched = {"no_readings", "worker_lag", "process_silent", "outbox_stuck", "dead_letters", "desk_disabled"}
    assert watched <= KINDS.keys()
    for kind in watched:
        assert f"| {kind} |" in PAGE
    config = WatchConfig()
    assert (config.silent_s, config.lag_s, config.heartbeat_s, config.outbox_s) == (900, 300, 120, 900)
    assert (config.dead_letters, config.window_s) == (100, 600)


def test_the_page_has_every_type_of_event() -> None:
    told = ACTIONS.keys() - {"relapsed"} - UNTOLD  # a relapse is told as joined
    assert set(re.findall(r"`(\w+)`", PAGE[PAGE.index("Types: ") :].split("\n", 1)[0])) == told


def test_the_pages_example_is_what_goes_out() -> None:
    shown = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    store = MemoryStore()
    store.take(golden())
    sent = json.loads(json.dumps(cloud_event(store.events[0], "/forestall")))
    for name in ("specversion", "id", "source", "type", "subject", "time", "datacontenttype"):
        assert shown[name] == sent[name]
    ticket = sent["data"]["ticket"]
    for name, value in shown["data"]["ticket"].items():
        if isinstance(value, dict):
            assert value.items() <= ticket[name].items()
        else:
            assert ticket[name] == value
    assert shown["data"]["change"].keys() <= sent["data"]["change"].keys()
    assert shown["data"]["change"]["at"] == sent["data"]["change"]["at"]
    assert shown["data"]["text"].keys() == sent["data"]["text"].keys()


def test_instants_go_out_as_text() -> None:
    (ticket,) = MemoryStore().take(golden())
    out = public(ticket)
    assert out["opened_at"] == "2026-06-01T12:00:00.000Z"
    assert out["sla"] == {
        "ack_due_at": "2026-06-01T13:00:00.000Z",
        "resolve_due_at": "2026-06-03T18:00:00.000Z",
    }
    assert not [name for name in out if name.endswith("_ns")]
    assert {"history", "steps", "external_refs"}.isdisjoint(out)


def test_a_case_that_never_ends_stays_small_on_the_wire() -> None:
    store = MemoryStore()
    for n in range(80):
        store.take(flag("spike", id=f"f{n}"), now_ns=NOON + n * HOUR)
    out = store.events[-1].data["ticket"]
    assert out["flags"] == 80
    assert list(out["flag_ids"]) == [f"f{n}" for n in range(30, 80)]


def test_every_action_and_code_has_words() -> None:
    for zh, en in (*ACTIONS.values(), *ESTIMATE.values(), *DEPARTMENTS.values()):
        assert zh
        assert en
    store = MemoryStore()
    store.take(golden(), flag("tamper", id="t", service_point_id="wei"))
    for event in store.events:
        for language in ("zh", "en"):
            text = event.data["text"][language]
            assert "_" not in text["title"].replace("wei", "")
            assert "history_mean" not in text["body"]
    assert announce(store.tickets[store.events[0].ticket_id], store.book.history[-1][1]).type == "linked"
