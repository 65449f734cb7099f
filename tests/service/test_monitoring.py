"""What is watched, on a real database: each measure moves with what it measures, each alert has its rule."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import yaml
from typer.testing import CliRunner

from oms_topology.cli.app import app
from oms_topology.persistence.database import Database
from oms_topology.persistence.measures import Measure, read_measures
from oms_topology.service.consumers.metrics import ConsumerMetrics
from oms_topology.service.monitoring.alerts import RULES, alerts_of
from oms_topology.service.monitoring.exporter import METRICS, MeasureServer
from tests.persistence.contract_functions import Grid, payload

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES_FILE = files("oms_topology.service.monitoring") / "alerts.rules.yml"


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database.engine)


@pytest.fixture
def server(grid: Grid) -> Iterator[MeasureServer]:
    with MeasureServer(grid.engine, "127.0.0.1", 0) as made:
        yield made


def measured(grid: Grid, name: str) -> dict[str, float]:
    measures, _ = read_measures(grid.engine)
    return {" ".join(each.labels.values()): each.value for each in measures if each.name == name}


def alerts(grid: Grid) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for alert in alerts_of(*read_measures(grid.engine)):
        found.setdefault(alert.alert, []).append(alert.subject)
    return found


def scraped(server: MeasureServer) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        text: str = answer.read().decode()
    return text


def trip(grid: Grid) -> None:
    message = payload("scada_loss_of_voltage.function")
    grid.call(
        "insert_scada_event_with_meter_check",
        message | {"substationId": "4A00000Z901", "feederId": "F00Z901"},
    )


def test_unknown_meters_are_told_for_the_whole_and_for_each_substation(grid: Grid) -> None:
    grid.run(
        "INSERT INTO network_substations (substation_id, name) VALUES ('SS9', 'East');"
        " INSERT INTO network_feeders (feeder_id, substation_id, name)"
        " SELECT 'F9', id, 'F9' FROM network_substations WHERE substation_id = 'SS9';"
        " INSERT INTO oms_meters (meter_number, feeder_id, power_status, communication_status)"
        " SELECT 'E' || n, f.id, CASE WHEN n > 1 THEN 'on' ELSE 'unknown' END, 'online'"
        " FROM network_feeders f, generate_series(1, 10) n WHERE f.feeder_id = 'F9';"
        " INSERT INTO oms_meters (meter_number, status) VALUES ('GONE', 'inactive')"
    )
    assert measured(grid, "meters") == {"on": 9, "off": 0, "unknown": 6}
    assert measured(grid, "meters_unknown_share") == {"": pytest.approx(6 / 15)}
    assert measured(grid, "substation_meters_unknown_share") == {
        "4A00000Z901": 1.0,
        "SS9": pytest.approx(0.1),
    }
    # A tenth is just not more than a tenth.
    assert alerts(grid) == {"OmsMetersUnknown": [""], "OmsSubstationMetersUnknown": ["4A00000Z901"]}
    grid.run("UPDATE oms_meters SET power_status = 'on' WHERE meter_number LIKE 'M%%'")
    assert alerts(grid) == {}
    grid.run("UPDATE oms_meters SET power_status = NULL WHERE meter_number = 'E2'")
    assert alerts(grid) == {"OmsMetersUnknown": [""], "OmsSubstationMetersUnknown": ["SS9"]}
    grid.run("DELETE FROM oms_topology.monitor_limit WHERE name = 'meters_unknown_share'")
    assert alerts(grid) == {}


def test_an_empty_registry_has_no_share(database: Database) -> None:
    measures, _ = read_measures(database.engine)
    assert {each.name for each in measures if "share" in each.name} == set()
    assert alerts_of(*read_measures(database.engine)) == []


def test_a_substation_without_meters_is_told_while_it_is_active(grid: Grid) -> None:
    grid.run("UPDATE oms_meters SET power_status = 'on'")
    grid.run("INSERT INTO network_substations (substation_id, name) VALUES ('SS0', 'Empty')")
    assert alerts(grid) == {"OmsSubstationWithoutMeters": ["SS0"]}
    grid.run("UPDATE network_substations SET status = 'inactive' WHERE substation_id = 'SS0'")
    assert alerts(grid) == {}


def test_a_check_over_a_second_leaves_a_row_and_others_leave_none(grid: Grid) -> None:
    trip(grid)
    assert measured(grid, "slow_checks") == {"": 0}
    # Somebody holds a meter of the other feeder while it is checked.
    grid.run(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(1.05); RETURN NEW; END $$;"
        " CREATE TRIGGER slow BEFORE UPDATE ON oms_meters FOR EACH STATEMENT EXECUTE FUNCTION slow()"
    )
    message = payload("scada_loss_of_voltage.function")
    grid.call(
        "insert_scada_event_with_meter_check",
        message | {"substationId": "4A00000Z901", "feederId": "F00Z902"},
    )
    assert measured(grid, "slow_checks") == {"": 1}
    assert measured(grid, "slowest_check_seconds")[""] > 1.05
    assert "OmsSlowMeterCheck" in alerts(grid)
    grid.run("UPDATE oms_topology.slow_check SET checked_at = checked_at - interval '61 minutes'")
    assert "OmsSlowMeterCheck" not in alerts(grid)


def test_late_and_silent_feeds_are_measured(grid: Grid) -> None:
    grid.run(
        "INSERT INTO oms_topology.signal (source, source_event_id, content_hash, power_status, occurred_at,"
        " received_at, payload, time_is_sound)"
        " SELECT s.source, s.source || n, '', 'off', now() - s.age - s.delay, now() - s.age, '{}', true"
        " FROM (VALUES ('onu', interval '1 minute', interval '400 s'),"
        "              ('scada', interval '10 minutes', interval '2 s'),"
        "              ('kaifa', interval '3 hours', interval '9 hours')) AS s (source, age, delay),"
        " generate_series(1, 5) n"
    )
    assert measured(grid, "feed_delay_seconds") == {
        "onu": pytest.approx(400),
        "scada": pytest.approx(2),
    }
    silence = measured(grid, "feed_silence_seconds")
    assert [round(silence[each] / 60) for each in ("onu", "scada", "kaifa")] == [1, 10, 180]
    assert alerts(grid)["OmsFeedDelayed"] == ["onu"]
    grid.run(
        "INSERT INTO oms_topology.stream_position (consumer_group, topic, partition, next_offset,"
        " recorded_at) SELECT 'group', 'topic', p, 1, now() - p * interval '2 minutes'"
        " FROM generate_series(1, 4) p"
    )
    assert round(measured(grid, "stream_silence_seconds")["topic group"] / 60) == 2


def test_dead_letters_count_until_they_are_replayed(grid: Grid) -> None:
    grid.call("insert_scada_event_with_meter_check", {"alarmType": "De-energized"})
    assert measured(grid, "dead_letters") == {"scada": 1}
    assert alerts(grid)["OmsDeadLetters"] == ["scada"]
    grid.run("UPDATE oms_topology.dead_letter SET replayed_at = now()")
    assert measured(grid, "dead_letters") == {}


def test_work_that_waits_to_be_weighed_counts_from_when_it_was_queued(grid: Grid) -> None:
    trip(grid)
    assert measured(grid, "inference_backlog") == {"": 1}
    assert "OmsInferenceBacklog" not in alerts(grid)
    grid.run("UPDATE oms_topology.inference_work SET queued_at = now() - interval '61 s'")
    assert alerts(grid)["OmsInferenceBacklog"] == [""]
    grid.run(
        "DELETE FROM oms_topology.inference_work;"
        " INSERT INTO oms_topology.inference_due (segment_no, first_at, due_at, queued_at) VALUES"
        " (1, now(), '-infinity', now() - interval '90 s'), (1, now(), now() + interval '1 hour', now())"
    )
    assert measured(grid, "inference_backlog") == {"": 1}
    assert round(measured(grid, "inference_backlog_seconds")[""]) == 90
    grid.run("DELETE FROM oms_topology.inference_due")
    assert measured(grid, "inference_backlog_seconds") == {"": 0}


def test_notifications_count_from_when_they_are_due(grid: Grid) -> None:
    trip(grid)
    grid.run(
        "INSERT INTO oms_customer_notifications"
        " (id, outage_event_id, customer_id, notification_type, channel)"
        " SELECT gen_random_uuid(), e.id, c.id, 'outage_detected', 'sms'"
        " FROM oms_outage_events e CROSS JOIN (SELECT id FROM oms_customers LIMIT 3) c;"
        " INSERT INTO oms_topology.notification_delivery (message_id, channel, next_attempt_at)"
        " SELECT id, channel, now() - (row_number() OVER () - 2) * interval '200 s'"
        " FROM oms_customer_notifications"
    )
    assert measured(grid, "notification_backlog") == {"": 2}
    assert round(measured(grid, "notification_backlog_seconds")[""]) == 200
    assert "OmsNotificationBacklog" not in alerts(grid)
    grid.run("UPDATE oms_topology.notification_delivery SET next_attempt_at = now() - interval '301 s'")
    assert "OmsNotificationBacklog" in alerts(grid)
    grid.run("DELETE FROM oms_topology.notification_delivery")
    assert measured(grid, "notification_backlog_seconds") == {"": 0}


def test_outages_and_storm_mode_are_measured(grid: Grid) -> None:
    assert measured(grid, "open_outages") == {"detected": 0, "confirmed": 0, "in_progress": 0}
    trip(grid)
    assert measured(grid, "open_outages")["detected"] == 1
    assert measured(grid, "storm_mode") == {"": 0}
    grid.run("UPDATE oms_storm_mode_config SET is_active = true")
    assert measured(grid, "storm_mode") == {"": 1}


def test_the_report_is_a_table_a_document_and_an_exit_code(grid: Grid) -> None:
    address = grid.engine.url.render_as_string(hide_password=False)
    words = ["report", "monitor", "--database", address]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 1
    assert "OmsMetersUnknown 100.0 % of all meters" in shown.stdout
    document = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert {each["alert"] for each in document["alerts"]} == {
        "OmsMetersUnknown",
        "OmsSubstationMetersUnknown",
    }
    assert {"name": "storm_mode", "labels": {}, "value": 0.0} in document["measures"]
    grid.run("UPDATE oms_meters SET power_status = 'on'")
    well = CliRunner().invoke(app, words)
    assert (well.exit_code, "All well." in well.stdout) == (0, True)


def test_prometheus_sees_what_the_report_sees(grid: Grid, server: MeasureServer) -> None:
    trip(grid)
    text = scraped(server)
    seen = dict(re.findall(r"^(oms_topology_\w+(?:{.*})?) (\S+)$", text, re.MULTILINE))
    assert seen["oms_topology_up"] == "1.0"
    measures, limits = read_measures(grid.engine)
    for each in measures:
        if each.name.endswith("_seconds"):
            continue
        labels = ",".join(f'{name}="{value}"' for name, value in each.labels.items())
        assert float(seen[f"oms_topology_{each.name}" + (f"{{{labels}}}" if labels else "")]) == each.value
    for name, limit in limits.items():
        assert float(seen[f'oms_topology_monitor_limit{{name="{name}"}}']) == limit
    assert {each.name for each in measures} <= METRICS.keys()


def test_a_database_that_is_away_is_told_and_the_page_stays_up() -> None:
    away = Database("postgresql://nobody@127.0.0.1:9/nothing")
    with MeasureServer(away.engine, "127.0.0.1", 0) as server:
        assert "oms_topology_up 0.0" in scraped(server)
    with pytest.raises(urllib.error.URLError):
        scraped(server)
    away.close()


def test_each_alert_of_the_report_has_its_rule_for_prometheus() -> None:
    text = RULES_FILE.read_text(encoding="utf-8")
    found = dict(re.findall(r"- alert: (\w+)\n\s+expr: (.*)\n", text))
    for rule in RULES:
        limit = f'oms_topology_monitor_limit{{name="{rule.limit}"}}'
        assert found[rule.alert] == f"oms_topology_{rule.measure} > on () group_left () {limit}"
        assert rule.measure in METRICS


def test_each_metric_in_the_rules_is_exported_with_its_labels() -> None:
    document: dict[str, Any] = yaml.safe_load(RULES_FILE.read_text(encoding="utf-8"))
    of_consumers = {family.name for family in ConsumerMetrics().registry.collect()}
    exported = {f"oms_topology_{name}" for name in METRICS} | of_consumers
    exported |= {"oms_topology_up", "oms_topology_monitor_limit"}
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert len(rules) == len({rule["alert"] for rule in rules}) == 13
    for rule in rules:
        assert set(re.findall(r"oms_topology_\w+", rule["expr"])) <= exported, rule["alert"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["summary"]
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert label in ("substation", "source")


def test_the_expressions_of_the_rules_are_promql() -> None:
    document = yaml.safe_load(RULES_FILE.read_text(encoding="utf-8"))
    for rule in (rule for group in document["groups"] for rule in group["rules"]):
        assert promql_parser.parse(rule["expr"]), rule["alert"]


def test_what_each_alert_means_stands_in_the_docs(request: pytest.FixtureRequest) -> None:
    page = (request.config.rootpath / "docs" / "monitoring.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(Oms\w+)`", page))
    assert told == set(re.findall(r"- alert: (\w+)", RULES_FILE.read_text(encoding="utf-8")))
    for name in METRICS:
        assert f"`{name}`" in page


def test_alerts_come_in_the_order_of_the_rules() -> None:
    measures = [Measure("dead_letters", {"source": "onu"}, 2.0), Measure("meters_unknown_share", {}, 0.5)]
    found = alerts_of(measures, {"dead_letters": 0.0, "meters_unknown_share": 0.1})
    assert [alert.message for alert in found] == [
        "50.0 % of all meters have an unknown power status; at most 10.0 % should.",
        "2 messages of onu could not be used and wait to be looked at.",
    ]
