"""``oms-topology report monitor``: what is watched, what is amiss, and both for Prometheus."""

from __future__ import annotations

import signal
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from oms_topology.cli.common import (
    FINDINGS,
    DatabaseOption,
    JsonOption,
    emit_json,
    opened,
    screen,
    subcommands,
    table,
)
from oms_topology.persistence.measures import read_measures
from oms_topology.service.monitoring.alerts import alerts_of
from oms_topology.service.monitoring.exporter import MeasureServer

if TYPE_CHECKING:
    from rich.console import Console

    from oms_topology.persistence.database import Database
    from oms_topology.persistence.measures import Measure
    from oms_topology.service.monitoring.alerts import Alert

__all__ = ["commands"]

commands = subcommands("Reports: what is watched.")


@commands.callback()
def _group() -> None:
    """Keep ``monitor`` a word of its own while it is the only one."""


@commands.command()
def monitor(
    *,
    listen: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            show_default=False,
            help="Serve Prometheus at /metrics until SIGTERM or SIGINT; 0 for any free port, told at once.",
        ),
    ] = None,
    listen_host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is amiss: unknown meters, empty substations, slow checks, late feeds, dead letters, backlogs.

    Exit code 1 if anything is above its limit; the limits stand in oms_topology.monitor_limit.
    """
    with opened(database) as db:
        if listen is not None:
            _serve(db, listen_host, listen)
            return
        measures, limits = read_measures(db.engine)
    alerts = alerts_of(measures, limits)
    if as_json:
        emit_json({"alerts": alerts, "measures": measures, "limits": limits})
    else:
        _show(screen(), measures, alerts)
    if alerts:
        raise typer.Exit(FINDINGS)


def _show(out: Console, measures: list[Measure], alerts: list[Alert]) -> None:
    rows = [
        (measure.name, " ".join(measure.labels.values()), f"{measure.value:,.3f}".rstrip("0").rstrip("."))
        for measure in measures
        # One row a substation would bury the rest; those that are amiss are told below.
        if "substation" not in measure.labels
    ]
    out.print(table(["measure", "of", "#value"], rows))
    for alert in alerts:
        out.print(f"[bold red]{alert.alert}[/bold red] {escape(alert.message)}")
    if not alerts:
        out.print("[green]All well.[/green]")


def _serve(db: Database, host: str, port: int) -> None:
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = MeasureServer(db.engine, host, port)
    except OSError as error:
        raise typer.BadParameter(f"{error.strerror}", param_hint="--listen") from None
    with server:
        typer.echo(f"http://{host}:{server.port}/metrics")
        stop.wait()
