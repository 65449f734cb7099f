"""Hands messages to a gateway over HTTP, signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import ssl
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import SplitResult, urlsplit
from uuid import NAMESPACE_URL, uuid5

from oms_topology.errors import SenderUnavailableError
from oms_topology.service.senders.sending import Failed, Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oms_topology.service.senders.sending import Outcome, OutgoingMessage

__all__ = ["WebhookSender", "signature"]

_LONGEST_ANSWER = 1 << 20
_LONGEST_PAUSE_S = 3600.0
# The gateway has something against these messages, not against us, our address or our credentials.
_REFUSED = frozenset({400, 409, 413, 415, 422})
_BUSY = frozenset({408, 425, 429})
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSender:
    """Posts messages as JSON to a gateway that takes them to telephones or apps.

    Parameters
    ----------
    url : str
        Where to post; ``https``, or ``http`` within a network of one's own.
    secret : bytes
        The key of the signature, which the gateway knows too.
    timeout_s : float
        The longest wait for a connection, and again for an answer, in seconds.
    batch_size : int
        How many messages one request takes.
    channels : tuple of str
        The channels that the gateway serves.
    tls : ssl.SSLContext, optional
        Whom to trust; what the system trusts when left out.

    Raises
    ------
    ValueError
        The address is none of HTTP's, or the secret is empty.

    Notes
    -----
    ``webhook-signature`` is ``v1,`` and the Base64 of HMAC-SHA256 over id, timestamp and body with dots
    between, see :func:`signature`. ``Idempotency-Key`` and ``webhook-id`` are the message's id, or for
    several one that derives from theirs. A receiver knows doubles by the ``id`` of each message: after a
    crash they may come in other company. It may refuse some of several by answering
    ``{"refused": ["<id>", ...]}``.
    """

    channels: tuple[str, ...] = ("sms", "phone", "app")
    url: str
    secret: bytes = field(repr=False)
    timeout_s: float = 10.0
    batch_size: int = 100
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    _media_type: ClassVar[str] = "application/json; charset=utf-8"

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the gateway's address begins with https:// or http://")
        if parts.username or parts.password:
            raise ValueError("credentials do not belong into the gateway's address")
        if not self.secret:
            raise ValueError("the secret of the signature is empty")

    def send(self, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
        """Send messages in one request.

        Raises
        ------
        SenderUnavailableError
            The gateway cannot be reached or does not know this client; none of the messages has gone.
        """
        usable = [message for message in messages if message.phone or message.address]
        told: dict[Any, Outcome] = {}
        if usable:
            told = self._post(usable)
        nowhere = Failed("the customer has no phone number or address", is_permanent=True)
        return [told.get(message.message_id, nowhere) for message in messages]

    def _post(self, messages: Sequence[OutgoingMessage]) -> dict[Any, Outcome]:
        body = json.dumps({"messages": [_as_json(message) for message in messages]}).encode()
        ids = [str(message.message_id) for message in messages]
        key = ids[0] if len(ids) == 1 else str(uuid5(NAMESPACE_URL, " ".join(ids)))
        parts = urlsplit(self.url)
        with closing(self._connection(parts)) as connection:
            try:
                connection.connect()
            except (OSError, http.client.HTTPException) as error:
                raise SenderUnavailableError("webhook", f"no connection ({type(error).__name__})") from None
            try:
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("POST", target, body, self._headers(key, body))
                answer = connection.getresponse()
                said = answer.read(_LONGEST_ANSWER)
            except (OSError, http.client.HTTPException) as error:
                lost = Failed(f"no answer ({type(error).__name__})", may_have_gone=True)
                return {message.message_id: lost for message in messages}
        outcome = _outcome(answer.status, answer.getheader("Retry-After"))
        refused = _refused_ids(said) if isinstance(outcome, Sent) else set()
        return {
            message.message_id: Failed("the gateway refused the message", is_permanent=True)
            if str(message.message_id) in refused
            else outcome
            for message in messages
        }

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=self.timeout_s)
        context = self.tls or ssl.create_default_context()
        return http.client.HTTPSConnection(host, parts.port, timeout=self.timeout_s, context=context)

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        now = str(int(time.time()))
        return {
            "Content-Type": self._media_type,
            "Idempotency-Key": key,
            "webhook-id": key,
            "webhook-timestamp": now,
            "webhook-signature": signature(self.secret, key, now, body),
        }


def signature(secret: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    """Give what the header ``webhook-signature`` must say; a receiver compares in constant time.

    Parameters
    ----------
    secret : bytes
        The key that both know.
    webhook_id, timestamp : str
        As the headers say them; the timestamp in whole seconds since 1970.
    body : bytes
        The body as it came.

    Examples
    --------
    >>> signature(b"secret", "id", "1700000000", b"{}")
    'v1,...='
    """
    signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def _as_json(message: OutgoingMessage) -> dict[str, Any]:
    return {
        "id": str(message.message_id),
        "kind": message.kind,
        "channel": message.channel,
        "customer_id": message.customer_code,
        "to": message.address or message.phone,
        "language": message.language,
        "direction": message.direction,
        "subject": message.subject,
        "text": message.text,
    }


def _outcome(status: int, retry_after: str | None) -> Outcome:
    if status // 100 == 2:
        return Sent()
    if status in _REFUSED:
        return Failed(f"the gateway refused the message ({status})", is_permanent=True)
    if status in _BUSY:
        return Failed(f"the gateway is busy ({status})", retry_after_s=_pause_s(retry_after))
    if status >= _SERVER_ERROR:
        # It may have failed after it passed the message on.
        pause_s = _pause_s(retry_after)
        return Failed(f"the gateway failed ({status})", may_have_gone=True, retry_after_s=pause_s)
    raise SenderUnavailableError("webhook", f"the gateway does not accept this client ({status})")


def _pause_s(said: str | None) -> float | None:
    """Read ``Retry-After``: seconds, or a date; None for what is neither.

    Examples
    --------
    >>> _pause_s("120"), _pause_s("soon"), _pause_s("999999"), _pause_s("Wed, 21 Oct 2015 07:28:00 GMT")
    (120.0, None, 3600.0, 0.0)
    """
    if said is None:
        return None
    try:
        wanted = float(said) if said.strip().isdigit() else _until_s(said)
    except (ValueError, TypeError):
        return None
    return min(max(wanted, 0.0), _LONGEST_PAUSE_S)


def _until_s(said: str) -> float:
    at = parsedate_to_datetime(said)
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()


def _refused_ids(said: bytes) -> set[str]:
    try:
        answer = json.loads(said)
    except ValueError:
        return set()
    refused = answer.get("refused") if isinstance(answer, dict) else None
    return {each for each in refused if isinstance(each, str)} if isinstance(refused, list) else set()
