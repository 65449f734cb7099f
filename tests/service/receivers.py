"""Real receivers of messages: a mail server, and an HTTP gateway."""

from __future__ import annotations

import email.policy
import json
import threading
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from uuid import UUID

from aiosmtpd.controller import Controller

from tests.brokers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Gateway", "Mailbox", "mail_server", "running_gateway"]


class Mailbox:
    """What a mail server does with mail: keeps it, and answers as it is told."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], bytes]] = []
        self.answers: list[str] = []
        self.refused: dict[str, str] = {}

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer == "hang up":
            self.mails.append((envelope.rcpt_tos, envelope.content))
            server.transport.abort()
            return "250 OK"
        if answer.startswith("2"):
            self.mails.append((envelope.rcpt_tos, envelope.content))
        return answer

    def parsed(self) -> list[Any]:
        parser = BytesParser(policy=email.policy.default)
        return [parser.parsebytes(content) for _, content in self.mails]


@contextmanager
def mail_server(mailbox: Mailbox, **options: Any) -> Iterator[int]:
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


class Gateway(ThreadingHTTPServer):
    """A gateway that keeps what it was sent, once per id, and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), GatewayRequest)
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.messages: dict[UUID, dict[str, Any]] = {}
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.got = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/notify?tenant=1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is of no interest."""


class GatewayRequest(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), body))
        status, headers, said = self.server.answers.pop(0) if self.server.answers else (202, {}, b"")
        if status < 300:
            for each in json.loads(body)["messages"]:
                self.server.messages[UUID(each["id"])] = each
        self.server.got.set()
        self.server.may_answer.wait(60)
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""


@contextmanager
def running_gateway() -> Iterator[Gateway]:
    """A gateway that listens, while the context lasts."""
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
