"""Messages parsed per second and core, of every provider and form: ``python -m benchmarks.events.parse``."""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from oms_topology.events import parse

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


def main() -> None:
    """Print the median and the best of several rounds, in processor time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few messages: that it runs, not how fast")
    messages, rounds = (200, 3) if parser.parse_args().quick else (20_000, 9)
    print(f"{'form':48} {'median/s':>10} {'best/s':>10} {'us':>7}")
    for source, name in FORMS:
        payload = (PAYLOADS / name).read_bytes()
        if name.endswith("json"):  # as it is on the wire, without the indentation of the samples
            payload = json.dumps(json.loads(payload), ensure_ascii=False).encode()
        assert parse(source, payload, received_at=RECEIVED)
        seconds = sorted(_round(source, payload, messages) for _ in range(rounds))
        median = statistics.median(seconds) / messages
        print(f"{name:48} {1 / median:10,.0f} {messages / seconds[0]:10,.0f} {median * 1e6:7.1f}")


def _round(source: str, payload: bytes, messages: int) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        for _ in range(messages):
            parse(source, payload, received_at=RECEIVED)
        return time.process_time() - start
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
