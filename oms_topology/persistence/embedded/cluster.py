"""The files of a server: its cluster, made whole or not at all, and its socket."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oms_topology.errors import EmbeddedServerError
from oms_topology.persistence.embedded.account import give, lets_in
from oms_topology.persistence.embedded.binaries import Account, Binaries, run

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "PORT",
    "ROLE",
    "SOCKET_PREFIX",
    "check_version",
    "handed_path",
    "initialise",
    "new_socket_directory",
    "opened",
    "usable_home",
]

ROLE: Final = "oms"
PORT: Final = 5432
SOCKET_PREFIX: Final = "oms_topology-"
_SOCKET_PATH_LIMIT: Final = 107


def usable_home(path: Path) -> Path:
    """Make the directory of a server where it is missing, and refuse one that cannot serve."""
    home = path.expanduser().absolute()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home = home.resolve()
        foreign = (home / "PG_VERSION").exists()
        usable = os.access(home, os.R_OK | os.W_OK | os.X_OK)
    except OSError as error:
        raise EmbeddedServerError(
            f"The directory {home} cannot be used ({error.strerror}); choose one that you may write to."
        ) from error
    if not usable:
        raise EmbeddedServerError(f"You may not write to {home}; choose another directory for the database.")
    if foreign:
        raise EmbeddedServerError(
            f"{home} is the data directory of a PostgreSQL that this library did not make; choose another."
        )
    return home


def initialise(home: Path, binaries: Binaries, account: Account | None) -> None:
    """Make the cluster under another name first, so that a half-made one is never taken for whole."""
    fresh = home / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    give(fresh, account)
    # Sorting and case must not change with the machine: the C locale, with Unicode letters where it knows.
    locale = ["--locale=C", "--encoding=UTF8"]
    if binaries.major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    with opened(fresh, os.O_RDONLY) as directory:
        options = ["-D", handed_path(fresh, directory, account), "-U", ROLE, *locale]
        command = [str(binaries.directory / "initdb"), *options, "--auth-local=trust", "--auth-host=reject"]
        result = run(command, account, descriptors=(directory,))
    if result.returncode != 0:
        raise EmbeddedServerError(f"initdb failed in {home}: {result.stderr.strip()}")
    fresh.rename(home / "data")
    with opened(home, os.O_RDONLY) as directory:
        os.fsync(directory)


def check_version(data: Path, binaries: Binaries) -> None:
    """Refuse data that another major version has written."""
    try:
        written_by = int((data / "PG_VERSION").read_text())
    except (OSError, ValueError) as error:
        raise EmbeddedServerError(
            f"{data} is no data directory of PostgreSQL; choose another path."
        ) from error
    if written_by != binaries.major:
        raise EmbeddedServerError(
            f"{data} was written by PostgreSQL {written_by}, but this is {binaries}. Go on with the old "
            f"version (binaries=<the bin directory of a PostgreSQL {written_by}>), or pg_dump with it what "
            "the directory holds and load that into a new one."
        )


def handed_path(data: Path, descriptor: int, account: Account | None) -> str:
    """Name a directory for the server: by descriptor for an account that may not pass those above it."""
    return str(data) if account is None else f"/proc/self/fd/{descriptor}"


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Open a file or directory by descriptor, and close it at the end."""
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def new_socket_directory(account: Account | None) -> Path:
    """Make a private directory for the socket, under a path short enough for one."""
    for parent in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        name_length = len(f"/{SOCKET_PREFIX}12345678/.s.PGSQL.{PORT}")
        if len(os.fsencode(parent)) + name_length <= _SOCKET_PATH_LIMIT and lets_in(parent, account):
            directory = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX, dir=parent))
            give(directory, account)
            return directory
    raise EmbeddedServerError("No temporary directory is short, writable and reachable enough for a socket.")
