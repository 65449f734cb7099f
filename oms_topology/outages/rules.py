"""The deployed correlation rules as values, and their counting engine, for comparison with inference."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.model import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.reports import Report

__all__ = ["CorrelationRules", "counted_blame"]

_WEIGHTS = {Source.SCADA: 1.0, Source.KAIFA: 0.8, Source.ONU: 0.6, Source.CALL_CENTER: 0.4}


@dataclass(frozen=True, slots=True)
class CorrelationRules:
    """One row of ``oms_correlation_rules``, or the storm mode's row: what the deployed system counts by.

    Attributes
    ----------
    name : str
        The rule's name.
    window : timedelta
        How far apart in time reports of one outage may be.
    radius_m : float
        How far apart in space, in metres; used only for reports of meters that are in no network.
    threshold : float
        Least confidence of an outage, 0 to 1.
    weights : mapping of Source to float
        What one report of a source counts.
    sources : frozenset of Source
        Whose reports the rule takes.

    Examples
    --------
    >>> rules = CorrelationRules()
    >>> rules.confidence({Source.KAIFA: 3, Source.CALL_CENTER: 1})
    0.7
    >>> rules.severity(0.7)
    'high'
    """

    name: str = "Standard"
    window: timedelta = timedelta(minutes=30)
    radius_m: float = 1000.0
    threshold: float = 0.7
    weights: Mapping[Source, float] = field(default_factory=lambda: dict(_WEIGHTS))
    sources: frozenset[Source] = frozenset(_WEIGHTS)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> CorrelationRules:
        """Read a row of ``oms_correlation_rules`` or ``oms_storm_mode_config``.

        Parameters
        ----------
        row : mapping of column name to value
            Columns that are missing or null keep the defaults.

        Returns
        -------
        CorrelationRules
            The row of storm mode, which has neither name nor weights, is called ``"Storm"``.

        Examples
        --------
        >>> row = {"rule_name": "SCADA Priority", "source_types": ["scada"], "radius": None,
        ...        "correlation_window_minutes": 15, "confidence_threshold": 0.9}
        >>> rules = CorrelationRules.from_row(row)
        >>> rules.name, rules.window, rules.threshold, sorted(rules.sources)
        ('SCADA Priority', datetime.timedelta(seconds=900), 0.9, [<Source.SCADA: 'scada'>])
        """
        known = {source.value for source in Source}
        said = {key: value for key, value in row.items() if value is not None}
        usual = cls(name="Storm" if "auto_activation_threshold" in row else "Standard")
        minutes = said.get("correlation_window_minutes")
        types = said.get("source_types")
        return cls(
            str(said.get("rule_name", usual.name)),
            usual.window if minutes is None else timedelta(minutes=float(minutes)),
            float(said.get("spatial_radius_meters", usual.radius_m)),
            float(said.get("confidence_threshold", usual.threshold)),
            {
                source: float(said.get(f"weight_{source.value}", weight))
                for source, weight in _WEIGHTS.items()
            },
            usual.sources if types is None else frozenset(Source(each) for each in types if each in known),
        )

    def confidence(self, counts: Mapping[Source, int]) -> float:
        """Give the guide's confidence: the mean weight of the reports, at most 1; 0 without any.

        Parameters
        ----------
        counts : mapping of Source to int
            Reports by source.
        """
        total = sum(counts.values())
        weighed = sum(self.weights.get(source, 0.0) * count for source, count in counts.items())
        return round(min(1.0, weighed / total), 9) if total else 0.0

    def severity(self, confidence: float) -> str:
        """Give the guide's severity of an outage of that confidence."""
        bounds = ((0.9, "critical"), (0.7, "high"), (0.5, "medium"))
        return next((severity for least, severity in bounds if confidence >= least), "low")


def counted_blame(
    forest: SupplyForest, losses: Iterable[Report], rules: CorrelationRules
) -> list[tuple[int, float]]:
    """Blame devices by counting: two things out below one, or a device's own report, blame it.

    Parameters
    ----------
    forest : SupplyForest
        The nodes.
    losses : iterable of Report
        Reports of loss that stand.
    rules : CorrelationRules
        Whose reports count, what they weigh, and the least confidence.

    Returns
    -------
    list of (node, confidence)
        The uppermost nodes that are out, ascending, where the confidence reaches the threshold.
    """
    taken = [report for report in losses if report.source in rules.sources]
    is_out = np.zeros(len(forest), dtype=np.bool_)
    is_out[[report.node for report in taken]] = True
    below = np.zeros(len(forest), dtype=np.int64)
    for node in range(len(forest) - 1, -1, -1) if taken else ():
        is_out[node] |= below[node] >= 2
        if is_out[node] and forest.parent[node] >= 0:
            below[forest.parent[node]] += 1
    taken.sort(key=lambda report: report.node)
    nodes = np.array([report.node for report in taken], dtype=np.int32)
    found = []
    for node in _uppermost(forest, is_out):
        inside = forest.places_below(nodes, node).tolist()
        confidence = rules.confidence(Counter(taken[at].source for at in inside))
        if confidence >= rules.threshold:
            found.append((node, confidence))
    return found


def _uppermost(forest: SupplyForest, is_out: NDArray[np.bool_]) -> list[int]:
    dead = is_out.copy()
    nodes = []
    for node in range(len(forest)):
        above = int(forest.parent[node])
        if above >= 0 and dead[above]:
            dead[node] = True
        elif is_out[node]:
            nodes.append(node)
    return nodes
