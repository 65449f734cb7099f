"""What is wrong with a network: the rules, and the notebook in which reading it writes them down."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from oms_topology.model import Finding, FindingSeverity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["RULES", "Troubles"]

_ERROR, _WARNING = FindingSeverity.ERROR, FindingSeverity.WARNING

RULES: dict[str, tuple[FindingSeverity, str, str]] = {
    "duplicate_id": (
        _ERROR,
        "Codes that stand for several rows of one kind; the first row counts.",
        "Give each its own code.",
    ),
    "dangling_id": (
        _ERROR,
        "Branches, meters or supplies that name a device which does not exist; the reference is dropped.",
        "Add the device or correct the reference.",
    ),
    "empty_code": (_ERROR, "Rows without a code; they are left out.", "Give them a code."),
    "self_loop": (
        _ERROR,
        "Branches that begin and end at one device; they are left out.",
        "Correct one end.",
    ),
    "loop": (
        _ERROR,
        "Branches that close a loop in the normal state; supply is read as the way of fewest hops.",
        "Mark one switch of each loop as normally open.",
    ),
    "two_sources": (
        _ERROR,
        "Devices that two sources feed in the normal state; the nearer source counts.",
        "Mark the tie between the sources as normally open.",
    ),
    "orphan_device": (
        _ERROR,
        "Devices that no source reaches in the normal state.",
        "Connect them, or close the switch that should feed them.",
    ),
    "orphan_meter": (
        _ERROR,
        "Meters that no source reaches in the normal state.",
        "Link them to a device that has supply.",
    ),
    "code_collision": (
        _WARNING,
        "Codes that several kinds share; asked for bare, they are ambiguous.",
        "Name the kind when asking, or rename.",
    ),
    "feeder_mismatch": (
        _WARNING,
        "Meters whose feeder is not the feeder of their distribution point; the distribution point counts.",
        "Correct the one that is wrong.",
    ),
    "impossible_coordinates": (
        _WARNING,
        "Positions off the globe, at zero degrees, or half given.",
        "Check for swapped or projected coordinates.",
    ),
}
"""Severity, message and remedy of each rule, in the order in which findings are told."""

_MOST_IDS = 100
_MANY = 10_000


class _Noted:
    """How many codes a rule has, and the least of them: what a finding tells, however many there are."""

    __slots__ = ("_highest", "codes", "count")

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.count = 0
        self._highest: str | None = None

    def add(self, codes: Sequence[str]) -> None:
        self.count += len(codes)
        for begin in range(0, len(codes), _MANY):
            some, highest = codes[begin : begin + _MANY], self._highest
            self.codes += some if highest is None else [code for code in some if code < highest]
            if len(self.codes) >= _MANY:
                self._forget()

    def _forget(self) -> None:
        """Let go of the codes that no finding can tell any more."""
        self.codes = self.least()
        if len(self.codes) == _MOST_IDS:
            self._highest = self.codes[-1]

    def least(self) -> list[str]:
        """Give the least codes, each once, sorted."""
        return heapq.nsmallest(_MOST_IDS, set(self.codes))


class Troubles:
    """Codes in trouble by rule, gathered while a network is read.

    Of every rule it keeps the count and the codes that a finding tells, so that a network in which
    everything is wrong costs little more than one in which something is.

    Examples
    --------
    >>> troubles = Troubles()
    >>> troubles.add("self_loop", ["L1"])
    >>> [finding.rule for finding in troubles.findings()]
    ['self_loop']
    """

    __slots__ = ("_noted",)

    def __init__(self) -> None:
        self._noted: dict[str, _Noted] = {}

    def add(self, rule: str, codes: Iterable[str]) -> None:
        """Note the codes under a rule of :data:`RULES`; no codes, no trouble."""
        added = codes if isinstance(codes, list) else list(codes)
        if added:
            self._noted.setdefault(rule, _Noted()).add(added)

    def merged(self, *others: Troubles) -> Troubles:
        """Make one notebook of several."""
        merged = Troubles()
        for troubles in (self, *others):
            for rule, noted in troubles._noted.items():
                both = merged._noted.setdefault(rule, _Noted())
                both.add(noted.codes)
                both.count += noted.count - len(noted.codes)
        return merged

    def findings(self) -> list[Finding]:
        """Tell them as findings: errors first, then in the order of the rules; ids sorted."""
        findings = []
        for rule, (severity, message, remedy) in RULES.items():
            if noted := self._noted.get(rule):
                findings.append(Finding(rule, severity, message, remedy, tuple(noted.least()), noted.count))
        return sorted(findings, key=lambda finding: finding.severity is not _ERROR)
