"""Frames and edges of every make, good and bad."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from oms_topology import Topology
from oms_topology.errors import TopologyError, ValidationError
from oms_topology.model import FindingSeverity, NetworkColumns

REGISTRY: dict[str, dict[str, list[Any]]] = {
    "substations": {"substation_id": ["SS1", "SS2"], "name": ["North", "South"]},
    "feeders": {"feeder_id": ["F1", "F2"], "substation_id": ["SS1", "SS2"]},
    "distribution_points": {"dp_id": [1, 2], "feeder_id": ["F1", "F2"]},
    "meters": {"meter_number": ["M1", "M2", "M3"], "dp_id": [1, 2, None], "feeder_id": [None, None, "F2"]},
}


class ColumnsOnly:
    """The least that a data frame library offers: names, and a column by its name."""

    def __init__(self, table: dict[str, list[Any]]) -> None:
        self.columns = list(table)
        self._table = table

    def __getitem__(self, name: str) -> Any:
        return np.array(self._table[name], dtype=object)


class StreamOnly:
    def __init__(self, table: dict[str, list[Any]]) -> None:
        self._table = pa.table(table)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


def _rows(table: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


@pytest.mark.parametrize("make", [dict, pd.DataFrame, pa.table, _rows, ColumnsOnly, StreamOnly])
def test_frames_of_every_make_give_one_network(make: Any) -> None:
    net = Topology.from_frames(**{name: make(table) for name, table in REGISTRY.items()})
    assert net.upstream("M1") == ["1", "F1", "SS1"]
    assert sorted(net.downstream("SS2")) == ["M2", "M3"]
    assert net.validate() == []
    assert net.graph.nodes["SS1"]["name"] == "North"


def test_reading_needs_no_pandas() -> None:
    code = (
        "import sys; sys.modules['pandas'] = None; import oms_topology as omt;"
        "net = omt.samples.load('ieee123'); assert len(net.meters) == 91;"
        "assert 'pyarrow' not in sys.modules\n"
        "try: net.meters.to_frame()\n"
        "except omt.errors.MissingExtraError as error: assert error.extra == 'frames'\n"
        "else: raise AssertionError"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("table", ["SS1", 7, [1, 2], {"substation_id": ["a"], "name": []}, {"id": ["SS1"]}])
def test_what_is_no_table_is_an_error_that_names_it(table: Any) -> None:
    with pytest.raises(TopologyError, match="substations"):
        Topology.from_frames(substations=table, feeders=None)


def test_a_switch_takes_the_place_of_the_plain_branch() -> None:
    net = Topology.from_frames(
        **REGISTRY,
        switches={
            "switch_id": ["CB1", "SEC", "TIE"],
            "from_id": ["SS1", "F1", "1"],
            "to_id": ["F1", "1", "2"],
            "kind": ["breaker", "fuse", "tie"],
            "normally_open": [False, 0, "true"],
        },
    )
    net.open("CB1")
    assert sorted(net.energised) == ["M2", "M3"]
    net.close("TIE")
    assert net.upstream("M1") == ["1", "2", "F2", "SS2"]
    assert net.is_open("CB1")
    assert not net.is_open("CB1", state="normal")


def test_a_switch_from_elsewhere_takes_the_place_of_the_plain_branch_too() -> None:
    registry = REGISTRY | {"distribution_points": {"dp_id": ["A", "B"], "feeder_id": ["F1", "F1"]}}
    registry["meters"] = {"meter_number": ["M1", "M2"], "dp_id": ["A", "B"]}
    switches = {"switch_id": ["S"], "from_id": ["A"], "to_id": ["B"], "normally_open": [False]}
    net = Topology.from_frames(**registry, switches=switches)
    assert net.upstream("M2") == ["B", "A", "F1", "SS1"]
    assert net.validate() == []


def test_a_switch_drawn_against_the_supply_cuts_nothing_off() -> None:
    switches = {"switch_id": ["S"], "from_id": ["1"], "to_id": ["F1"], "normally_open": [False]}
    net = Topology.from_frames(**REGISTRY, switches=switches)
    assert sorted(net.energised) == ["M1", "M2", "M3"]
    net.open("S")
    assert sorted(net.energised) == ["M2", "M3"]


def test_sections_are_what_two_switches_name() -> None:
    switches = {
        "switch_id": ["S1", "S2", "S3"],
        "from_id": ["SS1", "J1", "F2"],
        "to_id": ["J1", "F1", "typo"],
        "normally_open": [False, False, False],
    }
    net = Topology.from_frames(**REGISTRY, switches=switches)
    assert net.upstream("M1") == ["1", "F1", "J1", "SS1"]
    assert net.codes("section") == ["J1"]
    [finding] = net.validate()
    assert (finding.rule, finding.ids) == ("dangling_id", ("S3",))


def test_current_state_may_differ_from_the_first_moment() -> None:
    switches = {
        "switch_id": ["CB1"],
        "from_id": ["SS1"],
        "to_id": ["F1"],
        "normally_open": [False],
        "is_open": [True],
    }
    net = Topology.from_frames(**REGISTRY, switches=switches)
    assert len(net.downstream("SS1")) == 0
    assert len(net.downstream("SS1", state="normal")) == 1


def test_nested_distribution_points() -> None:
    registry = REGISTRY | {
        "distribution_points": {"dp_id": ["A", "B"], "feeder_id": ["F1", "F1"], "parent_id": [None, "A"]},
        "meters": {"meter_number": ["M1"], "dp_id": ["B"]},
    }
    assert Topology.from_frames(**registry).upstream("M1") == ["B", "A", "F1", "SS1"]


def test_bad_registry_is_read_and_told() -> None:
    net = Topology.from_frames(
        substations={"substation_id": ["SS1", "SS1", ""], "latitude": [95, 1, 1], "longitude": [10, 1, 1]},
        feeders={"feeder_id": ["F1", "F1", "F2"], "substation_id": ["SS1", "SS9", "SS9"]},
        distribution_points={
            "dp_id": ["A", "B", "C"],
            "feeder_id": ["F1", "F9", "F2"],
            "parent_id": ["A", None, None],
        },
        meters={
            "meter_number": ["M1", "M1", "M2", "M3", None, "M5", "M6"],
            "dp_id": ["A", "B", "Z", "B", "A", "C", "A"],
            "feeder_id": [None, None, None, None, None, None, "F2"],
        },
        supplies={"meter_number": ["M1", "M9"], "feeder_id": ["F9", "F1"], "priority": ["x", None]},
    )
    found = {finding.rule: finding for finding in net.validate()}
    assert set(found["duplicate_id"].ids) == {"SS1", "F1", "M1"}
    assert {"B", "F2", "M2", "M1", "M9"} <= set(found["dangling_id"].ids)
    assert found["self_loop"].ids == ("A",)
    assert found["empty_code"].count == 2
    assert found["impossible_coordinates"].ids == ("SS1",)
    assert {"B", "C", "F2"} <= set(found["orphan_device"].ids)
    assert set(found["orphan_meter"].ids) == {"M2", "M3", "M5"}
    assert found["feeder_mismatch"].ids == ("M6",)
    assert found["feeder_mismatch"].severity is FindingSeverity.WARNING
    assert net.upstream("M1") == ["A", "F1", "SS1"]
    assert list(net.downstream("F2")) == ["M5"]
    assert list(net.downstream("B")) == ["M3"]
    with pytest.raises(ValidationError) as caught:
        net.validate(strict=True)
    assert len(caught.value.findings) == len(found)


def test_rings_of_parents_end() -> None:
    net = Topology.from_frames(
        substations={"substation_id": ["SS1"]},
        feeders={"feeder_id": ["F1"], "substation_id": ["SS1"]},
        distribution_points={"dp_id": ["A", "B"], "feeder_id": ["F1", "F1"], "parent_id": ["B", "A"]},
        meters={"meter_number": ["M1"], "dp_id": ["A"], "feeder_id": ["F1"]},
    )
    assert "orphan_meter" in {finding.rule for finding in net.validate()}
    assert not set(net.downstream("SS1"))


NODES = {"id": ["s", "a", "b", "c"], "kind": ["source", "bus", "bus", "bus"]}
EDGES = {
    "from": ["s", "a", "b", "s"],
    "to": ["a", "b", "c", "c"],
    "kind": ["switch", "line", "line", "line_switched"],
    "normally_open": [0, 0, 0, 1],
    "name": ["B1", "L1", "L2", "T1"],
}
CUSTOMERS = {"id": ["m1", "m2"], "node": ["b", "c"]}


@pytest.mark.parametrize("make", [dict, pd.DataFrame, pa.table, _rows])
def test_edges_of_every_make(make: Any) -> None:
    net = Topology.from_edges(nodes=make(NODES), edges=make(EDGES), customers=make(CUSTOMERS))
    assert net.switches == ("B1", "T1")
    assert net.upstream("m2") == ["c", "b", "a", "s"]
    net.open("B1")
    net.close("T1")
    assert net.upstream("m1") == ["b", "c", "s"]
    assert net.impact("T1").customers == 2


def test_numeric_ids_read_from_files_are_codes() -> None:
    nodes = pd.DataFrame({"id": [1, 2], "kind": ["source", "bus"]})
    edges = pd.DataFrame({"from": [1, 1], "to": [2.0, np.nan], "name": ["L", "X"]})
    net = Topology.from_edges(nodes=nodes, edges=edges, customers=pd.DataFrame({"id": [7], "node": [2]}))
    assert net.upstream("7") == ["2", "1"]
    assert net.upstream(7) == ["2", "1"]  # type: ignore[arg-type]
    assert [finding.ids for finding in net.validate()] == [("X",)]


def test_bad_edges_are_read_and_told() -> None:
    net = Topology.from_edges(
        nodes={
            "id": ["s1", "s2", "a", "b", "c", "c", "", "island"],
            "kind": ["source", "source", *["bus"] * 6],
        },
        edges={
            "from": ["s1", "a", "a", "b", "a", "s2", "nowhere", "b"],
            "to": ["a", "b", "a", "c", "c", "c", "a", "c"],
            "kind": ["switch", "line", "line", "line", "line", "line", "line", "switch"],
            "name": ["X", "", "self", "", "loop", "", "lost", "X"],
        },
        customers={"id": ["m1", "m1", "m2", "m3", ""], "node": ["a", "b", "gone", "island", "a"]},
    )
    found = {finding.rule: set(finding.ids) for finding in net.validate()}
    assert found["self_loop"] == {"self"}
    assert found["duplicate_id"] == {"c", "m1", "X"}
    assert found["dangling_id"] == {"lost", "m2"}
    assert found["orphan_device"] == {"island"}
    assert found["orphan_meter"] == {"m2", "m3"}
    assert "two_sources" in found
    assert list(net.downstream("s1")) == ["m1"]


def test_two_sources_name_the_place_where_they_meet() -> None:
    net = Topology.from_text("SS1 > A > B; SS2 > C > B; B > M1")
    [finding] = net.validate()
    assert (finding.rule, finding.ids) == ("two_sources", ("B",))
    assert net.upstream("M1") == ["B", "A", "SS1"]


def test_columns_out_of_range_are_dropped_and_told() -> None:
    columns = NetworkColumns(
        device_kind=np.array(["substation", "feeder", "feeder"], dtype=object),
        device_code=np.array(["SS1", "F1", "F1"], dtype=object),
        device_is_source=np.array([True, False, False]),
        branch_from=np.array([0, 0, -1, 9], dtype=np.int32),
        branch_to=np.array([1, 2, 1, 1], dtype=np.int32),
        meter_number=np.array(["M1", "M2", "M1", ""], dtype=object),
        meter_device=np.array([2, 77, 1, 1], dtype=np.int32),
        alternate_meter=np.array([2, 99], dtype=np.int32),
        alternate_device=np.array([0, 0], dtype=np.int32),
    )
    net = Topology.from_columns(columns)
    assert net.upstream("M1") == ["F1", "SS1"]
    assert {finding.rule: finding.count for finding in net.validate()} == {
        "dangling_id": 4,
        "duplicate_id": 2,
        "empty_code": 1,
        "orphan_meter": 1,
    }


def test_columns_make_the_same_network_again() -> None:
    net = Topology.from_edges(nodes=NODES, edges=EDGES, customers=CUSTOMERS)
    net.open("B1")
    again = Topology.from_columns(net.columns)
    assert list(again.meters) == list(net.meters)
    assert again.is_open("B1")
    assert again.downstream("s", state="normal") == net.downstream("s", state="normal")


@pytest.mark.parametrize("text", ["SS1 > F1 > M1 > DP1", "M1 > SS1", "SS1 >", "SS1 >SW1> M1", "SS1 /T1/ M1"])
def test_text_that_cannot_be_read(text: str) -> None:
    with pytest.raises(TopologyError):
        Topology.from_text(text)
