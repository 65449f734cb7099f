"""The outbox of notifications: filling it, claiming what is due, and settling what became of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from oms_topology.persistence.database import translated_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Engine

__all__ = ["Claim", "DueNotification", "Outbox", "Postponement", "Recipient", "mark_delivered"]

_QUEUE = text(
    "SELECT outages, messages FROM oms_topology.queue_notifications(:at, :most_outages, :momentary_limit)"
)
_CLAIM = text(
    "SELECT * FROM oms_topology.claim_notifications(:channel, :most, :lease, CAST(:claim AS uuid), :at)"
)
_WORD = text("SELECT oms_topology.word_notifications(CAST(:claim AS uuid), CAST(:ids AS uuid[]), :contents)")
_SENT = text("SELECT oms_topology.settle_sent(CAST(:claim AS uuid), CAST(:ids AS uuid[]), :at)")
_POSTPONE = text(
    "SELECT oms_topology.postpone_notifications(CAST(:claim AS uuid), CAST(:ids AS uuid[]),"
    " CAST(:next_attempts_at AS timestamptz[]), CAST(:failures AS text[]), CAST(:may_have_gone AS boolean[]),"
    " :counts)"
)
_BURY = text("SELECT oms_topology.bury_notifications(CAST(:claim AS uuid), CAST(:ids AS uuid[]), :reasons)")
_DELIVERED = text("SELECT oms_topology.mark_delivered(CAST(:message_id AS uuid), :at)")
_STORM = text("SELECT EXISTS (SELECT FROM public.oms_storm_mode_config WHERE is_active)")
_RECIPIENTS = text(
    """
    SELECT c.id, c.customer_id, c.phone, k.address
    FROM public.oms_customers c LEFT JOIN oms_topology.customer_contact k ON k.customer_id = c.id
    WHERE c.id = ANY (CAST(:customer_ids AS uuid[]))
    """
)
_MOST_ROUNDS = 10_000


@dataclass(frozen=True, slots=True)
class DueNotification:
    """A message that was claimed: whom it is for, and what it tells of.

    Attributes
    ----------
    message_id : UUID
        Its row in ``oms_customer_notifications``; the same at every attempt.
    customer_id : UUID
        Row of the customer in ``oms_customers``.
    kind : str
        ``outage_detected``, ``crew_dispatched`` or ``restored``.
    content : str or None
        Its words, kept at the first attempt.
    language : str
        In which the customer reads.
    attempts : int
        How many there were, with this one.
    areas : tuple of str
        Names of the devices blamed, else their codes, the earliest outage first.
    started_at, expected_at, ended_at : aware datetime or None
        Start of the first outage; when the last is expected to be over, where that is known of all and
        still to come; when the last was over.
    """

    message_id: UUID
    customer_id: UUID
    kind: str
    content: str | None
    language: str
    attempts: int
    areas: tuple[str, ...]
    started_at: datetime | None
    expected_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a message goes; neither shown nor logged.

    Attributes
    ----------
    customer_code : str
        ``oms_customers.customer_id``.
    phone : str or None
        ``oms_customers.phone``.
    address : str or None
        ``oms_topology.customer_contact.address``.
    """

    customer_code: str
    phone: str | None
    address: str | None

    def __repr__(self) -> str:
        return "Recipient(...)"


@dataclass(frozen=True, slots=True)
class Claim:
    """Messages that are one sender's own until the lease ends."""

    token: UUID
    channel: str
    messages: tuple[DueNotification, ...]


@dataclass(frozen=True, slots=True)
class Postponement:
    """A message to be tried again: when, why, and whether the receiver may have it already."""

    message_id: UUID
    next_attempt_at: datetime
    failure: str | None = None
    may_have_gone: bool = False


class Outbox:
    """The notifications of a database.

    Parameters
    ----------
    engine : sqlalchemy.Engine or sqlalchemy.Connection
        The database. With a connection everything happens in the transaction that is open on it, for a trial
        that is rolled back.

    Notes
    -----
    Every method may raise ``StoreUnavailableError`` or ``ConflictError``; nothing has happened then. Times
    are the server's clock unless given.
    """

    def __init__(self, engine: Engine | Connection) -> None:
        self._engine = engine

    def queue(
        self,
        at: datetime | None = None,
        *,
        most_outages: int = 500,
        momentary_limit: timedelta | None = None,
    ) -> int:
        """Fill the outbox with what is to be told at an instant; give how many messages were added.

        Parameters
        ----------
        at : aware datetime, optional
            The instant; now when left out.
        most_outages : int
            How many outages one transaction looks at.
        momentary_limit : timedelta, optional
            How long an outage may last without being told of; the database's setting when left out.

        Notes
        -----
        Any number may do this at once: each customer is told once of an outage and kind.
        """
        wanted = {"at": at, "most_outages": most_outages, "momentary_limit": momentary_limit}
        queued = 0
        for _ in range(_MOST_ROUNDS):
            with self._transaction() as connection:
                row = connection.execute(_QUEUE, wanted).one()
            queued += row.messages
            if row.outages < most_outages:
                break
        return queued

    def is_storm(self) -> bool:
        """Tell whether storm mode is on."""
        with self._transaction() as connection:
            return bool(connection.execute(_STORM).scalar_one())

    def claim(self, channel: str, *, most: int, lease: timedelta, at: datetime | None = None) -> Claim:
        """Claim messages that are due on a channel, within its rate; none where nothing is.

        Parameters
        ----------
        channel : str
            ``sms``, ``email``, ``phone`` or ``app``.
        most : int
            How many at the most.
        lease : timedelta
            How long they are the caller's own; others may claim them after.
        at : aware datetime, optional
            Now when left out.
        """
        token = uuid4()
        wanted = {"channel": channel, "most": most, "lease": lease, "claim": token, "at": at}
        with self._transaction() as connection:
            rows = connection.execute(_CLAIM, wanted).mappings().all()
        return Claim(token, channel, tuple(_due(row) for row in rows))

    def word(self, claim: Claim, contents: Mapping[UUID, str]) -> None:
        """Keep the words of claimed messages that have none yet."""
        if contents:
            self._run(_WORD, claim, ids=list(contents), contents=list(contents.values()))

    def recipients(self, customer_ids: Sequence[UUID]) -> dict[UUID, Recipient]:
        """Look up where messages go, at the time of sending."""
        with self._transaction() as connection:
            rows = connection.execute(_RECIPIENTS, {"customer_ids": list(customer_ids)}).all()
        return {row.id: Recipient(row.customer_id, row.phone, row.address) for row in rows}

    def settle(self, claim: Claim, sent: Sequence[UUID], *, at: datetime | None = None) -> int:
        """Settle claimed messages that were sent; give how many the claim still held."""
        return self._run(_SENT, claim, ids=list(sent), at=at) if sent else 0

    def postpone(self, claim: Claim, later: Sequence[Postponement], *, counts: bool = True) -> int:
        """Put claimed messages back; with ``counts=False`` the attempt is not counted."""
        if not later:
            return 0
        return self._run(
            _POSTPONE,
            claim,
            ids=[each.message_id for each in later],
            next_attempts_at=[each.next_attempt_at for each in later],
            failures=[each.failure for each in later],
            may_have_gone=[each.may_have_gone for each in later],
            counts=counts,
        )

    def bury(self, claim: Claim, reasons: Mapping[UUID, str]) -> int:
        """Give claimed messages up: failed, with a dead letter each, which names nobody."""
        if not reasons:
            return 0
        return self._run(_BURY, claim, ids=list(reasons), reasons=list(reasons.values()))

    def _run(self, statement: Any, claim: Claim, **more: Any) -> int:
        with self._transaction() as connection:
            return connection.execute(statement, {"claim": claim.token, **more}).scalar_one() or 0

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with translated_errors():
            if isinstance(self._engine, Connection):
                yield self._engine
                return
            with self._engine.begin() as connection:
                yield connection


def mark_delivered(engine: Engine, message_id: UUID | str, at: datetime | None = None) -> bool:
    """Note that a message has arrived, as a gateway reports it; tell whether there is such a message.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database.
    message_id : UUID or str
        Its id, as the sender gave it to the gateway.
    at : aware datetime, optional
        When it arrived; now when left out. The first report counts.

    Raises
    ------
    StoreUnavailableError
        The database cannot be reached now.
    """
    with translated_errors(), engine.begin() as connection:
        return bool(connection.execute(_DELIVERED, {"message_id": message_id, "at": at}).scalar_one())


def _due(row: Any) -> DueNotification:
    return DueNotification(
        row["message_id"],
        row["customer_id"],
        row["kind"],
        row["content"],
        row["language"],
        row["attempts"],
        tuple(row["areas"] or ()),
        row["started_at"],
        row["expected_at"],
        row["ended_at"],
    )
