"""Locks that the kernel drops when their holder ends, however it ends."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from oms_topology.errors import EmbeddedServerError
from oms_topology.persistence.embedded.keeper import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["WAIT_S", "is_locked", "locked", "open_lock", "within"]

WAIT_S: Final = 60.0


def open_lock(path: Path) -> int:
    """Open a lock file, made where it is missing; nobody's child inherits it."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedServerError(
            f"The lock file {path} cannot be opened ({error.strerror}): does another user run this server?"
        ) from error


def is_locked(path: Path) -> bool:
    """Tell whether anybody holds a lock on the file at this moment."""
    descriptor = open_lock(path)
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive lock of a file, after waiting for it up to a minute."""
    descriptor = open_lock(path)
    try:
        if not within(WAIT_S, lambda: try_lock(descriptor)):
            raise EmbeddedServerError(
                f"Another process has been starting or stopping {path.parent} for long."
            )
        yield
    finally:
        os.close(descriptor)


def within(duration_s: float, condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds, but no longer than told; tell whether it came to hold."""
    deadline = time.monotonic() + duration_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.003)
    return True
