"""Somebody who has complained, for the pages of auditors and of people's data."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from streams.trade.roles import Role
from tests.desk_tools import TOKENS, served
from tests.web_tools import Place

PHONE = "13911112222"


def complain(web: str, point: str, phone: str = PHONE) -> dict[str, str]:
    """Li Lei complains about a place; the complaint."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    body = {"time": now, "name": "Li Lei", "phone": phone, "matter": "bill too high", "service_point": point}
    body["reference"] = f"{time.time_ns()}"  # each one is another
    answer = httpx.post(f"{web}/api/complaints", json=body, headers=bearer(Role.COMPLAINTS), timeout=30)
    assert answer.status_code == 201, answer.text
    found: dict[str, str] = answer.json()["complaint"]
    return found


def bearer(role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[role]}"}


@contextmanager
def office(place: Place, directory: Path) -> Iterator[str]:
    """A web process where one person has complained about two places; its address."""
    with served(place, directory) as base:
        for point in ("wei", "w-flow"):
            complain(base, point)
        yield base
