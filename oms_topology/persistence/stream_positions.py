"""How far consumers have come, kept beside the effects of what they took in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from oms_topology.model.stream_position import StreamPosition
from oms_topology.persistence.database import translated_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg
    from sqlalchemy import Engine

__all__ = ["forget_positions", "positions_of", "record_positions"]

_RECORD = "SELECT oms_topology.record_stream_positions(%s::text[], %s::text[], %s::integer[], %s::bigint[])"
_POSITIONS = text(
    "SELECT consumer_group, topic, partition, next_offset FROM oms_topology.stream_position"
    " WHERE consumer_group = :consumer_group AND topic = :topic ORDER BY partition"
)
_FORGET = text(
    "DELETE FROM oms_topology.stream_position WHERE consumer_group = :consumer_group AND topic = :topic"
    " AND partition = ANY (:partitions)"
)


def record_positions(connection: psycopg.Connection[Any], positions: Sequence[StreamPosition]) -> None:
    """Note how far consumers have come, as part of the transaction that is open on a connection.

    Parameters
    ----------
    connection : psycopg.Connection
        In the transaction that wrote the effects; this neither begins nor ends one.
    positions : sequence of StreamPosition
        In any order; of several for one partition the furthest counts. One behind what is recorded
        already changes nothing; :func:`forget_positions` is the only way back.

    Raises
    ------
    psycopg.Error
        As the server gives it; the transaction is lost then.

    Notes
    -----
    One statement for all, none for no positions.
    """
    if not positions:
        return
    groups = [position.consumer_group for position in positions]
    topics = [position.topic for position in positions]
    partitions = [position.partition for position in positions]
    next_offsets = [position.next_offset for position in positions]
    connection.execute(_RECORD, (groups, topics, partitions, next_offsets))


def positions_of(engine: Engine, consumer_group: str, topic: str) -> tuple[StreamPosition, ...]:
    """Give how far a group has come in a topic, by partition; empty when it never took anything in.

    Raises
    ------
    StoreUnavailableError
        The database cannot be reached now.
    """
    named = {"consumer_group": consumer_group, "topic": topic}
    with translated_errors(), engine.connect() as connection:
        return tuple(StreamPosition(*row) for row in connection.execute(_POSITIONS, named))


def forget_positions(engine: Engine, consumer_group: str, topic: str, partitions: Sequence[int]) -> int:
    """Forget how far a group has come in partitions, so that it begins anew there.

    Returns
    -------
    int
        How many partitions were known. What was taken in stays, and is a duplicate when it comes again.

    Raises
    ------
    StoreUnavailableError
        The database cannot be reached now.
    """
    named = {"consumer_group": consumer_group, "topic": topic, "partitions": list(partitions)}
    with translated_errors(), engine.begin() as connection:
        return connection.execute(_FORGET, named).rowcount
