"""The sweep concludes at each instant what an assessment from scratch does, on drawn networks."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from oms_topology.graph.topology import Topology
from oms_topology.model import CommunicationStatus, DeviceKind, DeviceReference, PowerStatus, Source
from oms_topology.model.signal import frozen_signal
from oms_topology.outages.assessing import KnownEquipment
from oms_topology.outages.course import course_of, follow
from oms_topology.outages.forest import SupplyForest
from oms_topology.outages.histories import CourseLimits
from oms_topology.outages.rates import EvidenceRates, ReportKind
from oms_topology.outages.recovery import Told
from oms_topology.outages.reports import read_reports
from oms_topology.outages.sweeping import Sweep
from oms_topology.outages.tracking import Stage
from tests.outages.stepwise import Stepwise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oms_topology.model import Signal
    from oms_topology.outages.assessment import ConcludedOutage
    from oms_topology.outages.losses import PlannedWindow
    from oms_topology.outages.reports import Report
    from oms_topology.outages.tracking import Tracks

START = datetime(2025, 10, 1, 8, 0, tzinfo=UTC)
EXAMPLES = int(os.environ.get("OMS_COURSE_EXAMPLES", "40"))
METER_SOURCES = (Source.KAIFA, Source.ONU, Source.CALL_CENTER)


def signal(device: DeviceReference, source: Source, seconds: int, said: str) -> Signal:
    power = {"off": PowerStatus.OFF, "on": PowerStatus.ON}.get(said, PowerStatus.UNKNOWN)
    reached = {"silent": CommunicationStatus.OFFLINE, "reached": CommunicationStatus.ONLINE}
    return frozen_signal(
        source=source,
        source_event_id=f"{device}-{source.value}-{seconds}-{said}",
        content_hash=said,
        device=device,
        power_status=power,
        communication_status=reached.get(said, CommunicationStatus.UNKNOWN),
        occurred_at=START + timedelta(seconds=seconds),
        received_at=START + timedelta(days=1),
        sent_at=None,
        time_is_sound=seconds % 17 != 0,
        reported_at=None,
        details={},
        payload={},
        findings=(),
        meter_numbers=(device.code,) if device.kind is DeviceKind.METER else (),
        is_evidence_only=source is Source.CALL_CENTER,
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[SupplyForest, list[Signal]]:
    feeders = draw(st.integers(1, 3))
    parts, meters, devices = [], 0, [("substation", "SS1")]
    for feeder in range(feeders):
        devices.append(("feeder", f"F{feeder}"))
        for point in range(draw(st.integers(1, 3))):
            count = draw(st.integers(1, 5))
            code = f"DP{feeder}{point}"
            devices.append(("distribution_point", code))
            parts.append(f"SS{feeder // 2 + 1} > F{feeder} > {code} > M{meters}..M{meters + count - 1}")
            meters += count
    times = st.one_of(
        st.integers(0, 240), st.integers(0, 6 * 3600), st.integers(0, 30).map(lambda n: 600 * n)
    )
    words: list[Signal] = []
    for _ in range(draw(st.integers(0, 4))):
        low = draw(st.integers(0, meters - 1))
        seconds, source = draw(times), draw(st.sampled_from(METER_SOURCES))
        said = (
            "off" if source is Source.CALL_CENTER else draw(st.sampled_from(("off", "off", "on", "silent")))
        )
        for number in range(low, min(meters, low + draw(st.integers(1, 8)))):
            gap = draw(st.integers(0, 40))
            words.append(signal(DeviceReference(DeviceKind.METER, f"M{number}"), source, seconds + gap, said))
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.integers(0, 3)):
            number = draw(st.integers(0, meters - 1))
            source = draw(st.sampled_from(METER_SOURCES))
            kinds = ("off",) if source is Source.CALL_CENTER else ("off", "on", "on", "reached", "silent")
            meter = DeviceReference(DeviceKind.METER, f"M{number}")
            words.append(signal(meter, source, draw(times), draw(st.sampled_from(kinds))))
        else:
            kind, code = draw(st.sampled_from(devices))
            device = DeviceReference(DeviceKind(kind), code)
            words.append(signal(device, Source.SCADA, draw(times), draw(st.sampled_from(("off", "on")))))
    return SupplyForest.of(Topology.from_text("; ".join(parts))), words


@st.composite
def circumstances(draw: st.DrawFn) -> KnownEquipment:
    if not draw(st.booleans()):
        return KnownEquipment()
    numbers = [f"M{number}" for number in range(45)]
    return KnownEquipment(
        equipped={ReportKind.ONU_LOSS: numbers[::2], ReportKind.SILENCE: numbers[:20]},
        collectors=dict.fromkeys(numbers[:10], "OLT1") if draw(st.booleans()) else None,
        wrong_mapping={"M3": 0.3},
    )


class Both:
    """The sweep, held against the reference whenever it is asked."""

    def __init__(self, sweep: Sweep, reference: Stepwise) -> None:
        self._sweep, self._reference = sweep, reference
        self.blamed: list[int] = []

    def advance(
        self, at: datetime, heard: Sequence[Report], lapsed: Sequence[tuple[datetime, int]]
    ) -> list[int]:
        before = self.blamed
        found = self._same(self._sweep.advance(at, heard, lapsed), self._reference.advance(at, heard, lapsed))
        for node in before:
            self.outage_before(node)
        return found

    def explain(self, windows: Sequence[PlannedWindow]) -> list[int]:
        return self._same(self._sweep.explain(windows), self._reference.explain(windows))

    def forget(self, window: PlannedWindow) -> None:
        self._sweep.forget(window)
        self._reference.forget(window)

    def start(self, node: int) -> datetime:
        assert self._sweep.start(node) == self._reference.start(node)
        return self._sweep.start(node)

    def outage(self, node: int) -> ConcludedOutage:
        assert self._sweep.outage(node) == self._reference.outage(node)
        return self._sweep.outage(node)

    def outage_before(self, node: int) -> ConcludedOutage:
        assert self._sweep.outage_before(node) == self._reference.outage_before(node)
        return self._sweep.outage_before(node)

    def _same(self, found: list[int], expected: list[int]) -> list[int]:
        assert found == expected
        self.blamed = found
        for node in found:
            self.start(node)
            self.outage(node)
        return found


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), circumstances(), st.booleans())
def test_the_sweep_blames_and_dates_as_an_assessment_from_scratch(
    case: tuple[SupplyForest, list[Signal]], equipment: KnownEquipment, is_planned: bool
) -> None:
    forest, signals = case
    rates, at = EvidenceRates(), START + timedelta(hours=7)
    told = Told(read_reports(signals, forest)[0], forest)
    planned = [(1, START + timedelta(seconds=30), START + timedelta(minutes=20))] if is_planned else []
    sweep, reference = (make(told, rates, equipment, planned) for make in (Sweep, Stepwise))
    both = Both(sweep, reference)
    tracks = follow(told, both, rates, CourseLimits(), at)
    assert {track.node for track in tracks.open.values()} >= set(both.blamed) - _hidden(forest, tracks)


def _hidden(forest: SupplyForest, tracks: Tracks) -> set[int]:
    """Blamed nodes that are no outage of their own: part of one above that is partly back."""
    held = [track.node for track in tracks.open.values() if track.stage is Stage.PARTLY_BACK]
    return {node for node in range(len(forest)) if any(forest.is_below(node, top) for top in held)}


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.randoms(use_true_random=False), st.integers(0, 7))
def test_a_course_is_sound_and_knows_no_order(
    case: tuple[SupplyForest, list[Signal]], rng: object, hours: int
) -> None:
    forest, signals = case
    at = START + timedelta(hours=hours)
    found = course_of(signals, forest, at=at)
    mixed = [*signals, *signals[::3]]
    rng.shuffle(mixed)  # type: ignore[attr-defined]
    assert course_of(mixed, forest, at=at) == found
    keys = [(each.device, each.started_at) for each in (*found.outages, *found.superseded)]
    assert len(set(keys)) == len(keys)
    for outage in found.outages:
        assert outage.started_at <= (outage.ended_at or at)
        assert outage.verified_at is None or not outage.still_dark
        assert outage.surfaced_from is None or outage.surfaced_from[1] == outage.started_at
    for gone in found.superseded:
        assert gone.stood_from < gone.withdrawn_at
        assert gone.into is None or gone.into in keys
