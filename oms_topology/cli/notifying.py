"""``oms-topology outages notify``: customers are told of outages, once or for as long as it runs."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads it
from threading import Event
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from oms_topology.cli.common import DatabaseOption, JsonOption, emit_json, opened, screen, table
from oms_topology.service.consumers.logs import log_as_json
from oms_topology.service.notifying import Notifier, NotifierSettings, preview
from oms_topology.service.senders import MessageTexts, SmtpSender, WebhookSender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database
    from oms_topology.service.senders import Sender

__all__ = ["notify"]

_ENV = "OMS_TOPOLOGY_"
_CHANNELS = ("sms", "email", "phone", "app")


def notify(
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until SIGTERM or SIGINT.")] = False,
    sender: Annotated[
        list[str] | None,
        typer.Option(
            envvar=f"{_ENV}SENDERS",
            metavar="NAME",
            show_default="the outbox is filled only",
            help="smtp or webhook; repeatable.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent, and change nothing.")
    ] = False,
    time_zone: Annotated[
        str, typer.Option(envvar=f"{_ENV}LOCAL_ZONE", help="In which customers read times.")
    ] = "UTC",
    texts: Annotated[
        Path | None,
        typer.Option(envvar=f"{_ENV}TEXTS", show_default="those shipped", help="A TOML file of messages."),
    ] = None,
    interval_s: Annotated[
        float,
        typer.Option(envvar=f"{_ENV}NOTIFY_INTERVAL_S", min=0.1, max=3600, help="With --follow: how often."),
    ] = 10.0,
    lease_s: Annotated[
        float,
        typer.Option(
            envvar=f"{_ENV}NOTIFY_LEASE_S", min=1, max=86400, help="After which others take over from a dead."
        ),
    ] = 600.0,
    most_attempts: Annotated[
        int, typer.Option(envvar=f"{_ENV}NOTIFY_ATTEMPTS", min=1, help="Then a message is a dead letter.")
    ] = 8,
    smtp_server: Annotated[
        str | None,
        typer.Option(envvar=f"{_ENV}SMTP_SERVER", metavar="HOST:PORT", show_default=False),
    ] = None,
    smtp_from: Annotated[
        str | None, typer.Option(envvar=f"{_ENV}SMTP_FROM", metavar="ADDRESS", show_default=False)
    ] = None,
    smtp_encryption: Annotated[
        str, typer.Option(envvar=f"{_ENV}SMTP_ENCRYPTION", help="starttls, tls or none.")
    ] = "starttls",
    webhook_url: Annotated[
        str | None, typer.Option(envvar=f"{_ENV}WEBHOOK_URL", metavar="URL", show_default=False)
    ] = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell customers of outages: each once of an outage, of a crew at work, and of its end.

    Secrets come from the environment only: OMS_TOPOLOGY_SMTP_USER, OMS_TOPOLOGY_SMTP_PASSWORD,
    OMS_TOPOLOGY_WEBHOOK_SECRET.
    """
    words = _texts(texts, time_zone)
    senders = [_sender(name, smtp_server, smtp_from, smtp_encryption, webhook_url) for name in sender or []]
    settings = NotifierSettings(interval_s=interval_s, lease_s=lease_s, most_attempts=most_attempts)
    with opened(database, any_version=follow) as target:
        if dry_run:
            _show_preview(target, words, senders, as_json=as_json)
        elif follow:
            log_as_json()
            with _stop_on_signals() as stop:
                Notifier(target, senders, words, settings).run(stop)
        else:
            done = asdict(Notifier(target, senders, words, settings).work())
            if as_json:
                emit_json(done)
            else:
                screen().print(
                    ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in done.items())
                )


def _show_preview(database: Database, words: MessageTexts, senders: list[Sender], *, as_json: bool) -> None:
    channels = [channel for sender in senders for channel in sender.channels] or list(_CHANNELS)
    planned = preview(database, words, channels)
    if as_json:
        emit_json({"messages": planned})
    elif planned:
        rows = [(each.kind, each.channel, each.language, each.text) for each in planned]
        screen().print(table(["kind", "channel", "language", "text"], rows))
    else:
        screen().print("Nobody is to be told anything.")


@contextmanager
def _stop_on_signals() -> Iterator[Event]:
    stop = Event()

    def end(_number: int, _frame: object) -> None:
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _texts(path: Path | None, zone: str) -> MessageTexts:
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(f"no such zone: {zone}", param_hint="--time-zone") from None
    try:
        return MessageTexts.from_file(path, zone=known) if path else MessageTexts(zone=known)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--texts") from None


def _sender(
    name: str, server: str | None, address: str | None, encryption: str, webhook_url: str | None
) -> Sender:
    makers = {
        "smtp": lambda: _smtp_sender(server, address, encryption),
        "webhook": lambda: _webhook_sender(webhook_url),
    }
    if name not in makers:
        raise typer.BadParameter(f"smtp or webhook, not {name}", param_hint="--sender")
    try:
        return makers[name]()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=f"--sender {name}") from None


def _smtp_sender(server: str | None, address: str | None, encryption: str) -> Sender:
    if not server or not address:
        raise typer.BadParameter("needs --smtp-server and --smtp-from", param_hint="--sender smtp")
    host, _, port = server.partition(":")
    return SmtpSender(
        host=host,
        port=int(port or (465 if encryption == "tls" else 587)),
        sender=address,
        encryption=encryption,
        user=os.environ.get(f"{_ENV}SMTP_USER"),
        password=os.environ.get(f"{_ENV}SMTP_PASSWORD"),
    )


def _webhook_sender(url: str | None) -> Sender:
    if not url:
        raise typer.BadParameter("needs --webhook-url", param_hint="--sender webhook")
    return WebhookSender(url=url, secret=os.environ.get(f"{_ENV}WEBHOOK_SECRET", "").encode())
