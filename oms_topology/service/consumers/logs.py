"""Log lines as JSON objects, one a line, without messages' contents."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

__all__ = ["JsonFormatter", "log_as_json"]

# Only these extras are written: what a message holds, and personal data, has no name here.
_TOLD: Final = (
    "provider", "partition", "partitions", "offset", "error", "sqlstate", "attempts", "delay_s", "port",
    "channel", "queued", "sent", "put_off", "given_up",
)  # fmt: skip


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object.

    Examples
    --------
    >>> record = logging.LogRecord("oms_topology.x", logging.INFO, "x.py", 1, "partitions assigned", (), None)
    >>> record.partitions, record.payload, record.created = [0, 2], "secret", 0.0
    >>> JsonFormatter().format(record)[:66]
    '{"at": "1970-01-01T00:00:00.000Z", "level": "info", "logger": "oms'
    >>> JsonFormatter().format(record)[66:]
    '_topology.x", "event": "partitions assigned", "partitions": [0, 2]}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the line; an exception is told by its type and the place it came from, never by its text."""
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _TOLD if hasattr(record, name)}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["place"] = _place(record.exc_info[2])
        return json.dumps(line, default=str)


def log_as_json(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send the library's log to a stream, as JSON lines; by default to the standard error."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("oms_topology")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def _place(trace: Any) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace is not None else ""
