"""``forestall``: demo, run, replay, import, check-config, dump, dead-letters."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Never

import typer

from streams.logs import configure
from streams.programs.dead_letters import app as dead_letters
from streams.programs.people_commands import audit, people
from streams.settings import ConfigError, Settings, load
from streams.supervise import CHILD

log = logging.getLogger(__name__)

app = typer.Typer(
    name="forestall",
    help="Watches smart meters and opens a ticket before the customer complains (未诉先办).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(audit, name="audit")
app.add_typer(people, name="people")

Config = Annotated[
    Path | None, typer.Option("--config", help="TOML file; the environment (FORESTALL_…) goes over it")
]

Zone = Annotated[str, typer.Option("--tz", help="IANA zone of times that state none, and of dates")]
TimeFormat = Annotated[
    str,
    typer.Option(
        help="s, ms, us or ns since 1970, or a pattern such as %d.%m.%Y; else ISO 8601, numbers are ms"
    ),
]


def _fail(error: BaseException | str) -> Never:
    typer.echo(f"forestall: {error}", err=True)
    raise typer.Exit(2)


def _load(config: Path | None, **overrides: Any) -> Settings:
    try:
        return load(config, **overrides)
    except ConfigError as error:
        _fail(error)


def _warn_of_strangers() -> None:
    """A misspelt variable changes nothing, which is the trouble with it. Once, not in every child."""
    from streams.programs.environment import unknown

    if CHILD not in os.environ:
        for sentence in unknown(os.environ):
            log.warning("%s", sentence)


@app.command()
def run(
    process: Annotated[str, typer.Argument(help="ingest, worker or web; without it all of them")] = "",
    config: Config = None,
) -> None:
    """Run the product: all processes, or one of them."""
    settings = _load(config)
    if process not in ("", "ingest", "worker", "web"):
        _fail(f"expected ingest, worker or web, got {process!r}")
    configure(process or "run", settings.log_level, settings.log_json)
    _warn_of_strangers()
    from streams.programs.ending import run_until_signal

    try:
        if process == "ingest":
            from streams.programs import ingest

            if not settings.mqtt.url:
                _fail("expected mqtt.url where ingest runs alone; `forestall run` starts a broker of its own")
            run_until_signal(lambda stop: ingest.run(settings, stop))
        elif process == "worker":
            from streams.programs import worker

            run_until_signal(lambda stop: worker.run(settings, stop))
        elif process == "web":
            from streams.programs import web

            run_until_signal(lambda stop: web.run(settings, stop))
        else:
            from streams.programs import everything

            run_until_signal(lambda stop: everything.run(settings, config, stop))
    except ConfigError as error:
        _fail(error)


@app.command()
def replay(
    readings: Annotated[list[Path], typer.Argument(help="CSV or Parquet: meter_id, time, value, …")],
    meters: Annotated[Path, typer.Option("--meters", help="the registry, METERS.csv")],
    flags: Annotated[Path, typer.Option("--flags", help="where the flags go, a JSON object a line")],
    config: Config = None,
    quality: Annotated[
        Path | None,
        typer.Option("--quality", help="where counts of the data's quality go, CSV, by meter and area"),
    ] = None,
    tz: Zone = "",
    time_format: TimeFormat = "",
) -> None:
    """Run files through the same code, with no broker, as fast as it goes; the same input gives the same flags."""
    from streams.programs.replay import replay_files

    settings = _load(config)
    configure("replay", settings.log_level, settings.log_json)
    try:
        progress = sys.stderr.isatty()
        told = replay_files(settings, readings, meters, flags, progress, quality, tz, time_format)
    except (ConfigError, OSError, ValueError) as error:
        _fail(error)
    typer.echo(told, err=True)


@app.command("import")
def import_(
    readings: Annotated[list[Path], typer.Argument(help="CSV or Parquet: meter_id, time, value, …")],
    config: Config = None,
    live: Annotated[bool, typer.Option("--live", help="these are new reads: they may raise flags")] = False,
    tz: Zone = "",
    time_format: TimeFormat = "",
) -> None:
    """Write files into the log: history seeds baselines and raises nothing; --live for new manual reads."""
    from streams.programs.import_files import import_files

    settings = _load(config)
    configure("import", settings.log_level, settings.log_json)
    try:
        progress = sys.stderr.isatty()
        told = asyncio.run(
            import_files(settings, readings, live=live, progress=progress, tz=tz, time_format=time_format)
        )
    except (ConfigError, OSError, ValueError) as error:
        _fail(error)
    typer.echo(told, err=True)


complaints = typer.Typer(help="Complaints of customers.", no_args_is_help=True)
app.add_typer(complaints, name="complaints")


@complaints.command("import")
def import_complaints(
    file: Annotated[Path, typer.Argument(help="CSV with headings in Chinese or English; docs/complaints.md")],
    config: Config = None,
    rejects: Annotated[
        Path | None, typer.Option("--rejects", help="what is refused, with the reason; else FILE.rejects.csv")
    ] = None,
    encoding: Annotated[str, typer.Option(help="utf-8, gb18030 …; auto: one of these two")] = "auto",
    source: Annotated[str, typer.Option(help="whose numbers these are, where the file does not say")] = "csv",
    archive: Annotated[
        bool,
        typer.Option("--archive", help="of the time before: kept and counted; opens no ticket, tells nobody"),
    ] = False,
) -> None:
    """Take complaints from a file: each once, tied to the ticket that was there first."""
    from streams.ports import PortError
    from streams.programs.complaints import import_complaints as work

    settings = _load(config)
    configure("import", settings.log_level, settings.log_json)
    try:
        refused = rejects or file.with_name(f"{file.name}.rejects.csv")
        told = asyncio.run(work(settings, file, refused, encoding, source, archive=archive))
    except (ConfigError, OSError, ValueError, PortError) as error:
        _fail(error)
    typer.echo(told)


@app.command("check-config")
def check_config(
    config: Config = None,
    keys: Annotated[
        bool, typer.Option("--keys", help="list every key, its type, default and meaning")
    ] = False,
) -> None:
    """Say whether the configuration can be used, and what it comes to."""
    from streams.programs import compose, policies
    from streams.programs.desks import check_desks
    from streams.programs.environment import unknown
    from streams.programs.explain_config import explain, list_keys
    from streams.programs.money import tariffs

    if keys:
        typer.echo(list_keys())
        return
    strangers = "\n  ".join(unknown(os.environ))
    told = f"the environment cannot be used:\n  {strangers}" if strangers else ""
    try:
        settings = load(config)
    except ConfigError as error:
        _fail(f"{error}\n{told}".rstrip())
    if told:
        _fail(told)
    try:
        compose.bank_config(settings)
        compose.router(settings)
        check_desks(settings)
        compose.seal(settings)
        calendar = policies.rules(settings).targets.calendar
        faults = explain(settings, calendar, tariffs(settings))
    except ConfigError as error:
        _fail(error)
    typer.echo(faults)


@app.command()
def dump(config: Config = None) -> None:
    """Write the state's last checkpoint as JSON lines, by meter: what is known of each."""
    from streams.programs.dump_state import dump_state

    settings = _load(config)
    configure("dump", settings.log_level, settings.log_json)
    asyncio.run(dump_state(settings, sys.stdout))


@app.command()
def report(
    config: Config = None,
    month: Annotated[str, typer.Option(help="YYYY-MM")] = "",
    first: Annotated[str, typer.Option(help="first day, YYYY-MM-DD, where no month is given")] = "",
    last: Annotated[str, typer.Option(help="last day, included")] = "",
    form: Annotated[str, typer.Option("--format", help="json, csv, html or pdf")] = "json",
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
    table: Annotated[str, typer.Option(help="CSV of this table alone; none: a ZIP of all")] = "",
    output: Annotated[Path | None, typer.Option(help="file; - for standard output")] = None,
) -> None:
    """Write the report of a month or of any days: complaints, precision, deadlines kept, reads, outages."""
    from streams.programs.write_report import ReportError, write_report

    settings = _load(config)
    configure("report", settings.log_level, settings.log_json)
    try:
        told = write_report(settings, (month, first, last), form, language, table, output)
    except (ReportError, OSError) as error:
        _fail(error)
    typer.echo(told, err=True)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="replay to the end, then stop")] = False,
    json: Annotated[bool, typer.Option("--json", help="the last line is a JSON object")] = False,
    speed: Annotated[
        float | None, typer.Option(help="days of event time a second; 0 = as fast as it goes")
    ] = None,
    port: Annotated[int, typer.Option(help="of the pages; 0 picks a free one")] = 8080,
) -> None:
    """Everything on this machine: real meters stream in over MQTT, flags and tickets open."""
    from streams.programs.demo import run_demo

    # Fast enough to be short, slow enough that tickets open on the days that they are about.
    days = speed if speed is not None else 20.0 if once else 3.0
    code = run_demo(once=once, as_json=json, days_a_second=days, port=port)
    raise typer.Exit(code)


def main() -> None:
    """Entry point."""
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    app()


if __name__ == "__main__":
    main()
