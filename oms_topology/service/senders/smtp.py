"""Sends messages as e-mail."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from typing import TYPE_CHECKING, ClassVar

from oms_topology.errors import SenderUnavailableError
from oms_topology.service.senders.sending import Failed, Sent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oms_topology.service.senders.sending import Outcome, OutgoingMessage

__all__ = ["SmtpSender"]

_MOST_CONNECTIONS = 2
_TRANSIENT = 400
_PERMANENT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSender:
    """Hands e-mail to a mail server, one connection for each batch.

    Parameters
    ----------
    host : str
        The mail server.
    sender : str
        The address that messages come from.
    port : int
        587 for a server that is asked for TLS, 465 for one that begins with it.
    encryption : str
        ``starttls``, ``tls``, or ``none``: for a server on the same machine only.
    user, password : str or None
        For servers that ask for them; never without encryption.
    timeout_s : float
        The longest wait for an answer, in seconds.
    batch_size : int
        How many messages one connection takes.
    tls : ssl.SSLContext, optional
        Whom to trust; what the system trusts when left out.

    Raises
    ------
    ValueError
        The address is none, or a password would go unencrypted.

    Notes
    -----
    ``Message-ID`` and ``Idempotency-Key`` derive from the notification, so a mail that is handed over twice
    is recognisably the same one; mail servers themselves need not drop it.

    Examples
    --------
    >>> SmtpSender(host="mail", sender="no-reply@example.org")
    SmtpSender(host='mail', sender='no-reply@example.org', port=587, encryption='starttls', timeout_s=20.0)
    """

    channels: ClassVar[tuple[str, ...]] = ("email",)

    host: str
    sender: str
    port: int = 587
    encryption: str = "starttls"
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 20.0
    batch_size: int = field(default=50, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.encryption not in ("starttls", "tls", "none"):
            raise ValueError("encryption is starttls, tls or none")
        if self.encryption == "none" and self.password is not None:
            raise ValueError("a password is not sent without encryption")
        if _address(self.sender) is None:
            raise ValueError("the sender is no e-mail address")

    def send(self, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
        """Send messages over one connection, or over a second one where the first breaks.

        Raises
        ------
        SenderUnavailableError
            The server cannot be reached or refuses this client; none of the messages has gone.
        """
        outcomes: list[Outcome] = []
        for _ in range(_MOST_CONNECTIONS):
            try:
                with self._connected() as server:
                    self._send_over(server, messages, outcomes)
            except SenderUnavailableError:
                if not outcomes:
                    raise
                break
            if len(outcomes) == len(messages):
                break
        lost = Failed("the connection to the mail server was lost")
        return outcomes + [lost] * (len(messages) - len(outcomes))

    def _send_over(
        self, server: smtplib.SMTP, messages: Sequence[OutgoingMessage], outcomes: list[Outcome]
    ) -> None:
        for message in messages[len(outcomes) :]:
            outcomes.append(self._send_one(server, message))
            if server.sock is None:
                return

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        context = self.tls or ssl.create_default_context()
        try:
            server = (
                smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_s, context=context)
                if self.encryption == "tls"
                else smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)
            )
        except (OSError, smtplib.SMTPException) as error:
            raise SenderUnavailableError("smtp", f"no connection ({type(error).__name__})") from None
        try:
            self._greet(server, context)
            yield server
        finally:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()

    def _greet(self, server: smtplib.SMTP, context: ssl.SSLContext) -> None:
        try:
            if self.encryption == "starttls":
                server.starttls(context=context)
            if self.user is not None and self.password is not None:
                server.login(self.user, self.password)
        except (OSError, smtplib.SMTPException) as error:
            raise SenderUnavailableError("smtp", f"refused ({type(error).__name__})") from None

    def _send_one(self, server: smtplib.SMTP, message: OutgoingMessage) -> Outcome:
        address = _address(message.address)
        if address is None:
            return Failed("the customer has no usable e-mail address", is_permanent=True)
        try:
            server.send_message(self._mail(message, address), self.sender, [address.addr_spec])
        except smtplib.SMTPRecipientsRefused as error:
            return _refused("recipient", next(iter(error.recipients.values()))[0])
        except smtplib.SMTPSenderRefused as error:
            raise SenderUnavailableError("smtp", f"its own address was refused ({error.smtp_code})") from None
        except smtplib.SMTPResponseException as error:
            return _refused("message", error.smtp_code)
        except (OSError, smtplib.SMTPException) as error:
            server.close()
            return Failed(f"no answer ({type(error).__name__})", may_have_gone=True)
        return Sent()

    def _mail(self, message: OutgoingMessage, address: Address) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self.sender
        mail["To"] = address
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = f"<{message.message_id}@{self.sender.rpartition('@')[2]}>"
        mail["Idempotency-Key"] = str(message.message_id)
        mail["Auto-Submitted"] = "auto-generated"
        mail["Content-Language"] = message.language
        mail.set_content(message.text)
        mail.add_alternative(_page(message), subtype="html")
        return mail


def _page(message: OutgoingMessage) -> str:
    return (
        f'<!DOCTYPE html><html lang="{escape(message.language)}" dir="{escape(message.direction)}">'
        f'<head><meta charset="utf-8"></head><body><p>{escape(message.text)}</p></body></html>'
    )


def _address(said: str | None) -> Address | None:
    """Read an address; None for what is none, and for what would be more than one line or address."""
    try:
        address = Address(addr_spec=said or "")
    except Exception:  # noqa: BLE001 - its parser fails in many ways on what is no address
        return None
    is_usable = address.username and address.domain and address.addr_spec.isascii()
    return address if is_usable and address.addr_spec.isprintable() else None


def _refused(what: str, code: int) -> Failed:
    if _TRANSIENT <= code < _PERMANENT:
        return Failed(f"the mail server put the {what} off ({code})")
    return Failed(f"the mail server refused the {what} ({code})", is_permanent=True)
