"""A small HTTP server that says whether the consumers live, whether they work, and what they did."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from oms_topology.service.consumers.metrics import ConsumerMetrics, LoopMetrics

__all__ = ["HealthServer"]

# The broker gives the partitions of a member that has not asked for so long to others.
_STUCK_AFTER_S: Final = 300.0


class HealthServer:
    """Answers ``/health/live``, ``/health/ready`` and ``/metrics``, from its own threads.

    Live is 200 while every consumer's loop goes round, whatever the state of database and broker: restarting
    would help neither. Ready is 200 while both can be reached. Else either is 503. The answer names each
    consumer with what it waits for.

    Parameters
    ----------
    metrics : ConsumerMetrics
        What to tell of.
    host : str
        The address to listen on.
    port : int
        0 for any free one.

    Raises
    ------
    OSError
        The address is not free.
    """

    def __init__(self, metrics: ConsumerMetrics, host: str, port: int) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(metrics))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _handler(metrics: ConsumerMetrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
            elif self.path in ("/health/live", "/health/ready"):
                told = {name: _state(loop) for name, loop in tuple(metrics.loops.items())}
                question = "is_live" if self.path.endswith("live") else "is_ready"
                is_well = bool(told) and all(state[question] for state in told.values())
                body = json.dumps({"sources": told}).encode()
                self._answer(200 if is_well else 503, body, "application/json")
            else:
                self._answer(404, b"", "text/plain")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is inherited
            """Leave probes out of the log."""

    return Handler


def _state(loop: LoopMetrics) -> dict[str, Any]:
    is_live = time.monotonic() - loop.turned_at < _STUCK_AFTER_S
    return {
        "is_live": is_live,
        "is_ready": is_live and loop.is_connected and not loop.is_paused,
        "broker_connected": loop.is_connected,
        "waits_for_database": loop.is_paused,
        "lag_messages": sum(loop.lag.values()),
    }
