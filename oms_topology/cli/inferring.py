"""``oms-topology outages infer``: concludes from what was recorded which outages there are."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from oms_topology.cli.common import DatabaseOption, JsonOption, emit_json, opened, screen

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["infer"]


def infer(
    *,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what comes, until SIGTERM or SIGINT.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, max=100_000, help="Rows of the queue to take at once.")] = 500,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Conclude which outages there are from all that was recorded and not yet weighed.

    Several may run at once: they share the work by supply trees.
    """
    from oms_topology.service.consumers.logs import log_as_json
    from oms_topology.service.outage_worker import OutageWorker

    with opened(database) as target, OutageWorker(target, batch=batch) as worker:
        if follow:
            log_as_json()
            with _stopped_by_signals() as stop:
                worker.run(stop)
            return
        judged = worker.drain()
    if as_json:
        emit_json({"judged_trees": judged})
    else:
        screen().print(f"Judged {judged:,} supply trees." if judged else "Nothing new was said.")


@contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    asked = Event()

    def stop(_number: int, _frame: object) -> None:
        asked.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
