"""Fills a registry for the benchmarks: the same plain SQL for the deployed schema and for ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["BIG_SUBSTATION", "fill_registry", "substation_code"]

BIG_SUBSTATION = "SSBIG"
_FEEDERS = 10
_DISTRIBUTION_POINTS = 10

_STEPS = (
    "INSERT INTO network_substations (substation_id, name) SELECT :code, :code",
    """INSERT INTO network_feeders (feeder_id, substation_id, name)
       SELECT s.substation_id || 'F' || f, s.id, 'feeder'
       FROM network_substations s, generate_series(1, :feeders) f WHERE s.substation_id = :code""",
    """INSERT INTO network_distribution_points (dp_id, feeder_id, name)
       SELECT f.feeder_id || 'D' || d, f.id, 'distribution point'
       FROM network_substations s JOIN network_feeders f ON f.substation_id = s.id,
            generate_series(1, :points) d WHERE s.substation_id = :code""",
    """INSERT INTO oms_customers (customer_id) SELECT :code || 'C' || g FROM generate_series(1, :meters) g""",
    """INSERT INTO oms_meters (meter_number, customer_id, substation_id, feeder_id, dp_id, location_lat,
                               location_lng, power_status, communication_status, last_communication)
       SELECT :code || 'M' || g, c.id, d.substation_id, d.feeder_id, d.id, 31.9 + g * 1e-6, 35.9 + g * 1e-6,
              'on', 'online', now() - interval '1 hour'
       FROM generate_series(1, :meters) g
       JOIN oms_customers c ON c.customer_id = :code || 'C' || g
       JOIN (SELECT p.id, p.feeder_id, f.substation_id, row_number() OVER (ORDER BY p.dp_id) - 1 AS n
             FROM network_substations s JOIN network_feeders f ON f.substation_id = s.id
             JOIN network_distribution_points p ON p.feeder_id = f.id WHERE s.substation_id = :code) d
           ON d.n = (g - 1) * :feeders * :points / :meters
       ORDER BY g""",
    """INSERT INTO network_substation_meters (substation_id, meter_id, feeder_id, priority)
       SELECT m.substation_id, m.id, m.feeder_id, 2
       FROM network_substations s JOIN oms_meters m ON m.substation_id = s.id
       WHERE s.substation_id = :code""",
    """INSERT INTO network_feeder_meters (feeder_id, meter_id)
       SELECT m.feeder_id, m.id
       FROM network_substations s JOIN oms_meters m ON m.substation_id = s.id
       WHERE s.substation_id = :code""",
)


def substation_code(number: int) -> str:
    """Give the code of a benchmark substation."""
    return f"SS{number:05d}"


def fill_registry(engine: Engine, *, substations: int, meters_each: int, big: int = 0) -> None:
    """Make substations of 10 feeders, 100 distribution points and ``meters_each`` meters, all on.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The deployed schema, or ours.
    substations, meters_each : int
        How many, and of what size.
    big : int
        Meters of one more substation, :data:`BIG_SUBSTATION`; 0 for none.
    """
    sizes = {substation_code(number): meters_each for number in range(substations)}
    if big:
        sizes[BIG_SUBSTATION] = big
    with engine.begin() as connection:
        # Both sides are written here, and equal; to the deployed schema the setting says nothing.
        connection.exec_driver_sql("SET LOCAL oms_topology.keeps_mappings = 'on'")
        for number, (code, meters) in enumerate(sizes.items()):
            values = {
                "code": code,
                "meters": meters,
                "feeders": _FEEDERS,
                "points": _DISTRIBUTION_POINTS,
            }
            for step in _STEPS:
                connection.execute(text(step), values)
            if number == 2:
                # The plans of the rest depend on what the planner knows.
                connection.exec_driver_sql("ANALYZE")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")
