"""Records signals and dead letters: one statement for each batch, in one transaction."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from oms_topology.errors import ConflictError, StoreError, UnknownDeadLetterError
from oms_topology.model import Receipt
from oms_topology.persistence.database import translated_errors
from oms_topology.persistence.stream_positions import record_positions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Engine

    from oms_topology.model import StreamPosition

__all__ = ["Store"]

_RECORD = """
    SELECT to_jsonb(oms_topology.record_messages(
        %s, ARRAY(SELECT e.form FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS e (form, place)
                  ORDER BY e.place), %b::bytea[], %s))
"""
_DEAD_LETTERS = "SELECT oms_topology.keep_dead_letters(%s, %s::text[], %s::text[], %b::bytea[])"
_LETTER = text(
    "SELECT source, payload, received_at FROM oms_topology.dead_letter WHERE dead_letter_no = :dead_letter_no"
)
_REPLAYED = text(
    "UPDATE oms_topology.dead_letter SET replayed_at = clock_timestamp()"
    " WHERE dead_letter_no = :dead_letter_no"
)
_ZONE = text("SELECT time_zone FROM oms_topology.source_setting WHERE source = :source")
_VERSION = text("SELECT COALESCE(max(topology_version), 0) FROM oms_topology.topology_change")
_SETTLE = text("SELECT oms_topology.settle()")
_SEAL = text("SELECT oms_topology.seal_audit(:min_bytes)")
_INDEX_BUSY = text("SELECT oms_topology.index_busy_audit(:reads, :min_bytes)")
_INDEX_SEALED = text("SELECT oms_topology.index_sealed_audit()")


class Store:
    """The database as the event path sees it.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        A database with the schema of this version.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: psycopg.Connection[Any] | None = None
        self._pooled: Any = None

    def record(
        self,
        source: str,
        parsed: str,
        raws: Sequence[bytes],
        *,
        received_at: datetime,
        refused: Sequence[tuple[str, str, bytes]] = (),
        positions: Sequence[StreamPosition] = (),
    ) -> tuple[list[dict[str, Any]], list[int]]:
        """Record signals of one provider with all their effects; committed and durable on return.

        Parameters
        ----------
        source : str
            The provider.
        parsed : str
            JSON array of the signals' parsed forms.
        raws : sequence of bytes
            Of each its message as it came, for the dead letters.
        received_at : aware datetime
            When they came.
        refused : sequence of (str, str, bytes)
            Messages that cannot be used: field, reason, and the message as it came.
        positions : sequence of StreamPosition
            How far consumers have come, in the same transaction.

        Returns
        -------
        results : list of dict
            Of each signal what became of it, in order. One that cannot be stored is a dead letter, and
            costs the others nothing.
        dead_letter_ids : list of int
            Of each refused message, in order.

        Raises
        ------
        StoreUnavailableError, ConflictError
            Nothing was recorded; try again.
        StoreError
            Nothing was recorded, nor will it be.
        """
        letters = (source, *(list(column) for column in zip(*refused, strict=True))) if refused else None
        signals = (source, parsed, list(raws), received_at)
        if letters is None and not positions:
            return (self._call(_RECORD, signals) if raws else []), []
        with self._errors(), self._driver().transaction():
            results = self._fetch(_RECORD, signals) if raws else []
            # Last, since whoever has the same letter waits for this transaction to end.
            numbers = self._fetch(_DEAD_LETTERS, letters) if letters else []
            record_positions(self._driver(), positions)
        return results, numbers

    def keep_dead_letter(self, source: str, field: str, reason: str, payload: bytes) -> Receipt:
        """Put a message aside, byte for byte, with what is wrong with it."""
        (number,) = self._call(_DEAD_LETTERS, (source, [field], [reason], [payload]))
        return Receipt(dead_letter_id=number, dead_letter_reason=f"{field}: {reason}")

    def record_positions(self, positions: Sequence[StreamPosition]) -> None:
        """Note how far consumers have come, once the effects are recorded."""
        if positions:
            with self._errors():
                record_positions(self._driver(), positions)

    def dead_letter(self, dead_letter_id: int) -> tuple[str, bytes, datetime]:
        """Give a dead letter's source, payload and time of receipt.

        Raises
        ------
        UnknownDeadLetterError
            There is no such one.
        """
        with translated_errors(), self._engine.connect() as connection:
            letter = connection.execute(_LETTER, {"dead_letter_no": dead_letter_id}).one_or_none()
        if letter is None:
            raise UnknownDeadLetterError(dead_letter_id)
        return letter.source, bytes(letter.payload), letter.received_at

    def mark_replayed(self, dead_letter_id: int) -> None:
        """Note that a dead letter has been taken in after all; it stays."""
        with translated_errors(), self._engine.begin() as connection:
            connection.execute(_REPLAYED, {"dead_letter_no": dead_letter_id})

    def time_zone(self, source: str) -> str:
        """Give the name of the zone in which a source's naive times are read."""
        with translated_errors(), self._engine.connect() as connection:
            return str(connection.execute(_ZONE, {"source": source}).scalar() or "UTC")

    def topology_version(self) -> int:
        """Settle what changed in the tables and give the version of the topology."""
        with translated_errors(), self._engine.begin() as connection:
            connection.execute(_SETTLE)
            return int(connection.execute(_VERSION).scalar_one())

    def maintain(self, *, min_bytes: int = 32 * 1024 * 1024) -> int:
        """Seal the open part of the audit when it has grown to ``min_bytes``, and index what is sealed.

        Returns
        -------
        int
            How many parts were indexed; readers and writers go on meanwhile.
        """
        with translated_errors(), self._engine.begin() as connection:
            connection.execute(_SEAL, {"min_bytes": min_bytes})
        with translated_errors(), self._engine.begin() as connection:
            return int(connection.execute(_INDEX_SEALED).scalar_one())

    def index_busy_audit(self, *, reads: int = 20, min_bytes: int = 1024 * 1024) -> bool:
        """Index the open part of the audit once late reports have read it whole ``reads`` times.

        Parameters
        ----------
        reads, min_bytes : int
            What is read less often, or smaller, is left as it is.

        Returns
        -------
        bool
            Whether it was done now; writers wait a moment for it. False too when it could not be had in
            a second, since others are at work.
        """
        with suppress(ConflictError), translated_errors(), self._engine.begin() as connection:
            asked = {"reads": reads, "min_bytes": min_bytes}
            return bool(connection.execute(_INDEX_BUSY, asked).scalar_one())
        return False

    def close(self) -> None:
        """Give the connection back."""
        if self._pooled is not None:
            self._pooled.close()
        self._pooled = self._connection = None

    def _call(self, statement: str, parameters: tuple[Any, ...]) -> Any:
        # One autocommitted statement is one transaction in a single round trip.
        with self._errors():
            return self._fetch(statement, parameters)

    def _fetch(self, statement: str, parameters: tuple[Any, ...]) -> Any:
        row = self._driver().execute(statement, parameters).fetchone()
        return row[0] if row else None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with translated_errors():
                yield
        except (psycopg.Error, DBAPIError) as error:
            # What the server says of it may quote the payload, and the payload may hold personal data.
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise StoreError(getattr(cause, "sqlstate", None)) from None
        finally:
            if self._connection is not None and self._connection.broken:
                self._pooled.invalidate()
                self.close()

    def _driver(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._pooled = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connection = self._pooled.connection.driver_connection
            assert self._connection is not None  # noqa: S101
            self._connection.prepare_threshold = 1
        return self._connection
