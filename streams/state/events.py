"""Attributes of a reading → the events that detectors know: valve, tamper contact, supply.

A device says the same in many words: ``{"valve": "closed"}``, ``{"valve_state": "关阀"}``,
``{"tamper": true}``, ``{"event": "power_outage"}``. Names and words are told apart without case;
``-``, ``_``, ``.`` and blanks are the same. What is not in the tables says nothing: 0 and 1 of a valve
mean one thing in one device and the other in the next, so a mapping must name the state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from detectors.batch import OUTAGE, RESTORED, TAMPERED, UNTAMPERED, VALVE_CLOSED, VALVE_OPEN

VALVE = ("valve", "valve state", "valve status", "valve position", "阀门", "阀门状态")
CONTACT = (
    "tamper", "tamper alarm", "tampered", "magnetic", "magnetic tamper", "magnetic alarm", "magnet", "cover open",
    "case open", "terminal cover open", "防拆", "磁干扰", "开盖",
)  # fmt: skip
SUPPLY = ("outage", "power outage", "power failure", "last gasp", "停电")
POWER = ("power", "mains", "supply", "power supply", "供电")
SAYING = ("event", "event type", "alarm", "status", "current status", "meter status")

_CLOSED = {"closed", "close", "shut", "off", "关", "关闭", "关阀"}
_OPEN = {"open", "opened", "on", "开", "打开", "开阀"}
_NO = {"", "0", "false", "no", "off", "none", "ok", "normal", "null", "否", "正常", "closed"}
_LOST = {"off", "lost", "fail", "failed", "failure", "outage", "down", "battery", "false", "停电"}
_BACK = {"on", "ok", "restored", "mains", "normal", "true", "up", "有电"}

#: What a word of ``SAYING`` may contain → the event.
_SAID = (
    (re.compile(r"power restor|restoration|power up|power on|来电|复电"), RESTORED),
    (re.compile(r"power (outage|fail|lost|loss|down|off)|last gasp|^outage|停电|失电"), OUTAGE),
    (re.compile(r"tamper (clear|end|off)|cover closed?$"), UNTAMPERED),
    (re.compile(r"tamper|magnet|cover open|case open|防拆|磁干扰|开盖"), TAMPERED),
    (re.compile(r"valve (closed?|shut)|关阀"), VALVE_CLOSED),
    (re.compile(r"valve open(ed)?$|开阀"), VALVE_OPEN),
)
_NAMES = {
    name: group
    for group, names in (("valve", VALVE), ("contact", CONTACT), ("supply", SUPPLY), ("power", POWER), ("says", SAYING))
    for name in names
}  # fmt: skip


def _folded(text: str) -> str:
    return " ".join(re.split(r"[\s_\-.]+", text.casefold())).strip()


@lru_cache(maxsize=8192)
def _event(name: str, value: str) -> int:
    """The event, as a bit of ``Batch.events``, that one attribute tells; 0 for none."""
    group, word = _NAMES.get(_folded(name)), _folded(value)
    if group == "valve":
        return VALVE_CLOSED if word in _CLOSED else VALVE_OPEN if word in _OPEN else 0
    if group == "contact":
        return UNTAMPERED if word in _NO else TAMPERED
    if group == "supply":
        return RESTORED if word in _NO or word in _BACK - {"true", "on"} else OUTAGE
    if group == "power":
        return OUTAGE if word in _LOST else RESTORED if word in _BACK else 0
    if group == "says":
        return next((event for said, event in _SAID if said.search(word)), 0)
    return 0


def events_of(attributes: Mapping[str, str]) -> int:
    """All events of a reading's attributes, as bits. Where two contradict, the alarm counts."""
    told = 0
    for name, value in attributes.items():
        told |= _event(str(name), str(value))
    for alarm, calm in ((VALVE_CLOSED, VALVE_OPEN), (TAMPERED, UNTAMPERED), (OUTAGE, RESTORED)):
        if told & alarm:
            told &= ~calm
    return told
