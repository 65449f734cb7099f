"""The ways to change a network: switches, meters, devices, temporary cuts and jumpers; undo, and the past."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from oms_topology.errors import TopologyError, UnknownDeviceError
from oms_topology.graph.names.device_rows import ABSENT
from oms_topology.graph.reading.cleaning import GONE
from oms_topology.graph.reading.phase_codes import phase_bits
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oms_topology.graph.engine.editor import Editor
    from oms_topology.graph.engine.journal import Step
    from oms_topology.graph.names.codes import Place

__all__ = ["Changing"]


class Changing:
    """The methods of :class:`~oms_topology.graph.topology.Topology` that change it.

    Each is one change: other threads see all of it or nothing. It raises before anything is changed,
    adds one to :attr:`version`, and can be taken back by :meth:`undo`. ``changed_at`` says when it
    happened, for :meth:`as_of`; now when left out.
    """

    __slots__ = ("_editor",)

    _editor: Editor

    def open(self, *switches: str, changed_at: datetime | None = None) -> None:
        """Open switches in the current state; what no source reaches then has no supply.

        Parameters
        ----------
        *switches : str
            Their codes.
        changed_at : datetime, optional
            When it happened, aware; not before the change before it.

        Raises
        ------
        UnknownDeviceError
            A code is no switch's; then none is opened.
        TopologyError
            ``changed_at`` is naive, or earlier than the change before.

        Notes
        -----
        A few microseconds and the copy of one supply tree; where closed loops are, the trees that
        they join are grown anew.
        """
        self._switch(switches, True, changed_at)

    def close(self, *switches: str, changed_at: datetime | None = None) -> None:
        """Close switches in the current state, even if that makes a loop or joins two sources.

        Parameters
        ----------
        *switches : str
            Their codes.
        changed_at : datetime, optional
            When it happened, aware; not before the change before it.

        Raises
        ------
        UnknownDeviceError
            A code is no switch's; then none is closed.
        TopologyError
            ``changed_at`` is naive, or earlier than the change before.
        """
        self._switch(switches, False, changed_at)

    def _switch(self, switches: tuple[str, ...], is_open: bool, changed_at: datetime | None) -> None:
        if len(switches) == 1:
            rows = self._editor.network.names.switch_rows.get(switches[0])
            at = changed_at and self._time(changed_at)
            if rows and len(rows) == 1 and self._editor.switch(rows[0], is_open, at):
                return
        self._commit(self._switching(switches, is_open=is_open), changed_at)

    def _switching(self, switches: Iterable[str], *, is_open: bool) -> list[Step]:
        rows = self._editor.network.names.switch_rows
        steps: list[Step] = []
        for switch in switches:
            found = rows.get(switch)
            if found is None:
                self._row(switch, DeviceKind.SWITCH)
                found = rows[str(switch)]
            steps += [("open", row, is_open) for row in found]
        return steps

    def move_meter(self, meter: str, device: str, *, changed_at: datetime | None = None) -> None:
        """Hang a meter on another device, in both states; its second supplies stay.

        Raises
        ------
        UnknownDeviceError
            The meter or the device does not exist.
        TopologyError
            The device is a switch or a meter; ``changed_at`` is naive or too early.
        """
        row, feed = self._meter_row(meter), self._feeding_row(device)
        if not self._editor.move(row, feed, changed_at and self._time(changed_at)):
            self._commit([("meter", row, feed)], changed_at)

    def add_meter(
        self,
        meter_number: str,
        device: str,
        *,
        customer_id: str = "",
        priority: int = 0,
        longitude: float = float("nan"),
        latitude: float = float("nan"),
        phases: str = "",
        alternates: Iterable[str] = (),
        changed_at: datetime | None = None,
    ) -> None:
        """Put a meter on a device, in both states; it comes last among the meters there.

        Parameters
        ----------
        meter_number : str
            Its number; no other meter's.
        device : str
            What normally feeds it.
        customer_id : str
            Its customer, ``""`` if not known.
        priority : int
            1 critical to 4 low, 0 not known.
        longitude, latitude : float
            WGS 84 degrees, nan if not known.
        phases : str
            The phases that it takes: letters (``"A"``, ``"BC"``) or what else tables say; ``""`` if not
            known, which counts as all.
        alternates : iterable of str
            Devices that can feed it too, in their order.
        changed_at : datetime, optional
            When it happened, aware.

        Raises
        ------
        UnknownDeviceError
            A device does not exist.
        TopologyError
            The number is empty or in use, the priority or the phases are none, or a device is a switch
            or a meter; ``changed_at`` is naive or too early.
        """
        editor, number = self._editor, str(meter_number).strip()
        row = editor.network.names.meters.row(number)
        if not number or (row >= 0 and editor.network.meter_device(row) != GONE):
            raise TopologyError(
                f"Meter number {number!r} is {'in use' if number else 'empty'}; choose another."
            )
        if priority not in range(5):
            raise TopologyError(f"Priority {priority!r} is none: 1 is critical, 4 low, 0 not known.")
        feed, *others = (self._feeding_row(code) for code in (device, *alternates))
        facts = {
            "customer": customer_id,
            "priority": priority,
            "longitude": longitude,
            "latitude": latitude,
            "phases": _phase_bits(phases),
        }
        self._time(changed_at)
        steps: list[Step] = []
        if row < 0:
            values = {f"meter_{name}": value for name, value in facts.items()}
            row = editor.append("meter", {**values, "meter_number": number, "meter_device": GONE})
            editor.network.own_names().append_meter(editor.network.columns, number, row)
        else:
            steps.append(("facts", row, facts))
        self._commit([*steps, ("backups", row, tuple(others)), ("meter", row, feed)], changed_at)

    def remove_meter(self, meter: str, *, changed_at: datetime | None = None) -> None:
        """Take a meter out, with its second supplies.

        Raises
        ------
        UnknownDeviceError
            There is no such meter.
        TopologyError
            ``changed_at`` is naive or too early.
        """
        row = self._meter_row(meter)
        self._commit([("meter", row, GONE), ("backups", row, ())], changed_at)

    def add_device(
        self,
        code: str,
        *,
        kind: str,
        parent: str | None = None,
        switch: str = "",
        branch_kind: str = "line",
        phases: str = "",
        name: str = "",
        longitude: float = float("nan"),
        latitude: float = float("nan"),
        changed_at: datetime | None = None,
    ) -> None:
        """Put in a device, fed from another in both states.

        Parameters
        ----------
        code : str
            Its code, which no device of the kind has.
        kind : str
            ``"substation"``, ``"feeder"``, ``"section"`` or ``"distribution_point"``.
        parent : str, optional
            The device that feeds it. Power enters at a device without one.
        switch : str
            Code of the switch in the branch between them, ``""`` if there is none.
        branch_kind : str
            What the branch is: ``"line"``, ``"breaker"``, ``"fuse"`` ...
        phases : str
            The phases that the branch carries: ``"ABC"``, ``"B"`` ...; ``""`` if not known, which counts
            as all.
        name, longitude, latitude
            What is known of it; degrees.
        changed_at : datetime, optional
            When it happened, aware.

        Raises
        ------
        UnknownDeviceError
            The parent does not exist, or the kind is none.
        TopologyError
            The code is empty, or it or the switch's is in use; the parent is a switch or a meter, or the
            phases are none.
        """
        editor, code = self._editor, str(code).strip()
        kind = self._new_device(code, kind)
        if switch in editor.network.names.switch_rows:
            raise TopologyError(f"Switch code {switch!r} is in use; choose another.")
        above = None if parent is None else self._feeding_row(parent)
        carried = _phase_bits(phases)
        self._time(changed_at)
        values = {"kind": kind, "code": code, "name": name, "longitude": longitude, "latitude": latitude}
        row = editor.append(
            "device",
            {f"device_{key}": value for key, value in values.items()} | {"device_is_source": above is None},
        )
        editor.network.gone_devices.add(row)
        steps: list[Step] = [("device", row, True)]
        if above is not None:
            branch = self._new_branch((above, row), branch_kind, switch, carried)
            steps += [("branch", branch, True), ("both", branch, False)]
        self._commit(steps, changed_at)

    def _new_device(self, code: str, kind: str) -> str:
        try:
            self._locate(code, kind)
        except UnknownDeviceError as error:
            if error.kind == "kind of device":
                raise
        else:
            raise TopologyError(f"Code {code!r} is a {kind}'s already; choose another.")
        if not code or kind in (DeviceKind.METER.value, DeviceKind.SWITCH.value):
            raise TopologyError(
                f"A {kind} with the code {code!r} is no device that can be added"
                "; meters and switches have methods of their own."
            )
        return kind

    def _new_branch(self, ends: tuple[int, int], kind: str, switch: str, phases: int) -> int:
        """Append a branch that is open and not there yet."""
        row = self._editor.append(
            "branch",
            {
                "branch_from": ends[0],
                "branch_to": ends[1],
                "branch_kind": kind,
                "branch_phases": phases,
                "branch_code": switch,
                "branch_is_switch": bool(switch),
                "branch_normally_open": True,
                "branch_is_open": True,
            },
        )
        self._editor.network.gone_branches.add(row)
        return row

    def remove_device(
        self, code: str, *, kind: str | None = None, changed_at: datetime | None = None
    ) -> None:
        """Take out a device that has no meters and feeds nothing, with the branches that end at it.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.
        TopologyError
            Meters hang on it or devices are fed from it, in the normal or in the current state.
        """
        row = self._feeding_row(code, kind)
        editor = self._editor
        for state in (editor.normal, editor.current):
            place = state.any_place(row)
            if state.meters_below(place) or state.arena.size.item(place) > 1:
                raise TopologyError(
                    f"Device {code!r} cannot be taken out: meters or devices hang on it. Move them first."
                )
        if row in editor.network.backups.rows()[1]:
            raise TopologyError(f"Device {code!r} cannot be taken out: it is a second supply of meters.")
        steps: list[Step] = []
        for branch in editor.network.branches_at(row):
            steps += [("open", branch, True), ("normal", branch, True), ("branch", branch, False)]
        self._commit([*steps, ("device", row, False)], changed_at)

    def refeed(self, code: str, parent: str, *, changed_at: datetime | None = None) -> None:
        """Feed a device, and all below it, from another device, in both states.

        The branches that normally feed it end at the new parent from now on; they keep their codes and kinds.

        Parameters
        ----------
        code : str
            The device.
        parent : str
            What shall feed it.
        changed_at : datetime, optional
            When it happened, aware.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            A device does not exist, or several kinds share the code.
        TopologyError
            The parent is the device itself or hangs below it, or the device is a source.
        """
        editor = self._editor
        row, above = self._feeding_row(code), self._feeding_row(parent)
        normal = editor.normal
        old = normal.parent(row)
        if above == old or editor.refeed(row, above, self._time(changed_at)):
            return
        if normal.hangs_below(above, row):
            raise TopologyError(f"Device {code!r} cannot be fed from {parent!r}, which hangs below it.")
        branches = [
            branch for branch in editor.network.branches_between(row, old) if not normal.is_open.item(branch)
        ]
        if not branches:
            raise TopologyError(f"Device {code!r} is fed by no branch that could be moved; add one.")
        self._commit([("feed", branch, (above, row)) for branch in branches], changed_at)

    def cut(self, one: str, other: str, *, changed_at: datetime | None = None) -> None:
        """Cut the line between two devices, for the time being: the current state without it.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.
        TopologyError
            No branch joins the two.
        """
        self._commit([("open", row, True) for row in self._between(one, other)], changed_at)

    def mend(self, one: str, other: str, *, changed_at: datetime | None = None) -> None:
        """Take back a :meth:`cut`: the branches between two devices stand as they normally do.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.
        TopologyError
            No branch joins the two.
        """
        is_open = self._editor.normal.is_open
        self._commit([("open", row, bool(is_open[row])) for row in self._between(one, other)], changed_at)

    def _between(self, one: str, other: str) -> list[int]:
        network = self._editor.network
        rows = network.branches_between(self._feeding_row(one), self._feeding_row(other))
        if not rows:
            raise TopologyError(f"No branch joins {one!r} and {other!r}.")
        return rows

    def jumper(
        self,
        one: str,
        other: str,
        *,
        code: str | None = None,
        phases: str = "",
        changed_at: datetime | None = None,
    ) -> str:
        """Join two devices for the time being, by a switch that is closed now and normally open.

        Parameters
        ----------
        one, other : str
            The devices.
        code : str, optional
            The switch's code; ``"JUMPER one-other"`` when left out.
        phases : str
            The phases that it carries, ``""`` for all.
        changed_at : datetime, optional
            When it happened, aware.

        Returns
        -------
        str
            The code, for :meth:`open` and :meth:`remove_jumper`.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.
        TopologyError
            The code is in use, the two are one, or the phases are none.
        """
        code = f"JUMPER {one}-{other}" if code is None else str(code).strip()
        ends = self._feeding_row(one), self._feeding_row(other)
        if not code or code in self._editor.network.names.switch_rows or ends[0] == ends[1]:
            raise TopologyError(
                f"A jumper {code!r} between {one!r} and {other!r} cannot be placed: "
                "it needs a code of its own and two devices."
            )
        carried = _phase_bits(phases)
        self._time(changed_at)
        row = self._new_branch(ends, "jumper", code, carried)
        self._commit([("branch", row, True), ("open", row, False)], changed_at)
        return code

    def remove_jumper(self, code: str, *, changed_at: datetime | None = None) -> None:
        """Take a jumper away.

        Raises
        ------
        UnknownDeviceError
            There is no such switch.
        TopologyError
            It is not a jumper.
        """
        row = self._row(code, DeviceKind.SWITCH)
        if self._editor.network.columns.branch_kind[row] != "jumper":
            raise TopologyError(f"Switch {code!r} is not a jumper; open it instead.")
        self._commit([("open", row, True), ("branch", row, False)], changed_at)

    @property
    def version(self) -> int:
        """How many changes have been made to this network since it was made."""
        return self._editor.version

    def undo(self) -> bool:
        """Take back the latest change that was not taken back yet; that is one more change.

        Returns
        -------
        bool
            False when there is none left.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 >SW1> DP1 > M1")
        >>> net.open("SW1")
        >>> len(net.energised), net.undo(), len(net.energised), net.undo()
        (0, True, 1, False)
        """
        return self._editor.undo()

    def as_of(self, moment: datetime | int) -> Self:
        """Give the network as it was at a past instant, or in a past version; this one stays as it is.

        Parameters
        ----------
        moment : datetime or int
            An instant, aware: every change that happened later is taken back. Or a number of
            :attr:`version`.

        Returns
        -------
        Topology
            A network of its own. Before the first change it is the one that was made. Costs some
            microseconds for each change that is taken back.

        Raises
        ------
        TopologyError
            The instant is naive, the version is none yet, or it lies before what the journal of the
            latest million changes still knows.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 >SW1> DP1 > M1")
        >>> net.open("SW1", changed_at=datetime(2026, 11, 3, 14, 5, tzinfo=UTC))
        >>> past = net.as_of(datetime(2026, 11, 3, 14, 0, tzinfo=UTC))
        >>> len(past.energised), len(net.energised)
        (1, 0)
        """
        if isinstance(moment, datetime) and moment.tzinfo is None:
            raise TopologyError(f"The instant {moment.isoformat()} has no time zone; give an aware datetime.")
        editor = self._editor.fork()
        if not isinstance(moment, datetime) and not 0 <= moment <= editor.version:
            raise TopologyError(f"There is no version {moment}; they go from 0 to {editor.version}.")
        later = 0
        for entry in reversed(editor.journal):
            if isinstance(moment, datetime):
                if entry.changed_at <= moment:
                    break
            elif entry.version <= moment:
                break
            later += 1
        else:
            if editor.journal and editor.journal[0].version > 1:
                raise TopologyError(
                    f"{moment} lies before the changes that the journal still knows; "
                    "load the network of that time from the database (from_postgres, as_of=)."
                )
        editor.rewind(later)
        return self._with_editor(editor)

    @classmethod
    @abstractmethod
    def _with_editor(cls, editor: Editor) -> Self:
        """Make a network of an editor of its own."""

    def _commit(self, steps: list[Step], changed_at: datetime | None) -> None:
        self._editor.commit(steps, self._time(changed_at))

    def _time(self, changed_at: datetime | None) -> datetime | None:
        """Check when a change happened."""
        if changed_at is None:
            return None
        if changed_at.tzinfo is None:
            raise TopologyError(
                f"changed_at {changed_at.isoformat()} has no time zone; give an aware datetime."
            )
        journal = self._editor.journal
        if journal and changed_at < journal[-1].changed_at:
            raise TopologyError(
                f"changed_at {changed_at.isoformat()} is earlier than the change before it, of "
                f"{journal[-1].changed_at.isoformat()}; make changes in the order in which they happened."
            )
        return changed_at.astimezone(UTC)

    def _locate(self, code: object, kind: str | None = None) -> Place:
        network = self._editor.network
        return network.names.locate(network.columns, code, kind)

    def _row(self, code: object, kind: DeviceKind) -> int:
        return self._locate(code, kind)[1]

    def _meter_row(self, number: str) -> int:
        network = self._editor.network
        row = network.names.meters.row(str(number))
        if row >= 0 and network.feeds[row] != GONE:
            return row
        return self._row(number, DeviceKind.METER)

    def _feeding_row(self, code: str, kind: str | None = None) -> int:
        """Find a device by its code; a meter or switch cannot feed anything."""
        if kind is None:
            devices = self._editor.network.names.devices
            row = devices.few.get(code)
            if row is None:
                row = devices.far(code)
            if row != ABSENT:
                return row
        found, row = self._locate(code, kind)
        if found in (DeviceKind.METER, DeviceKind.SWITCH):
            raise TopologyError(f"Nothing can hang on the {found.value} {code!r}; name a device.")
        return row


def _phase_bits(phases: str) -> int:
    bits = phase_bits(phases)
    if phases.strip() and not bits:
        raise TopologyError(f"{phases!r} does not say which phases; write letters, as in 'ABC' or 'B'.")
    return bits
