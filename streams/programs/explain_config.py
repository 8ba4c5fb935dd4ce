"""What a configuration comes to, and the list of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args, get_origin

from pydantic import BaseModel, SecretStr

from streams.settings import Settings
from streams.trade.tariff import Tariffs
from streams.trade.working_time import Calendar


def keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Every key: name, type, default, meaning."""
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from keys(kind, f"{prefix}{name}.")
            continue
        default = info.default
        shown = "" if isinstance(default, SecretStr) or default in ((), {}, None, "") else str(default)
        text = getattr(kind, "__name__", None) or str(kind).replace("typing.", "")
        if str(kind).startswith(("typing.Literal", "tuple", "dict", "pathlib")) or "|" in str(kind):
            text = str(kind).replace("typing.", "").replace("pathlib.", "").replace("pydantic.types.", "")
        inner = get_args(kind)[1] if get_origin(kind) is dict else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield f"{prefix}{name}", f"dict[str, {inner.__name__}]", shown, info.description or ""
            yield from keys(inner, f"{prefix}{name}.<name>.")
            continue
        yield f"{prefix}{name}", text, shown, info.description or ""


def list_keys() -> str:
    """All keys as aligned text."""
    rows = list(keys())
    wide = max(len(name) for name, *_ in rows)
    return "\n".join(
        f"{name:<{wide}}  {kind}{f' = {default}' if default else ''}{f'   # {meaning}' if meaning else ''}"
        for name, kind, default, meaning in rows
    )


def explain(settings: Settings, calendar: Calendar, tariffs: Tariffs | None = None) -> str:
    """In a few lines: where things are read from, kept and sent. No secrets."""
    log = "embedded log " + str(settings.data_dir / "log.db") if settings.embedded else settings.broker
    store = settings.store_url.rsplit("@", 1)[-1] if "@" in settings.store_url else settings.store_url
    mqtt = settings.mqtt.url or f"a broker of our own on port {settings.mqtt.embedded_port} (loopback)"
    history = (
        f"SQLite, {settings.history.keep_days:g} days" if settings.history.keep_days else "none in SQLite"
    )
    influx = f", InfluxDB at {settings.influx.url}" if settings.influx.url else ""
    lines = [
        "the configuration can be used:",
        f"  readings from   {mqtt}",
        f"  registry        {settings.ingest.registry or 'none: every meter is unknown, and taken in'}",
        f"  log             {log}, {settings.partitions} partitions",
        f"  tickets         {store}",
        f"  working time    {_working_time(settings, calendar)}",
        f"  prices          {_prices(settings, tariffs)}",
        f"  false flags     {_budget(settings)}",
        f"  history         {history}{influx}",
        f"  webhook         {settings.desks.webhook.url or 'off'}",
        f"  e-mail          {settings.desks.email.host or 'off'}",
        f"  Zammad          {settings.desks.zammad.url or 'off'}",
        f"  TMF621          {settings.desks.tmf621.url or 'off'}",
        f"  Alertmanager    {settings.desks.alertmanager.url or 'off'}",
        f"  messages        {', '.join(sorted(settings.desks.messages)) or 'off'}",
        f"  documents       {_fonts(settings)}",
        f"  pages           http://{settings.web.host}:{settings.web.port}/",
    ]
    return "\n".join(lines)


def _fonts(settings: Settings) -> str:
    """The font of documents in Chinese; looked for here, not only when somebody asks for a PDF."""
    from connectors.documents import Fonts

    return Fonts(str(settings.documents.font or ""), settings.documents.subfont).told()


def _budget(settings: Settings) -> str:
    """The budget, and the detectors that have one of their own."""
    own = [
        f"{name} {given['budget']:g}"
        for name, given in sorted(settings.detectors.items())
        if "budget" in given
    ]
    apart = f"; by their own budget: {', '.join(own)}" if own else ""
    return f"{settings.detection.budget:g} per 1,000 meter-days{apart}"


def _working_time(settings: Settings, calendar: Calendar) -> str:
    """Where the calendar is from, its zone, and the last day that it says anything of."""
    if settings.tickets.calendar is None:
        return f"Monday to Friday, 09:00-18:00 {calendar.tz}, no holidays"
    named = calendar.holidays | calendar.makeup
    until = f"; the last day that it names is {max(named)}" if named else ""
    return (
        f"{settings.tickets.calendar}, {calendar.tz}: {len(calendar.holidays)} holidays, "
        f"{len(calendar.makeup)} make-up days{until}"
    )


def _prices(settings: Settings, tariffs: Tariffs | None) -> str:
    """Where prices are from, the tariffs, and up to what one person decides on a credit."""
    limits = settings.tickets.credit_limit
    alone = ", ".join(f"{amount} {currency}" for currency, amount in sorted(limits.items()))
    two = f"two persons decide on credits above {alone}" if alone else "two persons decide on every credit"
    if tariffs is None:
        return f"none; {two}"
    return f"{settings.tickets.tariffs}: {', '.join(sorted(tariffs.by_name))}; {two}"
