"""Reads what is watched: measures of the database as of now, and the limits set for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oms_topology.persistence.database import translated_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

__all__ = ["Measure", "read_measures"]

_MEASURES: Final = "SELECT name, labels, value FROM oms_topology.measure ORDER BY name, labels::text"
_LIMITS: Final = "SELECT name, value FROM oms_topology.monitor_limit ORDER BY name"


@dataclass(frozen=True, slots=True)
class Measure:
    """One value that is watched.

    Attributes
    ----------
    name : str
        What is measured; names that end in ``_share`` are from 0 to 1, in ``_seconds`` seconds, else numbers.
    labels : mapping of str to str
        Of which part; empty for the whole.
    value : float
        The value.
    """

    name: str
    labels: Mapping[str, str]
    value: float


def read_measures(engine: Engine) -> tuple[list[Measure], dict[str, float]]:
    """Give all measures by name, then labels, and the limits by name.

    Raises
    ------
    StoreUnavailableError
        The database cannot be reached now.

    Notes
    -----
    One scan of the registry and some short reads, in one snapshot.
    """
    one_snapshot = engine.execution_options(isolation_level="REPEATABLE READ")
    with translated_errors(), one_snapshot.connect() as connection:
        limits = {name: float(value) for name, value in connection.exec_driver_sql(_LIMITS)}
        rows = connection.exec_driver_sql(_MEASURES)
        return [Measure(name, labels, float(value)) for name, labels, value in rows], limits
