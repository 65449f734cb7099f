"""A source for users' own tests and ours: messages from a list, and a note of what was asked of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from oms_topology.model import StreamPosition
from oms_topology.service.consumers.source import SourceMessage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ListSource"]


class ListSource:
    """One partition, held in memory."""

    def __init__(self, provider: str, payloads: Sequence[bytes]) -> None:
        self.provider = provider
        self.is_connected = True
        self.asked: list[str] = []
        self.acknowledged = 0
        self._messages = [
            SourceMessage(provider, payload, StreamPosition("group", "topic", 0, number))
            for number, payload in enumerate(payloads, start=1)
        ]
        self._given = 0

    @property
    def lag(self) -> Mapping[StreamPosition, int]:
        return {StreamPosition("group", "topic", 0, self._given): len(self._messages) - self._given}

    def poll(self, max_messages: int, timeout_s: float) -> Sequence[SourceMessage]:
        given = self._messages[self._given : self._given + max_messages]
        self._given += len(given)
        if not given:
            time.sleep(min(timeout_s, 0.01))
        return given

    def pause(self) -> None:
        self.asked.append("pause")

    def keep_alive(self, timeout_s: float) -> None:
        if self.asked[-1] != "keep alive":
            self.asked.append("keep alive")
        time.sleep(timeout_s)

    def resume(self) -> None:
        self.asked.append("resume")

    def acknowledge(self, positions: Sequence[StreamPosition]) -> None:
        (position,) = positions
        self.acknowledged = position.next_offset

    def close(self) -> None:
        self.asked.append("close")
