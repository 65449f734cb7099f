"""``oms-topology demo``: a trip, last gasps and the restoration, on a PostgreSQL of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms_topology.cli.account import show_chapter, show_end
from oms_topology.cli.common import FINDINGS, JsonOption, emit_json, screen
from oms_topology.cli.recording import load_recording, recorded_samples
from oms_topology.cli.story import Chapter, Story
from oms_topology.persistence.database import Database
from oms_topology.persistence.embedded import find_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["demo"]

_FOREIGN_DATA = "SELECT to_regclass('public.oms_meters') IS NOT NULL"
_METERS = "SELECT count(*) FROM (SELECT FROM public.oms_meters LIMIT 1) m"


def demo(
    *,
    path: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Directory for the database, kept; it must not hold a network."),
    ] = None,
    sample: Annotated[str, typer.Option(help=f"One of: {', '.join(recorded_samples())}.")] = "ieee9500",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the database in a new directory.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the main job: a feeder trips on a real network, and the outage stands in a real PostgreSQL.

    Never touches a database that is there already. 1 if anything does not come out as it must.
    """
    recording = load_recording(sample)
    out, began_at, chapters = screen(), time.perf_counter(), []
    with _home(path, keep=keep) as home, _database(home) as (opening, database):
        for number, chapter in enumerate(_all(opening, Story(database, sample, recording)), start=1):
            chapters.append(chapter)
            if not as_json:
                show_chapter(out, number, chapter)
    checks = [passed for chapter in chapters for passed in chapter.checks.values()]
    kept_in = str(home) if keep or path is not None else None
    duration_s = time.perf_counter() - began_at
    if as_json:
        emit_json(
            {
                "ok": all(checks),
                "sample": sample,
                "duration_s": duration_s,
                "kept_in": kept_in,
                "chapters": chapters,
            }
        )
    else:
        failed = len(checks) - sum(checks)
        show_end(out, checks=len(checks), failed=failed, duration_s=duration_s, kept_in=kept_in)
    if not all(checks):
        raise typer.Exit(FINDINGS)


def _all(opening: Chapter, story: Story) -> Iterator[Chapter]:
    yield opening
    yield from story.chapters()


@contextmanager
def _home(path: Path | None, *, keep: bool) -> Iterator[Path]:
    if path is not None:
        yield path.expanduser().resolve()
        return
    home = Path(tempfile.mkdtemp(prefix="oms-topology-demo-"))
    try:
        yield home
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _database(home: Path) -> Iterator[tuple[Chapter, Database]]:
    """Start a server in a directory and upgrade its database, which must be without a network."""
    began_at = time.perf_counter()
    with Database.embedded(home) as database:
        started_at = time.perf_counter()
        _refuse_foreign(database, home)
        report = database.upgrade()
        upgraded_at = time.perf_counter()
        deviations = len(database.verify())
        facts: dict[str, Any] = {
            "server": _show(database, "SHOW server_version"),
            "fsync": _show(database, "SHOW fsync"),
            "origin": find_binaries().origin,
            "directory": home,
            "schema_version": report.to_version,
            "deviations": deviations,
            "start_s": started_at - began_at,
            "upgrade_s": upgraded_at - started_at,
        }
        checks = {"the schema is as it should be": deviations == 0}
        yield Chapter("database", facts, checks, upgraded_at - began_at), database


def _refuse_foreign(database: Database, home: Path) -> None:
    with database.engine.connect() as connection:
        has_table = connection.exec_driver_sql(_FOREIGN_DATA).scalar_one()
        if has_table and connection.exec_driver_sql(_METERS).scalar_one():
            raise typer.BadParameter(
                f"the database in {home} holds meters already; name another directory", param_hint="--path"
            )


def _show(database: Database, statement: str) -> str:
    with database.engine.connect() as connection:
        return str(connection.exec_driver_sql(statement).scalar_one())
