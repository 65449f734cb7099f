"""What a validation found, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "FindingSeverity"]


class FindingSeverity(StrEnum):
    """How bad a finding is: an error makes answers wrong, a warning may."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of trouble in a network, with everything it concerns.

    Attributes
    ----------
    rule : str
        The rule's stable name, such as ``"loop"`` or ``"orphan_meter"``.
    severity : FindingSeverity
        Whether answers are wrong or only may be.
    message : str
        What is wrong, in one sentence.
    remedy : str
        What to do about it.
    ids : tuple of str
        The codes concerned, sorted; at most the first hundred.
    count : int
        How many are concerned in all.

    Examples
    --------
    >>> print(Finding("orphan_meter", FindingSeverity.ERROR, "No supply.", "Link them.", ("M1",), 1))
    error orphan_meter (1): No supply. Link them. [M1]
    """

    rule: str
    severity: FindingSeverity
    message: str
    remedy: str
    ids: tuple[str, ...]
    count: int

    def __str__(self) -> str:
        shown = ", ".join(self.ids[:5]) + (", ..." if self.count > min(5, len(self.ids)) else "")
        return f"{self.severity} {self.rule} ({self.count}): {self.message} {self.remedy} [{shown}]"
