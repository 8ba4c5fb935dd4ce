"""Evidence packs over HTTP: a real store, history and server; what a browser and a program get."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Table, create_engine, insert

from connectors.documents import Fonts
from connectors.migrations import upgrade
from connectors.store import Store
from connectors.store.tables_trade import complaints, points
from connectors.web.sources import Sources
from streams.messages import NS, Kind
from streams.trade.rules import Rules
from streams.trade.work import finish_step
from tests.documents.tools import DAY, fonts, html_parts, pdf_pages
from tests.services.postgres import Postgres
from tests.tickets.tools import sqlite_url
from tests.web_tools import NOW, Place, columns, filled, golden_flags, ns, sources, talking

POINT = {
    "commodity": "gas",
    "unit": "m3",
    "area": "block-1",
    "meter_class": "residential",
    "serial": "G4-778",
    "tz": "Asia/Shanghai",
    **dict.fromkeys(("route", "concentrator", "transformer", "line", "tariff"), ""),
}


def write(url: str, table: Table, *rows: dict[str, Any]) -> None:
    """Rows as the processes that own them write them."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(table), list(rows))
    engine.dispose()


def around(url: str, count: int = 6) -> None:
    """The golden meter's place, meters of its area, one complaint."""
    names = ["wei", *(f"n-{i}" for i in range(count))]
    write(url, points, *({"meter_id": m, "service_point_id": m, **POINT} for m in names))
    write(url, points, {"meter_id": "far", "service_point_id": "far", **POINT, "area": "block-2"})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with filled(tmp_path_factory.mktemp("pack")) as made:
        around(made.store_url)
        start = ns("2011-04-01")
        made.readings(
            columns(
                (f"n-{i}", start + k * 30 * DAY, k * 15.0, Kind.REGISTER, "m3")
                for i in range(6)
                for k in range(17)
            )
        )
        yield made


def golden_id(place: Place) -> str:
    return next(ticket.id for ticket in place.store.tickets() if ticket.meter_id == "wei")


def ask(place: Place, path: str, found: Sources | None = None, **params: str) -> httpx.Response:
    """One answer of a server that is started for it."""
    answers: list[httpx.Response] = []

    async def talk(client: httpx.AsyncClient) -> None:
        answers.append(await client.get(path, params=params or None, timeout=60))

    talking(None if found else place, talk, found=found)
    return answers[0]


def pack(place: Place, **params: str) -> httpx.Response:
    return ask(place, f"/api/tickets/{golden_id(place)}/pack", None, **params)


def test_the_pack_as_html_stands_by_itself_and_lets_no_script_in(place: Place) -> None:
    answer = pack(place, language="en")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"] == f'inline; filename="{golden_id(place)}-en.html"'
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    text, tags, _ = html_parts(answer.text)
    assert "script" not in tags
    assert "svg" in tags
    for words in ("243.7m³", "Theareahas6othermeters", "G4-778", "449m³", golden_id(place)):
        assert words in text


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_pack_as_pdf_says_the_same_as_html(place: Place, language: str) -> None:
    fonts()
    html, _, _ = html_parts(pack(place, language=language).text)
    answer = pack(place, format="pdf", language=language)
    assert answer.headers["content-type"] == "application/pdf"
    text = "".join(pdf_pages(answer.content))
    for words in ("243.7m³", "29.3m³", "2012-06-1008:00", "Asia/Shanghai"):
        assert words in text
        assert words in html
    assert ("差额" in text) == (language == "zh")


def test_the_content_as_json_has_the_digest_that_the_others_show(place: Place) -> None:
    body = pack(place, format="json", language="zh").content
    assert json.loads(body)["title"] == "异常用量证据材料"
    # each pack has its own time of making, to the second: the digest is that of the same content
    page = html_parts(pack(place, language="zh").text)[0]
    again = pack(place, format="json", language="zh").content
    assert any(hashlib.sha256(one).hexdigest() in page for one in (body, again)) or body != again


def test_the_readings_digest_can_be_computed_from_the_api(place: Place) -> None:
    """The recipe of docs/documents.md."""
    page = pack(place, language="en").text
    said = re.search(r"Digests of the readings: (\S+Z) to (\S+Z)", page)
    assert said is not None
    span = {"start": said[1], "end": said[2]}
    found = ask(place, "/api/meters/wei/series", None, **span).json()["registers"][0]
    lines = (
        "\t".join((time, repr(value), unit, kind, quality, ",".join(marks))) + "\n"
        for time, value, unit, kind, quality, marks in zip(
            *(found[name] for name in ("time", "value", "unit", "kind", "quality", "marks")), strict=True
        )
    )
    assert hashlib.sha256("".join(lines).encode()).hexdigest() in page


def test_the_language_is_the_tickets_unless_asked_for(place: Place) -> None:
    assert 'lang="zh-CN"' in pack(place).text
    assert 'lang="en"' in pack(place, language="en").text


def test_no_font_is_said_and_html_and_english_are_there_all_the_same(place: Place) -> None:
    bare = Fonts(places=())
    path = f"/api/tickets/{golden_id(place)}/pack"

    def asked(**params: str) -> httpx.Response:
        found, store = sources(place.store_url, str(place.history_path), fonts=bare)
        try:
            return ask(place, path, found, **params)
        finally:
            store.close()

    refused = asked(format="pdf", language="zh")
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    body = refused.json()
    assert body["expected"] == "a font for Chinese"
    assert "fonts-wqy-microhei" in body["action"]
    assert "documents.font" in body["action"]
    assert refused.headers["retry-after"] == "600"
    assert asked(format="pdf", language="en").content.startswith(b"%PDF-")
    assert asked(format="html", language="zh").status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/tickets/FS-NOBODY/pack", 404, "the id of a ticket"),
        ("/api/tickets/fs-%00/pack", 404, "the id of a ticket"),
        ("/api/tickets/FS-A/pack?format=doc", 422, "format"),
        ("/api/tickets/FS-A/pack?language=fr", 422, "language"),
    ],
)
def test_what_cannot_be_answered_says_why(place: Place, path: str, status: int, said: str) -> None:
    answer = ask(place, path)
    assert answer.status_code == status
    assert said in answer.json()["expected"]


def test_without_a_history_the_pack_says_where_readings_are(place: Place) -> None:
    found, store = sources(place.store_url, None, "InfluxDB at http://x")
    answer = ask(place, f"/api/tickets/{golden_id(place)}/pack", found, language="en")
    store.close()
    assert "Readings are kept at InfluxDB at http://x." in answer.text


def test_it_is_in_the_description_for_machines(place: Place) -> None:
    described = ask(place, "/api/openapi.json").json()["paths"]["/api/tickets/{ticket_id}/pack"]["get"]
    assert set(described["responses"]["200"]["content"]) == {
        "text/html",
        "application/pdf",
        "application/json",
    }


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_case_is_read_with_all_that_belongs_to_it(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if database == "sqlite":
        url = sqlite_url(tmp_path)
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.new_database()
    upgrade(url)
    store = Store(url)
    try:
        (ticket,) = store.apply_flags(golden_flags(), NOW, Rules())
        around(url, 3)
        write(
            url,
            points,
            {"meter_id": "shop", "service_point_id": "shop", **POINT, "meter_class": "commercial"},
        )
        told = {"source": "crm", "channel": "hotline", "category": "metering_billing", "urgency": "normal"}
        empty = dict.fromkeys(("subject", "service_point_id", "person_id"), "")
        for number in (2, 1):
            write(
                url,
                complaints,
                {**told, **empty, "id": f"c-{number}", "reference": f"T-{number}", "at_ns": NOW + number * NS,
                 "received_ns": NOW, "ticket_id": ticket.id, "details": {}, "lead_time_s": 3.0, "outcome": None},
            )  # fmt: skip
        store.change(
            ticket.id,
            lambda book, t: finish_step(book, t, 1, "the photo agrees", "negative", "u-12", NOW + DAY),
            NOW + DAY,
        )
        case = store.case(ticket.id, 4)
        assert case is not None
        assert case.ticket == store.ticket(ticket.id)
        assert case.ticket.steps[0].result == "the photo agrees"
        assert [episode.flag_id for episode in case.episodes] == list(case.ticket.flag_ids)
        assert [one.reference for one in case.complaints] == ["T-1", "T-2"]
        assert case.point is not None
        assert case.point.serial == "G4-778"
        # those of the same class first, nobody of another area
        assert list(case.neighbours) == ["n-0", "n-1", "n-2", "shop"]
        assert case.of_area == 4
        cut = store.case(ticket.id, 2)
        assert cut is not None
        assert (list(cut.neighbours), cut.of_area) == (["n-0", "n-1"], 4)
        assert store.case("FS-NOBODY") is None
    finally:
        store.close()
