"""Where a consumer group goes on, as the database knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.model import StreamPosition
from oms_topology.persistence.stream_positions import forget_positions, positions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

__all__ = ["Bookmarks"]


class Bookmarks:
    """The recorded positions of one group in one topic.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database that holds the effects too.
    consumer_group, topic : str
        Whose positions, and where.
    """

    def __init__(self, engine: Engine, consumer_group: str, topic: str) -> None:
        self._engine = engine
        self.consumer_group = consumer_group
        self.topic = topic

    def next_offsets(self) -> dict[int, int]:
        """Give, by partition, the first offset to read; what was never read is missing.

        Raises
        ------
        StoreUnavailableError
            The database cannot be reached now.
        """
        held = positions_of(self._engine, self.consumer_group, self.topic)
        return {position.partition: position.next_offset for position in held}

    def forget(self, partitions: Sequence[int]) -> None:
        """Begin anew in partitions.

        Raises
        ------
        StoreUnavailableError
            The database cannot be reached now.
        """
        forget_positions(self._engine, self.consumer_group, self.topic, partitions)

    def position(self, partition: int, next_offset: int) -> StreamPosition:
        """Make a position of this group in this topic."""
        return StreamPosition(self.consumer_group, self.topic, partition, next_offset)
