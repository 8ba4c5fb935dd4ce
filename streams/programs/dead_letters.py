"""``forestall dead-letters``: deliveries that were given up, and putting them back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Never

import typer

from streams.ports import PortError
from streams.settings import ConfigError, load
from streams.trade.deliveries import DeadDelivery
from streams.trade.tickets import iso

if TYPE_CHECKING:
    from connectors.store import Store

app = typer.Typer(
    help="Ticket events that a desk has refused, or that waited for too long.", no_args_is_help=True
)

_MOST = 100_000  # of one call
Config = Annotated[
    Path | None, typer.Option("--config", help="TOML file; the environment (FORESTALL_…) goes over it")
]
Desk = Annotated[str, typer.Option("--desk", help="of this desk alone: webhook, zammad, message-NAME …")]


@app.command("list")
def list_(
    config: Config = None,
    desk: Desk = "",
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="at most so many, the newest")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="a JSON object a line, with the event")] = False,
) -> None:
    """Say which deliveries were given up, newest first, and why."""
    store = _open(config)
    try:
        found = _of(store, desk, limit)
    except PortError as error:
        _fail(error)
    finally:
        store.close()
    for dead in found:
        typer.echo(_json(dead) if as_json else _line(dead))
    if not found and not as_json:
        typer.echo("no dead letters")


@app.command()
def revive(
    numbers: Annotated[list[int] | None, typer.Argument(help="as `list` shows them")] = None,
    config: Config = None,
    desk: Desk = "",
    every: Annotated[
        bool, typer.Option("--all", help="all of them, or with --desk all of that desk")
    ] = False,
) -> None:
    """Put deliveries back into the outbox; they go out again, oldest first, with the ids that they had."""
    if bool(numbers) == every:
        _fail("expected numbers of dead letters, or --all, and not both")
    if numbers and desk:
        _fail("expected --desk beside --all only: a number means one delivery to one desk")
    store = _open(config)
    try:
        chosen = sorted(numbers or (dead.number for dead in _of(store, desk, _MOST)))
        missing = [number for number in chosen if not store.revive(number, time.time_ns())]
    except PortError as error:
        _fail(error)
    finally:
        store.close()
    typer.echo(f"{len(chosen) - len(missing)} of {len(chosen)} put back")
    if missing:
        _fail(
            f"expected numbers of dead letters, got {', '.join(map(str, missing))}: see `forestall dead-letters list`"
        )


def _of(store: Store, desk: str, limit: int) -> list[DeadDelivery]:
    found = store.dead_deliveries(_MOST if desk else limit)
    return [dead for dead in found if not desk or dead.desk == desk][:limit]


def _line(dead: DeadDelivery) -> str:
    event = dead.event
    reason = dead.reason.replace("\n", " ")
    which = f"{dead.number:>6}  {iso(dead.dead_ns)}  {dead.desk:<14} {event.id:<22} {event.type:<10}"
    return f"{which} {dead.attempts:>3}×  {reason}"


def _json(dead: DeadDelivery) -> str:
    told = {
        "number": dead.number,
        "desk": dead.desk,
        "event": dead.event.id,
        "type": dead.event.type,
        "ticket": dead.event.ticket_id,
        "attempts": dead.attempts,
        "dead_at": iso(dead.dead_ns),
        "reason": dead.reason,
        "data": dead.event.data,
    }
    return json.dumps(told, ensure_ascii=False)


def _open(config: Path | None) -> Store:
    """The store of the configuration, brought to this version."""
    # here: `forestall --help` needs no database
    from connectors.migrations import upgrade
    from connectors.store import Store

    try:
        settings = load(config)
        upgrade(settings.store_url)
    except (ConfigError, PortError) as error:
        _fail(error)
    return Store(settings.store_url)


def _fail(error: BaseException | str) -> Never:
    typer.echo(f"forestall: {error}", err=True)
    raise typer.Exit(2)
