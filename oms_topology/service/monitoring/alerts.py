"""Which measures are beyond their limits, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oms_topology.persistence.measures import Measure

__all__ = ["RULES", "Alert", "AlertRule", "alerts_of"]


@dataclass(frozen=True, slots=True)
class AlertRule:
    """When a measure is an alert.

    Attributes
    ----------
    alert : str
        Name of the alert, the same as in the rules for Prometheus.
    measure, limit : str
        The measure, and the limit that it must not be above.
    says : str
        What it means, with ``{subject}``, ``{value}`` and ``{limit}``.
    """

    alert: str
    measure: str
    limit: str
    says: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A measure that is above its limit.

    Attributes
    ----------
    alert : str
        Name of the alert.
    subject : str
        Which part is concerned; empty for the whole.
    value, limit : float
        What was measured, and what it must not be above.
    message : str
        The same in words.
    """

    alert: str
    subject: str
    value: float
    limit: float
    message: str


RULES: Final = (
    AlertRule(
        "OmsMetersUnknown",
        "meters_unknown_share",
        "meters_unknown_share",
        "{value} of all meters have an unknown power status; at most {limit} should.",
    ),
    AlertRule(
        "OmsSubstationMetersUnknown",
        "substation_meters_unknown_share",
        "meters_unknown_share",
        "{value} of the meters of substation {subject} have an unknown power status; at most {limit} should.",
    ),
    AlertRule(
        "OmsSubstationWithoutMeters",
        "substation_without_meters",
        "substation_without_meters",
        "No active meter is mapped to substation {subject}.",
    ),
    AlertRule(
        "OmsSlowMeterCheck",
        "slow_checks",
        "slow_checks",
        "{value} checks of meters took more than a second in the last hour.",
    ),
    AlertRule(
        "OmsFeedDelayed",
        "feed_delay_seconds",
        "feed_delay_seconds",
        "Messages of {subject} come {value} after what they tell of; at most {limit} is usual.",
    ),
    AlertRule(
        "OmsDeadLetters",
        "dead_letters",
        "dead_letters",
        "{value} messages of {subject} could not be used and wait to be looked at.",
    ),
    AlertRule(
        "OmsInferenceBacklog",
        "inference_backlog_seconds",
        "inference_backlog_seconds",
        "What was reported {value} ago is not weighed yet: is the worker running?",
    ),
    AlertRule(
        "OmsNotificationBacklog",
        "notification_backlog_seconds",
        "notification_backlog_seconds",
        "A notification that was due {value} ago is not sent yet: is the sender running?",
    ),
)


def alerts_of(measures: Iterable[Measure], limits: Mapping[str, float]) -> list[Alert]:
    """Give the measures that are above their limits, in the order of the rules, then of the measures.

    Parameters
    ----------
    measures, limits
        As :func:`oms_topology.persistence.measures.read_measures` gives them; a rule whose limit is missing
        asks for nothing.

    Examples
    --------
    >>> from oms_topology.persistence.measures import Measure
    >>> found = alerts_of([Measure("meters_unknown_share", {}, 0.125)], {"meters_unknown_share": 0.1})
    >>> found[0].message
    '12.5 % of all meters have an unknown power status; at most 10.0 % should.'
    """
    known = list(measures)
    return [
        _alert(rule, measure, limits[rule.limit])
        for rule in RULES
        if rule.limit in limits
        for measure in known
        if measure.name == rule.measure and measure.value > limits[rule.limit]
    ]


def _alert(rule: AlertRule, measure: Measure, limit: float) -> Alert:
    subject = " ".join(measure.labels.values())
    message = rule.says.format(
        subject=subject, value=_words(rule.limit, measure.value), limit=_words(rule.limit, limit)
    )
    return Alert(rule.alert, subject, measure.value, limit, message)


def _words(name: str, value: float) -> str:
    if name.endswith("_share"):
        return f"{value:.1%}".replace("%", " %")
    if name.endswith("_seconds"):
        return f"{value:.0f} s"
    return f"{value:.0f}"
