"""Coverage-guided fuzzing of the parsers: no other exception, no hang, no growth.

A short run by default; ten minutes with ``HYPOTHESIS_PROFILE=long``. Needs the extra ``fuzz``.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.servers import missing

if TYPE_CHECKING:
    from pathlib import Path

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"


@pytest.mark.slow
def test_no_input_gets_anything_but_signals_or_the_one_error(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        missing("atheris (the extra fuzz)")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    limits = [
        "-max_total_time=600" if LONG else "-runs=20000",
        "-timeout=5",  # seconds for one message
        "-rss_limit_mb=600",
        "-max_len=8192",
        "-seed=1",
        f"-artifact_prefix={tmp_path}/",
    ]
    done = subprocess.run(
        # Through a shell that stays: a process inherits the memory peak of the one that it was forked from.
        [
            *("/bin/sh", "-c", '"$@"; exit $?', "sh"),
            *(sys.executable, "-m", "tests.properties.fuzz_parsers", *limits, str(corpus)),
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "DONE" in done.stderr
