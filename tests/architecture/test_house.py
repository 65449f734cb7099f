"""The house holds: who may import whom, what an import costs, what the public face offers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import oms_topology as omt
from oms_topology import errors

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

ROOT = Path(__file__).parents[2]


def test_imports_only_point_down() -> None:
    importlinter = pytest.importorskip("importlinter.cli", reason="import-linter comes with the extra dev")
    script = f"import sys; sys.exit(__import__('{importlinter.__name__}', fromlist=['x']).lint_imports())"
    checked = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_importing_the_library_loads_only_the_standard_library() -> None:
    script = (
        "import sys; before = set(sys.modules); import oms_topology, json;"
        " new = {name.split('.')[0] for name in set(sys.modules) - before};"
        " print(json.dumps(sorted(new - set(sys.stdlib_module_names) - {'oms_topology'})))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(loaded.stdout) == []


def test_every_public_name_can_be_had() -> None:
    assert {name for name in omt.__all__ if not hasattr(omt, name)} == set()
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        omt.Nonsense  # noqa: B018


def test_every_error_is_in_one_tree_and_says_whether_it_may_pass() -> None:
    tree = [getattr(errors, name) for name in errors.__all__]
    assert all(issubclass(error, errors.OmsTopologyError) for error in tree)
    assert {error.__name__ for error in tree if error.is_transient} == {
        "ConflictError",
        "SchedulerError",
        "SenderUnavailableError",
        "StoreUnavailableError",
    }


def test_every_function_pins_its_search_path(database: Database) -> None:
    unpinned = """
        SELECT n.nspname || '.' || p.proname
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('public', 'oms_topology')
          AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%%pg_temp')
    """
    with database.engine.connect() as connection:
        found = set(connection.exec_driver_sql(unpinned).scalars())
    # This one names nothing that a path could change, and is inlined row by row.
    assert found == {"oms_topology.power_of"}


def test_no_role_but_the_owner_gets_at_our_own_tables(database: Database) -> None:
    granted = """
        SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'oms_topology' AND c.relkind IN ('r', 'v')
          AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = 0)
    """
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql(granted).scalar_one() == 0
        usage = "SELECT has_schema_privilege('public', 'oms_topology', 'USAGE')"
        assert connection.exec_driver_sql(usage).scalar_one() is False
