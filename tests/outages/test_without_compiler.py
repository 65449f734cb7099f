"""Where numba is not installed the same loops run as plain Python, with the same answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
sys.modules["numba"] = None
import pytest
from oms_topology.graph.engine.compiling import is_compiled
assert not is_compiled
tests = ["tests/outages/test_inference_exact.py", "tests/outages/test_collectors_exact.py"]
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *tests]))
"""


def test_exactness_does_not_need_the_compiler() -> None:
    few = {"OMS_TOPOLOGY_INFERENCE_FORESTS": "20", "OMS_TOPOLOGY_COLLECTOR_FORESTS": "8"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, **few},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
