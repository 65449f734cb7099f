"""A table of codes against a plain dictionary, with any text; edit distances against the textbook."""

from __future__ import annotations

import zlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from oms_topology.graph.names.code_bytes import hashes, padded, spelled
from oms_topology.graph.names.code_table import CodeTable
from oms_topology.graph.names.near_names import SMALL, closest_of, distances

ALIKE = st.text(alphabet="M01\0é電\xff \ud800", max_size=9)
CODES = st.one_of(
    ALIKE,
    st.text(max_size=4),
    st.integers(0, 99_999).map("M{:05d}".format),
    st.text("M0", min_size=20, max_size=400),
)


def column_of(codes: list[str]) -> np.ndarray:
    column = np.empty(len(codes), dtype=object)
    column[:] = codes
    return column


@given(codes=st.lists(CODES, max_size=80), others=st.lists(CODES, max_size=20), rows=st.data())
@settings(max_examples=300, deadline=None)
def test_a_table_answers_as_a_dictionary_does(
    codes: list[str], others: list[str], rows: st.DataObject
) -> None:
    first: dict[str, int] = {}
    for row, code in enumerate(codes):
        first.setdefault(code, row)
    table = CodeTable(column_of(codes), rivals=others)
    asked = [*codes, *others]
    assert table.rows(asked).tolist() == [first.get(code, -1) for code in asked]
    assert [table.row(code) for code in asked] == [first.get(code, -1) for code in asked]
    assert table.duplicate_rows.tolist() == [row for row, code in enumerate(codes) if first[code] != row]
    assert table.shared_codes == [code for code in others if code in first]
    picked = rows.draw(st.lists(st.integers(-1, len(codes) - 1), max_size=30))
    assert table.codes(picked).tolist() == ["" if row < 0 else codes[row] for row in picked]
    assert list(table) == codes


@given(codes=st.lists(st.text("M0123456789ab", max_size=12), max_size=60), others=st.lists(ALIKE, max_size=9))
@settings(deadline=None)
def test_arrays_of_any_type_make_the_same_table(codes: list[str], others: list[str]) -> None:
    plain = CodeTable(codes)
    for column in (column_of(codes), np.array(codes, dtype="S12"), np.array(codes, dtype="U12")):
        table = CodeTable(column)
        assert list(table) == codes
        assert table.duplicate_rows.tolist() == plain.duplicate_rows.tolist()
        assert table.rows([*others, *codes]).tolist() == plain.rows([*others, *codes]).tolist()
        assert plain.rows(column).tolist() == plain.rows(codes).tolist()


class Growing(RuleBasedStateMachine):
    """Tables that grow and fork, each with its dictionary."""

    @initialize(codes=st.lists(CODES, max_size=30, unique=True))
    def begin(self, codes: list[str]) -> None:
        known = {code: row for row, code in enumerate(codes)}
        self.pairs = [(CodeTable(column_of(codes)), known)]

    @rule(which=st.integers(0, 9), code=CODES)
    def append(self, which: int, code: str) -> None:
        table, known = self.pairs[which % len(self.pairs)]
        assert table.row(code) == known.get(code, -1)
        if code not in known:
            known[code] = len(known)
            table.append(code, known[code])

    @rule(which=st.integers(0, 9))
    def fork(self, which: int) -> None:
        table, known = self.pairs[which % len(self.pairs)]
        if len(self.pairs) < 5:
            self.pairs.append((table.fork(), dict(known)))

    @invariant()
    def every_table_knows_what_it_was_told(self) -> None:
        for table, known in self.pairs:
            codes = list(known)
            assert list(table) == codes
            assert table.rows(codes).tolist() == list(known.values())
            assert table.codes(range(len(codes))).tolist() == codes
            asked = [code for _, others in self.pairs for code in others]
            assert table.rows(asked).tolist() == [known.get(code, -1) for code in asked]


TestGrowing = Growing.TestCase
TestGrowing.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def edits(one: str, other: str) -> int:
    table = [[max(i, j) if not i * j else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            table[i][j] = min(
                table[i - 1][j] + 1,
                table[i][j - 1] + 1,
                table[i - 1][j - 1] + (one[i - 1] != other[j - 1]),
            )
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


SHORT = st.text("MA012", max_size=8)


@given(code=SHORT, others=st.lists(SHORT, min_size=1, max_size=40), width=st.integers(8, 12))
@settings(deadline=None)
def test_distances_are_those_of_the_textbook(code: str, others: list[str], width: int) -> None:
    rows = padded(spelled(others), len(others), width)
    assert distances(code, rows).tolist() == [edits(code, other) for other in others]
    assert distances(code.lower(), rows).tolist() == [edits(code, other) for other in others]


@given(code=SHORT, others=st.lists(SHORT.filter(bool), max_size=40), n=st.integers(1, 5))
@settings(deadline=None)
def test_the_closest_are_the_nearest_of_all(code: str, others: list[str], n: int) -> None:
    found = closest_of(code, others, n)
    away = sorted(edits(code, other) for other in set(others))
    assert [edits(code, each) for each in found] == away[:n]


@given(
    typed=st.integers(0, 10**9 - 1),
    place=st.integers(0, 9),
    kind=st.sampled_from(["left out", "added", "changed"]),
)
@settings(deadline=None, max_examples=200)
def test_one_edit_in_a_large_table_is_always_mended(typed: int, place: int, kind: str) -> None:
    code = f"M{typed:09d}"
    table = _large().fork()
    if table.row(code) < 0:
        table.append(code, len(list(_large())))
    tail = code[place:] if kind == "added" else code[place + 1 :]
    wrong = code[:place] + ("" if kind == "left out" else "5") + tail
    if table.row(wrong) < 0:
        near = table.near(wrong)
        assert near
        assert edits(wrong, near[0]) <= 1


_TABLES: list[CodeTable] = []


def _large() -> CodeTable:
    """One table for all examples, large enough that its codes are not compared one by one."""
    if not _TABLES:
        numbers = np.random.default_rng(9).integers(0, 10**9, SMALL + 500)
        _TABLES.append(CodeTable([f"M{number:09d}" for number in numbers.tolist()]))
    return _TABLES[0]


@given(
    codes=st.lists(st.text("M0123456789é", max_size=20), min_size=1, max_size=50), width=st.integers(7, 24)
)
@settings(deadline=None)
def test_the_hash_of_many_is_the_crc_of_each(codes: list[str], width: int) -> None:
    rows = padded(spelled(codes), len(codes), width)
    assert hashes(rows).tolist() == [zlib.crc32(row[:width].tobytes()) for row in rows]
