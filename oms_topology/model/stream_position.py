"""How far a stream of messages has been taken in, as a value."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StreamPosition"]


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """How far one consumer group has come in one partition of a topic.

    Attributes
    ----------
    consumer_group : str
        The group that shares the work.
    topic : str
        The topic.
    partition : int
        Its partition, from 0.
    next_offset : int
        Offset of the first message that is still to be taken in.

    Examples
    --------
    >>> StreamPosition("scada-consumer-group", "scada-outage-topic", 0, 42).next_offset
    42
    """

    consumer_group: str
    topic: str
    partition: int
    next_offset: int
