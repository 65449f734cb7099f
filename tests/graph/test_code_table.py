"""Codes to rows and back, and what is suggested for a code that does not exist."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest

from oms_topology.errors import AmbiguousDeviceError, UnknownDeviceError
from oms_topology.graph.names.code_table import CodeTable
from oms_topology.graph.names.codes import Names
from oms_topology.graph.names.device_rows import FEW, DeviceRows
from oms_topology.graph.names.near_names import SMALL
from oms_topology.model import NetworkColumns

ODD = ["M1", "M1\0", "\0M1", "M\x001", "", "\0", "Zähler 7", "電力量計", "\ud800", "M" * 300, "M1\xff", "M1 "]


def texts(codes: list[str]) -> np.ndarray:
    column = np.empty(len(codes), dtype=object)
    column[:] = codes
    return column


@pytest.fixture(scope="module")
def large() -> CodeTable:
    rng = np.random.default_rng(4)
    numbers = rng.choice(10**8, 3 * SMALL, replace=False)
    return CodeTable(texts([f"M{number:08d}" for number in numbers.tolist()]))


def test_codes_of_any_kind_are_found_and_come_back_exactly() -> None:
    table = CodeTable(texts(ODD))
    assert table.rows(ODD).tolist() == [table.row(code) for code in ODD] == list(range(len(ODD)))
    assert table.codes(range(len(ODD))).tolist() == [table.code(row) for row in range(len(ODD))] == ODD
    assert list(table) == ODD
    assert table.rows(["M1\0\0", "M", " M1", "\udfff", "M1\x00\xff"]).tolist() == [-1] * 5


@pytest.mark.parametrize("dtype", ["S", "S40", "U", "U40", ">U9", "<U9", "O"])
def test_arrays_of_bytes_and_of_fixed_text_are_read_as_they_are(dtype: str) -> None:
    codes = ["M1", "M22", "", "M4444444", "M22"]
    table = CodeTable(np.array(codes, dtype=dtype))
    assert list(table) == codes
    assert table.duplicate_rows.tolist() == [4]
    assert table.rows(np.array(["M22", "M9", "M4444444"], dtype=dtype)).tolist() == [1, -1, 3]


def test_bytes_are_utf_8_and_others_match_nothing() -> None:
    table = CodeTable(np.array(["Zähler".encode(), b"M1"], dtype="S"))
    assert table.row("Zähler") == 0
    assert table.rows(np.array([b"M1\xff", b"\xff", b"Z\xe4hler", b"M1"])).tolist() == [-1, -1, -1, 1]


def test_numbers_are_read_as_their_text() -> None:
    table = CodeTable(texts(["17", "18"]))
    assert table.rows([18, "17", None]).tolist() == [1, 0, -1]  # type: ignore[list-item]


def test_of_equal_codes_the_first_is_found_and_the_others_told() -> None:
    codes = ["B", "A", "", "A", "\0", "B", "\0", "", "A", "X" * 99, "X" * 99]
    table = CodeTable(texts(codes))
    assert table.duplicate_rows.tolist() == [3, 5, 6, 7, 8, 10]
    assert table.duplicate_rows.dtype == np.int32
    assert table.rows(codes).tolist() == [codes.index(code) for code in codes]


def test_a_column_of_one_code_is_no_trouble() -> None:
    table = CodeTable(np.full(200_000, "M1", dtype=object))
    assert len(table.duplicate_rows) == 199_999
    assert table.row("M1") == 0


def test_rivals_that_stand_here_too_are_told() -> None:
    table = CodeTable(texts(["M1", "17", "x\0"]), rivals=["F1", "17", "x\0", "M"])
    assert table.shared_codes == ["17", "x\0"]
    assert CodeTable(texts([]), rivals=["F1"]).shared_codes == []


def test_an_empty_table_answers() -> None:
    table = CodeTable(texts([]))
    assert table.row("M1") == -1
    assert table.rows(["M1", ""]).tolist() == [-1, -1]
    assert table.rows([]).dtype == np.int32
    assert table.codes([]).tolist() == table.near("M1") == list(table) == []
    table.append("M1", 0)
    assert (table.row("M1"), table.codes([0]).tolist(), table.near("M11")) == (0, ["M1"], ["M1"])


def test_what_a_fork_learns_its_origin_does_not_know() -> None:
    table = CodeTable(texts(["M1", "M2"]))
    table.append("M3", 2)
    fork = table.fork()
    fork.append("M4", 3)
    table.append("M5", 3)
    assert fork.rows(["M1", "M3", "M4", "M5"]).tolist() == [0, 2, 3, -1]
    assert table.rows(["M1", "M3", "M4", "M5"]).tolist() == [0, 2, -1, 3]
    assert list(fork) == ["M1", "M2", "M3", "M4"]
    assert fork.codes([3, 0, -1]).tolist() == ["M4", "M1", ""]


@pytest.mark.parametrize("row", [-2, 3, 10**9])
def test_a_row_that_does_not_exist_is_an_error(row: int) -> None:
    table = CodeTable(texts(["M1", "M2", "M\0"]))
    with pytest.raises(IndexError):
        table.code(row)
    with pytest.raises(IndexError):
        table.codes([0, row])


def test_a_table_survives_pickling() -> None:
    table = CodeTable(texts(ODD))
    table.append("M9", len(ODD))
    again = pickle.loads(pickle.dumps(table))
    assert list(again) == [*ODD, "M9"]
    assert again.rows([*ODD, "M9"]).tolist() == list(range(len(ODD) + 1))


def test_a_code_takes_25_bytes_in_all_and_long_ones_widen_no_row() -> None:
    column = texts([f"M{number:09d}" for number in range(0, 700_000, 7)] + ["X" * 5000, "Zähler\0"])
    CodeTable(column[:9])  # what all tables of this width share, 1.5 MB, is made once
    tracemalloc.start()
    try:
        table = CodeTable(column)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / len(column) < 25
    assert table.nbytes / len(column) < 25
    assert table.codes([100_000, 100_001, 5]).tolist() == ["X" * 5000, "Zähler\0", "M000000035"]


TYPOS = {
    "M1234567": "one digit left out",
    "M123445678": "one doubled",
    "M12345768": "two swapped",
    "M12345679": "one wrong",
    "m12345678": "small letter",
    " M12345678 ": "blanks",
    "12345678": "without its letter",
    "meter M12345678, flat 3": "with words around it",
    "M02345677": "two wrong",
    "M21345687": "two pairs swapped",
    "234567": "a part of it",
}


@pytest.mark.parametrize("filler", [0, SMALL + 1])
@pytest.mark.parametrize("typed", TYPOS)
def test_what_was_meant_is_suggested(typed: str, filler: int) -> None:
    column = texts(["M12345678", *(f"M9{number * 97:07d}" for number in range(filler))])
    table = CodeTable(column)
    assert "M12345678" in table.near(typed)


def test_suggestions_are_few_in_order_and_none_for_what_is_like_nothing(large: CodeTable) -> None:
    known = large.code(0)
    found = large.near(known[:-1], n=5)
    assert found[0] == known
    assert len(found) <= 5
    assert large.near("nowhere") == large.near("") == large.near("é" * 80) == []
    assert CodeTable(texts(["M12", "M13", "M11", "M2"])).near("M1", n=3) == ["M11", "M12", "M13"]


def test_appended_and_odd_codes_are_suggested_too(large: CodeTable) -> None:
    table = large.fork()
    table.append("Q-NEW-000777", 3 * SMALL)
    assert table.near("Q-NEW-000077") == ["Q-NEW-000777"]
    assert CodeTable(texts(["M1", "Gerät-1" * 4])).near("Gerät-1" * 4 + "é") == ["Gerät-1" * 4]


def names_of(device_codes: list[str], numbers: list[str], switch: str = "") -> tuple[Names, NetworkColumns]:
    kinds = ["substation"] + ["feeder"] * (len(device_codes) - 1)
    columns = NetworkColumns(
        device_kind=texts(kinds),
        device_code=texts(device_codes),
        branch_from=np.array([0], dtype=np.int32),
        branch_to=np.array([1], dtype=np.int32),
        branch_code=texts([switch]),
        branch_is_switch=np.array([bool(switch)]),
        meter_number=texts(numbers),
        meter_device=np.zeros(len(numbers), dtype=np.int32),
    )
    table = CodeTable(columns.meter_number, {*device_codes, switch} - {""})
    return Names(columns, table), columns


def test_mixed_codes_are_found_at_once() -> None:
    names, columns = names_of(["SS1", "F1", "17", "F2"], ["M1", "17", "M3", "SW1", "F2\0"], "SW1")
    devices, meters = names.rows(["M1", "F1", "17", "SW1", "SS1", "M3", "F2\0", "F2", "?"], columns)
    assert devices.tolist() == [-1, 1, -1, -1, 0, -1, -1, 3, -1]
    assert meters.tolist() == [0, -1, -1, -1, -1, 2, 4, -1, -1]
    with pytest.raises(AmbiguousDeviceError):
        names.locate(columns, "17")


def test_meters_taken_out_are_neither_found_nor_suggested() -> None:
    names, columns = names_of(["SS1", "F1"], ["M1", "M2"])
    columns.meter_device[1] = -2
    assert [rows.tolist() for rows in names.rows(["M1", "M2"], columns)] == [[-1, -1], [0, -1]]
    with pytest.raises(UnknownDeviceError) as caught:
        names.locate(columns, "M2")
    assert caught.value.near == ("M1",)


def test_no_codes_no_rows() -> None:
    names, columns = names_of(["SS1", "F1"], [])
    assert [rows.tolist() for rows in names.rows([], columns)] == [[], []]
    assert [rows.tolist() for rows in names.rows(["F1", "M1"], columns)] == [[1, -1], [-1, -1]]


@pytest.mark.parametrize("more", [0, SMALL])
def test_devices_switches_and_meters_are_suggested_together(more: int) -> None:
    devices = ["SS1", "FEEDER-17", *(f"DP{number:06d}" for number in range(more))]
    names, columns = names_of(devices, ["METER-17", "M1"], "SWITCH-17")
    for typed, meant in {
        "FEEDER-71": "FEEDER-17",
        "SWICH-17": "SWITCH-17",
        "METR-17": "METER-17",
        "FEADRE-17": "FEEDER-17",
    }.items():
        with pytest.raises(UnknownDeviceError) as caught:
            names.locate(columns, typed)
        assert caught.value.near[0] == meant


@pytest.mark.parametrize("more", [3_000, FEW])
def test_batches_follow_devices_that_come_and_go(more: int) -> None:
    devices = ["SS1", *(f"DP{number:06d}" for number in range(more))]
    names, columns = names_of(devices, ["M1"])
    asked = [*devices[-2000:], "M1", "NEW"]
    found, meters = names.rows(asked, columns)
    assert found.tolist() == [*range(len(devices) - 2000, len(devices)), -1, -1]
    assert meters.tolist() == [*[-1] * 2000, 0, -1]
    fork = names.fork()
    fork.devices["NEW"] = len(devices)
    fork.devices[devices[-1]] = len(devices) + 1
    fork.devices.pop(devices[-2])
    del fork.devices[devices[-3]]
    assert fork.rows(asked, columns)[0][-5:].tolist() == [-1, -1, len(devices) + 1, -1, len(devices)]
    assert names.rows(asked, columns)[0].tolist() == found.tolist()
    for typed in ("NEEW", devices[-2]):
        with pytest.raises(UnknownDeviceError) as caught:
            fork.locate(columns, typed)
        assert caught.value.near
        assert set(caught.value.near) <= fork.devices.keys()
        assert ("NEW" in caught.value.near) == (typed == "NEEW")


@pytest.mark.parametrize("more", [3, FEW])
def test_device_rows_are_a_dictionary_whatever_their_number(more: int) -> None:
    codes = texts(["SS1", "F1", "F2", *(f"DP{number:06d}" for number in range(more)), "F1", "long" * 40])
    kinds = texts(["substation", "feeder", "feeder", *["distribution_point"] * more, "section", "section"])
    rows = DeviceRows(codes, kinds)
    plain = {code: row for row, code in reversed(list(enumerate(codes.tolist())))}
    assert (rows.table is None) == (more < FEW)
    assert rows.doubled == {"F1"}
    fork = rows.fork()
    for code, row in (("F1", 9), ("DP000001", 10), ("NEW", 11)):
        rows[code] = plain[code] = row
    for code in ("F2", "DP000002", "SS1", "NEW"):
        del rows[code]
        del plain[code]
    rows["SS1"] = plain["SS1"] = 12
    assert dict(rows) == plain
    assert len(rows) == len(plain)
    asked = [*codes.tolist(), "NEW", "?", "\ud800"] * (1 if more > 3 else 300)
    for some in (asked, asked[:7]):
        assert rows.rows(some).tolist() == [plain.get(code, -1) for code in some]
    with pytest.raises(KeyError):
        del rows["F2"]
    assert fork["F2"] == 2
    assert fork == {**{code: row for row, code in reversed(list(enumerate(codes.tolist())))}}
    assert fork.row(7) == -1
