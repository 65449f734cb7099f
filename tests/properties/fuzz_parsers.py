"""The program that atheris drives: bytes in, signals or the one error out.

``python -m tests.properties.fuzz_parsers CORPUS_DIRECTORY`` runs it without end.

The first byte chooses the provider, the rest is the message; recorded messages are the corpus.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import atheris

with atheris.instrument_imports(include=["oms_topology.events"]):
    from oms_topology.errors import SignalParseError
    from oms_topology.events import parse, parse_many
    from oms_topology.events.parsed_form import parsed_form

SOURCES = ("scada", "onu", "kaifa", "call_center")
PAYLOADS = Path(__file__).parents[1] / "payloads"
RECEIVED = datetime(2025, 10, 1, 12, tzinfo=UTC)


def one_message(message: bytes) -> None:
    """Parse it; whatever but the one error escapes, atheris reports."""
    source = SOURCES[message[0] % len(SOURCES)] if message else "onu"
    for payload in (message[1:], message[1:].decode("utf-8", "replace")):
        many = parse_many(source, [payload], received_at=RECEIVED, zone=ZoneInfo("UTC"))
        try:
            signals = parse(source, payload, received_at=RECEIVED)
        except SignalParseError:
            assert many.refused
            continue
        assert len(many.forms) == len(signals)
        assert signals
        assert all(parsed_form(signal)["occurred_at"] for signal in signals)


def write_corpus(directory: Path) -> None:
    """Write the recorded messages, each behind the byte of its provider."""
    for path in PAYLOADS.iterdir():
        name = path.name.replace("callcenter", "call_center")
        number = next((n for n, source in enumerate(SOURCES) if name.startswith(source)), 0)
        (directory / path.name).write_bytes(bytes([number]) + path.read_bytes())


if __name__ == "__main__":
    write_corpus(Path(sys.argv[-1]))
    atheris.Setup(sys.argv, one_message)
    atheris.Fuzz()
