"""Tells customers: fills the outbox, claims what is due, hands it to senders and settles what became of it.

A message is claimed in one transaction, sent in none, and settled in another. Who dies between sending and
settling leaves a claim that ends; the message is then sent again, under the same id. So every message goes
out at least once, and a receiver that knows doubles by the id takes each once.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from oms_topology.errors import ConflictError, SenderUnavailableError, StoreUnavailableError
from oms_topology.persistence.notifications import Outbox, Postponement
from oms_topology.service.consumers.backoff import Backoff
from oms_topology.service.senders.sending import Failed, OutgoingMessage, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from threading import Event
    from uuid import UUID

    from oms_topology.persistence.database import Database
    from oms_topology.persistence.notifications import Claim, DueNotification
    from oms_topology.service.senders.sending import Outcome, Sender
    from oms_topology.service.senders.texts import MessageTexts

__all__ = ["Notifier", "NotifierSettings", "NotifyingRound", "PlannedMessage", "preview"]

_LOG = logging.getLogger(__name__)
_GIVEN_UP = "no attempt of many was answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierSettings:
    """How a notifier works.

    Attributes
    ----------
    claim_size : int
        How many messages are claimed at once.
    lease_s : float
        How long a claim lasts, in seconds; half of it is for sending.
    most_attempts : int
        After so many attempts a message becomes a dead letter.
    first_wait_s, longest_wait_s : float
        Waits after the first attempt, and at the most, in seconds; they double, with jitter.
    interval_s : float
        How often a follower looks for what is to be told, in seconds.
    """

    claim_size: int = 200
    lease_s: float = 600.0
    most_attempts: int = 8
    first_wait_s: float = 30.0
    longest_wait_s: float = 1800.0
    interval_s: float = 10.0


@dataclass(slots=True)
class NotifyingRound:
    """What one round did: messages queued, sent, put off, and given up."""

    queued: int = 0
    sent: int = 0
    put_off: int = 0
    given_up: int = 0

    def __iadd__(self, other: NotifyingRound) -> Self:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self


@dataclass(slots=True)
class _Desk:
    """A sender, and when it may be asked again."""

    sender: Sender
    backoff: Backoff
    rests_until: datetime = field(default=datetime.min.replace(tzinfo=UTC))


class Notifier:
    """Fills the outbox of a database and empties it through senders.

    Parameters
    ----------
    database : Database
        Whose outages are told of.
    senders : sequence of Sender
        Who takes messages along; without any the outbox is filled only.
    texts : MessageTexts
        The words.
    settings : NotifierSettings, optional
        The defaults when left out.

    Notes
    -----
    Any number may work on one database.
    """

    def __init__(
        self,
        database: Database,
        senders: Sequence[Sender],
        texts: MessageTexts,
        settings: NotifierSettings | None = None,
    ) -> None:
        self._outbox = Outbox(database.engine)
        self._texts = texts
        self._settings = settings or NotifierSettings()
        self._desks = [
            _Desk(sender, Backoff(first_s=5.0, limit_s=self._settings.longest_wait_s)) for sender in senders
        ]

    def run(self, stop: Event) -> None:
        """Work until an event is set; a database that is away is waited for."""
        _LOG.info("following outages")
        waiting = Backoff(limit_s=self._settings.interval_s)
        while not stop.is_set():
            try:
                done = self.work(stop=stop)
                waiting.reset()
                pause_s = self._settings.interval_s
            except (StoreUnavailableError, ConflictError) as error:
                pause_s = waiting.next_s()
                extra = {"error": type(error).__name__, "delay_s": round(pause_s, 3)}
                _LOG.warning("database away", extra=extra)
            else:
                if done != NotifyingRound():
                    _LOG.info("notifications", extra=asdict(done))
            stop.wait(pause_s)

    def work(self, at: datetime | None = None, *, stop: Event | None = None) -> NotifyingRound:
        """Queue what is to be told, and send what is due; give what was done.

        Parameters
        ----------
        at : aware datetime, optional
            The instant to work as of; now when left out.
        stop : threading.Event, optional
            No further claim is made once it is set.

        Raises
        ------
        StoreUnavailableError, ConflictError
            The database was away. What is claimed is taken up again when the claim has ended.
        """
        done = NotifyingRound(queued=self._outbox.queue(at))
        size_of = _batch_size if self._outbox.is_storm() else _one
        for desk in self._desks:
            for channel in desk.sender.channels:
                while not (stop and stop.is_set()) and desk.rests_until <= (at or _now()):
                    claim = self._claim(channel, at)
                    if not claim.messages:
                        break
                    done += self._send(desk, claim, size_of(desk.sender), at)
        return done

    def _claim(self, channel: str, at: datetime | None) -> Claim:
        settings = self._settings
        lease = timedelta(seconds=settings.lease_s)
        return self._outbox.claim(channel, most=settings.claim_size, lease=lease, at=at)

    def _send(self, desk: _Desk, claim: Claim, size: int, at: datetime | None) -> NotifyingRound:
        until = time.monotonic() + self._settings.lease_s / 2
        done = NotifyingRound(given_up=self._give_up(claim))
        waiting = [each for each in claim.messages if each.attempts <= self._settings.most_attempts]
        outgoing = self._worded(claim, waiting)
        for first in range(0, len(outgoing), size):
            chunk = outgoing[first : first + size]
            if desk.rests_until > (at or _now()) or time.monotonic() > until:
                done.put_off += self._release(claim, chunk, max(desk.rests_until, at or _now()))
                continue
            try:
                outcomes = desk.sender.send(chunk)
            except SenderUnavailableError as error:
                self._rest(desk, desk.backoff.next_s(), at)
                _LOG.warning("sender away", extra={"channel": claim.channel, "error": error.reason})
                done.put_off += self._release(claim, chunk, desk.rests_until)
                continue
            desk.backoff.reset()
            told = {each.message_id: outcome for each, outcome in zip(chunk, outcomes, strict=True)}
            done += self._settle(desk, claim, told, waiting, at)
        return done

    def _give_up(self, claim: Claim) -> int:
        worn = [each for each in claim.messages if each.attempts > self._settings.most_attempts]
        return self._outbox.bury(claim, {each.message_id: _GIVEN_UP for each in worn})

    def _worded(self, claim: Claim, messages: Sequence[DueNotification]) -> list[OutgoingMessage]:
        """Give messages their words, kept before they go, and their recipients, read now and kept nowhere."""
        contents = {each.message_id: each.content or self._texts.text(each) for each in messages}
        new = {each.message_id: contents[each.message_id] for each in messages if each.content is None}
        self._outbox.word(claim, new)
        recipients = self._outbox.recipients([each.customer_id for each in messages])
        return [
            OutgoingMessage(
                each.message_id,
                each.kind,
                claim.channel,
                self._texts.subject(each),
                contents[each.message_id],
                self._texts.language_of(each.language),
                self._texts.direction(each.language),
                recipients[each.customer_id].customer_code,
                recipients[each.customer_id].phone,
                recipients[each.customer_id].address,
            )
            for each in messages
        ]

    def _settle(
        self,
        desk: _Desk,
        claim: Claim,
        outcomes: dict[UUID, Outcome],
        messages: Iterable[DueNotification],
        at: datetime | None,
    ) -> NotifyingRound:
        done = NotifyingRound()
        sent = [key for key, outcome in outcomes.items() if isinstance(outcome, Sent)]
        failed = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, Failed)}
        attempts = {each.message_id: each.attempts for each in messages}
        lost = {
            key: outcome.reason
            for key, outcome in failed.items()
            if outcome.is_permanent or attempts[key] >= self._settings.most_attempts
        }
        later = [
            self._later(key, outcome, attempts[key], at) for key, outcome in failed.items() if key not in lost
        ]
        done.sent = self._kept(lambda: self._outbox.settle(claim, sent, at=at))
        done.given_up = self._kept(lambda: self._outbox.bury(claim, lost))
        done.put_off = self._kept(lambda: self._outbox.postpone(claim, later))
        self._rest(desk, max((each.retry_after_s or 0.0 for each in failed.values()), default=0.0), at)
        return done

    def _later(self, key: UUID, outcome: Failed, attempts: int, at: datetime | None) -> Postponement:
        backoff = Backoff(first_s=self._settings.first_wait_s, limit_s=self._settings.longest_wait_s)
        backoff.attempts = attempts - 1
        wait_s = max(backoff.next_s(), outcome.retry_after_s or 0.0)
        when = (at or _now()) + timedelta(seconds=wait_s)
        return Postponement(key, when, outcome.reason, outcome.may_have_gone)

    def _release(self, claim: Claim, chunk: Sequence[OutgoingMessage], when: datetime) -> int:
        back = [Postponement(each.message_id, when) for each in chunk]
        return self._outbox.postpone(claim, back, counts=False)

    def _rest(self, desk: _Desk, wait_s: float, at: datetime | None) -> None:
        if wait_s > 0:
            desk.rests_until = (at or _now()) + timedelta(seconds=wait_s)

    def _kept(self, settle: Callable[[], int]) -> int:
        """Settle what has happened already, however often the database is away; each try spares a double."""
        backoff = Backoff()
        while True:
            try:
                return settle()
            except (StoreUnavailableError, ConflictError):
                if backoff.attempts >= _MOST_TRIES:
                    raise
                time.sleep(backoff.next_s())


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """A message that would be sent, without its recipient."""

    kind: str
    channel: str
    language: str
    subject: str
    text: str


def preview(
    database: Database, texts: MessageTexts, channels: Sequence[str], *, at: datetime | None = None
) -> list[PlannedMessage]:
    """Give what would be sent now, and leave everything as it is.

    Parameters
    ----------
    database : Database
        Whose outages.
    texts : MessageTexts
        The words.
    channels : sequence of str
        The channels to look at.
    at : aware datetime, optional
        The instant; now when left out.

    Returns
    -------
    list of PlannedMessage
        By channel as given, the longest due first; of a channel as many as its rate allows at once.

    Raises
    ------
    StoreUnavailableError, ConflictError
        The database was away.
    """
    with database.engine.connect() as connection:
        outbox = Outbox(connection)
        try:
            outbox.queue(at)
            claims = [outbox.claim(each, most=_MANY, lease=timedelta(0), at=at) for each in channels]
        finally:
            connection.rollback()
    return [
        PlannedMessage(
            each.kind,
            claim.channel,
            texts.language_of(each.language),
            texts.subject(each),
            each.content or texts.text(each),
        )
        for claim in claims
        for each in claim.messages
    ]


_MANY = 1_000_000
_MOST_TRIES = 8


def _now() -> datetime:
    return datetime.now(UTC)


def _batch_size(sender: Sender) -> int:
    return sender.batch_size


def _one(_sender: Sender) -> int:
    return 1
