"""The web process as it is started: hooks and the TMF621 view are there, counted, and behind their guards."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path

import httpx

from connectors.migrations import upgrade
from connectors.store import Store
from streams.trade.rules import Rules
from tests.faults.site import Site
from tests.services.process import LOOPBACK, wait_until
from tests.tickets.tools import NOON, golden

SECRET = "the token of the trigger"


def test_a_helpdesk_closes_its_ticket(tmp_path: Path) -> None:
    registry = tmp_path / "meters.csv"
    registry.write_text("meter_id,commodity,unit,kind\n")
    url = f"sqlite:///{tmp_path / 'tickets.db'}"
    upgrade(url)
    store = Store(url)
    (ticket,) = store.apply_flags([golden()], NOON, Rules())
    top, more = f"store = {json.dumps(url)}", f'[desks.zammad]\nhook_secret = "{SECRET}"\n'
    site = Site(tmp_path / "site", "mqtt://127.0.0.1:1", registry, top, more, running_clock=True)
    web = site.launch("web")

    def ready() -> bool:
        try:
            return httpx.get(f"http://{LOOPBACK}:{web.port}/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait_until(ready, "the web process to be ready", 60)
        told = {"id": 7, "title": f"[{ticket.id}] x", "state": "closed"}
        told["updated_at"] = datetime.now(UTC).isoformat()
        body = json.dumps({"ticket": told}).encode()
        sign = f"sha1={hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()}"
        with httpx.Client(base_url=f"http://{LOOPBACK}:{web.port}", timeout=20) as client:
            taken = client.post("/hooks/zammad", content=body, headers={"X-Hub-Signature": sign})
            assert taken.json() == {"outcome": "moved", "ticket": ticket.id, "state": "callback"}
            assert client.post("/hooks/zammad", content=body).status_code == 401
            (seen,) = client.get("/tmf-api/troubleTicket/v5/troubleTicket?status=resolved").json()
            assert (seen["id"], seen["externalIdentifier"][0]["id"]) == (ticket.id, "7")
            counted = client.get("/metrics").text
            assert 'forestall_hook_events_total{desk="zammad",result="moved"} 1.0' in counted
            assert 'forestall_hook_events_total{desk="zammad",result="unsigned"} 1.0' in counted
    finally:
        site.stop("web")
        site.close()
        store.close()
