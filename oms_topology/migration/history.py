"""What stored events said of meters becomes signals and audit, by the rules of the live doors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import text

from oms_topology.errors import SignalParseError
from oms_topology.events import parse
from oms_topology.events.parsed_form import parsed_form
from oms_topology.migration.queries import query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Row

    from oms_topology.migration.work import StepWork

__all__ = ["record_history"]

_BATCH = 2_000
# The functions of the live doors look things up row by row.
_FEW_ROWS = "SET LOCAL enable_nestloop = on"
_ZONE = text("SELECT time_zone FROM oms_topology.source_setting WHERE source = 'onu'")
_UNUSABLE = (
    "onu_event_unusable | Stored ONU events from which nothing follows: neither the message nor its columns"
    " name a device and a time. | None needed."
)


def record_history(work: StepWork, tell: Callable[[float], None]) -> None:
    """Record what stored events and states said of meters: each once, the newer one stands.

    Parameters
    ----------
    work : StepWork
        The step.
    tell : callable
        Called with the share that is done.
    """
    work.connection.exec_driver_sql(_FEW_ROWS)
    _record_onu_events(work, lambda share: tell(share / 2))
    tell(0.5)
    recorded = work.connection.exec_driver_sql(query("09_history", "record_kaifa_events")).scalar_one()
    work.add("kaifa_events_recorded", recorded)
    tell(0.8)
    recorded = work.connection.exec_driver_sql(query("09_history", "record_onu_states")).scalar_one()
    work.add("onu_states_recorded", recorded)
    # All together, so that each meter is judged once.
    work.connection.exec_driver_sql(query("09_history", "record_reports"))


def _record_onu_events(work: StepWork, tell: Callable[[float], None]) -> None:
    zone = ZoneInfo(work.connection.execute(_ZONE).scalar_one())
    rows = work.connection.exec_driver_sql(query("09_history", "onu_events")).all()
    unusable: list[str] = []
    done = seen = 0
    for some in _batches(rows):
        forms, numbers = [], []
        for row in some:
            form = _form(row, zone)
            if form is None:
                unusable.append(row.event_id)
            else:
                forms.append(form)
                numbers.append(row.id)
        arguments = (json.dumps(forms, default=str), numbers)
        done += work.connection.exec_driver_sql(
            query("09_history", "record_onu_events"), arguments
        ).scalar_one()
        seen += len(some)
        tell(seen / len(rows))
    work.add("onu_events_recorded", done)
    work.find(_UNUSABLE, sorted(unusable), len(unusable))


def _batches(rows: Sequence[Row[Any]]) -> Iterator[Sequence[Row[Any]]]:
    for first in range(0, len(rows), _BATCH):
        yield rows[first : first + _BATCH]


def _form(row: Row[Any], zone: ZoneInfo) -> dict[str, Any] | None:
    """Read the message as it came; where it was not kept, what the columns say."""
    columns = {
        "eventId": row.event_id,
        "type": row.event_type,
        "timestamp": row.happened_at.isoformat(),
        "onuId": row.onu_id,
    }
    for payload in (row.raw_payload, columns):
        try:
            (signal,) = parse("onu", payload, received_at=row.received_at, zone=zone)
        except SignalParseError:
            continue
        return parsed_form(signal)
    return None
