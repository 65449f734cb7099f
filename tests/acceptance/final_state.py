"""What must be equal whatever died on the way and in whatever order messages came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

__all__ = ["final_state"]

# Not asked for: random ids, clocks of writing and of receipt, timeline, revisions, and which of two audit
# rows was appended first. The history in event-time order stands for the audit.
_QUESTIONS = {
    "power": "SELECT meter_number, power_status, last_power_change FROM oms_meters",
    "communication": "SELECT meter_number, communication_status FROM oms_meters",
    "history": """
        SELECT m.meter_number, h.event_timestamp, h.previous_status, h.new_status
        FROM oms_topology.meter_power_history h JOIN oms_meters m ON m.id = h.meter_id
    """,
    "meter reports": """
        SELECT m.meter_number, r.occurred_at, r.power_status, r.source, r.source_event_id
        FROM oms_topology.meter_report r JOIN oms_meters m ON m.meter_no = r.meter_no
    """,
    "device states": """
        SELECT d.code, s.is_dead, s.reported_at, s.since
        FROM oms_topology.device_state s JOIN oms_topology.device d ON d.device_no = s.device_no
    """,
    "outages": """
        SELECT d.code, e.event_id, e.status, e.severity, e.first_detected_at, e.actual_restoration_time,
               e.affected_customers_count, e.confidence_score, e.description
        FROM oms_outage_events e
        JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
        JOIN oms_topology.device d ON d.device_no = o.device_no
    """,
    "outage sources": """
        SELECT e.event_id, s.source_type, g.source_event_id
        FROM oms_event_sources s JOIN oms_outage_events e ON e.id = s.outage_event_id
        JOIN oms_topology.signal g ON g.record_id = s.source_event_id
    """,
    "signals": """
        SELECT source, source_event_id, content_hash, occurred_at, power_status, time_is_sound
        FROM oms_topology.signal
    """,
    "dead letters": "SELECT source, field, reason, encode(payload, 'escape') FROM oms_topology.dead_letter",
    "rows": """
        SELECT 'scada', count(*) FROM scada_events UNION ALL SELECT 'onu', count(*) FROM onu_events
        UNION ALL SELECT 'kaifa', count(*) FROM kaifa_events
        UNION ALL SELECT 'call_center', count(*) FROM callcenter_tickets
        UNION ALL SELECT 'outages', count(*) FROM oms_outage_events
    """,
}


def final_state(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Give what the database says in the end, in an order of its own."""
    with database.engine.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(text(question))), key=repr)
            for name, question in _QUESTIONS.items()
        }
