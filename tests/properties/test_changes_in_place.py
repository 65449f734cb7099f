"""Every way to change a network: the index kept up equals one built from nothing, and the past comes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from oms_topology import Topology
from oms_topology.errors import TopologyError
from oms_topology.model import NetworkColumns

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.graph.meter_set import MeterSet

_START = datetime(2026, 3, 1, tzinfo=UTC)


@st.composite
def networks(draw: st.DrawFn) -> NetworkColumns:
    """Trees below one or two sources, with ties, loops, dead parts, gangs of branches and second supplies."""
    count = draw(st.integers(2, 10))
    ends = [(draw(st.integers(0, node - 1)), node) for node in range(1, count)]
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    ends += draw(st.lists(pairs.filter(lambda pair: pair[0] != pair[1]), max_size=4))
    ends = [pair if draw(st.booleans()) else pair[::-1] for pair in draw(st.permutations(ends))]
    branches, meters = len(ends), draw(st.integers(0, 7))
    rare = st.integers(0, 4).map(lambda number: number == 0)
    alternates = draw(
        st.lists(st.tuples(st.integers(0, max(meters - 1, 0)), st.integers(0, count - 1)), max_size=4)
    )
    table = np.array(sorted(set(alternates)) if meters else [], dtype=np.int32).reshape(-1, 2)
    sources = {0} | draw(st.sets(st.integers(0, count - 1), max_size=1))
    return NetworkColumns(
        device_kind=np.array(
            ["substation" if row in sources else "section" for row in range(count)], dtype=object
        ),
        device_code=np.array([f"d{row}" for row in range(count)], dtype=object),
        device_is_source=np.isin(np.arange(count), list(sources)),
        branch_from=np.array([start for start, _ in ends], dtype=np.int32),
        branch_to=np.array([end for _, end in ends], dtype=np.int32),
        branch_code=np.array([f"sw{row}" for row in range(branches)], dtype=object),
        branch_is_switch=np.full(branches, True),
        branch_normally_open=np.array([draw(rare) for _ in range(branches)], dtype=np.bool_),
        branch_is_open=np.array([draw(rare) for _ in range(branches)], dtype=np.bool_),
        meter_number=np.array([f"m{row}" for row in range(meters)], dtype=object),
        meter_device=np.array([draw(st.integers(-1, count - 1)) for _ in range(meters)], dtype=np.int32),
        meter_priority=np.ones(meters, dtype=np.int8),
        alternate_meter=table[:, 0].copy(),
        alternate_device=table[:, 1].copy(),
        alternate_priority=np.arange(2, 2 + len(table), dtype=np.int8),
    )


def told(net: Topology) -> dict[str, Any]:
    """Everything that a network answers, by codes."""
    answers: dict[str, Any] = {"devices": net.devices, "switches": sorted(net.switches)}
    for state in ("normal", "current"):
        for code in (*net.devices, *net.switches, *net.meters):
            answers[state, code] = (
                list(net.downstream(code, state=state)),
                net.upstream(code, state=state),
                net.is_energised(code, state=state),
            )
    for code in (*net.devices, *net.switches):
        impact = net.impact(code)
        answers["impact", code] = list(impact.lost), list(impact.backed_up), impact.customers
    answers["meters"] = list(net.meters), list(net.energised), len(net.energised)
    answers["by device"] = net.meters.count_by("device"), net.meters.count_by("substation")
    answers["parents"] = net.supply_parents().tolist(), net.supply_parents("normal").tolist()
    return answers


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[Any, Any]:
    return {key: (one.get(key), other.get(key)) for key in {**one, **other} if one.get(key) != other.get(key)}


class ChangingMachine(RuleBasedStateMachine):
    net: Topology

    @initialize(columns=networks())
    def build(self, columns: NetworkColumns) -> None:
        self.net = Topology.from_columns(columns)
        self.now = _START
        self.added = 0
        self.past: list[tuple[int, datetime, dict[str, Any]]] = [(0, self.now, told(self.net))]
        self.kept: list[tuple[MeterSet, list[str], dict[str, int]]] = []
        for code in self.net.devices:
            self.keep(code)

    def keep(self, code: str) -> None:
        """Keep a set that nobody has looked into, and what another one of the same says."""
        unread, read = self.net.downstream(code), self.net.downstream(code)
        self.kept.append((unread, list(read), read.count_by("device")))

    def change(self, work: Callable[[datetime], Any]) -> None:
        """Change the network, a minute after the last change, and keep what it then says."""
        self.now += timedelta(minutes=1)
        try:
            work(self.now)
        except TopologyError:
            assert differences(told(self.net), self.past[-1][2]) == {}
            return
        if self.net.version != self.past[-1][0]:
            self.past.append((self.net.version, self.now, told(self.net)))
            for code in self.net.devices[:2]:
                self.keep(code)

    def draw_code(self, data: st.DataObject, what: str) -> str:
        codes = {"device": self.net.devices, "switch": self.net.switches, "meter": tuple(self.net.meters)}
        return data.draw(st.sampled_from(codes[what]))

    @precondition(lambda self: self.net.switches)
    @rule(data=st.data())
    def switch(self, data: st.DataObject) -> None:
        codes = data.draw(st.lists(st.sampled_from(self.net.switches), min_size=1, max_size=3, unique=True))
        if data.draw(st.booleans()):
            self.change(lambda now: self.net.open(*codes, changed_at=now))
        else:
            self.change(lambda now: self.net.close(*codes, changed_at=now))

    @rule(data=st.data())
    def refeed(self, data: st.DataObject) -> None:
        code, parent = self.draw_code(data, "device"), self.draw_code(data, "device")
        self.change(lambda now: self.net.refeed(code, parent, changed_at=now))

    @rule(data=st.data())
    def cut_or_mend(self, data: st.DataObject) -> None:
        one, other = self.draw_code(data, "device"), self.draw_code(data, "device")
        work = self.net.cut if data.draw(st.booleans()) else self.net.mend
        self.change(lambda now: work(one, other, changed_at=now))

    @rule(data=st.data())
    def jumper(self, data: st.DataObject) -> None:
        one, other = self.draw_code(data, "device"), self.draw_code(data, "device")
        self.change(lambda now: self.net.jumper(one, other, changed_at=now))

    @precondition(lambda self: any(code.startswith("JUMPER") for code in self.net.switches))
    @rule(data=st.data())
    def remove_jumper(self, data: st.DataObject) -> None:
        code = data.draw(st.sampled_from([code for code in self.net.switches if code.startswith("JUMPER")]))
        self.change(lambda now: self.net.remove_jumper(code, changed_at=now))

    @rule(data=st.data())
    def add_device(self, data: st.DataObject) -> None:
        self.added += 1
        parent = data.draw(st.sampled_from([None, *self.net.devices]))
        switch = data.draw(st.sampled_from(["", f"new sw{self.added}"]))
        code = f"new{self.added}"
        kind = "section" if parent else "substation"
        self.change(
            lambda now: self.net.add_device(code, kind=kind, parent=parent, switch=switch, changed_at=now)
        )

    @precondition(lambda self: len(self.net.devices) > 1)
    @rule(data=st.data())
    def remove_device(self, data: st.DataObject) -> None:
        code = self.draw_code(data, "device")
        self.change(lambda now: self.net.remove_device(code, changed_at=now))

    @precondition(lambda self: len(self.net.meters))
    @rule(data=st.data())
    def move_meter(self, data: st.DataObject) -> None:
        meter, device = self.draw_code(data, "meter"), self.draw_code(data, "device")
        self.change(lambda now: self.net.move_meter(meter, device, changed_at=now))

    @rule(data=st.data())
    def add_meter(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(["m0", "m1", "m2", "later1", "later2"]))
        device = self.draw_code(data, "device")
        others = data.draw(st.lists(st.sampled_from(self.net.devices), max_size=2, unique=True))
        self.change(lambda now: self.net.add_meter(number, device, alternates=others, changed_at=now))

    @precondition(lambda self: len(self.net.meters))
    @rule(data=st.data())
    def remove_meter(self, data: st.DataObject) -> None:
        meter = self.draw_code(data, "meter")
        self.change(lambda now: self.net.remove_meter(meter, changed_at=now))

    @rule()
    def undo(self) -> None:
        before = self.net.version
        if self.net.undo():
            assert self.net.version == before + 1
            undone_at = self.net._editor.journal[-1].changed_at
            self.now = max(self.now, undone_at)
            self.past.append((self.net.version, undone_at, told(self.net)))

    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        version, moment, answers = data.draw(st.sampled_from(self.past))
        assert differences(told(self.net.as_of(version)), answers) == {}
        answers = [later for _, when, later in self.past if when <= moment][-1]
        assert differences(told(self.net.as_of(moment)), answers) == {}
        assert differences(told(self.net), self.past[-1][2]) == {}

    @invariant()
    def equals_one_built_from_nothing(self) -> None:
        assert differences(told(self.net), told(Topology.from_columns(self.net.columns))) == {}

    @invariant()
    def sets_given_before_stay(self) -> None:
        # The latest are left alone: they are first looked into some changes after they were given.
        for meters, numbers, _ in self.kept[-20:-8]:
            assert list(meters) == numbers
            assert all(number in meters for number in numbers)

    def teardown(self) -> None:
        for meters, numbers, by_device in getattr(self, "kept", ()):
            assert (len(meters), meters.count_by("device"), list(meters)) == (
                len(numbers),
                by_device,
                numbers,
            )


ChangingMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
TestChangingInPlace = ChangingMachine.TestCase


def test_all_undone_is_what_it_was() -> None:
    net = Topology.from_text("SS1 > F1 >SW1> DP1 > M1..M3; SS1 > F2 > DP2 > M4; DP2 /T1/ DP1; F2 ~> M1")
    first = told(net)
    net.open("SW1")
    net.close("T1")
    net.move_meter("M4", "DP1")
    net.refeed("DP2", "F1")
    net.add_device("DP3", kind="distribution_point", parent="DP2", switch="SW3")
    net.add_meter("M9", "DP3", alternates=["F1"])
    net.remove_meter("M1")
    net.jumper("F1", "DP3")
    assert net.version == 8
    while net.undo():
        pass
    assert differences(told(net), first) == {}
    assert net.version == 16
