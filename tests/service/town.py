"""A small network whose meters have customers, for tests of notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.acceptance.scada_grid import Grid, event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oms_topology.persistence.database import Database

__all__ = ["CUSTOMERS", "Town"]

# Below F1: one, two and three; M1 and M4 can be held by F3. M9 has no customer.
CUSTOMERS: Mapping[str, str] = {
    "M1": "one", "M2": "one", "M3": "two", "M4": "three", "M5": "three",
    "M6": "four", "M7": "five", "M8": "six",
}  # fmt: skip


class Town(Grid):
    """The grid of the SCADA tests, with customers, asked what they are told."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        for meter, customer in CUSTOMERS.items():
            self.rows(
                "INSERT INTO oms_customers (customer_id, phone, address)"
                " VALUES (:code, '+964-770-1', 'Secret street 1') ON CONFLICT DO NOTHING",
                code=customer,
            )
            self.rows(
                "UPDATE oms_meters SET customer_id = (SELECT id FROM oms_customers WHERE customer_id = :code)"
                " WHERE meter_number = :meter",
                code=customer,
                meter=meter,
            )

    def trip(self, minute: float, **device: Any) -> None:
        self.through_sql(event(minute=minute, **device))

    def restore(self, minute: float, **device: Any) -> None:
        self.through_sql(event(minute=minute, alarm="Energized", **device))

    def outbox_rows(self) -> list[tuple[str, str, str]]:
        """Customer, kind and status of each message, by customer and kind."""
        rows = self.rows(
            """
            SELECT c.customer_id, n.notification_type, n.status
            FROM oms_customer_notifications n JOIN oms_customers c ON c.id = n.customer_id
            ORDER BY c.customer_id, n.notification_type, n.created_at
            """
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def told(self, kind: str = "outage_detected") -> list[str]:
        """The customers with a message of a kind, by name."""
        return [customer for customer, what, _ in self.outbox_rows() if what == kind]

    def told_of(self, device: str, kind: str = "outage_detected") -> list[str]:
        """The customers that are told of outages of a device, by name."""
        return self.column(
            """
            SELECT c.customer_id
            FROM oms_topology.notification n
            JOIN oms_customers c ON c.id = n.customer_id
            JOIN oms_topology.outage_device o ON o.outage_event_id = n.outage_event_id
            JOIN oms_topology.device d ON d.device_no = o.device_no
            WHERE d.code = :device AND n.kind = :kind ORDER BY c.customer_id
            """,
            device=device,
            kind=kind,
        )
