"""Storm mode in the database: switched by the reports, once, by whoever looks, and by people."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from oms_topology.outages.storm import CALM_PACE, STORM_PACE
from oms_topology.service.storm_watch import StormWatch, watch_storm

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)


def rows(database: Database, query: str, **values: object) -> list[tuple[Any, ...]]:
    with database.engine.begin() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query, values or None)]


def run(database: Database, statement: str, **values: object) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(statement, values or None)


def report(database: Database, count: int, at: datetime, power: str = "off", key: str = "r") -> None:
    run(
        database,
        "INSERT INTO oms_topology.signal (source, source_event_id, content_hash, power_status, occurred_at,"
        " received_at, payload) SELECT 'onu', %(key)s || n, %(at)s::text, %(power)s, %(at)s, %(at)s, '{}'"
        " FROM generate_series(1, %(count)s) n",
        key=key,
        at=at,
        power=power,
        count=count,
    )


def standing(database: Database) -> tuple[Any, ...]:
    [row] = rows(database, "SELECT is_active, activated_at, deactivated_at FROM oms_storm_mode_config")
    return row


def changes(database: Database) -> list[tuple[Any, ...]]:
    return rows(
        database, "SELECT is_active, by_hand, per_hour FROM oms_topology.storm_change ORDER BY change_no"
    )


def test_reports_switch_it_on_and_calm_switches_it_off(database: Database) -> None:
    report(database, 60, NOW - 40 * MINUTE, key="a")
    report(database, 39, NOW - 20 * MINUTE, key="b")
    run(database, "UPDATE oms_topology.storm_setting SET activate_per_minute = NULL")
    assert watch_storm(database.engine, NOW) is False
    report(database, 500, NOW, power="unknown", key="heartbeat")
    assert watch_storm(database.engine, NOW) is False
    report(database, 1, NOW, key="c")
    assert watch_storm(database.engine, NOW) is True
    assert standing(database) == (True, NOW, None)
    # At 12:20 after there are 40 in the hour, below one half; then thirty minutes of calm.
    until = NOW + 20 * MINUTE + 30 * MINUTE
    assert watch_storm(database.engine, until - MINUTE) is False
    assert watch_storm(database.engine, until) is True
    assert standing(database) == (False, NOW, until)
    assert changes(database) == [(True, False, 100), (False, False, 1)]


def test_ten_in_a_minute_are_a_storm_too(database: Database) -> None:
    report(database, 10, NOW)
    assert watch_storm(database.engine, NOW) is True
    assert watch_storm(database.engine, NOW + 30 * MINUTE) is False
    assert watch_storm(database.engine, NOW + 31 * MINUTE) is True


def test_a_row_without_a_threshold_begins_nothing(database: Database) -> None:
    report(database, 1_000, NOW)
    run(database, "UPDATE oms_storm_mode_config SET auto_activation_threshold = NULL")
    run(database, "UPDATE oms_topology.storm_setting SET activate_per_minute = NULL")
    assert watch_storm(database.engine, NOW) is False


def test_however_many_workers_look_a_change_is_written_once(database: Database) -> None:
    report(database, 300, NOW)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: watch_storm(database.engine, NOW), range(40)))
    assert told.count(True) == 1
    assert changes(database) == [(True, False, 300)]


def test_a_storm_is_known_by_its_newest_reports_however_large(database: Database) -> None:
    report(database, 30_000, NOW - 10 * MINUTE)
    assert watch_storm(database.engine, NOW) is True
    [[read]] = rows(
        database,
        "SELECT cardinality(oms_topology.recent_report_times(%(since)s, 2000))",
        since=NOW - 95 * MINUTE,
    )
    assert 2_000 <= read < 3_000
    [[read]] = rows(database, "SELECT cardinality(oms_topology.recent_report_times(%(at)s, 2000))", at=NOW)
    assert read == 500


def test_a_person_may_switch_it_on_until_it_was_calm(database: Database) -> None:
    run(database, "UPDATE oms_storm_mode_config SET is_active = true, activated_at = %(at)s", at=NOW)
    assert changes(database) == [(True, True, None)]
    assert watch_storm(database.engine, NOW + 29 * MINUTE) is False
    assert watch_storm(database.engine, NOW + 30 * MINUTE) is True
    assert standing(database)[0] is False


def test_a_person_may_switch_it_off_until_the_next_storm(database: Database) -> None:
    report(database, 200, NOW)
    assert watch_storm(database.engine, NOW) is True
    run(database, "UPDATE oms_storm_mode_config SET is_active = false")
    assert [by_hand for _, by_hand, _ in changes(database)] == [False, True]
    for minutes in (0, 5, 40, 60, 89):
        assert watch_storm(database.engine, NOW + minutes * MINUTE) is False
    # That storm is over; the next one counts again.
    assert watch_storm(database.engine, NOW + 91 * MINUTE) is False
    report(database, 100, NOW + 92 * MINUTE, key="next")
    assert watch_storm(database.engine, NOW + 92 * MINUTE) is True
    assert standing(database)[0] is True


def test_the_pace_follows_and_the_database_is_asked_now_and_then(database: Database) -> None:
    seconds = [0.0]
    watch = StormWatch(database.engine, every=timedelta(seconds=5), clock=lambda: seconds[0])
    assert (watch.pace(), watch.is_storm) == (CALM_PACE, False)
    report(database, 500, datetime.now(UTC))
    run(database, "UPDATE oms_storm_mode_config SET correlation_window_minutes = 45")
    seconds[0] = 4.9
    assert watch.pace() is CALM_PACE
    seconds[0] = 5.0
    pace = watch.pace()
    assert (pace.batch_size, pace.pause, pace.window) == (
        STORM_PACE.batch_size,
        STORM_PACE.pause,
        timedelta(minutes=45),
    )
    assert watch.is_storm


def test_a_storm_that_cannot_be_looked_at_is_looked_at_again(database: Database) -> None:
    seconds = [0.0]
    watch = StormWatch(database.engine, clock=lambda: seconds[0])
    run(database, "ALTER TABLE oms_topology.storm_setting RENAME TO elsewhere")
    with pytest.raises(Exception, match="storm_setting"):
        watch.pace()
    run(database, "ALTER TABLE oms_topology.elsewhere RENAME TO storm_setting")
    assert watch.pace() is CALM_PACE
