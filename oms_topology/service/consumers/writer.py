"""Takes batches in, and keeps one message that the database refuses from blocking the rest."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from oms_topology.errors import StoreError
from oms_topology.persistence.store import Store
from oms_topology.service.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from oms_topology.model import Receipt, StreamPosition
    from oms_topology.persistence.database import Database

__all__ = ["BatchWriter", "is_the_messages_fault"]

_LOG = logging.getLogger(__name__)
# SQLSTATE classes that speak of the database, its roles, room and health, and not of what it was given.
_THE_DATABASES_FAULT: Final = ("08", "25", "28", "3D", "3F", "40", "42", "53", "55", "57", "58")


class BatchWriter:
    """A pipeline that isolates messages which the database refuses for good.

    One writer belongs to one thread.

    Parameters
    ----------
    database : Database
        Where to record; nothing is connected before the first batch, so that it may be away at first.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pipeline: Pipeline | None = None
        self._store = Store(database.engine)

    def write(
        self, messages: Sequence[tuple[str, bytes]], positions: Sequence[StreamPosition] = ()
    ) -> tuple[Receipt, ...]:
        """Record messages with all their effects, and then where their streams go on.

        Parameters
        ----------
        messages : sequence of (str, bytes)
            Providers and messages.
        positions : sequence of StreamPosition
            Recorded with the effects, and never before any of them.

        Returns
        -------
        tuple of Receipt
            One for each message, in their order; one that the database refuses is a dead letter.

        Raises
        ------
        StoreUnavailableError, ConflictError
            Not all was recorded; the same call may work later, and what was recorded is a duplicate then.
        StoreError
            The database refuses whatever it is given (rights, room, health): repair it, then call again.

        Notes
        -----
        A refused message costs about twice the logarithm of the batch's length in further calls.
        """
        pipeline = self._opened()
        try:
            return pipeline.handle_batch(messages, positions=positions)
        except StoreError as error:
            if not messages or not is_the_messages_fault(error):
                raise
            receipts = self._isolated(pipeline, messages, error)
        # Only now: a position in front of an effect could lose it.
        pipeline.handle_batch([], positions=positions)
        return receipts

    def close(self) -> None:
        """Give back the connections; the database stays open."""
        if self._pipeline is not None:
            self._pipeline.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> Pipeline:
        if self._pipeline is None:
            self._pipeline = Pipeline(self._database)
        return self._pipeline

    def _isolated(
        self, pipeline: Pipeline, messages: Sequence[tuple[str, bytes]], refusal: StoreError
    ) -> tuple[Receipt, ...]:
        if len(messages) == 1:
            return (self._put_aside(*messages[0], refusal),)
        middle = len(messages) // 2
        receipts: tuple[Receipt, ...] = ()
        for half in (messages[:middle], messages[middle:]):
            try:
                receipts += pipeline.handle_batch(half)
            except StoreError as error:
                if not is_the_messages_fault(error):
                    raise
                receipts += self._isolated(pipeline, half, error)
        return receipts

    def _put_aside(self, provider: str, payload: bytes, refusal: StoreError) -> Receipt:
        _LOG.warning(
            "the database refused a message", extra={"provider": provider, "sqlstate": refusal.sqlstate}
        )
        reason = f"refused by the database ({refusal.sqlstate or 'no SQLSTATE'})"
        return self._store.keep_dead_letter(provider, "payload", reason, payload)


def is_the_messages_fault(error: StoreError) -> bool:
    """Tell whether a refusal speaks of the message, rather than of the database.

    Examples
    --------
    >>> from oms_topology.errors import StoreError
    >>> is_the_messages_fault(StoreError("22003")), is_the_messages_fault(StoreError("53100"))
    (True, False)
    """
    return not error.sqlstate.startswith(_THE_DATABASES_FAULT)
