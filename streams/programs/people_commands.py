"""``forestall audit`` and ``forestall people``: the audit log, export, erasure, retention, keys."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Never

import typer

from streams.ports import PortError
from streams.settings import ConfigError, Settings, load
from streams.trade.masks import substantial, telltale
from streams.trade.roles import Actor, Role

if TYPE_CHECKING:
    from connectors.store import Store
    from streams.programs.people import PeopleDesk

audit = typer.Typer(no_args_is_help=True, help="The audit log: who did what, and who looked at whom.")
people = typer.Typer(no_args_is_help=True, help="Personal data: export, erasure, retention, keys.")

Config = Annotated[Path | None, typer.Option("--config", help="TOML file; the environment goes over it")]
Why = Annotated[str, typer.Option("--reason", help="a sentence that an auditor can follow")]


def _fail(error: BaseException | str) -> Never:
    typer.echo(f"forestall: {error}", err=True)
    raise typer.Exit(2)


def _actor() -> Actor:
    """Whoever sits at this machine; the audit log has the name of the account."""
    return Actor(f"{getpass.getuser()}@console", Role.ADMIN)


@contextmanager
def _desk(config: Path | None) -> Iterator[tuple[Settings, PeopleDesk, Store]]:
    # here: `forestall --help` is quick
    from connectors.sealing import SealError
    from connectors.store import Store
    from connectors.store.erasure import StillOpen
    from streams.programs import compose
    from streams.programs.people import PeopleDesk

    try:
        settings = load(config)
        store = Store(settings.store_url, seal=compose.seal(settings))
        try:
            compose.upgrade_store(settings)
            yield settings, PeopleDesk(settings, store, compose.make_clock(settings)), store
        finally:
            store.close()
    except (ConfigError, PortError, SealError, StillOpen, ValueError, OSError) as error:
        _fail(error)


def _substance(reason: str) -> str:
    what = telltale(reason)
    if what or not substantial(reason):
        _fail(f"expected --reason to say why, without personal data, got {what or 'too little'}")
    return reason


@audit.command("verify")
def verify(
    config: Config = None,
    seq: Annotated[int, typer.Option(help="number of a row that was noted down earlier")] = 0,
    head: Annotated[str, typer.Option(help="its digest")] = "",
) -> None:
    """Check the chains of the audit log and of all histories; 1 where one does not hold."""
    from streams.programs.people import shown

    with _desk(config) as (_, desk, _store):
        found = desk.verify(_actor(), seq, head)
    typer.echo(shown(found))
    raise typer.Exit(1 if found.faults else 0)


@audit.command("show")
def show(
    config: Config = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    concerning: Annotated[str, typer.Option("--object", help="kind/id, as ticket/FS-…")] = "",
    by: Annotated[str, typer.Option("--actor")] = "",
    action: Annotated[str, typer.Option("--action")] = "",
) -> None:
    """The newest lines, oldest of them first. To read them is a line."""
    from connectors.store.audit import LogFilter
    from streams.programs.people import line

    with _desk(config) as (_, desk, _store):
        wanted = LogFilter(object=concerning, actor=by, action=action)
        for row in reversed(desk.log(_actor(), limit, wanted, None)):
            typer.echo(line(row))


@people.command("export")
def export(service_point: str, reason: Why, config: Config = None) -> None:
    """Write everything that is held of a service point to the standard output, as JSON."""
    _substance(reason)
    with _desk(config) as (_, desk, _store):
        told = desk.export(service_point, _actor(), reason)
    json.dump(told, sys.stdout, ensure_ascii=False, indent=1)
    typer.echo()


@people.command("erase")
def erase(
    service_point: str,
    reason: Why,
    config: Config = None,
    also_open: Annotated[
        bool, typer.Option("--also-open", help="also while tickets are open; their customer is lost")
    ] = False,
) -> None:
    """Erase names, numbers, addresses and text of people at a service point."""
    _substance(reason)
    with _desk(config) as (_, desk, _store):
        done = desk.erase(service_point, _actor(), reason, also_open)
    typer.echo(
        f"erased at {service_point}: {done.people} people, text of {done.complaints} complaints and "
        f"{done.tickets} tickets ({done.lines} lines), {done.deliveries} copies"
    )


@people.command("sweep")
def sweep(
    config: Config = None,
    really: Annotated[bool, typer.Option("--really", help="take it out; else it is only counted")] = False,
) -> None:
    """Count what was kept long enough ([retention]), or take it out."""
    from streams.programs.compose import make_clock
    from streams.programs.people import keep

    with _desk(config) as (settings, _, store):
        now = make_clock(settings).now_ns()
        done = store.sweep(keep(settings), now) if really else store.due_to_go(keep(settings), now)
    told = ", ".join(f"{count} {kind}" for kind, count in done.items()) or "nothing"
    typer.echo(f"taken out: {told}" if really else f"would be taken out: {told} (--really does it)")


@people.command("reseal")
def reseal(config: Config = None) -> None:
    """Seal all names and numbers with the first of people.keys; then older keys can go."""
    from streams.programs.compose import make_clock

    with _desk(config) as (settings, _, store):
        if not settings.people.keys:
            _fail("expected people.keys, there are none")
        done = store.reseal_people(_actor(), make_clock(settings).now_ns())
    typer.echo(f"sealed anew: {done}")
