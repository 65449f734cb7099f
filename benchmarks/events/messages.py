"""Messages of all providers for a registry that :func:`benchmarks.database.registry.fill_registry` made."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from benchmarks.database.registry import substation_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

__all__ = ["MAKERS", "call_message", "give_onus", "kaifa_message", "meter_number", "onu_message"]

_PAYLOADS = Path(__file__).parents[2] / "tests" / "payloads"
# A registry says what it knew before: far enough back that everything in a benchmark is news.
_ONUS = (
    """INSERT INTO onus (id, onu_serial_no, onu_power_flag)
       SELECT meter_no, 'SN' || meter_no, true FROM oms_meters""",
    """UPDATE oms_meters
       SET onu_id = meter_no, asset_mrid = meter_number, last_power_change = now() - interval '10 days',
           own_power_at = now() - interval '10 days'""",
    "UPDATE oms_topology.meter_report SET occurred_at = now() - interval '10 days'",
)


def give_onus(engine: Engine) -> list[tuple[int, str]]:
    """Give each meter an ONU of its own, and its number as asset mRID.

    Returns
    -------
    list of (int, str)
        ONU and meter number, in the order of the registry.
    """
    with engine.begin() as connection:
        for statement in _ONUS:
            connection.execute(text(statement))
        rows = connection.execute(text("SELECT meter_no, meter_number FROM oms_meters ORDER BY meter_no"))
        found = [(row.meter_no, row.meter_number) for row in rows]
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")
    return found


def _template(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((_PAYLOADS / name).read_bytes())
    return read


_ONU = _template("onu_last_gasp.kafka.json")
_ENVELOPE_TIMES = tuple(name for name in ("timestamp", "received_at", "processed_at") if name in _ONU)
_KAIFA = _template("kaifa_power_outage.function.json")
_CALL = _template("callcenter_ticket.function.json")
_SCADA = _template("scada_breaker_trip.function.json")


def onu_message(key: int, device: tuple[int, str], at: datetime, *, kind: str = "ONU_LastGaspAlert") -> bytes:
    """Write a message of an ONU in its Kafka envelope."""
    event = _ONU["event"] | {
        "eventId": f"onu-{key}",
        "type": kind,
        "onuId": str(device[0]),
        "onuSerial": f"SN{device[0]}",
        "timestamp": at.isoformat(),
        "associatedMeters": [],
    }
    envelope = dict.fromkeys(_ENVELOPE_TIMES, (at + timedelta(seconds=2)).isoformat())
    return json.dumps(_ONU | envelope | {"event": event}).encode()


def kaifa_message(key: int, device: tuple[int, str], at: datetime, *, code: str | None = None) -> bytes:
    """Write an end-device event of a meter: a power outage, or what the code says."""
    when = at.isoformat()
    said = {"event_type": {"@ref": code}} if code else {}
    payload = (
        _KAIFA["payload"]
        | said
        | {
            "event_id": f"event-{key}",
            "created_date_time": when,
            "assets": _KAIFA["payload"]["assets"] | {"ns2:mRID": device[1]},
            "usage_point": _KAIFA["payload"]["usage_point"] | {"ns2:mRID": f"up{device[0]}"},
        }
    )
    header = _KAIFA["header"] | {"message_id": f"message-{key}", "timestamp": when}
    return json.dumps(_KAIFA | {"header": header, "payload": payload, "timestamp": when}).encode()


def call_message(key: int, device: tuple[int, str], at: datetime) -> bytes:
    """Write a ticket of the call center about a meter."""
    customer = _CALL["customer"] | {"meterNumber": device[1]}
    return json.dumps(
        _CALL | {"ticketId": f"TC-{key}", "timestamp": at.isoformat(), "customer": customer}
    ).encode()


def _scada_message(key: int, device: tuple[int, str], at: datetime) -> bytes:
    substation = device[1].partition("M")[0]
    feeder = f"{substation}F{1 + key % 10}"
    return json.dumps(
        _SCADA | {"substationId": substation, "feederId": feeder, "timestamp": at.isoformat()}
    ).encode()


def meter_number(substation: int, number: int) -> str:
    """Give the number of a meter of a benchmark substation."""
    return f"{substation_code(substation)}M{number}"


MAKERS: dict[str, Callable[[int, tuple[int, str], datetime], bytes]] = {
    "onu": onu_message,
    "kaifa": kaifa_message,
    "call_center": call_message,
    "scada": _scada_message,
}
