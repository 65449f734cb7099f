"""Reads the SQL files of a revision and runs, or prints, them one statement at a time.

The files are plain SQL that psql would run too. They are cut into statements here only so that an error
can say which one failed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from alembic import op

from oms_topology.errors import ConflictError, OmsTopologyError, SchemaUpgradeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

__all__ = ["SqlFile", "Statement", "run_files", "split_statements", "sql_files"]

_TOKEN = re.compile(
    r"""
      (?P<comment>--[^\n]*|/\*)
    | (?P<text>[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")*")
    | (?P<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w]*)?\$)
    | (?P<word>[A-Za-z_\u0080-\uffff][\w$]*|\d+)
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_COMMENT = re.compile(r"/\*|\*/")

# Messages of these classes name objects and syntax; those of other classes may quote a row's values.
_NAMES_NO_DATA = ("0A", "25", "2B", "3D", "3F", "42", "53", "54", "55", "57", "58", "XX")
_IN_THE_WAY = ("40001", "40P01", "55P03")


@dataclass(frozen=True, slots=True)
class SqlFile:
    """One SQL file of a revision.

    Attributes
    ----------
    name : str
        The file's name, which is also its place in the order.
    text : str
        Its content.
    """

    name: str
    text: str


class Statement(NamedTuple):
    """One statement of an SQL text.

    Attributes
    ----------
    line : int
        The line on which it begins, comments left out; the first is 1.
    text : str
        The statement with its semicolon and the comments before it.
    """

    line: int
    text: str


def sql_files(revision: str) -> tuple[SqlFile, ...]:
    """Read the files of a revision, in the order in which they run.

    Parameters
    ----------
    revision : str
        The revision, such as ``"0001"``.

    Returns
    -------
    tuple of SqlFile
        Sorted by name; empty for a revision without files.

    Examples
    --------
    >>> sql_files("0001")[0].name
    '10_schema.sql'
    """
    folder: Traversable = files("oms_topology.persistence.migrations").joinpath("sql", revision)
    if not folder.is_dir():
        return ()
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    found.sort(key=lambda entry: entry.name)
    return tuple(SqlFile(entry.name, entry.read_text(encoding="utf-8")) for entry in found)


def split_statements(text: str) -> Iterator[Statement]:
    """Cut an SQL text at the semicolons that end a statement.

    Quoted text, quoted names, dollar-quoted bodies and (nested) comments may hold semicolons. Comments
    before a statement stay with it; what follows the last semicolon is dropped if it is only comments.

    Parameters
    ----------
    text : str
        Plain SQL as psql reads it, without backslash commands.

    Yields
    ------
    Statement
        In the order of the text.

    Examples
    --------
    >>> [statement.text for statement in split_statements("SELECT ';'; DO $$ BEGIN; END $$; -- done;")]
    ["SELECT ';';", 'DO $$ BEGIN; END $$;']
    """
    start = position = 0
    begin: int | None = None
    while token := _TOKEN.search(text, position):
        begin = _first_visible(text, position, token.start()) if begin is None else begin
        kind, position = token.lastgroup, token.end()
        if kind == "comment" and token[0] == "/*":
            position = _end_of_block_comment(text, position)
        elif kind == "dollar":
            closing = text.find(token[0], position)
            position = len(text) if closing < 0 else closing + len(token[0])
        if kind != "comment" and begin is None:
            begin = token.start()
        if kind == "end":
            yield Statement(text.count("\n", 0, begin) + 1, text[start:position].strip())
            start, begin = position, None
    begin = _first_visible(text, position, len(text)) if begin is None else begin
    if begin is not None:
        yield Statement(text.count("\n", 0, begin) + 1, text[start:].strip())


def _first_visible(text: str, start: int, end: int) -> int | None:
    gap = text[start:end]
    return None if not gap.strip() else start + len(gap) - len(gap.lstrip())


def _end_of_block_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        mark = _BLOCK_COMMENT.search(text, position)
        if mark is None:
            return len(text)
        depth += 1 if mark[0] == "/*" else -1
        position = mark.end()
    return position


def run_files(revision: str) -> None:
    """Run the files of a revision within the migration that is under way, or print them.

    Raises
    ------
    SchemaUpgradeError
        A statement failed; the message names file and statement, never a row's values.
    ConflictError
        Somebody else holds a lock on a table for too long.
    """
    context = op.get_context()
    for sql_file in sql_files(revision):
        if context.as_sql:
            context.impl.static_output(
                f"-- {'=' * 8} {revision}/{sql_file.name}\n\n{sql_file.text.strip()}\n"
            )
        else:
            _run_file(op.get_bind().connection.driver_connection, sql_file)


def _run_file(connection: Any, sql_file: SqlFile) -> None:
    with connection.cursor() as cursor:
        for statement in split_statements(sql_file.text):
            try:
                cursor.execute(statement.text, prepare=False)
            except psycopg.Error as error:
                raise _explained(error, sql_file.name, statement) from None


def _explained(error: psycopg.Error, file_name: str, statement: Statement) -> OmsTopologyError:
    state = error.sqlstate or ""
    where = f"{file_name}, line {statement.line} ({_headline(statement.text)})"
    if state in _IN_THE_WAY:
        return ConflictError(
            f"The upgrade was rolled back: another session holds a lock; {where}. Try again."
        )
    facts = [f"{type(error).__name__} {state}".strip()]
    if state.startswith(_NAMES_NO_DATA) and error.diag.message_primary:
        facts.append(error.diag.message_primary)
    named = {
        "table": error.diag.table_name,
        "column": error.diag.column_name,
        "constraint": error.diag.constraint_name,
    }
    facts += [f"{kind} {name}" for kind, name in named.items() if name]
    return SchemaUpgradeError(f"The upgrade failed and was rolled back whole: {where}: {', '.join(facts)}")


def _headline(statement: str) -> str:
    lines = [line.strip() for line in statement.splitlines()]
    first = next((line for line in lines if line and not line.startswith("--")), "")
    return first if len(first) <= 80 else first[:77] + "..."
