"""The pipeline around its one call: explaining, following the network, keeping the audit short."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oms_topology import Pipeline
from oms_topology.errors import SchemaVersionError, StoreUnavailableError, UnknownDeviceError
from oms_topology.events import parse
from tests.acceptance.scada_grid import Grid, at, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database)


@pytest.fixture
def pipeline(grid: Grid) -> Iterator[Pipeline]:
    with Pipeline(grid.database) as opened:
        yield opened


def test_a_database_that_was_never_upgraded_is_refused(empty_database: Database) -> None:
    with pytest.raises(SchemaVersionError, match="oms-topology db upgrade"):
        Pipeline(empty_database)


def test_a_database_that_cannot_be_reached_may_be_tried_again() -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        Pipeline("postgresql://nobody@/oms?host=/nowhere")
    assert caught.value.is_transient


def test_a_pipeline_opens_and_closes_a_database_given_by_its_address(grid: Grid) -> None:
    address = grid.database.engine.url.render_as_string(hide_password=False)
    with Pipeline(address) as pipeline:
        assert pipeline.handle("scada", event(feeder="F2")).offline_meters == 2
    with Pipeline(grid.database.engine) as pipeline:
        assert pipeline.handle("scada", event(feeder="F2")).duplicate


def test_a_closed_pipeline_leaves_a_database_that_was_handed_in_open(grid: Grid) -> None:
    with Pipeline(grid.database) as pipeline:
        pipeline.handle("scada", event(feeder="F2"))
    assert grid.off() == ["M6", "M7"]


def test_an_unknown_source_is_put_aside(grid: Grid, pipeline: Pipeline) -> None:
    receipt = pipeline.handle("semaphore", b"{}")
    known = "scada, onu, kaifa, call_center"
    assert receipt.dead_letter_reason == f"source: no parser for this source; known: {known}"
    assert grid.rows("SELECT source, field FROM oms_topology.dead_letter") == [("semaphore", "source")]


def test_the_topology_follows_the_tables(grid: Grid, pipeline: Pipeline) -> None:
    before = pipeline.topology
    assert sorted(before.downstream("F2")) == ["M6", "M7"]
    assert pipeline.topology is before
    grid.rows(
        "INSERT INTO oms_meters (meter_number, feeder_id)"
        " SELECT 'M10', id FROM network_feeders WHERE feeder_id = 'F2'"
    )
    assert sorted(pipeline.topology.downstream("F2")) == ["M10", "M6", "M7"]


def test_the_impact_of_a_signal_is_what_hangs_below_its_device(pipeline: Pipeline) -> None:
    (signal,) = parse("scada", event(feeder="F2"))
    impact = pipeline.impact(signal)
    assert impact is not None
    assert sorted(impact.lost) == ["M6", "M7"]
    (elsewhere,) = parse("scada", event(feeder="F99"))
    assert pipeline.impact(elsewhere) is None


def test_a_meter_that_nothing_was_said_of_is_explained_as_that(pipeline: Pipeline) -> None:
    told = pipeline.explain("M8")
    assert (told.power_status, told.since, told.evidence, told.outages) == ("unknown", None, (), ())
    assert "nothing that bears on its power" in told.reason


def test_an_unknown_meter_is_an_error(pipeline: Pipeline) -> None:
    with pytest.raises(UnknownDeviceError, match="M404"):
        pipeline.explain("M404")


def test_a_trip_is_explained_by_the_device_and_its_outage(grid: Grid, pipeline: Pipeline) -> None:
    receipt = pipeline.handle("scada", event(feeder="F2"))
    told = pipeline.explain("M6")
    assert (told.power_status, told.since) == ("off", at(0))
    assert told.reason.startswith("a device above it reports that it is de-energised")
    assert [(e.subject, e.says, e.at, e.source) for e in told.evidence] == [
        ("feeder F2", "off", at(0), "scada")
    ]
    assert told.outages == (
        grid.value("SELECT event_id FROM oms_outage_events WHERE id = :id", id=receipt.outage_event_id),
    )
    assert str(told).splitlines()[0] == f"Meter M6 is off since {at(0).isoformat()}: {told.reason}"


def test_a_meter_with_two_supplies_is_explained_by_both(pipeline: Pipeline) -> None:
    pipeline.handle("scada", event(feeder="F1"))
    pipeline.handle("scada", event(feeder="F3", substation="SS2", minute=1))
    told = pipeline.explain("M1")
    assert {e.subject for e in told.evidence} == {"feeder F1", "feeder F3"}
    assert len(told.outages) == 2


def test_a_meters_own_reports_are_explained_with_their_provider(grid: Grid, pipeline: Pipeline) -> None:
    grid.say(["M6"], "off", 0, event_id="onu_1")
    told = pipeline.explain("M6")
    assert told.reason.startswith("the meter itself reported loss")
    assert [(e.subject, e.says, e.source, e.source_event_id) for e in told.evidence] == [
        ("meter M6", "off", "onu", "onu_1")
    ]
    pipeline.handle("scada", event(feeder="F2", minute=1))
    grid.say(["M6"], "on", 2, event_id="onu_2")
    assert "reported power after the device above it" in pipeline.explain("M6").reason
    pipeline.handle("scada", event(feeder="F2", minute=3, alarm="Energized"))
    assert "says that it has power" in pipeline.explain("M6").reason


def test_what_an_old_service_did_is_explained_as_that(grid: Grid, pipeline: Pipeline) -> None:
    grid.rows("UPDATE oms_meters SET power_status = 'off' WHERE meter_number = 'M6'")
    told = pipeline.explain("M6")
    assert told.reason.startswith("an old service set it to off")
    assert [(e.subject, e.says, e.source) for e in told.evidence] == [("meter M6", "off", "system")]


def test_the_audit_is_sealed_and_read_as_one(grid: Grid, pipeline: Pipeline) -> None:
    pipeline.handle("scada", event(feeder="F2"))
    assert pipeline._store.maintain(min_bytes=1) == 2  # the audit, and which meters each event concerned
    assert grid.column("SELECT is_indexed FROM oms_topology.audit_seal") == [True, True]
    assert len(grid.audit("M6")) == 1
    assert grid.value("SELECT count(*) FROM scada_event_affected_meters") == 2
    pipeline.handle("scada", event(feeder="F2", minute=5, alarm="Energized"))
    pipeline.handle("scada", event(feeder="F2", minute=3, alarm="Energized"))
    assert sorted(row[2:] for row in grid.audit("M6")) == [
        ("off", "on", at(5)),
        ("on", "on", at(3)),  # what a late report brings stands beside what held when it came
        ("on", "on", at(5)),
        ("unknown", "off", at(0)),
    ]
    history = grid.rows(
        "SELECT h.previous_status, h.new_status, h.event_timestamp FROM oms_topology.meter_power_history h"
        " JOIN oms_meters m ON m.id = h.meter_id WHERE m.meter_number = 'M6' ORDER BY 3"
    )
    assert history == [(None, "off", at(0)), ("off", "on", at(3))]
    assert pipeline._store.maintain(min_bytes=10**9) == 0


def test_the_pipeline_maintains_the_audit_by_itself(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed: list[int] = []
    monkeypatch.setattr("oms_topology.service.pipeline._MAINTAIN_EVERY_METERS", 4)
    with Pipeline(grid.database) as pipeline:
        seal = pipeline._store.maintain
        monkeypatch.setattr(pipeline._store, "maintain", lambda: sealed.append(seal(min_bytes=1)))
        pipeline.handle("scada", event(feeder="F2"))
        assert sealed == []
        pipeline.handle("scada", event(feeder="F2", minute=1, alarm="Energized"))
        assert sealed == [2]


def test_judging_a_meter_twice_for_one_signal_is_no_update_by_an_old_service(grid: Grid) -> None:
    grid.say(["M6"], "on", 0)
    grid.rows(
        "WITH said AS (UPDATE oms_topology.meter_report SET power_status = 'off'"
        "              WHERE source = 'onu' RETURNING meter_no, occurred_at, signal_no)"
        " SELECT oms_topology.reassess_meters(ARRAY[meter_no], occurred_at, signal_no) FROM said"
    )
    grid.rows(
        "SELECT oms_topology.reassess_meters(ARRAY[meter_no], occurred_at, signal_no)"
        " FROM oms_topology.meter_report WHERE source = 'onu'"
    )
    assert grid.off() == ["M6"]
    assert grid.rows("SELECT count(*) FROM oms_topology.signal WHERE source = 'system'") == [(0,)]
