"""Whom an outage affects: meters, customers, and how severe that is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from oms_topology.outages.forest import SupplyForest

__all__ = ["Affected", "affected_by"]

_CRITICAL = 1
_SEVERITIES = ((1000, "critical"), (100, "high"), (10, "medium"))


class Affected(NamedTuple):
    """Meters without supply and their customers.

    Attributes
    ----------
    meter_numbers : tuple of str
        The meters, in the order given.
    customers : int
        Distinct customers; a meter without one counts as one.
    critical_customers : int
        Those of them with a meter of criticality 1.
    severity : str
        ``critical``, ``high``, ``medium`` or ``low``, by customers.
    """

    meter_numbers: tuple[str, ...]
    customers: int
    critical_customers: int
    severity: str

    @classmethod
    def of_rows(cls, forest: SupplyForest, rows: NDArray[np.integer], gone: tuple[str, ...] = ()) -> Affected:
        """Count meters by their rows; with those that are not in the network any more."""
        columns = forest.index.network.columns
        customers = _customers(columns.meter_customer[rows]) + len(gone)
        return cls(
            (*columns.meter_number[rows].tolist(), *gone),
            customers,
            _customers(columns.meter_customer[rows[columns.meter_priority[rows] == _CRITICAL]]),
            next((word for least, word in _SEVERITIES if customers >= least), "low"),
        )


def affected_by(forest: SupplyForest, numbers: Iterable[str]) -> Affected:
    """Count meters by their numbers, each once, wherever they hang; those that are gone come last.

    Examples
    --------
    >>> from oms_topology.graph.topology import Topology
    >>> from oms_topology.outages.forest import SupplyForest
    >>> forest = SupplyForest.of(Topology.from_text("SS1 > F1 > M1, M2"))
    >>> affected_by(forest, ["M2", "M7", "M2"])
    Affected(meter_numbers=('M2', 'M7'), customers=2, critical_customers=0, severity='low')
    """
    wanted = list(dict.fromkeys(numbers))
    rows = forest.index.network.names.meters.rows(wanted)
    gone = tuple(number for number, row in zip(wanted, rows.tolist(), strict=True) if row < 0)
    return Affected.of_rows(forest, rows[rows >= 0], gone)


def _customers(codes: NDArray[np.object_]) -> int:
    counts = Counter(codes.tolist())
    return len(counts) - ("" in counts) + counts.get("", 0)
