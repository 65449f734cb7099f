"""Codes to rows and back: the table of meter numbers beside a dictionary and a list of the same codes.

Run ``python -m benchmarks.graph.codes``; ``--quick`` for 1,000 and 30,000 codes. Times are wall-clock,
the best and the median of rounds; each round of a batch asks for other codes, drawn at random, in
strings made just before, as from a message. Bytes are what tracemalloc saw: codes included, neither
the input nor the 1.3 MB that all tables of one width share.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import itertools
import json
import statistics
import sys
import time
import tracemalloc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.names.codes import CodeTable, Names
from oms_topology.model import NetworkColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

Figures = dict[str, tuple[float, float]]

_BATCH = 10_000
_DECODED = 1_000
_MAKES_STRINGS = 1_000_000


def timed(work: Callable[[Any], Any], inputs: Iterable[Any], scale: float) -> tuple[float, float]:
    """Best and median time of one call, each with its own input; the first call is not counted."""
    taken = []
    gc.collect()
    gc.disable()
    for each in inputs:
        begin = time.perf_counter()
        work(each)
        taken.append((time.perf_counter() - begin) * scale)
    gc.enable()
    counted = taken[1:] or taken
    return min(counted), statistics.median(counted)


def held_by(make: Callable[[], Any]) -> tuple[float, float]:
    """Bytes that a thing holds, and that making it took at most, as tracemalloc sees them."""
    gc.collect()
    tracemalloc.start()
    kept = make()
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return held, most


def numbers(count: int) -> NDArray[np.object_]:
    """Meter numbers of ten characters, one in seven of those possible, in no order."""
    order = np.random.default_rng(7).permutation(count) * 7
    return np.array([f"M{number:09d}" for number in order.tolist()], dtype=object)


def translating(column: NDArray[np.object_], table: CodeTable, rounds: int) -> Figures:
    """Time codes to rows and rows to codes, in batches and one by one."""
    plain = dict(zip(column.tolist(), range(len(column)), strict=True))
    random = np.random.default_rng(11)
    known = [column[random.integers(0, len(column), _BATCH)] for _ in range(rounds)]
    unknown = [np.array([f"N{code[1:]}" for code in some.tolist()], dtype=object) for some in known]
    rows = [random.integers(0, len(column), _DECODED).astype(np.int32) for _ in range(rounds)]
    listed = column.tolist()
    few = itertools.cycle(fresh(known[0][:200]))
    single = range(200 * rounds)
    empty = timed(partial(_one_by_one, None, few, len(single)), range(rounds), 1e6)
    figures = {
        "rows of 10,000 codes, us": timed(table.rows, map(fresh, known), 1e6),
        "  dict, us": timed(lambda codes: [plain.get(code, -1) for code in codes], map(fresh, known), 1e6),
        "rows of 10,000 unknown codes, us": timed(table.rows, map(fresh, unknown), 1e6),
        "codes of 1,000 rows, us": timed(table.codes, rows, 1e6),
        "  list, us": timed(lambda some: np.array([listed[row] for row in some.tolist()], object), rows, 1e6),
        "  object array, us": timed(lambda some: column[some], rows, 1e6),
    }
    for name, find in (("row of one code, us", table.row), ("  dict, one, us", plain.get)):
        spent = timed(partial(_one_by_one, find, few, len(single)), range(rounds), 1e6)
        figures[name] = tuple((a - b) / len(single) for a, b in zip(spent, empty, strict=True))  # type: ignore[assignment]
    return figures


def _one_by_one(find: Callable[[str], Any] | None, codes: Iterator[str], count: int, _: int) -> None:
    if find is None:
        for _ in range(count):
            next(codes)
        return
    for _ in range(count):
        find(next(codes))


def fresh(codes: NDArray[np.object_]) -> list[str]:
    """Copies, as they come out of a message: other objects than a dictionary was made of, not hashed yet."""
    return " ".join(codes.tolist()).split(" ")


def building(column: NDArray[np.object_], rounds: int) -> Figures:
    """Time and bytes of a table, and of a dictionary and a list."""
    fixed, count = column.astype("S"), len(column)
    tries = range(max(rounds // 4, 2))
    CodeTable(column[:9])
    held, most = held_by(lambda: CodeTable(column))
    figures = {
        "table from objects, ms": timed(lambda _: CodeTable(column), tries, 1e3),
        "table from bytes, ms": timed(lambda _: CodeTable(fixed), tries, 1e3),
        "  dict, ms": timed(lambda _: dict(zip(column.tolist(), range(count), strict=True)), tries, 1e3),
        "table, bytes a code: held, at most": (held / count, most / count),
    }
    if count <= _MAKES_STRINGS:
        text = " ".join(column.tolist())
        held, most = held_by(lambda: dict_and_list(text))
        figures["  dict and list, bytes a code"] = (held / count, most / count)
    return figures


def dict_and_list(text: str) -> tuple[dict[str, int], list[str]]:
    """The same codes the plain way."""
    codes = text.split(" ")
    return dict(zip(codes, range(len(codes)), strict=True)), codes


def suggesting(column: NDArray[np.object_], table: CodeTable, rounds: int) -> Figures:
    """Time suggestions and batches of mixed codes, with a device for every nine meters."""
    devices = len(column) // 9
    codes = np.array([f"DP{row:08d}" for row in range(devices)], dtype=object)
    columns = NetworkColumns(
        device_kind=np.full(devices, "distribution_point", dtype=object),
        device_code=codes,
        meter_number=column,
        meter_device=np.zeros(len(column), dtype=np.int32),
    )
    names = Names(columns, table)
    random = np.random.default_rng(13)
    mixed = [
        random.permutation(
            np.append(*(each[random.integers(0, len(each), _BATCH // 2)] for each in (column, codes)))
        )
        for _ in range(rounds)
    ]
    picked = column[random.integers(0, len(column), rounds)].tolist()
    typed: dict[str, list[str]] = {
        "one left out": [code[:4] + code[5:] for code in picked],
        "two wrong": [f"{code[:3]}X{code[4:7]}Y{code[8:]}" for code in picked],
        "like nothing": [f"nowhere{at}" for at in range(rounds)],
    }
    figures: Figures = {
        "rows of 10,000 mixed codes, ms": timed(
            lambda some: names.rows(some, columns), map(fresh, mixed), 1e3
        )
    }
    for what, wrong in typed.items():
        figures[f"suggestions, {what}, ms"] = timed(lambda code: names._near(columns, code), wrong, 1e3)
    pool = column[:20_000].tolist()
    figures["  difflib over 20,000 codes, ms"] = timed(
        lambda code: difflib.get_close_matches(code, pool), picked[:3], 1e3
    )
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Run, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="1,000 and 30,000 codes, few rounds")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    scales, rounds = ((1_000, 30_000), 4) if chosen.quick else ((1_000, 1_000_000, 10_000_000), 16)
    figures: dict[str, Figures] = {}
    for count in scales:
        column = numbers(count)
        found = building(column, rounds)
        table = CodeTable(column)
        found |= translating(column, table, rounds) | suggesting(column, table, rounds)
        figures[str(count)] = found
        print(f"{count:,} codes{'':37}{'best':>12}{'median':>12}")
        for name, (best, median) in found.items():
            print(f"  {name:44}{best:12,.3f}{median:12,.3f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
