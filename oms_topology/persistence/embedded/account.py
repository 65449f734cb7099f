"""What it takes to run PostgreSQL when root starts it: another user, and all within his reach."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from oms_topology.errors import EmbeddedServerError
from oms_topology.persistence.embedded.binaries import Account, Binaries, version_of

__all__ = ["account_for", "give", "lets_in", "within_reach"]

_SERVICE_ACCOUNTS: Final = ("postgres", "nobody")
_COPIES: Final = Path("/var/cache/oms_topology")


def account_for(data: Path) -> Account | None:
    """Whom root's server runs as: the owner of the data, for new data a service account; None if not root."""
    if os.geteuid() != 0:
        return None
    if not Path("/proc/self/fd").is_dir():
        raise EmbeddedServerError("As root this needs /proc; run as an unprivileged user, or give a DSN.")
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, str(owner.st_uid))
    for name in _SERVICE_ACCOUNTS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid, name)
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and there is no user postgres or nobody to run it as; "
        "run as an unprivileged user, or give a DSN."
    )


def give(directory: Path, account: Account | None) -> None:
    """Make the account the owner of a directory; nothing to do without an account."""
    if account is None:
        return
    try:
        os.chown(directory, account.uid, account.gid)
    except OSError as error:
        raise EmbeddedServerError(
            f"{directory} cannot be given to the user {account.name} ({error.strerror}), and PostgreSQL does "
            "not run as root; run as an unprivileged user, or give a DSN."
        ) from error


def lets_in(directory: Path, account: Account | None) -> bool:
    """Tell whether we may write to a directory and the account may pass through all that leads to it."""
    if not os.access(directory, os.W_OK | os.X_OK):
        return False
    if account is None:
        return True
    resolved = directory.resolve()
    return all(entry.stat().st_mode & stat.S_IXOTH for entry in (resolved, *resolved.parents))


def within_reach(binaries: Binaries, account: Account | None) -> Binaries:
    """Give back these binaries, or a copy of them where the account may run it."""
    if account is None or version_of(binaries.directory, account) is not None:
        return binaries
    prefix = binaries.directory.parent
    written = (binaries.directory / "postgres").stat().st_mtime_ns
    key = hashlib.sha256(f"{prefix}:{written}".encode()).hexdigest()[:12]
    copy = _COPIES / f"postgresql-{binaries.version}-{key}"
    try:
        if not copy.exists():
            _copy_installation(prefix, copy)
    except OSError as error:
        raise EmbeddedServerError(
            f"The user {account.name} may not run {binaries}, and it cannot be copied to {copy} "
            f"({error.strerror}). Let others enter the directories above it, or run as an unprivileged user."
        ) from error
    within = copy / prefix.parent.name / prefix.name / binaries.directory.name
    if version_of(within, account) is None:
        raise EmbeddedServerError(f"The user {account.name} may not run {binaries} nor its copy in {copy}.")
    return replace(binaries, directory=within)


def _copy_installation(prefix: Path, copy: Path) -> None:
    if not (prefix / "share").is_dir() or not (prefix / "lib").is_dir():
        raise FileNotFoundError(2, "it is not an installation of its own", str(prefix))
    copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=copy.parent))
    skip = shutil.ignore_patterns("include", "*.a", "doc", "man", "locale")
    # Wheels keep the libraries of a package beside it, and find them by their relative place.
    libraries = prefix.parent.with_name(prefix.parent.name + ".libs")
    for source in filter(Path.is_dir, (prefix, libraries)):
        shutil.copytree(source, fresh / source.relative_to(prefix.parent.parent), symlinks=True, ignore=skip)
    for entry in (fresh, *fresh.rglob("*")):
        if not entry.is_symlink():
            entry.chmod(0o755 if entry.is_dir() or entry.stat().st_mode & stat.S_IXUSR else 0o644)
    try:
        fresh.rename(copy)
    except OSError:
        shutil.rmtree(fresh)
        if not copy.exists():  # else another process was faster
            raise
