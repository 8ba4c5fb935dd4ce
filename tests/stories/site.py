"""A utility for the stories: ``forestall run`` on one machine, and everybody it talks to.

Readings go in by MQTT; staff and the complaint system use the API, each with a token of their own;
a helpdesk takes webhooks, a mail server mails. The clock is a file: it stands until a story moves it,
and never goes back, so that stories may share one utility. Each has meters and areas of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import httpx
from standardwebhooks.webhooks import Webhook

from connectors.embedded_broker import BrokerProcess
from connectors.store import Store
from streams.clock import FileClock
from streams.messages import DEAD_LETTERS
from streams.programs import compose
from tests.documents.tools import pdf_pages
from tests.faults.site import Site
from tests.mqtt_tools import Publisher
from tests.services.mosquitto import Mosquitto
from tests.services.process import LOOPBACK, wait_until
from tests.tickets.receiver import SECRET, Got, Receiver
from tests.tickets.smtp_server import SmtpServer

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
TOPIC = "forestall/readings/stories"
#: the day on which the household of the golden case was read
OPENING = datetime(2012, 6, 10, 1, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")

#: name → (role, token)
STAFF = {
    "王芳": ("operator", "token-of-wang-fang"),
    "李强": ("operator", "token-of-li-qiang"),
    "赵敏": ("billing", "token-of-zhao-min"),
    "周涛": ("billing", "token-of-zhou-tao"),
    "hotline-12345": ("complaints", "token-of-the-hotline"),
    "审计员": ("auditor", "token-of-the-auditor"),
}
OPERATOR, SECOND, BILLING, APPROVER, HOTLINE, AUDITOR = STAFF

Fields = dict[str, Any]

_HEADINGS = (
    "meter_id", "service_point_id", "commodity", "unit", "kind", "interval_s", "area", "class", "serial", "tz",
    "concentrator", "transformer", "line", "tariff",
)  # fmt: skip


def meters() -> Iterator[Fields]:
    """METERS.csv of all stories."""
    home = {"commodity": "gas", "unit": "m3", "class": "residential", "tz": "Asia/Shanghai"}
    bill = {**home, "kind": "register", "tariff": "gas-residential"}
    for name in ("wei", "sun"):
        point = {"meter_id": name, "service_point_id": f"sp-{name}", "area": f"block-{name}"}
        yield {**bill, **point, "serial": f"{name}-old"}
    flow = {**home, "kind": "interval", "interval_s": 3600}
    yield {**flow, "meter_id": "chen", "service_point_id": "sp-chen", "area": "block-chen"}
    volts = {
        "commodity": "electricity",
        "unit": "V",
        "kind": "gauge",
        "interval_s": 900,
        "tz": "Asia/Shanghai",
    }
    for number in (1, 2):
        hangs = {"area": "east", "line": "L7", "transformer": "T7"}
        yield {**volts, **hangs, "meter_id": f"line-{number}", "service_point_id": f"sp-line-{number}"}
    yield {**volts, "meter_id": "low", "service_point_id": "sp-low", "area": "west", "line": "L8"}
    hourly = {"commodity": "electricity", "unit": "kW.h", "kind": "interval", "interval_s": 3600}
    for network, area, count in (("C1", "north", 500), ("C2", "south", 500)):
        for number in range(count):
            yield {**hourly, "meter_id": f"{network}-{number}", "area": area, "concentrator": network}
        for number in range(100):
            yield {**hourly, "meter_id": f"{area}-{number}", "area": area}


def iso(moment: datetime) -> str:
    """ISO 8601, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Utility:
    """The processes, who they talk to, and what the stories do with them."""

    def __init__(self, directory: Path) -> None:
        self._stack = contextlib.ExitStack()
        self._directory = directory
        self._sent = 0
        self.published: list[tuple[str, bytes]] = []  # topic and payload of every message of readings

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        enter: Callable[..., Any] = self._stack.enter_context
        broker: Mosquitto | BrokerProcess = Mosquitto() if Mosquitto.missing() is None else BrokerProcess()
        enter(broker)
        self.helpdesk: Receiver = enter(Receiver())
        self.mail: SmtpServer = enter(SmtpServer())
        registry = self._directory / "METERS.csv"
        rows = [",".join(str(meter.get(name, "")) for name in _HEADINGS) for meter in meters()]
        registry.write_text("\n".join([",".join(_HEADINGS), *rows]) + "\n")
        self.site = Site(self._directory / "site", broker.url, registry, more=self._settings())
        self._stack.callback(self.site.close)
        self._clock = FileClock(self.site.directory / "clock")
        self._stack.callback(self._clock.close)
        self._clock.set(_ns(OPENING))
        self.site.launch_all()
        self._store = Store(self.site.settings.store_url)
        self._stack.callback(self._store.close)
        self._publisher = enter(Publisher(int(broker.url.rsplit(":", 1)[1])))
        self._http = enter(httpx.Client(base_url=f"http://{LOOPBACK}:{self.site['web'].port}", timeout=60))
        self.until(lambda: self._http.get("/ready").status_code == 200, "the API to be ready")

    def _settings(self) -> str:
        users = "".join(
            f'[[web.users]]\nname = "{name}"\nrole = "{role}"\ntokens = ["{token}"]\n'
            for name, (role, token) in STAFF.items()
        )
        return f"""
[history]
keep_days = 4000

[desks.webhook]
url = "{self.helpdesk.url}"
secrets = ["{SECRET}"]
allow_private = true

[desks.email]
host = "{LOOPBACK}"
port = {self.mail.port}
security = "none"
sender = "forestall@utility.example"
recipients = ["duty@utility.example"]
language = "zh"

[tickets]
time_zone = "Asia/Shanghai"
tariffs = {json.dumps(str(ROOT / "deploy" / "tariffs" / "example.toml"))}
credit_limit = {{CNY = 500}}
company = "和安燃气"
hotline = "96777"

[complaints]
emergency_phone = "119"

{users}"""

    # -- time ----------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """What the clock shows."""
        return datetime.fromtimestamp(self._clock.now_ns() / 1e9, UTC)

    def later(self, **by: float) -> datetime:
        """Move the clock on, once all that happened so far is told: a delivery under way has a lease by this clock."""
        self.told()
        self._clock.set(_ns(self.now + timedelta(**by)))
        return self.now

    def not_before(self, moment: datetime) -> datetime:
        """Move the clock on to a moment, unless it shows more."""
        return self.later(seconds=max(0.0, (moment - self.now).total_seconds()))

    def told(self) -> None:
        """Wait until every event has reached every desk."""
        self.until(lambda: not self._store.outbox_oldest(), "all events to be delivered")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition, while all processes live."""

        def look() -> bool:
            self.site.alive()
            return condition()

        try:
            wait_until(look, what, PATIENCE_S, 0.05)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.site['worker'].tail(25)}") from None

    # -- readings ------------------------------------------------------------------------------------

    def send(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Publish readings as native JSON, at QoS 1, and wait until the detectors have taken them all."""
        self._send([rows[first : first + 500] for first in range(0, len(rows), 500)], len(rows))

    def send_columns(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """The same, a message each, as columns: ``meter_id`` is a list."""
        self._send(messages, sum(len(one["meter_id"]) for one in messages))

    def _send(self, messages: Sequence[Any], readings: int) -> None:
        for message in messages:
            self.publish(json.dumps(message).encode())
        self._publisher.all_confirmed()
        self._sent += readings
        worker = self.site["worker"]
        self.until(
            lambda: worker.metrics().get("forestall_readings_detected_total", 0) >= self._sent,
            f"{self._sent} readings to be detected",
        )

    def publish(self, payload: bytes) -> None:
        """One message of readings, at QoS 1, whatever is in it."""
        self.published.append((TOPIC, payload))
        self._publisher.send(TOPIC, payload)

    def letters(self) -> list[Fields]:
        """All dead letters so far."""
        return asyncio.run(self._letters())

    async def _letters(self) -> list[Fields]:
        durable = compose.open_log(self.site.settings)
        try:
            partitions = range(self.site.settings.partitions)
            return [
                json.loads(value or b"")
                for p in partitions
                async for *_, value in durable.read(DEAD_LETTERS, p)
            ]
        finally:
            await durable.close()

    # -- the API -------------------------------------------------------------------------------------

    def ask(self, who: str, method: str, path: str, **more: Any) -> httpx.Response:
        """One request with somebody's token."""
        headers = {"Authorization": f"Bearer {STAFF[who][1]}"}
        answer: httpx.Response = self._http.request(method, path, headers=headers, **more)
        return answer

    def get(self, who: str, path: str, **query: Any) -> Any:
        """JSON of a GET."""
        answer = self.ask(who, "GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, who: str, path: str, status: int = 200, **body: Any) -> Any:
        """JSON of a POST that is answered with this status."""
        answer = self.ask(who, "POST", path, json=body)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        return answer.json()

    def tickets(self, service_point: str, family: str = "") -> list[Fields]:
        """All tickets of a service point, or those of a family; the oldest first."""
        found: list[Fields] = self.get(OPERATOR, "/api/tickets", service_point=service_point)["items"]
        return [one for one in found[::-1] if family in ("", one["family"])]

    def ticket(self, ticket_id: str) -> Fields:
        """A ticket with all its parts."""
        found: Fields = self.get(OPERATOR, f"/api/tickets/{ticket_id}")
        return found

    def opened(self, service_point: str, family: str = "") -> Fields:
        """The one ticket of a service point, or of a family there, as soon as it is there."""
        self.until(lambda: bool(self.tickets(service_point, family)), f"a ticket of {service_point}")
        found = self.tickets(service_point, family)
        assert len(found) == 1, [(one["kind"], one["state"]) for one in found]
        return self.ticket(found[0]["id"])

    def becomes(self, ticket_id: str, what: str, condition: Callable[[Fields], bool]) -> Fields:
        """A ticket as soon as something holds of it."""
        self.until(lambda: condition(self.ticket(ticket_id)), f"{ticket_id} {what}")
        return self.ticket(ticket_id)

    def work(self, who: str, ticket_id: str, verb: str, status: int = 200, **body: Any) -> Fields:
        """One verb of staff on a ticket."""
        found: Fields = self.post(who, f"/api/tickets/{ticket_id}/{verb}", status, **body)
        return found

    def complain(self, **form: Any) -> Fields:
        """A complaint, as the hotline takes it; the answer for the agent.

        The worker tells the store of the registry's meters within a minute: this waits until it has.
        """
        named = form["service_point"]
        self.until(lambda: self._located(named), f"{named} to be known at the hotline")
        fields = {"time": iso(self.now), "name": "魏女士", "phone": "13800001234", "channel": "hotline"}
        found: Fields = self.post(HOTLINE, "/api/complaints", 201, **{**fields, **form})
        return found

    def _located(self, named: str) -> bool:
        answer = self.ask(HOTLINE, "GET", f"/api/service-points/{named}/answer")
        return answer.status_code == 200 and bool(answer.json()["meter_id"])

    def pack(self, ticket_id: str, language: str) -> str:
        """The evidence pack as PDF, read back: its text without blanks."""
        query = {"format": "pdf", "language": language}
        answer = self.ask(BILLING, "GET", f"/api/tickets/{ticket_id}/pack", params=query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/pdf"
        return "".join(pdf_pages(answer.content))

    def report(self, at: str) -> dict[str, list[Fields]]:
        """The tables of the report on the month of an instant."""
        month = datetime.fromisoformat(at).astimezone(ZONE).strftime("%Y-%m")
        tables: dict[str, list[Fields]] = self.get(AUDITOR, "/api/reports", month=month)["tables"]
        return tables

    def whole(self) -> None:
        """The audit chain and the chains of all histories hold."""
        found = self.get(AUDITOR, "/api/audit/verify")
        assert found["faults"] == [], found
        assert found["rows"] > 0

    # -- what others have heard ----------------------------------------------------------------------

    def heard(self, ticket_id: str) -> list[Fields]:
        """The events of a ticket that the helpdesk has got: signed, each once, in order."""
        self.told()
        got = [one for one in self.helpdesk.got if one.method == "POST" and one.event["subject"] == ticket_id]
        assert all(_signed(one) for one in got)
        assert all(one.id == one.event["id"] for one in got)
        sequence = [int(one.id.rpartition(".")[2]) for one in got]
        assert sequence == sorted(set(sequence)), sequence
        return [one.event for one in got]

    def mails(self, ticket_id: str) -> list[str]:
        """Subjects of the mails about a ticket."""
        self.told()
        return [str(mail["subject"]) for mail in self.mail.mails if ticket_id in mail.as_string()]


def _ns(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6) * 1000


def _signed(got: Got) -> bool:
    """Whether a library that is not ours makes the same signature; the clock that it was made by is the stories'."""
    at = datetime.fromtimestamp(int(got.headers["webhook-timestamp"]), UTC)
    return Webhook(SECRET).sign(got.id, at, got.body.decode()) in got.headers["webhook-signature"].split()
