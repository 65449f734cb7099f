"""What bears on the outages of one supply tree, as the database holds it: for whoever draws conclusions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from oms_topology.model import CommunicationStatus, DeviceKind, DeviceReference, PowerStatus, Signal, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Connection, Row

__all__ = [
    "SourceRow",
    "TakenWork",
    "TreeEvidence",
    "read_evidence",
    "read_rates",
    "take_joined",
    "take_work",
]

_TAKE = text("SELECT * FROM oms_topology.take_inference_work(:most, :at)")
_TREE = text(
    """
    SELECT r.roots, t.segment_nos, t.since, t.changed_ats, t.former_versions,
           oms_topology.outages_seen(t.segment_nos, t.since) AS seen,
           p.kinds, p.codes, p.starts, p.ends, c.meter_numbers, c.collectors, s.rates
    FROM (SELECT * FROM oms_topology.joined_trees(:segment_no, :first_at, :version, :at) OFFSET 0) t
    CROSS JOIN LATERAL (
        SELECT array_agg(d.code ORDER BY d.device_no) AS roots
        FROM oms_topology.device d WHERE d.device_no = ANY (t.segment_nos)) r
    CROSS JOIN LATERAL (
        SELECT array_agg(u.kind) AS kinds, array_agg(u.code) AS codes, array_agg(p.starts_at) AS starts,
               array_agg(LEAST(p.ends_at, timestamptz '9999-01-01Z')) AS ends
        FROM oms_topology.planned_interval p JOIN oms_topology.device u ON u.device_no = p.device_no
        WHERE u.segment_no = ANY (t.segment_nos) AND p.ends_at > t.since) p
    CROSS JOIN LATERAL (
        SELECT array_agg(m.meter_number::text) AS meter_numbers, array_agg(o.olt_name::text) AS collectors
        FROM public.oms_meters m JOIN public.onus o ON o.id = m.onu_id
        WHERE m.segment_no = ANY (t.segment_nos) AND o.olt_name <> '') c
    LEFT JOIN oms_topology.inference_setting s ON true
    WHERE EXISTS (SELECT FROM oms_topology.device d WHERE d.device_no = :segment_no)
    """
)
_SAID = text("SELECT * FROM oms_topology.segment_evidence(:segment_nos, :since)")
_TAKE_JOINED = text("SELECT oms_topology.take_joined_trees(:segment_nos)")
_RATES = text("SELECT rates FROM oms_topology.inference_setting")
_TABLES = {
    Source.SCADA: "scada_events",
    Source.ONU: "onu_events",
    Source.KAIFA: "kaifa_events",
    Source.CALL_CENTER: "callcenter_tickets",
    Source.SYSTEM: "oms_meters",
}


class TakenWork(NamedTuple):
    """What a worker has in hand until its transaction ends.

    Attributes
    ----------
    work_count : int
        Rows of the queue that were folded into the trees they concern.
    is_busy : bool
        Whether trees are due that other workers have in hand.
    segment_no : int or None
        The tree to judge; None where none is due.
    first_at : datetime or None
        The earliest time of what is new there.
    is_more : bool
        Whether anything else waits now.
    """

    work_count: int
    is_busy: bool
    segment_no: int | None
    first_at: datetime | None
    is_more: bool


class SourceRow(NamedTuple):
    """Which row of which of the provider's tables a signal is."""

    table: str
    record_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEvidence:
    """All that bears on the outages of one supply tree, and of those that it exchanged devices with.

    Attributes
    ----------
    segment_nos : tuple of int
        The trees, by the ``device_no`` of their sources.
    roots : tuple of str
        The codes of these.
    since : aware datetime, UTC
        The last instant at which they were quiet; outages that ended before are none of this.
    seen : str
        Which outages stood in the trees when this was read.
    former : tuple of (datetime, int)
        Until when another network stood, and the ``topology_version`` that had it; ascending.
    signals : tuple of Signal
        What was said since then, and what still held then, in no order.
    rows : mapping of (str, str) to SourceRow
        Of a signal, by its source and id, the provider's row.
    planned : tuple of (DeviceReference, datetime, datetime)
        Devices that are to be without supply on purpose, from when until when.
    collectors : mapping of str to str
        Of each meter the OLT that its ONU hangs on, where that is known.
    rates : mapping
        What is set of the weights of reports; empty where all is as usual.
    """

    segment_nos: tuple[int, ...]
    roots: tuple[str, ...]
    since: datetime
    seen: str
    former: tuple[tuple[datetime, int], ...]
    signals: tuple[Signal, ...]
    rows: Mapping[tuple[str, str], SourceRow] = field(repr=False)
    planned: tuple[tuple[DeviceReference, datetime, datetime], ...] = ()
    collectors: Mapping[str, str] = field(default_factory=dict, repr=False)
    rates: Mapping[str, Any] = field(default_factory=dict)


def take_work(connection: Connection, *, most: int, at: datetime) -> TakenWork:
    """Take the next supply tree that is due, in the transaction that is open on a connection.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        When its transaction ends otherwise than by a commit, all work is there as before.
    most : int
        How many rows of the queue to fold at once.
    at : aware datetime
        The instant by which a tree must be due.

    Returns
    -------
    TakenWork
        The tree that has waited longest, of those nobody else has in hand.
    """
    row = connection.execute(_TAKE, {"most": most, "at": at}).one()
    return TakenWork(row.work_count, row.is_busy, row.segment_no, row.first_at, row.is_more)


def read_evidence(
    connection: Connection, segment_no: int, first_at: datetime, *, version: int, at: datetime
) -> TreeEvidence | None:
    """Read all that bears on a tree's outages from an instant on, with the trees it exchanged devices with.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In the transaction that took the work.
    segment_no : int
        The tree.
    first_at : aware datetime
        The earliest time of what is new there.
    version : int
        The newest version of the network that is known to whoever asks.
    at : aware datetime
        The instant up to which all is concluded.

    Returns
    -------
    TreeEvidence or None
        None where the tree is gone.

    Notes
    -----
    Grows with the meters of the tree and with what was said since it was quiet.
    """
    asked = {"segment_no": segment_no, "first_at": first_at, "version": version, "at": at}
    tree = connection.execute(_TREE, asked).one_or_none()
    if tree is None:
        return None
    where = {"segment_nos": tree.segment_nos, "since": tree.since}
    said = connection.execute(_SAID, where).all()
    return TreeEvidence(
        segment_nos=tuple(tree.segment_nos),
        roots=tuple(tree.roots),
        since=tree.since,
        seen=tree.seen,
        former=tuple(zip(tree.changed_ats, tree.former_versions, strict=True)),
        signals=tuple(_signal(row) for row in said),
        rows=_rows(said),
        planned=tuple(
            (DeviceReference(DeviceKind(kind), code), starts_at, ends_at)
            for kind, code, starts_at, ends_at in zip(
                tree.kinds or (), tree.codes or (), tree.starts or (), tree.ends or (), strict=True
            )
        ),
        collectors=dict(zip(tree.meter_numbers or (), tree.collectors or (), strict=True)),
        rates=tree.rates or {},
    )


def take_joined(connection: Connection, segment_nos: Sequence[int]) -> bool:
    """Take trees in hand until the transaction ends; False where somebody else has one of them."""
    return bool(connection.execute(_TAKE_JOINED, {"segment_nos": list(segment_nos)}).scalar_one())


def read_rates(connection: Connection) -> dict[str, Any]:
    """Give what is set of the weights of reports; empty where all is as usual."""
    return dict(connection.execute(_RATES).scalar_one_or_none() or {})


def _signal(row: Row[Any]) -> Signal:
    return Signal(
        source=Source(row.source),
        source_event_id=row.source_event_id,
        # One signal may say different things of different meters.
        content_hash=f"{row.content_hash} {row.power_status} {row.communication_status}",
        device=DeviceReference(DeviceKind(row.kind), row.code),
        power_status=PowerStatus(row.power_status or "unknown"),
        communication_status=CommunicationStatus(row.communication_status or "unknown"),
        occurred_at=row.occurred_at,
        received_at=row.received_at,
        time_is_sound=row.time_is_sound,
        meter_numbers=tuple(row.meter_numbers),
        is_evidence_only=row.source == Source.CALL_CENTER,
    )


def _rows(said: Iterable[Row[Any]]) -> dict[tuple[str, str], SourceRow]:
    found = {}
    for row in said:
        source = Source(row.source)
        record_id = row.source_event_id if source is Source.ONU else row.record_id or row.source_event_id
        found[source.value, row.source_event_id] = SourceRow(_TABLES[source], record_id[:100])
    return found
