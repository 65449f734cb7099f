"""What all commands share: options, exit codes, how a database is opened and an answer or error is shown."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from oms_topology.errors import (
    BrokerError,
    ConflictError,
    DecisionRefusedError,
    EmbeddedServerError,
    GeometryError,
    MissingExtraError,
    OmsTopologyError,
    SchedulerError,
    SchemaVersionError,
    SourceError,
    StoreUnavailableError,
    TopologyError,
    ValidationError,
)
from oms_topology.persistence.database import DSN_VARIABLE, Database, default_path, translated_errors
from oms_topology.persistence.schema import require_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "FINDINGS",
    "UNAVAILABLE",
    "USAGE",
    "Commands",
    "DatabaseOption",
    "JsonOption",
    "clock",
    "embedded_home",
    "emit_json",
    "exit_code",
    "opened",
    "plain",
    "screen",
    "seconds",
    "subcommands",
    "table",
]

FINDINGS: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 3

_UNAVAILABLE_ERRORS = (
    BrokerError,
    StoreUnavailableError,
    ConflictError,
    EmbeddedServerError,
    SchedulerError,
    SchemaVersionError,
    MissingExtraError,
)
_PIPE_WIDTH = 120

JsonOption = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to the standard output, and nothing else.")
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        "-d",
        envvar=DSN_VARIABLE,
        metavar="URL|DIR",
        help="A PostgreSQL address, or the directory of an embedded one. Default: the embedded one.",
        show_default=False,
    ),
]


class Commands(TyperGroup):
    """Commands whose expected errors end as one line on the standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; see :func:`exit_code` for what becomes of errors."""
        try:
            with translated_errors():
                return super().invoke(ctx)
        except OmsTopologyError as error:
            _fail(str(error), exit_code(error))
        except Exception as error:
            said = _refusal(error)
            if said is None:
                raise
            _fail(said, UNAVAILABLE)


def exit_code(error: OmsTopologyError) -> int:
    """Give the exit code for an error: 3 for what may pass or is not set up, 2 for what was asked wrongly.

    Examples
    --------
    >>> exit_code(StoreUnavailableError("gone")), exit_code(TopologyError("no such sample"))
    (3, 2)
    """
    if isinstance(error, _UNAVAILABLE_ERRORS):
        return UNAVAILABLE
    if isinstance(error, (GeometryError, SourceError, DecisionRefusedError)):
        return USAGE
    if isinstance(error, TopologyError) and not isinstance(error, ValidationError):
        return USAGE
    return FINDINGS


def _refusal(error: Exception) -> str | None:
    """Tell what the server said when it refused a statement; None for an error that is not the server's."""
    original: Any = getattr(error, "orig", error)
    state = getattr(original, "sqlstate", None)
    if state is None:
        return None
    return f"The database refused: {original.diag.message_primary} ({state})"


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    raise typer.Exit(code)


def subcommands(purpose: str) -> typer.Typer:
    """Make a group of commands in the manner of all the others."""
    return typer.Typer(cls=Commands, help=purpose, no_args_is_help=True, pretty_exceptions_enable=False)


@contextmanager
def opened(target: str | None, *, any_version: bool = False, create: bool = False) -> Iterator[Database]:
    """Open the database that the options name, and close it at the end.

    Parameters
    ----------
    target : str or None
        An address, a directory, or None for the embedded default.
    any_version : bool
        Take a database of another schema version too.
    create : bool
        Make an embedded database that does not exist yet.

    Raises
    ------
    StoreUnavailableError, EmbeddedServerError, SchemaVersionError
        It cannot be used; a malformed address ends the command with exit code 2.
    """
    home = embedded_home(target)
    if home is not None and not create and not (home / "data").is_dir():
        raise EmbeddedServerError(
            f"There is no database in {home} yet; make it with: oms-topology db upgrade --database {home}"
        )
    with _database(target, home) as database:
        if not any_version:
            require_version(database.engine)
        yield database


def embedded_home(target: str | None) -> Path | None:
    """Give the directory of the embedded server that the options name; None when they name an address.

    Examples
    --------
    >>> embedded_home("postgresql:///oms") is None, str(embedded_home("/srv/grid"))
    (True, '/srv/grid')
    """
    if target is None:
        return default_path()
    return None if "://" in target or "=" in target else Path(target).expanduser()


def _database(target: str | None, home: Path | None) -> Database:
    if home is not None:
        return Database.embedded(home)
    address = str(target)
    if "://" in address and not address.startswith(("postgresql:", "postgresql+", "postgres:")):
        raise typer.BadParameter("write postgresql://user@host/database", param_hint="--database")
    try:
        return Database(address)
    except ValueError:
        # Its text may hold part of the address, and that a password.
        raise typer.BadParameter(
            "this is no address of a PostgreSQL database; write postgresql://user@host/database",
            param_hint="--database",
        ) from None


def emit_json(value: Any) -> None:
    """Write a value as the one JSON document of a command."""
    json.dump(plain(value), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def plain(value: Any) -> Any:
    """Turn a value into what JSON knows; times become ISO 8601 in UTC.

    Examples
    --------
    >>> plain({"at": datetime(2025, 10, 1, 8, 2, tzinfo=UTC), "ids": ("a", "b"), "score": Decimal("0.90")})
    {'at': '2025-10-01T08:02:00Z', 'ids': ['a', 'b'], 'score': 0.9}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return float(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def screen() -> Console:
    """Give the terminal; a pipe is wide enough for the tables."""
    return Console(
        width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, soft_wrap=False, emoji=False
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> Table:
    """Make a table; columns whose heading starts with ``#`` hold numbers and stand on the right."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title=title, title_justify="left")
    made.show_header = any(headings)
    for position, heading in enumerate(headings):
        is_number = heading.startswith("#")
        made.add_column(
            heading.removeprefix("#"),
            justify="right" if is_number else "left",
            header_style="dim",
            overflow="fold",
            no_wrap=position == 0,
        )
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return clock(value)
    # A code may hold brackets; it is not markup.
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text.replace("[", "\\[")


def clock(at: datetime) -> str:
    """Write a time for people: UTC, to the second.

    Examples
    --------
    >>> clock(datetime(2025, 10, 1, 8, 2, 1, 915000, tzinfo=UTC))
    '2025-10-01 08:02:01'
    """
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def seconds(duration_s: float) -> str:
    """Write a duration for people.

    Examples
    --------
    >>> seconds(0.00421), seconds(2.512)
    ('4.2 ms', '2.51 s')
    """
    return f"{duration_s * 1000:.1f} ms" if duration_s < 1 else f"{duration_s:.2f} s"
