"""Draws conclusions from what was recorded: keeps the outages of the database what all signals support."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from oms_topology.errors import ConflictError, OmsTopologyError
from oms_topology.outages.assessing import KnownEquipment
from oms_topology.outages.course import course_of
from oms_topology.outages.rates import EvidenceRates
from oms_topology.persistence.conclusions import clear_verified, set_due, write_conclusions
from oms_topology.persistence.database import Database, translated_errors
from oms_topology.persistence.evidence import read_evidence, take_joined, take_work
from oms_topology.persistence.inference_bell import InferenceBell
from oms_topology.persistence.schema import require_version
from oms_topology.persistence.store import Store
from oms_topology.service.concluding import due_after, wanted_outages, withdrawal_reasons
from oms_topology.service.consumers.backoff import Backoff
from oms_topology.service.estimating import estimate_restorations
from oms_topology.service.past_networks import MissingNetworksError, Networks, told_apart
from oms_topology.service.storm_watch import StormWatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event
    from types import TracebackType
    from typing import Self

    from sqlalchemy import Connection, Engine

    from oms_topology.graph.topology import Topology
    from oms_topology.persistence.evidence import TakenWork

__all__ = ["OutageWorker"]

_LOG = logging.getLogger(__name__)
_MOST_CONFLICTS: Final = 20
_LOOK_S: Final = 1.0
_LATER: Final = timedelta(minutes=5)
_SOON: Final = timedelta(milliseconds=200)
_ESTIMATE_EVERY_S: Final = 60.0
_ESTIMATE_IN_STORM_EVERY_S: Final = 600.0


class OutageWorker:
    """Concludes from all that was recorded, by whichever door, which outages there are.

    One worker belongs to one thread; several, in threads or processes, share the work of a database by supply
    trees: what one has in hand the others leave alone.

    Parameters
    ----------
    database : Database, str or sqlalchemy.Engine
        A database with the schema of this version.
    batch : int
        How many rows of the queue to take at once; in a storm more.
    clock : callable, optional
        Gives the present instant, aware; for tests and replays.

    Raises
    ------
    SchemaVersionError
        The database was not upgraded.
    StoreUnavailableError
        The database cannot be reached now.

    Notes
    -----
    A tree's queue rows go in the transaction that writes its outages: whoever dies, all is concluded, once.
    """

    def __init__(
        self,
        database: Database | str | Engine,
        *,
        batch: int = 500,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._database = database if isinstance(database, Database) else Database(database)
        self._owns_database = not isinstance(database, Database)
        with translated_errors():
            require_version(self._database.engine)
        self._store, self._bell = Store(self._database.engine), InferenceBell(self._database.engine)
        self._batch = batch
        self._clock = clock or (lambda: datetime.now(UTC))
        self._storm = StormWatch(self._database.engine, now=self._clock)
        self._networks = Networks(self._database)
        self._next_estimates_s = 0.0

    def drain(self) -> int:
        """Judge every supply tree about which something new was said, or that is due.

        Returns
        -------
        int
            How many trees were judged. When it returns, the outages are what all signals support that were
            recorded before the call, but for trees that other workers have in hand.

        Raises
        ------
        StoreUnavailableError, ConflictError
            The rest waits in the queue; the same call may work later.
        """
        judged, _ = self._judge_due(self._batch)
        self._clear_verified()
        return judged

    def _judge_due(self, most: int, *, is_once: bool = False) -> tuple[int, int]:
        """Judge what is due, taking up so many rows at a time, or once; gives trees judged, rows taken."""
        judged, taken, backoff = 0, 0, Backoff(first_s=0.01, limit_s=0.5)
        while True:
            try:
                work = self._step(0 if is_once and taken else most)
            except ConflictError:
                if backoff.attempts >= _MOST_CONFLICTS:
                    raise
                time.sleep(backoff.next_s())
                continue
            judged, taken = judged + (work.segment_no is not None), taken + work.work_count
            if not work.is_more or (work.segment_no is None and (is_once or not work.work_count)):
                return judged, taken
            backoff.reset()

    def run(self, stop: Event) -> None:
        """Draw conclusions as they come due, until told to stop; the tree in hand is finished first.

        Notes
        -----
        Whoever records something rings; a ring that is lost, and what falls due by the clock, costs a second
        at the most. While the database is away it is waited for. Estimates of restoration are renewed, and
        outages of the past that meters have verified are cleared, every minute, in a storm every ten.
        """
        backoff = Backoff()
        while not stop.is_set():
            try:
                self._work_at_pace(stop)
                self._estimate_when_due()
            except OmsTopologyError as error:
                if not error.is_transient:
                    raise
                _LOG.warning(
                    "the database is away or busy, trying again", extra={"error": type(error).__name__}
                )
                stop.wait(backoff.next_s())
            else:
                backoff.reset()

    def _work_at_pace(self, stop: Event) -> None:
        """Do what waits at once; in a storm let more gather, and judge a tree once for many reports."""
        pace = self._storm.pace()
        if not self._storm.is_storm:
            self._judge_due(self._batch)
            self._bell.wait(_LOOK_S)
            return
        most = max(self._batch, pace.batch_size)
        _, taken = self._judge_due(most, is_once=True)
        if taken < most:
            stop.wait(pace.pause.total_seconds())

    def _estimate_when_due(self) -> None:
        if time.monotonic() < self._next_estimates_s:
            return
        self._clear_verified()
        estimate_restorations(self._database, at=self._clock())
        pause_s = _ESTIMATE_IN_STORM_EVERY_S if self._storm.is_storm else _ESTIMATE_EVERY_S
        self._next_estimates_s = time.monotonic() + pause_s

    def _clear_verified(self) -> None:
        with translated_errors(), self._database.engine.begin() as connection:
            clear_verified(connection, at=self._clock())

    def close(self) -> None:
        """Give back the connections; a database that was handed in stays open."""
        self._bell.close()
        self._store.close()
        if self._owns_database:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _step(self, most: int) -> TakenWork:
        """Take one tree and judge it, in one transaction."""
        while True:
            # Not with a tree in hand: to wait for the network there is a deadlock that no server sees.
            topology, at = self._networks.present(self._store.topology_version()), self._clock()
            try:
                with translated_errors(), self._database.engine.begin() as connection:
                    work = take_work(connection, most=most, at=at)
                    if work.segment_no is not None:
                        self._judge_apart(connection, work, topology, at)
                    return work
            except MissingNetworksError as missing:
                self._networks.load(missing.versions)

    def _judge_apart(self, connection: Connection, work: TakenWork, topology: Topology, at: datetime) -> None:
        """Judge a tree so that one that cannot be judged does not keep the others waiting."""
        assert work.segment_no is not None  # noqa: S101
        try:
            with connection.begin_nested():
                self._judge(connection, work, topology, at)
        except (ValueError, LookupError, ArithmeticError, TypeError, OmsTopologyError):
            _LOG.exception("a supply tree could not be judged", extra={"segment_no": work.segment_no})
            set_due(connection, work.segment_no, first_at=work.first_at, due_at=at + _LATER)

    def _judge(self, connection: Connection, work: TakenWork, topology: Topology, at: datetime) -> None:
        assert work.segment_no is not None  # noqa: S101
        assert work.first_at is not None  # noqa: S101
        evidence = read_evidence(
            connection, work.segment_no, work.first_at, version=topology.topology_version, at=at
        )
        if evidence is None:
            return
        if len(evidence.segment_nos) > 1 and not take_joined(connection, evidence.segment_nos):
            set_due(connection, work.segment_no, first_at=work.first_at, due_at=at + _SOON)
            return
        tree = self._networks.tree(topology, evidence.segment_nos, evidence.roots)
        first_at = min((signal.occurred_at for signal in evidence.signals), default=at)
        changes = told_apart(evidence.former, first_at, self._networks.most_past)
        former = self._networks.former(changes, evidence.roots)
        rates = EvidenceRates.from_mapping(evidence.rates)
        equipment = KnownEquipment(collectors=evidence.collectors or None)
        course = course_of(
            evidence.signals,
            tree.forest,
            at=at,
            rates=rates,
            equipment=equipment,
            planned=evidence.planned,
            former=former,
        )
        write_conclusions(
            connection,
            evidence,
            wanted_outages(course, evidence, tree),
            reasons=withdrawal_reasons(course),
            at=at,
        )
        since, due_at = due_after(evidence.signals, rates, at, evidence.planned) or (None, None)
        set_due(connection, work.segment_no, first_at=since, due_at=due_at)
