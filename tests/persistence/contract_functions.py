"""What the tests of the deployed functions share: a small network, and calls as old services make them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Engine

__all__ = ["NETWORK", "Grid", "payload"]

PAYLOADS = Path(__file__).parents[1] / "payloads"

# 4A00000Z901 > F00Z901 > DP1 > M90000001..3 (ONU 9100001: 1 and 3), DP2 > M90000004
# 4A00000Z901 > F00Z902 > DP3 > M90000005
NETWORK = """
INSERT INTO network_substations (substation_id, name) VALUES ('4A00000Z901', 'West');
INSERT INTO network_feeders (feeder_id, substation_id, name)
SELECT code, s.id, code FROM network_substations s, unnest(ARRAY['F00Z901', 'F00Z902']) AS code;
INSERT INTO network_distribution_points (dp_id, feeder_id, name, location_lat, location_lng)
SELECT d.code, f.id, d.code, d.lat, d.lng
FROM (VALUES ('DP1', 'F00Z901', 31.9512, 35.9327), ('DP2', 'F00Z901', 32.1, 36.1),
             ('DP3', 'F00Z902', 32.5, 36.5)) AS d (code, feeder, lat, lng)
JOIN network_feeders f ON f.feeder_id = d.feeder;
INSERT INTO oms_customers (customer_id) SELECT 'C' || n FROM generate_series(1, 5) n;
INSERT INTO oms_meters (meter_number, dp_id, feeder_id, onu_id, customer_id)
SELECT 'M9000000' || m.n, d.id, d.feeder_id, CASE WHEN m.n IN (1, 3) THEN 9100001 END, c.id
FROM (VALUES (1, 'DP1'), (2, 'DP1'), (3, 'DP1'), (4, 'DP2'), (5, 'DP3')) AS m (n, dp)
JOIN network_distribution_points d ON d.dp_id = m.dp
JOIN oms_customers c ON c.customer_id = 'C' || m.n;
"""


def payload(name: str) -> dict[str, Any]:
    """Read one of the recorded messages, anew each time."""
    loaded: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


class Grid:
    """The small network in a database, one transaction a call as the old services have it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.run(NETWORK)

    def run(self, statement: str) -> None:
        """Run statements without a result."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query with ``%s`` for each value."""
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query, tuple(values) or None)]

    def one(self, query: str, *values: object) -> Any:
        """The single value of a query."""
        [(value,)] = self.rows(query, *values)
        return value

    def call(self, function: str, message: object) -> Any:
        """One of the jsonb entry points."""
        return self.one(f"SELECT {function}(%s::jsonb)", json.dumps(message))

    def onu(self, message: object) -> int | None:
        """An ONU message, as its consumer passes it."""
        number: int | None = self.call("insert_onu_event_from_json_with_meter_sync", message)
        return number

    def kaifa(self, message: object) -> Any:
        """A KAIFA message, as its consumer passes it."""
        return self.call("insert_kaifa_event_from_json_with_meter_sync", message)

    def ticket(self, message: object) -> Any:
        """A call, as its consumer passes it."""
        return self.call("insert_callcenter_ticket_from_json_with_meter_link", message)

    def statuses(self) -> dict[str, str]:
        """Power status of every meter."""
        return dict(self.rows("SELECT meter_number, power_status FROM oms_meters"))

    def meter(self, number: str) -> Mapping[str, Any]:
        """One meter's row."""
        found: dict[str, Any] = self.one(
            "SELECT to_jsonb(m) FROM oms_meters m WHERE meter_number = %s", number
        )
        return found

    def audit(self, number: str) -> Sequence[tuple[Any, ...]]:
        """Power changes of a meter by time: previous, new, source, the source's event, confidence."""
        return self.rows(
            "SELECT e.previous_status, e.new_status, e.source_type, e.source_event_id,"
            " e.confidence_score::text"
            " FROM oms_meter_status_events e JOIN oms_meters m ON m.id = e.meter_id"
            " WHERE m.meter_number = %s AND e.event_type IN ('power_on', 'power_off')"
            " ORDER BY e.event_timestamp",
            number,
        )

    def dead_letters(self) -> list[tuple[Any, ...]]:
        """Source and field of each dead letter, in their order."""
        return self.rows("SELECT source, field FROM oms_topology.dead_letter ORDER BY dead_letter_no")

    def findings(self) -> set[str]:
        """Fields that were set aside."""
        return {
            field
            for (field,) in self.rows(
                "SELECT f ->> 'field' FROM oms_topology.signal s, jsonb_array_elements(s.findings) f"
            )
        }

    def count(self, table: str) -> int:
        """Rows of a table."""
        number: int = self.one(f"SELECT count(*) FROM {table}")
        return number
