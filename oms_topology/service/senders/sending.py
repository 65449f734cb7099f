"""What a sender is: something that takes messages and says of each what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from oms_topology.errors import SenderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

__all__ = ["Failed", "Outcome", "OutgoingMessage", "Sender", "SenderUnavailableError", "Sent"]


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message, ready to go.

    Attributes
    ----------
    message_id : UUID
        The same at every attempt: what the receiver knows doubles by.
    kind : str
        ``outage_detected``, ``crew_dispatched`` or ``restored``.
    channel : str
        ``sms``, ``email``, ``phone`` or ``app``.
    subject, text : str
        The words; the subject is one line.
    language : str
        A tag such as ``ar``.
    direction : str
        ``ltr`` or ``rtl``.
    customer_code, phone, address : str or None
        Where it goes. They appear in no ``repr``, log or error.
    """

    message_id: UUID
    kind: str
    channel: str
    subject: str
    text: str
    language: str
    direction: str
    customer_code: str = field(repr=False)
    phone: str | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """The receiver took the message over."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The receiver did not take the message over, as far as is known.

    Attributes
    ----------
    reason : str
        Why, without anything about the recipient.
    is_permanent : bool
        Trying again is of no use.
    may_have_gone : bool
        There was no answer, so the receiver may have it all the same.
    retry_after_s : float or None
        How long the receiver wants to be left alone, in seconds.
    """

    reason: str
    is_permanent: bool = False
    may_have_gone: bool = False
    retry_after_s: float | None = None


Outcome = Sent | Failed


class Sender(Protocol):
    """Takes messages to customers.

    Attributes
    ----------
    channels : tuple of str
        The channels it serves.
    batch_size : int
        How many messages one call of :meth:`send` takes at the most.
    timeout_s : float
        The longest that one message of a call may take, in seconds.
    """

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that it serves."""
        ...

    @property
    def batch_size(self) -> int:
        """How many messages one call takes at the most."""
        ...

    @property
    def timeout_s(self) -> float:
        """The longest that one message may take, in seconds."""
        ...

    def send(self, messages: Sequence[OutgoingMessage]) -> Sequence[Outcome]:
        """Send messages; give of each what became of it, in their order.

        Raises
        ------
        SenderUnavailableError
            Nothing can be sent now, whatever the message: none of them has gone.
        """
        ...
