"""What is blamed at one instant after the other, at the cost of what changed and one pass over the nodes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.outages.assessing import Writer, began_at, inference_of, prior_of, wrong_mapping_of
from oms_topology.outages.losses import LossWeights, StandingReport, Word, weigh_others, word_of
from oms_topology.outages.marks import Marks
from oms_topology.outages.reports import Report

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from oms_topology.outages.assessing import KnownEquipment
    from oms_topology.outages.assessment import ConcludedOutage
    from oms_topology.outages.collectors import CollectorInference
    from oms_topology.outages.evidence import Evidence
    from oms_topology.outages.inference import ForestInference, Posteriors
    from oms_topology.outages.losses import PlannedWindow
    from oms_topology.outages.rates import EvidenceRates
    from oms_topology.outages.recovery import Told

__all__ = ["Sweep"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sweep:
    """Concludes at each instant what :func:`~oms_topology.outages.assessing.assess` would.

    Between two instants only the nodes of which something was heard, or whose reports weigh another
    amount now, are weighed anew; what the missing reports weigh and the explanation follow in passes
    over arrays.

    Parameters
    ----------
    told : Told
        All reports.
    rates, equipment
        As for ``assess``.
    explained : sequence of (int, datetime, datetime)
        Between which times a node was without supply as planned.
    """

    def __init__(
        self, told: Told, rates: EvidenceRates, equipment: KnownEquipment, explained: Sequence[PlannedWindow]
    ) -> None:
        self._told, self._forest, self._rates, self._equipment = told, told.forest, rates, equipment
        self._weights = LossWeights(told.forest, rates, explained)
        self._words: dict[int, Word] = {}
        self._standing: dict[int, list[StandingReport]] = {}
        self._growing: set[int] = set()
        self._now = self._former = _Knowledge(_EPOCH)
        self._marks = Marks(told.forest, rates, equipment.equipped or {}, told.arrived)
        self._wrong = wrong_mapping_of(told.forest, rates, equipment)
        self._prior = prior_of(told.forest, (), rates)
        self._spoken: tuple[int, ...] = ()

    def advance(
        self, at: datetime, heard: Sequence[Report], lapsed: Sequence[tuple[datetime, int]]
    ) -> list[int]:
        """Move on to an instant.

        Parameters
        ----------
        at : datetime
            The instant, later than the one before.
        heard : sequence of Report
            What was said since that one.
        lapsed : sequence of (datetime, int)
            Nodes whose losses ceased to count since then.

        Returns
        -------
        list of int
            The nodes that are blamed by more than silence, ascending.
        """
        self._former, self._now = self._now, _Knowledge(at)
        changed = {report.node for report in heard} | {node for _, node in lapsed}
        self._read(changed)
        return self._decide(changed | self._growing)

    def explain(self, windows: Sequence[PlannedWindow]) -> list[int]:
        """Take what was lost at and below nodes between two times as explained; give what is blamed then."""
        changed: set[int] = set()
        for window in windows:
            self._weights.explain(window)
            changed.update(self._heard_below(window[0]))
        return self._decide(changed)

    def forget(self, window: PlannedWindow) -> None:
        """Take an explanation back, from the next instant on."""
        self._weights.forget(window)
        self._growing.update(self._heard_below(window[0]))

    def start(self, node: int) -> datetime:
        """Tell when the outage of a node began, by what is known at this instant."""
        below = self._heard_below(node)
        losses = [each.report for some in below for each in self._standing[some] if each.weight > 0]
        return began_at(
            losses, lambda: [r for some in below for r in self._words[some].told], node, self._rates
        )

    def outage(self, node: int) -> ConcludedOutage:
        """Tell everything about the outage of a node that is blamed at this instant."""
        return self._outage(node, self._now, {}, {})

    def outage_before(self, node: int) -> ConcludedOutage:
        """Tell the same by what was known at the instant before, when the node was blamed."""
        return self._outage(node, self._former, self._now.words_before, self._now.standing_before)

    def _outage(
        self,
        top: int,
        known: _Knowledge,
        words: Mapping[int, Word],
        standing: Mapping[int, list[StandingReport]],
    ) -> ConcludedOutage:
        """Write down an outage from the words below it, as they were, and the sums over all nodes."""
        forest, found, told = self._forest, list[StandingReport](), list[Report]()
        heard_again: list[int] = []
        for node in self._heard_below(top):
            word = words.get(node, self._words[node])
            found += standing.get(node, self._standing[node])
            since = known.fresh_since.get(int(forest.tree[node]))
            is_meter = node >= forest.devices
            found += weigh_others(word, self._rates, known.at, since, is_meter=is_meter)
            told += word.told
            if is_meter and word.live and not word.losses:
                heard_again.append(node)
        evidence = replace(
            known.evidence,
            standing=tuple(found),
            told=tuple(told),
            heard_again=np.array(heard_again, dtype=np.int32),
        )
        posteriors = known.posteriors
        return Writer(forest, evidence, posteriors, self._rates).outage(top, float(posteriors.is_failed[top]))

    def _heard_below(self, top: int) -> list[int]:
        return [node for node in self._told.below(top) if node in self._words]

    def _read(self, changed: Collection[int]) -> None:
        """Sift what nodes have said by now."""
        at = self._now.at
        for node in changed:
            heard = [report for report in self._told.of[node] if report.occurred_at <= at]
            former, word = self._words.get(node), word_of(heard, self._rates, at)
            self._now.words_before[node] = former or Word()
            self._marks.note(node, former, word)
            self._words[node] = word
        has_device = any(node < self._forest.devices for node in changed)
        self._weights.move_to(at, self._words if has_device else None)
        if has_device:
            self._growing = set(self._words)

    def _decide(self, changed: Collection[int]) -> list[int]:
        """Weigh what has changed, and find what is to blame by more than silence."""
        for node in changed:
            self._weigh(node)
        now = self._now
        now.fresh_since = self._marks.fresh_since()
        now.evidence = self._marks.evidence(now.at)
        now.inference = self._inference(now.evidence)
        blamed = now.inference.explanation().blamed.tolist()
        lossy = np.flatnonzero(self._marks.is_lost).astype(np.int32)
        return [node for node in blamed if len(self._forest.places_below(lossy, node))]

    def _inference(self, evidence: Evidence) -> ForestInference | CollectorInference:
        if evidence.spoken != self._spoken:
            self._spoken = evidence.spoken
            self._prior = prior_of(self._forest, evidence.spoken, self._rates)
        return inference_of(self._forest, evidence, self._prior, self._wrong, self._rates, self._equipment)

    def _weigh(self, node: int) -> None:
        """Weigh the losses of a node, and remember what they weighed before."""
        found, grows = self._weights.growing(node, self._words[node])
        self._now.standing_before.setdefault(node, self._standing.get(node, []))
        self._standing[node] = found
        self._marks.loss_weight[node] = sum(each.weight for each in found)
        self._marks.is_lost[node] = any(each.weight > 0 for each in found)
        if grows:
            self._growing.add(node)
        else:
            self._growing.discard(node)


class _Knowledge:
    """What is known at one instant, and what that changed of what was known before."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.words_before: dict[int, Word] = {}
        self.standing_before: dict[int, list[StandingReport]] = {}
        self.fresh_since: dict[int, datetime] = {}
        self.evidence: Evidence
        self.inference: ForestInference | CollectorInference

    @cached_property
    def posteriors(self) -> Posteriors:
        """Probabilities of all nodes."""
        return self.inference.posteriors()
