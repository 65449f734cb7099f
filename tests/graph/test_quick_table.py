"""Single look-ups in a table that keeps rows beside codes, held against a dictionary."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_topology.graph.names.quick_table import QuickTable


def texts(codes: list[str]) -> np.ndarray:
    column = np.empty(len(codes), dtype=object)
    column[:] = codes
    return column


@given(
    st.lists(st.text(max_size=70) | st.text("AB\0é", max_size=4), max_size=40),
    st.lists(st.text(max_size=5) | st.text("AB\0\ud800ÿ", max_size=4), max_size=10),
)
def test_any_codes_are_found_as_in_a_dictionary(codes: list[str], others: list[str]) -> None:
    table = QuickTable(texts(codes))
    first = dict(zip(reversed(codes), range(len(codes) - 1, -1, -1), strict=True))
    for code in (*codes, *others):
        assert table.row(code) == first.get(code, -1)


@pytest.mark.parametrize("length", [9, 12, 13, 28, 29, 60, 61, 90])
def test_codes_of_any_length(length: int) -> None:
    codes = [f"{number:0{length}d}" for number in np.random.default_rng(5).permutation(3_000).tolist()]
    codes[7] = codes[70]
    table = QuickTable(texts(codes))
    assert [table.row(code) for code in codes] == [7 if at == 70 else at for at in range(3_000)]
    assert table.row("9" * length) == table.row(codes[0][1:]) == -1
    assert table.rows(codes[:50]).tolist() == [table.row(code) for code in codes[:50]]


def test_nothing_else_is_found() -> None:
    table = QuickTable(texts(["A", "B\0", ""]))
    assert [table.row(code) for code in ("A\0", "B", "\0", "\ud800", "", "B\0")] == [-1, -1, -1, -1, 2, 1]
    assert table.row(7) == -1  # type: ignore[arg-type]
    assert QuickTable(texts([])).row("A") == -1


def test_a_copy_from_a_pickle_hashes_anew() -> None:
    codes = [f"DP{number}" for number in range(500)]
    table = pickle.loads(pickle.dumps(QuickTable(texts(codes))))
    assert [table.row(code) for code in codes] == list(range(500))
