"""A network from a line of text, for tests, documentation and trying things out."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from oms_topology.errors import TopologyError
from oms_topology.graph.reading.book import BranchBook, DeviceBook, network
from oms_topology.graph.troubles import Troubles
from oms_topology.model import DeviceKind, NetworkColumns

__all__ = ["columns_from_text"]

_LINK = re.compile(r"\s*(~>|>[^\s<>/;]+>|/[^\s<>/;]+/|>)\s*")
_RANGE = re.compile(r"(.*?)(\d+)\.\.(.*?)(\d+)")
_PREFIXES = (
    ("SS", DeviceKind.SUBSTATION),
    ("DP", DeviceKind.DISTRIBUTION_POINT),
    ("M", DeviceKind.METER),
    ("F", DeviceKind.FEEDER),
)
_DEVICES = (DeviceKind.SUBSTATION, DeviceKind.FEEDER, DeviceKind.DISTRIBUTION_POINT, DeviceKind.SECTION)


def columns_from_text(text: str) -> tuple[NetworkColumns, Troubles]:
    """Read a network in the notation that ``Topology.from_text`` explains.

    Parameters
    ----------
    text : str
        Chains, separated by ``;`` or line ends.

    Returns
    -------
    columns : NetworkColumns
        The network.
    troubles : Troubles
        What cannot be.

    Raises
    ------
    TopologyError
        A chain cannot be read.
    """
    reader = _Reader()
    for chain in re.split(r"[;\n]", text):
        if chain.strip():
            reader.read_chain(chain.strip())
    return reader.columns(), reader.troubles


class _Reader:
    def __init__(self) -> None:
        self.troubles = Troubles()
        self.devices = DeviceBook(self.troubles)
        self.branches = BranchBook()
        self.meters: dict[str, int] = {}
        self.alternates: list[tuple[str, int]] = []

    def read_chain(self, chain: str) -> None:
        first, *parts = _LINK.split(chain)
        if _kind(first) is DeviceKind.METER:
            raise TopologyError(f"A chain begins with a device, not with the meter {first!r}.")
        above = self._device(first)
        for link, text in zip(parts[::2], parts[1::2], strict=True):
            for code in _codes(text):
                below = self._join(above, link, code, chain)
            above = below

    def _join(self, above: int, link: str, code: str, chain: str) -> int:
        if above < 0:
            raise TopologyError(f"Nothing can hang on a meter: {chain!r}.")
        if _kind(code) is not DeviceKind.METER:
            below = self._device(code)
            name = link.strip("/>")
            is_tie = link.startswith("/")
            kind = "switch" if name else "line"
            state = {"is_switch": bool(name), "normally_open": is_tie, "is_open": is_tie}
            self.branches.add(above, below, kind=kind, code=name, **state)
            return below
        if link == "~>":
            self.alternates.append((code, above))
        elif link != ">":
            raise TopologyError(f"A meter hangs on its device by '>' or '~>': {chain!r}.")
        elif code in self.meters:
            self.troubles.add("duplicate_id", [code])
        else:
            self.meters[code] = above
        return -1

    def _device(self, code: str) -> int:
        if not code:
            raise TopologyError("A chain has a link that leads nowhere.")
        kind = _kind(code)
        return self.devices.add(kind, code, is_source=kind is DeviceKind.SUBSTATION)

    def columns(self) -> NetworkColumns:
        rows = {number: row for row, number in enumerate(self.meters)}
        known = [(rows[number], device) for number, device in self.alternates if number in rows]
        self.troubles.add("dangling_id", [number for number, _ in self.alternates if number not in rows])
        table = np.array(known, dtype=np.int32).reshape(-1, 2)
        meters: dict[str, Any] = {
            "meter_number": np.array(list(self.meters), dtype=object),
            "meter_device": np.array(list(self.meters.values()), dtype=np.int32),
            "alternate_meter": table[:, 0].copy(),
            "alternate_device": table[:, 1].copy(),
        }
        return network(self.devices, self.branches, **meters)


def _kind(code: str) -> DeviceKind:
    return next((kind for prefix, kind in _PREFIXES if code.startswith(prefix)), DeviceKind.SECTION)


def _codes(text: str) -> list[str]:
    """Spell out ``M1..M5`` and ``M1, M2``; the width of the first number is kept."""
    codes: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        spread = _RANGE.fullmatch(part)
        if spread is None:
            codes.append(part)
            continue
        prefix, begin, _, end = spread.groups()
        codes.extend(f"{prefix}{number:0{len(begin)}d}" for number in range(int(begin), int(end) + 1))
    return codes
