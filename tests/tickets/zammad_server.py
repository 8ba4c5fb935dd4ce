"""Zammad's ticket API as documented: what it asks for, what it refuses, and a search index that lags.

States 1–7 and priorities 1–3 are those of a fresh installation. A ``query`` is answered by the
index, which learns of tickets when ``index`` is called; a ``condition`` by the tickets themselves.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.tickets.json_server import Asked, JsonServer, Said

TOKEN = "zammad-token-of-an-agent"
STATES = ("new", "open", "pending reminder", "pending close", "closed", "merged")
PRIORITIES = ("1 low", "2 normal", "3 high")
TYPES = ("note", "phone", "email", "web", "sms", "chat", "fax")
TICKET = {"title", "group", "customer", "state", "priority", "pending_time", "article", "tags"}
ARTICLE = {"subject", "body", "content_type", "type", "internal", "sender", "to", "cc", "time_unit"}


class Refuse(Exception):
    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.said = Said(status, {"error": error, "error_human": error})


class ZammadServer(JsonServer):
    def __init__(self) -> None:
        super().__init__()
        self.groups = {"Users", "抄表班"}
        self.customers = {"meters@utility.example"}
        self.tickets: dict[int, dict[str, Any]] = {}
        self.articles: dict[int, list[dict[str, Any]]] = {}
        self.indexed: set[int] = set()

    def index(self) -> None:
        """The search index catches up."""
        self.indexed = set(self.tickets)

    def answer(self, asked: Asked) -> Said:
        try:
            if asked.headers.get("authorization") != f"Token token={TOKEN}":
                raise Refuse(401, "Invalid BasicAuth credentials")
            return self._route(asked)
        except Refuse as refused:
            return refused.said

    def _route(self, asked: Asked) -> Said:
        path = asked.path.removeprefix("/api/v1")
        assert path != asked.path, f"expected a path below /api/v1, got {asked.path}"
        if asked.method == "GET" and path == "/tickets/search":
            return self._search(asked.query)
        if asked.method == "GET" and path.startswith("/ticket_articles/by_ticket/"):
            return Said(200, self.articles[self._number(path)])
        if asked.method in ("POST", "PUT") and "json" not in asked.headers.get("content-type", ""):
            raise Refuse(422, "expected application/json")
        if asked.method == "POST" and path == "/tickets":
            return self._create(asked.json)
        if asked.method == "PUT" and path.startswith("/tickets/"):
            return self._update(self._number(path), asked.json)
        raise Refuse(404, "No route matches")

    def _number(self, path: str) -> int:
        number = int(path.rpartition("/")[2])
        if number not in self.tickets:
            raise Refuse(404, f"Couldn't find Ticket with 'id'={number}")
        return number

    def _create(self, body: dict[str, Any]) -> Said:
        for name in ("title", "group", "customer"):
            if not isinstance(body.get(name), str) or not body[name]:
                raise Refuse(422, f"Missing required value for field '{name}'!")
        self._check(body)
        number = len(self.tickets) + 1
        article = self._article(body.get("article"))
        self.tickets[number] = {
            "id": number,
            "number": f"{22000 + number}",
            "state": "new",
            "priority": "2 normal",
        }
        self.tickets[number] |= {k: v for k, v in body.items() if k != "article"}
        self.articles[number] = [article]
        return Said(201, {**self.tickets[number], "article_count": 1})

    def _update(self, number: int, body: dict[str, Any]) -> Said:
        self._check(body)
        if "article" in body:
            self.articles[number].append(self._article(body["article"]))
        self.tickets[number] |= {k: v for k, v in body.items() if k != "article"}
        return Said(200, self.tickets[number])

    def _check(self, body: dict[str, Any]) -> None:
        assert body.keys() <= TICKET, f"expected attributes of a ticket, got {body.keys() - TICKET}"
        for name, known in (
            ("group", self.groups),
            ("customer", self.customers),
            ("state", STATES),
            ("priority", PRIORITIES),
        ):
            if name in body and body[name] not in known:
                raise Refuse(422, f"No lookup value found for '{name}': {body[name]!r}")
        if len(body.get("title", "")) > 250:
            raise Refuse(422, "Title is too long (maximum is 250 characters)")
        if str(body.get("state", "")).startswith("pending"):
            if not body.get("pending_time"):
                raise Refuse(422, "Missing required value for field 'pending_time'!")
            assert datetime.fromisoformat(body["pending_time"]).tzinfo is not None

    def _article(self, article: Any) -> dict[str, Any]:
        if not isinstance(article, dict) or not article.get("body"):
            raise Refuse(422, 'Need at least article: { body: "some text" }')
        assert article.keys() <= ARTICLE, f"expected attributes of an article, got {article.keys() - ARTICLE}"
        if article.get("type", "note") not in TYPES:
            raise Refuse(422, f"No lookup value found for 'type': {article['type']!r}")
        if article.get("content_type") not in ("text/plain", "text/html"):
            raise Refuse(422, "expected text/plain or text/html")
        if not isinstance(article.get("internal"), bool) or not isinstance(article.get("subject"), str):
            raise Refuse(422, "expected internal true or false, and a subject")
        return {"id": sum(map(len, self.articles.values())) + 1, **article}

    def _search(self, query: dict[str, str]) -> Said:
        limit = int(query.get("limit", "50"))
        if "condition[ticket.title][operator]" in query:
            assert query["condition[ticket.title][operator]"] == "contains"
            wanted = query["condition[ticket.title][value]"].lower()
            found = [t for t in self.tickets.values() if wanted in t["title"].lower()]
        else:
            found = [
                self.tickets[n] for n in sorted(self.indexed) if query["query"] in self.tickets[n]["title"]
            ]
        found = found[::-1][:limit]
        if query.get("expand") == "true":
            return Said(200, found)
        assets = {"Ticket": {str(t["id"]): t for t in found}}
        return Said(200, {"tickets": [t["id"] for t in found], "tickets_count": len(found), "assets": assets})
