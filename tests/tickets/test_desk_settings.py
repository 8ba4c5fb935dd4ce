"""What a configuration says of a desk is what the desk works with: every setting, by its name."""

from __future__ import annotations

from typing import Any

import pytest

from streams.programs.desks import make_desks
from streams.settings import Settings
from tests.memory_log import MemoryLog

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CHOICE = {"language": "en", "types": ("moved",), "drills": False}
#: none of them what it is when nothing is said
SAID: dict[str, dict[str, Any]] = {
    "webhook": {
        "url": "https://w.example/in",
        "secrets": (SECRET,),
        "lookup_url": "https://w.example/{reference}",
        "allow_private": True,
    },
    "email": {
        "host": "mail.example",
        "port": 465,
        "security": "tls",
        "username": "desk",
        "password": "s3cret",
        "sender": "desk@gas.example",
        "recipients": ("night@gas.example",),
    },
    "zammad": {
        "url": "https://z.example",
        "token": "t1",
        "group": "Gas",
        "customer": "desk@gas.example",
        "internal": True,
        "pending_days": 3.0,
        **CHOICE,
    },
    "tmf621": {"url": "https://t.example/v5", "token": "t2", **CHOICE},
    "alertmanager": {
        "url": "https://a.example",
        "token": "t3",
        "receiver": "gas",
        "external_url": "https://pages.example",
        "urgencies": ("low",),
        **CHOICE,
    },
}
MESSAGE: dict[str, Any] = {
    "kind": "generic",
    "url": "https://m.example",
    "method": "PUT",
    "headers": {"x-desk": "night"},
    "body": '{"say": "{title}"}',
    "secret": "s",
    "urgencies": ("low",),
    "always": ("linked",),
    **CHOICE,
}


def made(**desks: dict[str, Any]) -> list[Any]:
    topic, *others = make_desks(Settings.model_validate({"desks": desks}), MemoryLog(1))
    assert topic.name == "tickets.v1"
    return others


@pytest.mark.parametrize("name", SAID)
def test_a_desk_has_all_that_is_said_of_it(name: str) -> None:
    (desk,) = made(**{name: SAID[name]})
    assert desk.name == name
    assert {setting: getattr(desk._config, setting) for setting in SAID[name]} == SAID[name]


def test_robots_have_names_of_their_own_and_come_in_their_order() -> None:
    night, plain = made(messages={"plain": {"url": "https://p.example"}, "night": MESSAGE})
    assert [desk.name for desk in (night, plain)] == ["message-night", "message-plain"]
    assert {setting: getattr(night._config, setting) for setting in MESSAGE} == MESSAGE


@pytest.mark.parametrize("name", ["zammad", "tmf621", "alertmanager"])
@pytest.mark.parametrize("allowed", [True, False])
def test_only_who_may_is_called_in_one_s_own_network(name: str, allowed: bool) -> None:
    (desk,) = made(**{name: {**SAID[name], "allow_private": allowed}})
    assert desk._config.call.allow_private is allowed


def test_the_language_that_comes_first_in_a_mail() -> None:
    for language, order in (("zh", ("zh", "en")), ("en", ("en", "zh"))):
        (desk,) = made(email={**SAID["email"], "language": language})
        assert desk._config.languages == order
