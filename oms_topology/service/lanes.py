"""Several connections that record at once: what is said of one device goes over one of them, in its order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from oms_topology.model import Receipt
    from oms_topology.persistence.store import Store
    from oms_topology.service.intake import Intake

    Part = tuple[list[int], Intake]
    Written = tuple[list[int], Future[tuple[Receipt, ...]]]

__all__ = ["Lanes"]

# How many groups may be read before the first of them is written.
_AHEAD = 2


class Lanes:
    """Connections with a thread each while there is something to write.

    Parameters
    ----------
    stores : sequence of Store
        One for each connection, at least one; closed by whoever made them.

    Notes
    -----
    PostgreSQL works with one core for each connection, and the waiting for it lets other threads of Python go
    on: with two connections two cores write while the next messages are read.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores

    def __len__(self) -> int:
        return len(self._stores)

    def record(
        self, groups: Iterable[Sequence[tuple[list[int], Intake]]]
    ) -> Iterator[tuple[list[int], tuple[Receipt, ...]]]:
        """Record groups of messages, each group divided among the lanes; a part is one transaction.

        Parameters
        ----------
        groups : iterable of sequences of (list of int, Intake)
            Of each group the part of each lane: places of its messages, and what they say. Taken up while
            earlier groups are written.

        Yields
        ------
        list of int, tuple of Receipt
            Of each part its places and their receipts; committed.

        Raises
        ------
        StoreUnavailableError, ConflictError, StoreError
            A part was not recorded; others may have been. Nothing is being written any more.
        """
        waiting: deque[list[Written]] = deque()
        with ExitStack() as stack:
            threads = [stack.enter_context(_thread()) for _ in self._stores]
            for parts in groups:
                waiting.append(
                    [
                        (places, thread.submit(intake.recorded_by, store))
                        for thread, store, (places, intake) in zip(threads, self._stores, parts, strict=False)
                    ]
                )
                if len(waiting) > _AHEAD:
                    yield from _told(waiting.popleft())
            for written in waiting:
                yield from _told(written)


@contextmanager
def _thread() -> Iterator[ThreadPoolExecutor]:
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="oms-topology-lane")
    try:
        yield thread
    finally:
        thread.shutdown(wait=True, cancel_futures=True)


def _told(parts: list[Written]) -> Iterator[tuple[list[int], tuple[Receipt, ...]]]:
    for places, future in parts:
        yield places, future.result()
