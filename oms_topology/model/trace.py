"""What a trace passes on its way through the network."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PathStep"]


@dataclass(frozen=True, slots=True)
class PathStep:
    """A device, switch or other branch that lies on the way between something and its source.

    Attributes
    ----------
    kind : str
        The device's :class:`~oms_topology.model.DeviceKind`, or the branch's kind as the data name it.
    code : str
        Its code; ``""`` for a branch without one.

    Examples
    --------
    >>> str(PathStep("fuse", "FU12"))
    'fuse FU12'
    """

    kind: str
    code: str

    def __str__(self) -> str:
        return f"{self.kind} {self.code}".rstrip()
