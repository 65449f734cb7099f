"""Who of an outage's meters has power again, and since when: by each meter's own words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.outages.losses import CLOCKS_APART
from oms_topology.outages.rates import ReportKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.reports import Report

__all__ = ["Recovery", "Told", "recovery_of"]


class Told:
    """All reports of a course by node, each node's in the order in which one beats the other.

    Parameters
    ----------
    reports : iterable of Report
        In any order.
    forest : SupplyForest
        Their nodes.
    arrived : mapping of int to datetime, optional
        Since when a node hangs where it does, of those that hung elsewhere before.
    """

    def __init__(
        self, reports: Iterable[Report], forest: SupplyForest, arrived: Mapping[int, datetime] | None = None
    ) -> None:
        self.forest, self.arrived = forest, arrived or {}
        of: dict[int, list[Report]] = {}
        for report in sorted(reports, key=lambda each: (each.node, each.order)):
            of.setdefault(report.node, []).append(report)
        self.of = of
        self.nodes: NDArray[np.int32] = np.array(list(of), dtype=np.int32)

    def below(self, top: int) -> list[int]:
        """Give the nodes at and below another one that something was said about, ascending."""
        return [int(node) for node in self.nodes[self.forest.places_below(self.nodes, top)]]

    def since(self, node: int, top: int, at: datetime) -> datetime:
        """Give an instant, or the later one at which a node came to hang below another."""
        if self.arrived:
            for each in self.forest.path(node):
                if each == top:
                    break
                at = max(at, self.arrived.get(each, at))
        return at

    def has_power_word(self, top: int, after: datetime, until: datetime) -> bool:
        """Tell whether power was reported at or below a node after one instant, up to another."""
        return any(
            report.says_dead is False and after < report.occurred_at <= until
            for node in self.below(top)
            for report in self.of[node]
        )


@dataclass(slots=True)
class Recovery:
    """How far supply is back at and below a device.

    Attributes
    ----------
    own_lost : bool
        Whether the device itself reported the loss.
    own_back_at : datetime or None
        When its own newest word says that it has power.
    lost : dict of int to datetime or None
        Meters that reported a loss, and when they first reported power after it.
    called : dict of int to datetime or None
        Meters that a call or a loss speaks of and that have not reported power, and when they were
        reached again; and those that only a call speaks of, when they had power or were reached.
    others : dict of int to datetime
        Meters that reported power and no loss before it.
    devices : dict of int to datetime or None
        Devices below that reported a loss, and when they first reported power after it.
    """

    own_lost: bool = False
    own_back_at: datetime | None = None
    lost: dict[int, datetime | None] = field(default_factory=dict)
    called: dict[int, datetime | None] = field(default_factory=dict)
    others: dict[int, datetime] = field(default_factory=dict)
    devices: dict[int, datetime | None] = field(default_factory=dict)

    @property
    def ended_at(self) -> datetime | None:
        """When supply was back: by the device's word, else when more than half of what was lost was back."""
        if self.own_back_at or self.own_lost:
            return self.own_back_at
        return _middle(self.lost.values())

    @property
    def ended_at_by_any_word(self) -> datetime | None:
        """The same by whatever was heard, for a device that nothing else speaks against any more."""
        heard = {**self.others, **self.called, **self.devices}
        for node, back_at in self.lost.items():
            heard[node] = back_at or self.called.get(node)
        return _middle(heard.values())

    @property
    def dark(self) -> list[int]:
        """Meters that reported a loss and nothing of power since, ascending."""
        return sorted(node for node, back_at in self.lost.items() if back_at is None)

    @property
    def steps(self) -> tuple[tuple[datetime, int], ...]:
        """When how many meters in all had power again."""
        times = sorted([each for each in self.lost.values() if each] + list(self.others.values()))
        return tuple(
            (time, at + 1) for at, time in enumerate(times) if at + 1 == len(times) or times[at + 1] != time
        )

    def verified_at(self, ended_at: datetime) -> datetime | None:
        """Give when the meters verified an end: every lost one heard again, and at least one heard."""
        back = [each for each in self.lost.values() if each]
        if len(back) < len(self.lost) or not (back or self.others):
            return None
        return max(ended_at, max(back) if back else min(self.others.values()))


def recovery_of(
    told: Told,
    top: int,
    *,
    started_at: datetime,
    at: datetime,
    ended_at: datetime | None = None,
    left: Mapping[str, datetime | None] | None = None,
) -> Recovery:
    """Tell how far supply was back by an instant.

    Parameters
    ----------
    told : Told
        Everything said.
    top : int
        Node of the device; -1 once it is gone.
    started_at : datetime
        When the outage began; losses up to five minutes earlier that still stood then belong to it, since
        clocks differ.
    at : datetime
        Later reports are left out.
    ended_at : datetime, optional
        When it ended, if it did: what was lost after that belongs to another outage.
    left : mapping of str to datetime or None, optional
        Meters that were below it and hang elsewhere now, by number; and when that gave them supply again.

    Returns
    -------
    Recovery
        A function of the set of reports; linear in those below the device.
    """
    found = Recovery()
    last_loss = at if ended_at is None else ended_at
    first_at = started_at - CLOCKS_APART
    for node in told.below(top) if top >= 0 else ():
        words = _words(told, node, told.since(node, top, first_at), at)
        if node == top and node < told.forest.devices:
            _hear_device(found, words, started_at)
        else:
            _hear_node(told, found, node, words, started_at, last_loss)
    for number, left_at in (left or {}).items():
        node = told.forest.meter_node(number)
        if node in told.of and not (top >= 0 and told.forest.is_below(node, top)):
            until = last_loss if left_at is None else min(last_loss, left_at)
            _hear_node(told, found, node, _words(told, node, first_at, at), started_at, until, left_at)
    return found


def _words(told: Told, node: int, first_at: datetime, at: datetime) -> list[Report]:
    return [report for report in told.of[node] if first_at <= report.occurred_at <= at]


def _hear_device(found: Recovery, words: list[Report], started_at: datetime) -> None:
    for report in words:
        if report.occurred_at < started_at:
            continue
        if report.says_dead:
            found.own_lost, found.own_back_at = True, None
        elif report.says_dead is False and found.own_back_at is None:
            found.own_back_at = report.occurred_at


@dataclass(slots=True)
class _Heard:
    """What one meter or device below said from the start of an outage on."""

    lost: bool = False
    called: bool = False
    back_at: datetime | None = None
    reached_at: datetime | None = None

    def hear_loss(self, report: Report) -> None:
        self.lost |= report.kind is not ReportKind.CALL
        self.called, self.back_at, self.reached_at = True, None, None

    def hear_power(self, report: Report, *, is_before: bool) -> None:
        if is_before:
            self.lost = self.called = False
        elif report.says_dead is False:
            self.back_at = self.back_at or report.occurred_at
        elif report.is_reached:
            self.reached_at = self.reached_at or report.occurred_at


def _hear_node(
    told: Told,
    found: Recovery,
    node: int,
    words: list[Report],
    started_at: datetime,
    last_loss: datetime,
    left_at: datetime | None = None,
) -> None:
    heard = _Heard()
    for report in words:
        if not report.says_dead:
            heard.hear_power(report, is_before=report.occurred_at < started_at)
        elif report.occurred_at > last_loss:
            break
        else:
            heard.hear_loss(report)
    if heard.called and left_at is not None:
        heard.back_at = min(heard.back_at or left_at, left_at)
    if node < told.forest.devices:
        if heard.lost:
            found.devices[node] = heard.back_at
        return
    if heard.lost:
        found.lost[node] = heard.back_at
    elif heard.back_at:
        found.others[node] = heard.back_at
    if heard.called and (heard.back_at is None or not heard.lost):
        found.called[node] = heard.back_at or heard.reached_at


def _middle(times: Iterable[datetime | None]) -> datetime | None:
    """Give the time by which more than half had come; None where that many have not."""
    every = list(times)
    come = sorted(time for time in every if time)
    return come[len(every) // 2] if 2 * len(come) > len(every) else None
