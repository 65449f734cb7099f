"""Where messages come from, whatever the broker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oms_topology.model import StreamPosition

__all__ = ["MessageSource", "SourceMessage", "positions_after"]


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """One message of a provider, and where its stream goes on after it.

    Attributes
    ----------
    provider : str
        Who said it, such as ``"scada"``.
    payload : bytes
        The message as it came.
    position : StreamPosition
        The position behind this message.
    """

    provider: str
    payload: bytes
    position: StreamPosition


class MessageSource(Protocol):
    """Streams of one provider's messages, read by one thread.

    A source begins where the database says that the effects end. It may give a message again, and never
    leaves one out.
    """

    @property
    def provider(self) -> str:
        """Who speaks here, such as ``"scada"``."""

    @property
    def is_connected(self) -> bool:
        """Whether the broker could be reached when last heard of."""

    @property
    def lag(self) -> Mapping[StreamPosition, int]:
        """How many messages wait behind each position that is being read; what is not known is left out."""

    def poll(self, max_messages: int, timeout_s: float) -> Sequence[SourceMessage]:
        """Wait for messages and give some, at most ``max_messages``; empty when none came in time.

        Raises
        ------
        StoreUnavailableError
            Where to begin could not be asked; nothing is lost, poll again later.
        BrokerError
            The broker will not have this reader.
        """

    def pause(self) -> None:
        """Fetch nothing until :meth:`resume`; twice is once."""

    def keep_alive(self, timeout_s: float) -> None:
        """Show the broker for so long that the reader still lives, without reading."""

    def resume(self) -> None:
        """Read on from where :meth:`pause` stopped."""

    def acknowledge(self, positions: Sequence[StreamPosition]) -> None:
        """Tell the broker what the database holds; a hint for its tools, so a failure changes nothing."""

    def close(self) -> None:
        """Leave, so that others may take over at once."""


def positions_after(messages: Sequence[SourceMessage]) -> tuple[StreamPosition, ...]:
    """Give where each stream goes on once all these messages are taken in, by topic and partition.

    Examples
    --------
    >>> from oms_topology.model import StreamPosition
    >>> read = [SourceMessage("scada", b"{}", StreamPosition("group", "topic", 0, n)) for n in (5, 6)]
    >>> [position.next_offset for position in positions_after(read)]
    [6]
    """
    furthest: dict[tuple[str, str, int], StreamPosition] = {}
    for message in messages:
        position = message.position
        key = (position.consumer_group, position.topic, position.partition)
        if key not in furthest or furthest[key].next_offset < position.next_offset:
            furthest[key] = position
    return tuple(furthest[key] for key in sorted(furthest))
