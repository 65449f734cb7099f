"""Messages parsed per second and core, of every provider and form: ``python -m benchmarks.events.parse``.

From bytes to all that the database is handed, in batches of 500 (``parse_many``); the same without its quick
readers; only to a signal (``parse``); and what decoders take that know nothing of events: msgspec for JSON,
expat for XML. No two messages of a form are alike: ids, meters and times differ.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch
from xml.etree.ElementTree import XML
from zoneinfo import ZoneInfo

import msgspec

from oms_topology.events import batch, parse, parse_many

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOADS = Path(__file__).parents[2] / "tests" / "payloads"
FORMS = (
    ("onu", "onu_last_gasp.function.json"),
    ("onu", "onu_last_gasp.kafka.json"),
    ("onu", "onu_last_gasp_via_gateway.kafka.json"),
    ("call_center", "callcenter_intake.kafka.json"),
    ("call_center", "callcenter_ticket_via_gateway.kafka.json"),
    ("scada", "scada_loss_of_voltage.kafka.json"),
    ("kaifa", "kaifa_power_outage.function.json"),
    ("kaifa", "kaifa_power_outage.kafka.json"),
    ("kaifa", "kaifa_power_outage.soap.xml"),
)
RECEIVED = datetime(2025, 10, 1, 12, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
BATCH = 500
# What differs from one message to the next, wherever it stands in the recorded ones.
_IDS = ("9100001", "90000001", "1759305725000", "1759305744528", "1759305791516", "00Z901")


def main() -> None:
    """Print medians of several rounds, in processor time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few messages: that it runs, not how fast")
    messages, rounds = (BATCH, 3) if parser.parse_args().quick else (10 * BATCH, 9)
    print(f"{'form':42} {'parse_many':>12} {'us':>6} {'not quickly':>12} {'parse':>8} {'decoder alone':>14}")
    for source, name in FORMS:
        payloads = [_message(name, number) for number in range(messages)]
        ways = (
            partial(_batches, source, payloads),
            partial(_not_quickly, source, payloads),
            partial(_singly, source, payloads),
            partial(_decoded, payloads),
        )
        seconds: list[list[float]] = [[] for _ in ways]
        for _ in range(rounds):  # side by side, so that all see the same machine
            for taken, way in zip(seconds, ways, strict=True):
                taken.append(_round(way))
        many, slow, one, alone = (statistics.median(taken) / messages for taken in seconds)
        print(f"{name:42} {1 / many:12,.0f} {many * 1e6:6.1f} {1 / slow:12,.0f}", end="")
        print(f" {1 / one:8,.0f} {1 / alone:14,.0f}")


def _message(name: str, number: int) -> bytes:
    text = (PAYLOADS / name).read_text()
    if name.endswith("json"):  # as it is on the wire, without the indentation of the samples
        text = json.dumps(json.loads(text), ensure_ascii=False)
    for known in _IDS:
        text = text.replace(known, str(10 ** (len(known) - 1) + number))
    return text.replace("T08:0", f"T0{number % 8}:{number // 8 % 6}").encode()


def _batches(source: str, payloads: list[bytes]) -> None:
    for start in range(0, len(payloads), BATCH):
        some = payloads[start : start + BATCH]
        parsed = parse_many(source, some, received_at=RECEIVED, zone=UTC_ZONE)
        assert len(parsed.forms) == len(some)
        assert parsed.json


def _not_quickly(source: str, payloads: list[bytes]) -> None:
    with patch.object(batch, "READERS", {}):
        _batches(source, payloads)


def _singly(source: str, payloads: list[bytes]) -> None:
    for payload in payloads:
        parse(source, payload, received_at=RECEIVED, zone=UTC_ZONE)


def _decoded(payloads: list[bytes]) -> None:
    decode: Callable[[bytes], object] = XML if payloads[0][:1] == b"<" else msgspec.json.decode
    for payload in payloads:
        decode(payload)


def _round(way: Callable[[], None]) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        way()
        return time.process_time() - start
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
