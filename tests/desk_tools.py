"""What the tests of staff at their pages share: the web process as it is started, with a user of each role."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, expect

from streams.trade.roles import Role
from tests.browser_tools import WIDE, opened, speak
from tests.faults.site import Site
from tests.services.process import LOOPBACK, wait_until
from tests.web_tools import Place

TOKENS = {role: f"token-of-the-{role}-1" for role in Role}


@contextmanager
def served(place: Place, directory: Path, more: str = "") -> Iterator[str]:
    """``forestall run web`` over a place; its address."""
    registry = directory / "meters.csv"
    if not registry.exists():
        registry.write_text("meter_id,commodity,unit,kind\n")
    users = "".join(
        f'[[web.users]]\nname = "{role}-1"\nrole = "{role}"\ntokens = ["{token}"]\n'
        for role, token in TOKENS.items()
    )
    site = Site(
        directory / "site",
        "mqtt://127.0.0.1:1",
        registry,
        f"store = {json.dumps(place.store_url)}",
        f'[web]\nlanguage = "en"\n{users}\n{more}',
        running_clock=True,
    )
    settings_history = site.settings.history_path
    settings_history.parent.mkdir(parents=True, exist_ok=True)
    if not settings_history.exists():
        os.symlink(place.history_path, settings_history)
    web = site.launch("web")
    base = f"http://{LOOPBACK}:{web.port}"

    def ready() -> bool:
        try:
            return httpx.get(f"{base}/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait_until(ready, "the web process to be ready", 60)
        yield base
    finally:
        site.stop("web")
        site.close()


@contextmanager
def as_role(
    browser: Browser,
    url: str,
    role: Role,
    size: tuple[int, int] = WIDE,
    language: str = "en",
    **settings: Any,
) -> Iterator[Page]:
    """A page of somebody with a role, in a language."""
    base = "/".join(url.split("/")[:3])
    with opened(browser, f"{base}/login", size, **settings) as page:
        page.locator("input[name=token]").fill(TOKENS[role])
        page.locator("button[type=submit], form button").first.click()
        page.wait_for_url(re.compile(r"^(?!.*login).*$"))
        speak(page, language)
        if url.rstrip("/") != base:
            page.goto(url)
        expect(page.locator("header.bar")).to_be_visible()
        yield page


def act(page: Page, key: str) -> Any:
    """Open the form of an act; returns the form."""
    page.locator(f"[data-act='{key}']").click()
    form = page.locator("form.form").last
    expect(form).to_be_visible()
    return form


def send(form: Any) -> None:
    """Send a form, and wait until it was done."""
    form.locator("button[type=submit]").click()
    expect(form).to_have_count(0)
