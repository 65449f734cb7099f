"""Every error of the library, in one tree.

Each error says what is wrong, with which id, and what to do; carries its facts as attributes; and
tells by ``is_transient`` whether the same call may work later (retry it) or never will (dead letter).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from oms_topology.model.finding import Finding

__all__ = [
    "AmbiguousDeviceError",
    "BrokerError",
    "ConflictError",
    "DecisionRefusedError",
    "EmbeddedServerError",
    "GeometryError",
    "MissingExtraError",
    "OmsTopologyError",
    "SchedulerError",
    "SchemaUpgradeError",
    "SchemaVersionError",
    "SenderUnavailableError",
    "SignalParseError",
    "SourceError",
    "StoreError",
    "StoreUnavailableError",
    "TopologyError",
    "TopologyHistoryError",
    "UnknownDeadLetterError",
    "UnknownDeviceError",
    "ValidationError",
]


class OmsTopologyError(Exception):
    """Root of all errors that this library raises on purpose."""

    is_transient: ClassVar[bool] = False


class TopologyError(OmsTopologyError):
    """A network, or a change to it, that cannot be represented."""


class UnknownDeviceError(TopologyError, KeyError):
    """A code that names no device, switch or meter of the network.

    Attributes
    ----------
    code : str
        The code that was asked for.
    kind : str or None
        The kind it was looked for among; None when among all.
    near : tuple of str
        Existing codes that look alike, best first; may be empty.
    """

    def __init__(self, code: object, *, kind: str | None = None, near: Sequence[str] = ()) -> None:
        self.code = str(code)
        self.kind = kind
        self.near = tuple(near)
        hint = f" Did you mean {', '.join(map(repr, self.near))}?" if self.near else ""
        super().__init__(f"No {kind or 'device, switch or meter'} has the code {self.code!r}.{hint}")

    def __str__(self) -> str:
        return str(self.args[0])


class AmbiguousDeviceError(TopologyError):
    """A bare code that names devices of several kinds; name the kind to choose.

    Attributes
    ----------
    code : str
        The code that was asked for.
    kinds : tuple of str
        The kinds that have it.
    """

    def __init__(self, code: object, kinds: Sequence[str]) -> None:
        self.code = str(code)
        self.kinds = tuple(kinds)
        super().__init__(
            f"The code {self.code!r} is used by a {' and a '.join(self.kinds)}; pass kind= to say which."
        )


class TopologyHistoryError(TopologyError):
    """A past network that the database does not remember, or a version that it does not have yet.

    Attributes
    ----------
    as_of : datetime or int or None
        The instant or the ``topology_version`` that was asked for.
    first_version : int or None
        The oldest version that can be asked for; None in a database without any.
    first_at : datetime or None
        Since when that stood.
    newest_version : int
        The network of now; 0 in a database without any.
    """

    def __init__(
        self,
        as_of: datetime | int | None,
        first_version: int | None,
        first_at: datetime | None,
        newest_version: int,
    ) -> None:
        self.as_of = as_of
        self.first_version = first_version
        self.first_at = first_at
        self.newest_version = newest_version
        if isinstance(as_of, int) and as_of > newest_version:
            said = f"There is no topology version {as_of} yet; the newest is {newest_version}."
        elif first_at is None:
            said = "The database remembers no version of the topology."
        else:
            asked = f"version {as_of}" if isinstance(as_of, int) else f"{as_of:%Y-%m-%d %H:%M:%S %Z}"
            said = (
                f"No network is known as of {asked}: the oldest that is remembered is version"
                f" {first_version}, of {first_at:%Y-%m-%d %H:%M:%S %Z}. Ask for that one or a later one."
            )
        super().__init__(said)


class ValidationError(TopologyError):
    """A network with findings that strict validation does not accept.

    Attributes
    ----------
    findings : tuple of Finding
        What is wrong, most severe first.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        table = "\n".join(f"  {finding}" for finding in self.findings)
        super().__init__(f"The network has {len(self.findings)} findings:\n{table}")


class SignalParseError(OmsTopologyError):
    """A provider's message that cannot be used at all; it belongs to the dead letters.

    Attributes
    ----------
    source : str
        The provider, such as ``"scada"``.
    field : str
        The field that is missing or wrong; ``"payload"`` for the message as a whole.
    reason : str
        What is wrong with it, without any personal data.
    """

    def __init__(self, source: str, field: str, reason: str) -> None:
        self.source = source
        self.field = field
        self.reason = reason
        super().__init__(f"{source} message cannot be used: {field}: {reason}")


class StoreUnavailableError(OmsTopologyError):
    """The database cannot be reached, or ended the connection; try again later."""

    is_transient = True


class ConflictError(OmsTopologyError):
    """Another transaction was in the way (deadlock, lock timeout, serialisation); try again."""

    is_transient = True


class StoreError(OmsTopologyError):
    """The database refused to record something, for a reason that trying again does not mend.

    Attributes
    ----------
    sqlstate : str
        PostgreSQL's code of the reason; ``""`` when the driver itself refused.
    """

    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate or ""
        code = f"SQLSTATE {sqlstate}" if sqlstate else "refused by the driver"
        super().__init__(f"The database refused to record the message ({code}); nothing was recorded.")


class BrokerError(OmsTopologyError):
    """The message broker will not have this reader: rights, credentials, or options that make no sense.

    Attributes
    ----------
    code : str
        The client library's name of the reason.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"The broker cannot be read from ({code}); check its address, rights and options.")


class SchedulerError(OmsTopologyError):
    """A scheduler of distributed work that cannot be reached, or whose workers failed; try again later.

    Attributes
    ----------
    address : str
        Where it was looked for.
    reason : str
        What is wrong.
    """

    is_transient = True

    def __init__(self, address: str, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(f"The scheduler {address} {reason}.")


class SenderUnavailableError(OmsTopologyError):
    """Messages to customers cannot be sent at all now, whatever the message; none of them has gone.

    Attributes
    ----------
    sender : str
        Which sender, such as ``"smtp"``.
    reason : str
        What is wrong, without addresses.
    """

    is_transient = True

    def __init__(self, sender: str, reason: str) -> None:
        self.sender = sender
        self.reason = reason
        super().__init__(f"The {sender} sender cannot send: {reason}.")


class UnknownDeadLetterError(OmsTopologyError, KeyError):
    """There is no dead letter of this number.

    Attributes
    ----------
    dead_letter_id : int
        The number that was asked for.
    """

    def __init__(self, dead_letter_id: int) -> None:
        self.dead_letter_id = dead_letter_id
        super().__init__(f"There is no dead letter {dead_letter_id}.")

    def __str__(self) -> str:
        return str(self.args[0])


class DecisionRefusedError(OmsTopologyError):
    """A decision about an outage that cannot be taken; nothing was changed.

    Attributes
    ----------
    outage : str
        The outage, as it was named; for a plan, the device.
    action : str
        What was asked for, such as ``"confirm"``.
    is_illegal_move : bool
        Whether the outage's status forbids it; else the request itself is wrong.
    """

    def __init__(self, outage: str, action: str, reason: str, *, is_illegal_move: bool) -> None:
        self.outage = outage
        self.action = action
        self.is_illegal_move = is_illegal_move
        super().__init__(reason)


class SchemaVersionError(OmsTopologyError):
    """The database's schema is not the one that this version of the library works on.

    Attributes
    ----------
    found : str or None
        The schema version found; None for a database that was never upgraded.
    wanted : str
        The version that this library works on.
    """

    def __init__(self, found: str | None, wanted: str) -> None:
        self.found = found
        self.wanted = wanted
        state = f"has schema version {found}" if found else "was never upgraded"
        super().__init__(f"The database {state}, but {wanted} is needed; run: oms-topology db upgrade")


class SchemaUpgradeError(OmsTopologyError):
    """An upgrade that failed and was rolled back whole; the database is as it was."""


class EmbeddedServerError(OmsTopologyError):
    """The embedded PostgreSQL could not be found, started or stopped."""


class GeometryError(OmsTopologyError, ValueError):
    """Geometries that cannot be worked with: another kind, or coordinates that are not degrees of WGS84.

    Attributes
    ----------
    argument : str
        What was passed, such as ``"points"``.
    reason : str
        What is wrong with it, and what to do.
    """

    def __init__(self, argument: str, reason: str) -> None:
        self.argument = argument
        self.reason = reason
        super().__init__(f"{argument}: {reason}")


class SourceError(OmsTopologyError, ValueError):
    """A file or table that cannot be read, or written, as asked.

    Attributes
    ----------
    argument : str
        Which one, such as ``"points"``.
    reason : str
        What is wrong with it, and what to do.
    """

    def __init__(self, argument: str, reason: str) -> None:
        self.argument = argument
        self.reason = reason
        super().__init__(f"{argument}: {reason}")


class MissingExtraError(OmsTopologyError, ImportError):
    """A feature that needs an optional dependency which is not installed.

    Attributes
    ----------
    extra : str
        The extra to install.
    """

    def __init__(self, feature: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{feature} needs an optional package; run: pip install 'oms_topology[{extra}]'")
