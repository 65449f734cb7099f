"""The three deployed shapes, each filled with rows of every kind found dirty in the field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.database.deployed.install import ALTERS, SERVICES, install_uuid, run_scripts

if TYPE_CHECKING:
    from sqlalchemy import Engine

_ROWS = Path(__file__).parent


def install_shape_a(engine: Engine) -> None:
    """Install in the order that works, base twice: every foreign key stands, one of them doubled."""
    install_uuid(engine)
    scripts = (*SERVICES, "10_base.sql", "10_base.sql", "20_enhancement.sql", *ALTERS)
    _without_errors(run_scripts(engine, scripts))


def install_shape_b(engine: Engine) -> None:
    """Install with the alters first: the added columns have no foreign keys."""
    install_uuid(engine)
    scripts = ("10_base.sql", "10_base.sql", *SERVICES, *ALTERS, "20_enhancement.sql")
    _without_errors(run_scripts(engine, scripts))


def build_shape_a(engine: Engine) -> None:
    """Build shape A with its rows."""
    install_shape_a(engine)
    _fill(engine, "core_rows.sql", "service_rows.sql", "optional.sql")


def build_shape_b(engine: Engine) -> None:
    """Build shape B with its rows, orphaned ids among them."""
    install_shape_b(engine)
    _fill(engine, "core_rows.sql", "service_rows.sql", "orphan_rows.sql", "optional.sql")


def build_shape_c(engine: Engine) -> None:
    """Build in the documented order, on past dozens of errors: there are no service tables."""
    install_uuid(engine)
    failed = run_scripts(engine, ("10_base.sql", "20_enhancement.sql", *ALTERS))
    if failed < 20:
        raise AssertionError(f"the documented order fails all over the place, not {failed} times")
    _fill(engine, "core_rows.sql", "lonely_affected_rows.sql")


BUILDERS = {"A": build_shape_a, "B": build_shape_b, "C": build_shape_c}


def _fill(engine: Engine, *names: str) -> None:
    _without_errors(run_scripts(engine, [_ROWS / name for name in names]))


def _without_errors(failed: int) -> None:
    if failed:
        raise AssertionError(f"{failed} statements failed")
