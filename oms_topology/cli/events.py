"""``oms-topology events``: recorded messages, taken in as if they came now."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from oms_topology.cli.common import (
    FINDINGS,
    DatabaseOption,
    JsonOption,
    emit_json,
    opened,
    screen,
    seconds,
    subcommands,
    table,
)
from oms_topology.events.json_text import MAX_PAYLOAD_BYTES, read_json
from oms_topology.service.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.model import Receipt

__all__ = ["Replay", "commands", "read_message", "replay"]

commands = subcommands("Messages of the providers: replay a recording.")

_LISTED_DEAD_LETTERS = 20


@dataclass(slots=True)
class Replay:
    """What became of the messages of a recording.

    Attributes
    ----------
    messages, recorded, duplicates, dead_letters : int
        How many there were, and what they turned out to be.
    lost_meters, restored_meters : int
        Sums over the receipts of new messages.
    outage_event_ids : list of str
        The outages touched, in the order in which they first were.
    reasons : list of dict
        Line, dead letter and reason of the first dead letters.
    duration_s : float
        From the first line to the last.
    """

    messages: int = 0
    recorded: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    lost_meters: int = 0
    restored_meters: int = 0
    outage_event_ids: list[str] = field(default_factory=list)
    reasons: list[dict[str, Any]] = field(default_factory=list)
    duration_s: float = 0.0

    def count(self, line_no: int, receipt: Receipt) -> None:
        """Add the receipt of one message."""
        self.messages += 1
        if not receipt.accepted:
            self.dead_letters += 1
            if len(self.reasons) < _LISTED_DEAD_LETTERS:
                reason = {"dead_letter_id": receipt.dead_letter_id, "reason": receipt.dead_letter_reason}
                self.reasons.append({"line": line_no, **reason})
        elif receipt.duplicate:
            self.duplicates += 1
        else:
            self.recorded += 1
            self.lost_meters += receipt.offline_meters
            self.restored_meters += receipt.restored_meters
            new = [code for code in receipt.outage_event_ids if code not in self.outage_event_ids]
            self.outage_event_ids.extend(new)


@commands.command("replay")
def replay_file(
    file: Annotated[
        Path,
        typer.Argument(
            help='JSON lines: {"source": "scada", "payload": {...}}, or bare SCADA messages; - for stdin.',
        ),
    ],
    *,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take recorded messages in, one after another; 1 if any ended among the dead letters."""
    with ExitStack() as stack:
        lines = _with_progress(stack, *_stream(stack, file))
        pipe = stack.enter_context(Pipeline(stack.enter_context(opened(database))))
        result = replay(pipe, lines)
    if as_json:
        emit_json(result)
    else:
        _show(result)
    if result.dead_letters:
        raise typer.Exit(FINDINGS)


def replay(pipe: Pipeline, lines: Iterator[bytes]) -> Replay:
    """Feed JSON lines to a pipeline, in their order; empty lines are left out.

    Returns
    -------
    Replay
        What became of them. A line that cannot be used is one dead letter and stops nothing.

    Raises
    ------
    StoreUnavailableError, ConflictError
        The lines before are recorded; replaying all again changes nothing of what they did.
    """
    result, began_at = Replay(), time.perf_counter()
    for line_no, line in enumerate(lines, start=1):
        if line.strip():
            source, payload = read_message(line.strip())
            result.count(line_no, pipe.handle(source, payload))
    result.duration_s = time.perf_counter() - began_at
    return result


def read_message(line: bytes) -> tuple[str, bytes | str | dict[str, Any]]:
    """Tell the source of a recorded line, and give the message as it came.

    Examples
    --------
    >>> read_message(b'{"source": "scada", "payload": {"feederId": "F1"}}')
    ('scada', {'feederId': 'F1'})
    >>> read_message(b'{"feederId": "F1", "source": "SCADA-Simulator"}')
    ('scada', b'{"feederId": "F1", "source": "SCADA-Simulator"}')
    """
    if len(line) > MAX_PAYLOAD_BYTES:
        return "scada", line
    try:
        record = read_json(line)
    except ValueError:
        return "scada", line
    if isinstance(record, dict) and isinstance(record.get("source"), str):
        payload = record.get("payload")
        if isinstance(payload, (dict, str)):
            return record["source"], payload
    return "scada", line


def _stream(stack: ExitStack, file: Path) -> tuple[BinaryIO, int | None]:
    """Open a file, or the standard input, whose size is not known."""
    if str(file) == "-":
        return sys.stdin.buffer, None
    try:
        return stack.enter_context(file.open("rb")), file.stat().st_size
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None


def _with_progress(stack: ExitStack, stream: BinaryIO, total_bytes: int | None) -> Iterator[bytes]:
    # On the standard error, so that the standard output holds the answer alone.
    progress = stack.enter_context(
        Progress(
            TextColumn("replaying"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("bytes, {task.fields[line_no]} lines"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
    )
    task = progress.add_task("replaying", total=total_bytes, line_no=0)
    for line_no, line in enumerate(stream, start=1):
        yield line
        progress.update(task, advance=len(line), line_no=line_no)


def _show(result: Replay) -> None:
    out = screen()
    rows = [
        ("messages", result.messages),
        ("recorded", result.recorded),
        ("duplicates", result.duplicates),
        ("dead letters", result.dead_letters),
        ("meters that lost supply", result.lost_meters),
        ("meters that got it back", result.restored_meters),
        ("outages touched", len(result.outage_event_ids)),
    ]
    out.print(table(["what", "#count"], rows))
    rate = result.messages / result.duration_s if result.duration_s else 0.0
    out.print(f"[dim]{seconds(result.duration_s)}, {rate:,.0f} messages/s[/dim]")
    for reason in result.reasons:
        out.print(
            f"line {reason['line']}: dead letter {reason['dead_letter_id']}: {escape(str(reason['reason']))}"
        )
