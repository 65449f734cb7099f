"""What is wrong with a network: the rules, and the notebook in which reading it writes them down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.model import Finding, FindingSeverity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


class Troubles:
    """Codes in trouble by rule, gathered while a network is read.

    Examples
    --------
    >>> troubles = Troubles()
    >>> troubles.add("self_loop", ["L1"])
    >>> [finding.rule for finding in troubles.findings()]
    ['self_loop']
    """

    __slots__ = ("_codes",)

    def __init__(self) -> None:
        self._codes: dict[str, list[str]] = {}

    def add(self, rule: str, codes: Iterable[str]) -> None:
        """Note the codes under a rule of :data:`RULES`; no codes, no trouble."""
        if added := list(codes):
            self._codes.setdefault(rule, []).extend(added)

    def merged(self, *others: Troubles) -> Troubles:
        """Make one notebook of several."""
        merged = Troubles()
        for troubles in (self, *others):
            for rule, codes in troubles:
                merged.add(rule, codes)
        return merged

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        return iter(self._codes.items())

    def findings(self) -> list[Finding]:
        """Tell them as findings: errors first, then in the order of the rules; ids sorted."""
        findings = []
        for rule, (severity, message, remedy) in RULES.items():
            if codes := self._codes.get(rule):
                ids = tuple(sorted(set(codes))[:_MOST_IDS])
                findings.append(Finding(rule, severity, message, remedy, ids, len(codes)))
        return sorted(findings, key=lambda finding: finding.severity is not _ERROR)
