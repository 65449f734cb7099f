"""All four providers through the broker, and the same from a recording: one and the same state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from oms_topology import Topology
from oms_topology.cli.app import app
from oms_topology.service.consumers.settings import STREAMS
from tests.acceptance.final_state import final_state
from tests.acceptance.provider_streams import TOWN, ProviderStreams
from tests.service.consumers.members import Trial, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from oms_topology.persistence.database import Database


@pytest.mark.slow
def test_one_process_takes_all_sources_in_as_a_replay_of_the_recording_does(
    trial: Trial, database_factory: Callable[..., Database], tmp_path: Path
) -> None:
    recorded = database_factory(upgraded=True)
    for target in (trial.database, recorded):
        target.store_network(Topology.from_text(TOWN))
    streams = ProviderStreams(7)
    messages = {provider: streams.some(provider, 60) for provider in STREAMS}
    for provider, payloads in messages.items():
        trial.send(provider, payloads)
    member = trial.start("all")
    for provider in STREAMS:
        wait_until(lambda name=provider: trial.is_done(name), what=f"taking {provider} in")
    told = json.loads(member.ask("/health/ready")[1])["sources"]
    assert set(told) == set(STREAMS)
    log = member.stop()
    assert {line["provider"] for line in log if line["event"] == "partitions assigned"} == set(STREAMS)
    assert "+962" not in json.dumps(log)

    recording = tmp_path / "day.jsonl"
    recording.write_bytes(b"\n".join(line(*said) for said in in_turn(messages)))
    replayed = CliRunner().invoke(
        app, ["events", "replay", str(recording), "--json", "--batch-messages", "50",
              "--database", recorded.engine.url.render_as_string(hide_password=False)],
    )  # fmt: skip
    assert replayed.exit_code == 1, replayed.stderr  # the useless ones are among the dead letters
    counted = json.loads(replayed.stdout)
    assert counted["messages"] == 240
    assert counted["recorded"] + counted["duplicates"] + counted["dead_letters"] == 240
    assert without_payloads(final_state(trial.database)) == without_payloads(final_state(recorded))


def in_turn(messages: dict[str, list[bytes]]) -> list[tuple[str, bytes]]:
    turns = zip(*messages.values(), strict=True)
    return [said for turn in turns for said in zip(messages, turn, strict=True)]


def line(provider: str, payload: bytes) -> bytes:
    return json.dumps({"source": provider, "payload": json.loads(payload)}).encode()


def without_payloads(state: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    # A recording keeps the values of a message, and not how it was spaced.
    return state | {"dead letters": sorted(letter[:3] for letter in state["dead letters"])}  # type: ignore[type-var]
