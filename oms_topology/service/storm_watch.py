"""Storm mode in a running worker: looks at the rate of reports, and says how to go about the work."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from oms_topology.outages.storm import CALM_PACE, STORM_PACE, StormRules, WorkerPace, storm_at
from oms_topology.persistence.database import translated_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

__all__ = ["StormWatch", "watch_storm"]

_log = logging.getLogger(__name__)
_EVIDENCE: Final = "SELECT * FROM oms_topology.storm_evidence(%(at)s)"
_SETTLE: Final = "SELECT oms_topology.settle_storm(%(is_active)s, %(at)s, %(per_hour)s)"
_STANDING: Final = (
    "SELECT COALESCE(is_active, false), correlation_window_minutes FROM public.oms_storm_mode_config"
)


def watch_storm(engine: Engine, at: datetime | None = None) -> bool | None:
    """Switch storm mode on or off, if the reports up to an instant say so.

    Parameters
    ----------
    engine : Engine
        The database.
    at : aware datetime, optional
        The instant; now when left out.

    Returns
    -------
    bool or None
        Whether storm mode was switched; None where another worker decides just now. However many call this
        at once, a change is written once, with its time and a row of ``oms_topology.storm_change``.

    Raises
    ------
    StoreUnavailableError, ConflictError
        The database cannot be reached, or the transaction has to be made again.

    Notes
    -----
    Reads a bounded number of the newest reports, whatever the storm. A person may switch storm mode too, by
    ``UPDATE``: on, it lasts until it was calm for long enough; off, it stays off until the storm is over.
    """
    instant = at or datetime.now(UTC)
    with translated_errors(), engine.begin() as connection:
        found = connection.exec_driver_sql(_EVIDENCE, {"at": instant}).mappings().one_or_none()
        if found is None:
            return None
        rules = StormRules(found["per_hour"], found["per_minute"], found["calm_share"], found["calm_for"])
        since = found["activated_at"] if found["is_active"] else None
        state = storm_at(found["times"], rules, at=instant, active_since=since)
        if state.is_active == found["is_active"] and not found["is_held_off"]:
            return False
        values = {"is_active": state.is_active, "at": state.changed_at or instant, "per_hour": state.per_hour}
        is_switched = bool(connection.exec_driver_sql(_SETTLE, values).scalar_one())
    if is_switched:
        _log.warning("storm mode %s", "on" if state.is_active else "off", extra={"per_hour": state.per_hour})
    return is_switched


class StormWatch:
    """What a worker asks before each batch; it looks at the database only now and then.

    Parameters
    ----------
    engine : Engine
        The database.
    every : timedelta
        How long an answer is kept.
    clock : callable
        Gives seconds that never go back.
    now : callable, optional
        Gives the present instant, aware; for tests and replays.

    Examples
    --------
    A worker's loop: ``pace = watch.pace()``, claim at most ``pace.batch_size``, and when that leaves nothing
    behind, wait ``pace.pause`` for more to gather.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        every: timedelta = timedelta(seconds=5),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._engine = engine
        self._every_s = every.total_seconds()
        self._clock = clock
        self._now = now
        self._looked_at: float | None = None
        self._pace = CALM_PACE

    @property
    def is_storm(self) -> bool:
        """Whether the last look found storm mode on."""
        return self._pace is not CALM_PACE

    def pace(self) -> WorkerPace:
        """Give the size of the next batch and the pause after it.

        Raises
        ------
        StoreUnavailableError, ConflictError
            As :func:`watch_storm` raises them; the next call looks again.
        """
        seconds = self._clock()
        if self._looked_at is None or seconds - self._looked_at >= self._every_s:
            watch_storm(self._engine, self._now() if self._now else None)
            self._pace = _standing_pace(self._engine)
            self._looked_at = seconds
        return self._pace


def _standing_pace(engine: Engine) -> WorkerPace:
    with translated_errors(), engine.connect() as connection:
        row: Any = connection.exec_driver_sql(_STANDING).one_or_none()
    if row is None or not row[0]:
        return CALM_PACE
    return replace(STORM_PACE, window=timedelta(minutes=row[1] or 60))
