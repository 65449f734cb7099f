"""How messages go out: what a sender is, and the two that are shipped."""

from __future__ import annotations

from oms_topology.service.senders.sending import (
    Failed,
    OutgoingMessage,
    Sender,
    SenderUnavailableError,
    Sent,
)
from oms_topology.service.senders.smtp import SmtpSender
from oms_topology.service.senders.texts import MessageTexts
from oms_topology.service.senders.webhook import WebhookSender

__all__ = [
    "Failed",
    "MessageTexts",
    "OutgoingMessage",
    "Sender",
    "SenderUnavailableError",
    "Sent",
    "SmtpSender",
    "WebhookSender",
]
