"""The root of the command line: which commands there are."""

from __future__ import annotations

from typing import Annotated

import typer

from oms_topology import __version__
from oms_topology.cli import database, demo, doctor, events, link, migrating, network, outages, reporting
from oms_topology.cli.common import Commands

__all__ = ["app", "main"]

app = typer.Typer(
    name="oms-topology",
    cls=Commands,
    help="Which meters lost supply, which customers those are, and why.",
    epilog="Exit codes: 0 all well, 1 findings, deviations or dead letters, 2 wrong usage, 3 unavailable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.add_typer(database.commands, name="db")
app.add_typer(network.commands, name="network")
app.command("link")(link.link)
app.command("migrate")(migrating.migrate)
app.add_typer(events.commands, name="events")
app.add_typer(outages.commands, name="outages")
app.add_typer(reporting.commands, name="report")
app.command("doctor")(doctor.doctor)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and end.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; the entry point of ``oms-topology``."""
    app(prog_name="oms-topology")


if __name__ == "__main__":
    main()
