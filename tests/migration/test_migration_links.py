"""Links of the migration beside those that somebody made: which rule, how sure, which are never touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.migration.small_registry import AMMAN, AQABA, Registry, near

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database


@pytest.fixture
def registry(database: Database) -> Registry:
    made = Registry(database)
    made.substation("S1", AMMAN)
    made.substation("S2", near(AMMAN, east_m=3_000))
    made.feeder("F1", "S1", near(AMMAN, east_m=200))
    made.feeder("F2", "S2", near(AMMAN, east_m=2_800))
    made.point("D1", "F1", near(AMMAN, east_m=400), building="B1")
    made.point("D2", "F2", near(AMMAN, east_m=2_600))
    return made


def mappings(registry: Registry) -> list[tuple[str, str | None, int]]:
    rows = registry.run(
        "SELECT s.substation_id, f.feeder_id, x.priority FROM network_substation_meters x"
        " JOIN network_substations s ON s.id = x.substation_id LEFT JOIN network_feeders f ON f.id"
        " = x.feeder_id"
        " ORDER BY 1"
    )
    return [tuple(row) for row in rows]


def test_building_then_nearest_point_and_feeder_and_substation_follow(registry: Registry) -> None:
    registry.onu_meter("M1001", at=near(AMMAN, east_m=2_610), building=" b1")
    registry.onu_meter("M1002", at=near(AMMAN, east_m=2_500))
    registry.onu_meter("M1003", at=near(AMMAN, east_m=1_400))
    registry.database.migrate_legacy()
    assert registry.placed("M1001")[:3] == ("S1", "F1", "D1")
    assert (registry.link("M1001", "distribution_point").rule, registry.link("M1001", "feeder").rule) == (
        "building",
        "distribution_point",
    )
    assert registry.placed("M1002")[:3] == ("S2", "F2", "D2")
    assert registry.link("M1002", "distribution_point").distance_m == pytest.approx(100, rel=0.01)
    # Too far from any distribution point: the nearest substation, and the nearest of its feeders.
    assert registry.placed("M1003")[:3] == ("S1", "F1", None)
    assert registry.link("M1003", "feeder").distance_m == pytest.approx(1_200, rel=0.01)
    assert registry.link("M1003", "substation").confidence < registry.link("M1002", "feeder").confidence


def test_what_somebody_linked_stays_and_is_reported_when_it_is_far(registry: Registry) -> None:
    registry.run(
        "INSERT INTO oms_meters (meter_number, substation_id, location_lng, location_lat)"
        " SELECT 'M1001', id, :x, :y FROM network_substations WHERE substation_id ="
        " 'S2'", x=AQABA[0], y=AQABA[1],
    )  # fmt: skip
    registry.run(
        "INSERT INTO oms_meters (meter_number, feeder_id, location_lng, location_lat)"
        " SELECT 'M1002', id, :x, :y FROM network_feeders WHERE feeder_id = 'F2'",
        x=near(AMMAN, east_m=401)[0], y=AMMAN[1],
    )  # fmt: skip
    report = registry.database.migrate_legacy()
    assert registry.placed("M1001")[0] == "S2"
    assert "link_beyond_limit" in {finding.rule for finding in report.findings}
    # The feeder was given: its substation follows, and no distribution point of another feeder is taken.
    assert registry.placed("M1002")[:3] == ("S2", "F2", None)
    assert registry.link("M1002", "distribution_point").status == "too_far"
    assert registry.link("M1001", "substation") is None


def test_a_link_corrected_by_hand_is_explicit_from_then_on(registry: Registry) -> None:
    registry.onu_meter("M1001", at=near(AMMAN, east_m=1_400))
    registry.database.migrate_legacy()
    assert registry.placed("M1001")[:2] == ("S1", "F1")
    registry.run(
        "UPDATE oms_meters SET feeder_id = f.id, substation_id = f.substation_id FROM network_feeders f"
        " WHERE f.feeder_id = 'F2'"
    )
    registry.database.migrate_legacy()
    assert registry.placed("M1001")[:2] == ("S2", "F2")
    assert registry.link("M1001", "feeder") is None
    assert registry.link("M1001", "substation") is None


def test_a_meter_that_moved_is_linked_anew_with_its_mappings(registry: Registry) -> None:
    registry.onu_meter("M1001", at=near(AMMAN, east_m=410))
    registry.database.migrate_legacy()
    assert registry.placed("M1001")[:3] == ("S1", "F1", "D1")
    assert mappings(registry) == [("S1", "F1", 2)]
    at = near(AMMAN, east_m=2_590)
    registry.run("UPDATE oms_meters SET location_lng = :x, location_lat = :y", x=at[0], y=at[1])
    registry.database.migrate_legacy()
    assert registry.placed("M1001")[:3] == ("S2", "F2", "D2")
    assert mappings(registry) == [("S2", "F2", 2)]
    registry.run("UPDATE oms_meters SET location_lng = :x, location_lat = :y", x=AQABA[0], y=AQABA[1])
    registry.database.migrate_legacy()
    assert registry.placed("M1001")[:3] == (None, None, None)
    assert mappings(registry) == []


def test_a_mapping_is_a_link_and_the_fan_out_of_the_old_script_is_none(registry: Registry) -> None:
    for code in ("S3", "S4", "S5"):
        registry.substation(code, near(AMMAN, north_m=20_000))
    for number in ("M1001", "M1002"):
        registry.run("INSERT INTO oms_meters (meter_number) VALUES (:number)", number=number)
    registry.run(
        "INSERT INTO network_feeder_meters (feeder_id, meter_id)"
        " SELECT f.id, m.id FROM network_feeders f, oms_meters m WHERE f.feeder_id = 'F2' AND"
        " meter_number = 'M1001'"
    )
    registry.run(
        "INSERT INTO network_substation_meters (substation_id, meter_id, priority)"
        " SELECT s.id, m.id, 3 FROM network_substations s, oms_meters m WHERE meter_number = 'M1002'"
    )
    report = registry.database.migrate_legacy()
    assert registry.placed("M1001")[:2] == ("S2", "F2")
    assert registry.placed("M1002")[:2] == (None, None)
    assert {link.target_kind: link.by_status.get("no_position") for link in report.links}["substation"] == 1


def test_the_network_finds_the_meters_where_they_were_linked(registry: Registry) -> None:
    registry.onu_meter("M1001", at=near(AMMAN, east_m=410))
    registry.onu_meter("M1002", at=near(AMMAN, east_m=2_500))
    registry.database.migrate_legacy()
    network = registry.database.load_network()
    at = dict(
        zip(network.meter_number.tolist(), network.device_code[network.meter_device].tolist(), strict=True)
    )
    assert at == {"M1001": "D1", "M1002": "D2"}


def test_an_ambiguous_customer_is_on_the_work_list_with_the_candidates(registry: Registry) -> None:
    for code in ("C1", "C2"):
        registry.customer(code, at=AMMAN)
    registry.onu_meter("M1001", at=near(AMMAN, east_m=5))
    report = registry.database.migrate_legacy()
    (item,) = [item for item in report.work_list if item.target_kind == "customer"]
    assert (item.meter_number, item.status) == ("M1001", "ambiguous")
    assert [candidate.code for candidate in item.candidates] == ["C1", "C2"]
    assert registry.placed("M1001")[3] is None


def test_a_feeder_is_as_near_as_its_drawn_line(registry: Registry) -> None:
    registry.feeder("F3", "S1")
    registry.onu_meter("M1001", at=near(AMMAN, east_m=-1_500, north_m=30))
    registry.database.migrate_legacy()
    assert registry.placed("M1001")[:2] == ("S1", "F1")
    line = [near(AMMAN, east_m=east_m) for east_m in (0.0, -1_000.0, -2_000.0)]
    registry.run(
        "INSERT INTO oms_topology.feeder_line (feeder_id, line_no, longitudes, latitudes)"
        " SELECT id, 1, :x, :y FROM network_feeders WHERE feeder_id = 'F3'",
        x=[place[0] for place in line],
        y=[place[1] for place in line],
    )
    registry.database.migrate_legacy()
    assert registry.placed("M1001")[:2] == ("S1", "F3")
    assert registry.link("M1001", "feeder").distance_m == pytest.approx(30, abs=0.2)
