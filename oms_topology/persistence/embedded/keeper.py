"""Keeps one embedded PostgreSQL: starts it, and stops it when its last user is gone.

Runs as a process of its own, by its file name and on the bare standard library, because it must outlive
the process that started it and be there in a few milliseconds. Users hold shared locks on a file; the
kernel drops the lock of a process however it ends, so that nothing a user does can leave the server
behind, not even ``kill -9``.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys

_POLL_S = 0.25


def main(arguments: list[str]) -> None:
    """Start the server in the background and keep it; the calling process returns at once.

    Parameters
    ----------
    arguments : list of str
        Start lock, users lock, socket directory, ``uid:gid`` to run as (empty: as it is),
        comma-separated descriptors to hand on, then the server's command line.
    """
    start_lock, users_lock, socket_directory, owner, descriptors, *command = arguments
    locks = (os.open(start_lock, os.O_RDWR | os.O_CLOEXEC), os.open(users_lock, os.O_RDWR | os.O_CLOEXEC))
    if os.fork():
        os._exit(0)
    os.setsid()
    server = os.fork()
    if server == 0:
        _become(owner)
        os.umask(0o077)
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted here
    for descriptor in filter(None, descriptors.split(",")):
        os.close(int(descriptor))
    _keep(server, *locks)
    _remove(socket_directory)


def _become(owner: str) -> None:
    if owner:
        uid, gid = map(int, owner.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def _keep(server: int, start_lock: int, users_lock: int) -> None:
    """Wait until the server has ended, and end it when it has no user or the system says so."""
    watched = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    while os.waitpid(server, os.WNOHANG) == (0, 0):
        caught = signal.sigtimedwait(watched, _POLL_S)
        told_to_end = caught is not None and caught.si_signo == signal.SIGTERM
        if told_to_end or _is_deserted(start_lock, users_lock):
            # A deserted server keeps its locks until it is gone: who comes meanwhile waits, then starts anew.
            os.kill(server, signal.SIGINT)
            os.waitpid(server, 0)
            return


def _is_deserted(start_lock: int, users_lock: int) -> bool:
    # The start lock comes first, as everywhere: no user can then be half in or half out.
    if not try_lock(start_lock):
        return False
    if try_lock(users_lock):
        return True
    fcntl.flock(start_lock, fcntl.LOCK_UN)
    return False


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file if it is free now.

    Parameters
    ----------
    descriptor : int
        The open file.

    Returns
    -------
    bool
        Whether it is held now.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(directory: str) -> None:
    # By hand: shutil would double the time that this process takes to start.
    try:
        for name in os.listdir(directory):  # noqa: PTH208
            os.unlink(f"{directory}/{name}")  # noqa: PTH108
        os.rmdir(directory)  # noqa: PTH106
    except FileNotFoundError:
        return  # whoever stopped the server has done it


if __name__ == "__main__":
    main(sys.argv[1:])
