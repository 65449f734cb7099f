"""``oms-topology events``: recorded messages, taken in as if they came now."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
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
from oms_topology.cli.consuming import consume
from oms_topology.events.json_text import MAX_PAYLOAD_BYTES, canonical_text, read_json
from oms_topology.service.consumers.settings import STREAMS
from oms_topology.service.consumers.writer import BatchWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from oms_topology.model import Receipt

__all__ = ["Replay", "commands", "read_message", "replay"]

commands = subcommands("Messages of the providers: consume a broker's, replay a recording.")
commands.command("consume")(consume)

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
            help='JSON lines: {"source": "onu", "payload": {...}}, or bare messages; - for stdin.',
        ),
    ],
    *,
    source: Annotated[
        str, typer.Option(metavar="NAME", help=f"Of bare messages: {', '.join(STREAMS)}.")
    ] = "scada",
    batch_messages: Annotated[
        int, typer.Option(min=1, max=10_000, help="Messages in one transaction.")
    ] = 500,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take recorded messages in, in their order; 1 if any ended among the dead letters."""
    if source not in STREAMS:
        raise typer.BadParameter(f"no such source: {source}", param_hint="--source")
    with ExitStack() as stack:
        lines = _with_progress(stack, *_stream(stack, file))
        writer = stack.enter_context(BatchWriter(stack.enter_context(opened(database))))
        result = replay(writer, lines, bare_source=source, batch_messages=batch_messages)
    if as_json:
        emit_json(result)
    else:
        _show(result)
    if result.dead_letters:
        raise typer.Exit(FINDINGS)


def replay(
    writer: BatchWriter, lines: Iterable[bytes], *, bare_source: str = "scada", batch_messages: int = 500
) -> Replay:
    """Feed JSON lines to a writer, in their order; empty lines are left out.

    Parameters
    ----------
    writer : BatchWriter
        Where they are recorded.
    lines : iterable of bytes
        See :func:`read_message`.
    bare_source : str
        The provider of lines that name none.
    batch_messages : int
        How many messages go into one transaction at the most.

    Returns
    -------
    Replay
        What became of them. A line that cannot be used is one dead letter and stops nothing.

    Raises
    ------
    StoreUnavailableError, ConflictError
        The batches before are recorded; replaying all again changes nothing of what they did.
    """
    result, began_at = Replay(), time.perf_counter()
    numbered = ((line_no, line.strip()) for line_no, line in enumerate(lines, start=1))
    written = ((line_no, read_message(line, bare_source)) for line_no, line in numbered if line)
    while batch := list(islice(written, batch_messages)):
        receipts = writer.write([message for _, message in batch])
        for (line_no, _), receipt in zip(batch, receipts, strict=True):
            result.count(line_no, receipt)
    result.duration_s = time.perf_counter() - began_at
    return result


def read_message(line: bytes, bare_source: str = "scada") -> tuple[str, bytes]:
    """Tell the source of a recorded line, and give the message.

    Examples
    --------
    >>> read_message(b'{"source": "onu", "payload": {"onuId": 7}}')
    ('onu', b'{"onuId": 7}')
    >>> read_message(b'{"source": "kaifa", "payload": "<soap:Envelope/>"}')
    ('kaifa', b'<soap:Envelope/>')
    >>> read_message(b'{"feederId": "F1", "source": "SCADA-Simulator"}')
    ('scada', b'{"feederId": "F1", "source": "SCADA-Simulator"}')
    """
    if len(line) > MAX_PAYLOAD_BYTES:
        return bare_source, line
    try:
        record = read_json(line)
    except ValueError:
        return bare_source, line
    if isinstance(record, dict) and isinstance(record.get("source"), str):
        payload = record.get("payload")
        if isinstance(payload, str):
            return record["source"], payload.encode("utf-8", "surrogatepass")
        if isinstance(payload, dict):
            return record["source"], canonical_text(payload).encode("utf-8", "surrogatepass")
    return bare_source, line


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
