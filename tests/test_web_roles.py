"""Who asks, by name and role; what each role may; guesses; writes from other sites' pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from connectors.web.credentials import Access, Guesses
from connectors.web.guard import Guard, User, needs
from connectors.web.problems import Problem
from streams.settings import ConfigError, load
from streams.trade.roles import RIGHTS, Role
from tests.web_tools import Place, Talk, filled, talking

USERS = tuple(User(f"{role}-1", role, (f"token-of-the-{role}", f"next-token-of-{role}")) for role in Role)
OPERATOR = {"Authorization": "Bearer token-of-the-operator"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with filled(tmp_path_factory.mktemp("web")) as made:
        yield made


def guarded(access: Access) -> httpx.AsyncClient:
    """An application of one route a right, behind the guard."""
    app = FastAPI()

    def route(right: str) -> None:
        actor_with_right = needs(right)

        @app.api_route(f"/{right}", methods=["GET", "POST"])
        def answer(actor: Any = actor_with_right) -> dict[str, str]:
            return {"name": actor.name, "role": actor.role}

    for right in RIGHTS:
        route(right)

    @app.exception_handler(Problem)
    async def problem(_request: Any, error: Problem) -> Any:
        return error.response()

    transport = httpx.ASGITransport(app=Guard(app, access), client=("203.0.113.5", 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://meters.example")


def run(talk: Talk, access: Access) -> None:
    async def talked() -> None:
        async with guarded(access) as client:
            await talk(client)

    asyncio.run(talked())


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("word", ["token-of-the-{}", "next-token-of-{}"])
def test_a_role_may_what_its_rights_say_and_nothing_else(role: Role, word: str) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        for right, roles in RIGHTS.items():
            answer = await client.post(f"/{right}", headers={"Authorization": f"Bearer {word.format(role)}"})
            if role in roles:
                assert answer.json() == {"name": f"{role}-1", "role": role}
            else:
                assert answer.status_code == 403
                assert f"the right '{right}'" in answer.json()["expected"]
                assert answer.json()["got"] == f"{role}-1, whose role is {role}"

    run(talk, Access("", users=USERS))


def test_the_single_token_is_the_administrator_s() -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        answer = await client.get("/people", headers={"Authorization": "Bearer one-token-for-all"})
        assert answer.json() == {"name": "admin", "role": "admin"}
        assert (await client.get("/read", headers=OPERATOR)).json()["role"] == "operator"

    run(talk, Access("one-token-for-all", users=USERS))


def test_a_session_is_its_user_s_and_ends_with_the_token() -> None:
    cookie = Access("", users=USERS).cookie("token-of-the-billing")

    async def talk(client: httpx.AsyncClient) -> None:
        client.cookies.set("forestall_session", cookie)
        assert (await client.get("/money")).json() == {"name": "billing-1", "role": "billing"}
        assert (await client.get("/audit")).status_code == 403

    run(talk, Access("", users=USERS))

    async def ended(client: httpx.AsyncClient) -> None:
        client.cookies.set("forestall_session", cookie)
        assert (await client.get("/money")).status_code == 401

    run(ended, Access("", users=[User("billing-1", Role.BILLING, ("next-token-of-billing",))]))
    # nor is it somebody else's who has come to the same token
    run(ended, Access("", users=[User("billing-2", Role.BILLING, ("token-of-the-billing",))]))


def test_a_session_writes_from_our_own_pages_only() -> None:
    cookie = Access("", users=USERS).cookie("token-of-the-operator")

    async def talk(client: httpx.AsyncClient) -> None:
        client.cookies.set("forestall_session", cookie)
        for headers, status in (
            ({"Origin": "http://meters.example"}, 200),
            ({"Sec-Fetch-Site": "same-origin"}, 200),
            ({"Origin": "http://meters.example", "Sec-Fetch-Site": "same-origin"}, 200),
            ({}, 403),
            ({"Sec-Fetch-Site": "none"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "http://meters.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ):
            assert (await client.post("/work", headers=headers)).status_code == status, headers
        # a program's token is in no browser: nobody can make it send one unasked
        client.cookies.clear()
        assert (await client.post("/work", headers=OPERATOR)).status_code == 200

    run(talk, Access("", users=USERS))


def test_who_tries_many_tokens_has_to_wait() -> None:
    now = [1000.0]

    async def talk(client: httpx.AsyncClient) -> None:
        async def ask(token: str) -> httpx.Response:
            return await client.get("/read", headers={"Authorization": f"Bearer {token}"})

        for _ in range(50):  # a program with an old token: one guess
            assert (await ask("an-old-token-of-ours")).status_code == 401
        for number in range(Guesses.MOST - 1):
            assert (await ask(f"guess-{number}")).status_code == 401
        refused = await ask("token-of-the-operator")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "60"
        # whoever has a session goes on
        client.cookies.set("forestall_session", access.cookie("token-of-the-operator"))
        assert (await client.get("/read")).status_code == 200
        client.cookies.clear()
        now[0] += Guesses.WINDOW_S
        assert (await ask("token-of-the-operator")).status_code == 200

    access = Access("", lambda: now[0], USERS)
    run(talk, access)


def test_guesses_of_many_addresses_are_not_kept_for_ever() -> None:
    guesses = Guesses(lambda: 0.0)
    for number in range(Guesses._ADDRESSES + 100):
        guesses.wrong(f"address-{number}", "x")
    assert len(guesses._tried) == Guesses._ADDRESSES


def test_the_form_counts_guesses_and_lets_users_in(place: Place) -> None:
    async def talk(client: httpx.AsyncClient) -> None:
        entered = await client.post("/login", data={"token": "next-token-of-auditor"})
        assert entered.status_code == 303
        assert (await client.get("/api/tickets")).status_code == 200
        client.cookies.clear()
        for number in range(Guesses.MOST):
            # behind a proxy on this machine it is the proxy's peer that counts
            wrong = {"X-Forwarded-For": f"198.51.100.{number}, 203.0.113.7"}
            answer = await client.post("/login", data={"token": f"guess-{number}"}, headers=wrong)
            assert answer.status_code == 401
        wrong = {"X-Forwarded-For": "203.0.113.7"}
        right = {"token": "token-of-the-auditor"}
        assert (await client.post("/login", data=right, headers=wrong)).status_code == 429
        assert (await client.post("/login", data=right)).status_code == 303

    talking(place, talk, users=USERS)


# -- the configuration ------------------------------------------------------------------------


def configured(users: list[dict[str, Any]], **web: Any) -> Any:
    return load(None, web={"users": users, **web})


def test_users_are_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "forestall.toml"
    file.write_text('[[web.users]]\nname = "王 芳"\nrole = "operator"\ntokens = ["0123456789abcdef"]\n')
    user = load(file).web.users[0]
    assert (user.name, user.role) == ("王 芳", Role.OPERATOR)
    assert "0123456789abcdef" not in repr(load(file))
    given = [{"name": "audit", "role": "auditor", "tokens": ["fedcba9876543210"]}]
    monkeypatch.setenv("FORESTALL_WEB__USERS", json.dumps(given))
    assert [user.name for user in load(file).web.users] == ["audit"]


@pytest.mark.parametrize(
    ("users", "web", "told"),
    [
        ([{"name": "a1", "role": "king", "tokens": ["0123456789abcdef"]}], {}, "role"),
        ([{"name": "a1", "role": "admin", "tokens": ["short"]}], {}, "at least 16 characters for 'a1'"),
        ([{"name": "a1", "role": "admin", "tokens": []}], {}, "tokens"),
        ([{"name": "system", "role": "admin", "tokens": ["0123456789abcdef"]}], {}, "another name"),
        ([{"name": "a\nb", "role": "admin", "tokens": ["0123456789abcdef"]}], {}, "name"),
        ([{"name": "a1", "role": "admin", "tokens": ["0123456789abcdef"]}] * 2, {}, "every name once"),
        (
            [{"name": "admin", "role": "operator", "tokens": ["0123456789abcdef"]}],
            {"token": "another-token-here"},
            "every name once",
        ),
        (
            [{"name": "a1", "role": "operator", "tokens": ["0123456789abcdef"]}],
            {"token": "0123456789abcdef"},
            "every token once",
        ),
        ([], {"host": "0.0.0.0"}, "at least 16 characters"),
    ],
)
def test_users_that_cannot_be_are_refused(
    users: list[dict[str, Any]], web: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        configured(users, **web)
    assert "0123456789abcdef" not in str(refused.value)


def test_users_are_enough_to_be_reached_from_elsewhere() -> None:
    users = [{"name": "a1", "role": "admin", "tokens": ["0123456789abcdef"]}]
    assert configured(users, host="0.0.0.0").web.users[0].name == "a1"
