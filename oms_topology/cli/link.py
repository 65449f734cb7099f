"""``oms-topology link``: points linked to what is nearest, and what a person should look at."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from oms_topology.cli.common import FINDINGS, JsonOption, emit_json, screen, table
from oms_topology.io.places import FORMATS
from oms_topology.io.writing import WRITERS, check_ending, write_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oms_topology.io.linking import LinkOptions, LinkReport

__all__ = ["link"]

_READ = ", ".join(FORMATS)
_WRITE = ", ".join(WRITERS)
_SHOWN = 10


def link(
    points: Annotated[
        Path, typer.Argument(metavar="POINTS", help=f"What to link: a file ending in {_READ}.")
    ],
    targets: Annotated[Path, typer.Argument(metavar="TARGETS", help="What to link to, likewise.")],
    *,
    max_distance_m: Annotated[
        float, typer.Option(min=0.001, max=10_000_000, help="Targets farther than this do not count.")
    ],
    same_group: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Only targets with the same value in this column of both."),
    ] = None,
    capacity: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="How much each target can take: a column of the targets."),
    ] = None,
    demand: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="How much each point needs: a column of the points; else 1."),
    ] = None,
    lines: Annotated[
        Path | None,
        typer.Option(help="Drawn low-voltage lines, a file of geometries: link to what feeds the nearest."),
    ] = None,
    snap_m: Annotated[
        float, typer.Option(min=0.001, help="What is as good as joined in the drawing of lines.")
    ] = 1.0,
    point_id: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The ids of points; else id, meter_number, ...")
    ] = None,
    target_id: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The ids of targets; else id, dp_id, ...")
    ] = None,
    position_error_m: Annotated[
        float, typer.Option(min=0, help="How good the positions are: standard deviation on each axis.")
    ] = 5.0,
    sure: Annotated[
        float, typer.Option(min=0, max=1, help="Links below this confidence go to the work list.")
    ] = 0.7,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Say how sure each value of this column is; else cells of 500 m."
        ),
    ] = None,
    at_least: Annotated[
        float, typer.Option(min=0, max=1, help="End with 1 if a smaller share of the points is linked.")
    ] = 0.9,
    output: Annotated[Path | None, typer.Option(help=f"Write the links: a file ending in {_WRITE}.")] = None,
    work_list: Annotated[
        Path | None, typer.Option(help="Write what is not sure or not linked, with candidates, likewise.")
    ] = None,
    parts: Annotated[Path | None, typer.Option(help="Write how sure each part is, likewise.")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Let the workers of this Dask scheduler link; same answer."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Link each point to the target that is truly nearest, and say how sure that is.

    Positions are columns longitude and latitude in degrees, or geometries; a file that names a projection is
    converted. 1 if fewer points are linked than --at-least says.
    """
    from oms_topology.io.linking import LinkOptions  # what it brings along is not for every command

    if demand is not None and capacity is None:
        raise typer.BadParameter("goes with --capacity", param_hint="--demand")
    if sum(option is not None for option in (capacity, lines, scheduler)) > 1:
        raise typer.BadParameter("--capacity, --lines and --scheduler do not go together")
    options = LinkOptions(
        max_distance_m=max_distance_m,
        position_error_m=position_error_m,
        point_id=point_id,
        target_id=target_id,
        same_group=same_group,
        capacity=capacity,
        demand=demand,
        sure=sure,
        part=part,
        snap_m=snap_m,
        scheduler=scheduler,
    )
    files = {"output": output, "work_list": work_list, "parts": parts}
    for path in filter(None, files.values()):
        check_ending(path)
    with _progress() as say:
        report = _linked(points, targets, lines, options, say)
        written = _write(report, files, say)
    if as_json:
        emit_json({**report.to_dict(), "written": written})
    else:
        _show(report, written)
    if report.linked_share < at_least:
        raise typer.Exit(FINDINGS)


def _linked(
    points: Path, targets: Path, lines: Path | None, options: LinkOptions, say: Callable[[str], None]
) -> LinkReport:
    from oms_topology.io.linking import link_tables

    try:
        return link_tables(points, targets, options, lines=lines, progress=say)
    except ValueError as error:
        if hasattr(error, "is_transient"):  # one of ours, which has an exit code of its own
            raise
        raise typer.BadParameter(str(error)) from None


def _write(report: LinkReport, files: dict[str, Path | None], say: Callable[[str], None]) -> dict[str, str]:
    columns = {"output": report.columns, "work_list": report.work_list, "parts": report.parts}
    written = {}
    say("writing")
    for name, path in files.items():
        if path is not None:
            write_columns(columns[name], path)
            written[name] = str(path)
    return written


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    from oms_topology.io.linking import STAGES

    # On the standard error, so that the standard output holds the answer alone.
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        steps = (*STAGES, "writing")
        task = progress.add_task(STAGES[0], total=len(steps))

        def say(stage: str) -> None:
            # What is no step of its own, such as a count of points, leaves the bar where it is.
            at = steps.index(stage) if stage in steps else None
            progress.update(task, description=stage, completed=at)

        yield say


def _show(report: LinkReport, written: dict[str, str]) -> None:
    out, facts = screen(), report.to_dict()
    rows = [(name.replace("_", " "), count) for name, count in facts["status"].items()]
    rows += [("to look at", facts["work_list"]), ("targets that cannot be used", facts["bad_targets"])]
    out.print(table(["points", "#count"], rows))
    if facts["expected_right"] is not None:
        out.print(f"About {facts['expected_right']:.1%} of the links are right.")
    names = ("part", "points", "linked", "unsure", "expected_right")
    listed = zip(*(report.parts[name].tolist()[:_SHOWN] for name in names), strict=True)
    out.print(f"\n[bold]The least sure parts[/bold] ({min(_SHOWN, facts['parts'])} of {facts['parts']:,})")
    cells = [(*row[:4], f"{row[4]:.0%}" if row[4] == row[4] else None) for row in listed]
    out.print(table(["part", "#points", "#linked", "#unsure", "#right"], cells))
    for name, path in written.items():
        out.print(f"{name.replace('_', ' ')}: {path}", markup=False)
