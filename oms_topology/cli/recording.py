"""The recorded messages that come with the package, step by step of the demo's story."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from oms_topology.errors import TopologyError

__all__ = ["Message", "load_recording", "recorded_samples"]

Message = tuple[str, dict[str, Any]]
"""A message's source and payload."""


def recorded_samples() -> tuple[str, ...]:
    """Name the sample networks that a recording comes with, sorted.

    Examples
    --------
    >>> recorded_samples()
    ('ieee9500', 'lv_schutterwald')
    """
    folder = files("oms_topology.cli") / "recorded"
    return tuple(
        sorted(file.name.removesuffix(".jsonl") for file in folder.iterdir() if file.name.endswith(".jsonl"))
    )


def load_recording(sample: str) -> dict[str, list[Message]]:
    """Read the messages recorded for a sample network, by step, in the order in which they came.

    Raises
    ------
    TopologyError
        There is no recording for this network.

    Examples
    --------
    >>> {step: len(messages) for step, messages in load_recording("ieee9500").items()}
    {'in_service': 3, 'trip': 1, 'redelivery': 1, 'last_gasps': 8, 'restoration': 1, 'own_reports': 8}
    """
    if sample not in recorded_samples():
        raise TopologyError(
            f"There are no recorded messages for {sample!r}; there are for: {', '.join(recorded_samples())}."
        )
    text = (files("oms_topology.cli") / "recorded" / f"{sample}.jsonl").read_text(encoding="utf-8")
    steps: dict[str, list[Message]] = {}
    for line in text.splitlines():
        record = json.loads(line)
        steps.setdefault(record["step"], []).append((record["source"], record["payload"]))
    return steps
