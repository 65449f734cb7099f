"""From columns as they came to columns that an index can stand on; what was wrong is written down."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.names.codes import CodeTable
from oms_topology.graph.troubles import Troubles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.model import NetworkColumns

__all__ = ["GONE", "NOWHERE", "cleaned", "take"]

NOWHERE = -1
"""``meter_device`` of a meter that no device is known for."""
GONE = -2
"""``meter_device`` of a meter that was taken out of the network; its row stays, so that rows are stable."""


def take(columns: NetworkColumns, prefix: str, rows: NDArray[Any]) -> NetworkColumns:
    """Keep some rows of one table of a network, in the order given.

    Parameters
    ----------
    columns : NetworkColumns
        The network; it is not changed, and references into the table are not renumbered.
    prefix : {"device", "branch", "meter", "alternate"}
        The table.
    rows : int or bool array
        What to keep.

    Returns
    -------
    NetworkColumns
        The network with that table cut down.
    """
    parts: dict[str, Any] = {}
    for each in fields(columns):
        if each.name.startswith(f"{prefix}_"):
            value = getattr(columns, each.name)
            is_table = each.name.endswith("_attributes")
            parts[each.name] = (
                {name: column[rows] for name, column in value.items()} if is_table else value[rows]
            )
    return replace(columns, **parts)


def cleaned(columns: NetworkColumns) -> tuple[NetworkColumns, CodeTable, Troubles]:
    """Drop what cannot be part of a network, so that every row refers to rows that exist.

    Of devices of one kind and code, of meters of one number and of switches of one code the first
    counts (a later switch stays as a branch without a code); rows without a code, branches with a
    missing end and branches from a device to itself are left out; references out of range become -1.

    Parameters
    ----------
    columns : NetworkColumns
        A network as it came; it is not changed.

    Returns
    -------
    columns : NetworkColumns
        The clean network; the same arrays where nothing was wrong.
    meters : CodeTable
        The index over its meter numbers.
    troubles : Troubles
        What was dropped.

    Notes
    -----
    Costs about 0.1 s for a million meters, nearly all of it for hashing their numbers.
    """
    troubles = Troubles()
    columns = _clean_devices(columns, troubles)
    columns = _clean_branches(columns, troubles)
    columns, meters = _clean_meters(columns, troubles)
    columns = _clean_alternates(columns, troubles)
    return columns, meters, troubles


def _clean_devices(columns: NetworkColumns, troubles: Troubles) -> NetworkColumns:
    codes = columns.device_code.tolist()
    if len(set(codes)) == len(codes) and "" not in codes:
        return columns
    often, kinds = Counter(codes), columns.device_kind
    first: dict[tuple[str, str], int] = {}
    kept = np.ones(len(codes), dtype=np.bool_)
    doubled: list[tuple[int, int]] = []
    for row in [row for row, code in enumerate(codes) if not code or often[code] > 1]:
        earlier = first.setdefault((kinds[row], codes[row]), row)
        kept[row] = codes[row] and earlier == row
        if codes[row] and earlier != row:
            doubled.append((row, earlier))
    troubles.add("empty_code", [f"device row {row}" for row, code in enumerate(codes) if not code])
    troubles.add("duplicate_id", [codes[row] for row, _ in doubled])
    new_row = np.where(kept, np.cumsum(kept) - 1, NOWHERE).astype(np.int32)
    for row, earlier in doubled:
        new_row[row] = new_row[earlier]
    return _renumbered(take(columns, "device", kept), "device", new_row)


def _renumbered(columns: NetworkColumns, table: str, new_row: NDArray[np.int32]) -> NetworkColumns:
    names = {
        "device": ("branch_from", "branch_to", "meter_device", "alternate_device"),
        "meter": ("alternate_meter",),
    }
    parts = {name: _looked_up(getattr(columns, name), new_row) for name in names[table]}
    return replace(columns, **parts)  # type: ignore[arg-type]


def _looked_up(rows: NDArray[np.int32], new_row: NDArray[np.int32]) -> NDArray[np.int32]:
    known = (rows >= 0) & (rows < len(new_row))
    looked_up = np.full(len(rows), NOWHERE, dtype=np.int32)
    looked_up[known] = new_row[rows[known]]
    looked_up[rows >= len(new_row)] = np.iinfo(np.int32).max
    return looked_up


def _clean_branches(columns: NetworkColumns, troubles: Troubles) -> NetworkColumns:
    start, end = columns.branch_from, columns.branch_to
    known = (start >= 0) & (start < len(columns.device_code)) & (end >= 0) & (end < len(columns.device_code))
    loop = known & (start == end)
    if not (known & ~loop).all():
        troubles.add("dangling_id", _branch_names(columns, ~known))
        troubles.add("self_loop", _branch_names(columns, loop))
        columns = take(columns, "branch", known & ~loop)
    return _clean_switches(columns, troubles)


def _branch_names(columns: NetworkColumns, chosen: NDArray[np.bool_]) -> list[str]:
    return [columns.branch_code[row] or f"branch row {row}" for row in np.flatnonzero(chosen).tolist()]


def _clean_switches(columns: NetworkColumns, troubles: Troubles) -> NetworkColumns:
    """Let one switch code stand for one branch: members of one gang share both ends."""
    ends: dict[str, frozenset[int]] = {}
    unnamed, doubled = [], []
    for row in np.flatnonzero(columns.branch_is_switch).tolist():
        code = columns.branch_code[row]
        pair = frozenset((int(columns.branch_from[row]), int(columns.branch_to[row])))
        if not code:
            unnamed.append(row)
        elif ends.setdefault(code, pair) != pair:
            doubled.append(row)
    if not unnamed and not doubled:
        return columns
    troubles.add("empty_code", [f"switch row {row}" for row in unnamed])
    troubles.add("duplicate_id", [columns.branch_code[row] for row in doubled])
    is_switch, code_column = columns.branch_is_switch.copy(), columns.branch_code.copy()
    is_switch[unnamed + doubled] = False
    code_column[unnamed + doubled] = ""
    return replace(columns, branch_is_switch=is_switch, branch_code=code_column)


def _clean_meters(columns: NetworkColumns, troubles: Troubles) -> tuple[NetworkColumns, CodeTable]:
    device = columns.meter_device
    missing = (device < NOWHERE) | (device >= len(columns.device_code))
    if missing.any():
        troubles.add("dangling_id", columns.meter_number[missing].tolist())
        columns = replace(columns, meter_device=np.where(missing, np.int32(NOWHERE), device))
    rivals = {*columns.device_code.tolist(), *columns.branch_code[columns.branch_is_switch].tolist()}
    table = CodeTable(columns.meter_number, rivals)
    first_empty = table.row("")
    if not len(table.duplicate_rows) and first_empty < 0:
        return columns, table
    empty = np.array([number == "" for number in columns.meter_number.tolist()], dtype=np.bool_)
    kept = ~empty
    kept[table.duplicate_rows] = False
    repeated = table.duplicate_rows[~empty[table.duplicate_rows]]
    troubles.add("empty_code", [f"meter row {row}" for row in np.flatnonzero(empty).tolist()])
    troubles.add("duplicate_id", columns.meter_number[repeated].tolist())
    new_row = np.where(kept, np.cumsum(kept) - 1, NOWHERE).astype(np.int32)
    for row in repeated.tolist():
        new_row[row] = new_row[table.row(columns.meter_number[row])]
    columns = _renumbered(take(columns, "meter", kept), "meter", new_row)
    return columns, CodeTable(columns.meter_number, rivals)


def _clean_alternates(columns: NetworkColumns, troubles: Troubles) -> NetworkColumns:
    meter, device = columns.alternate_meter, columns.alternate_device
    known = (meter >= 0) & (meter < len(columns.meter_number))
    usable = known & (device >= 0) & (device < len(columns.device_code))
    if usable.all():
        return columns
    names = [
        columns.meter_number[meter[row]] if known[row] else f"supply row {row}"
        for row in np.flatnonzero(~usable).tolist()
    ]
    troubles.add("dangling_id", names)
    return take(columns, "alternate", usable)
