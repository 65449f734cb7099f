"""What the README and the pages in docs/ show really comes out that way."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oms_topology.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAPERS = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize(
    ("page", "least"),
    [
        (ROOT / "README.md", 20),
        (ROOT / "docs" / "network.md", 8),
        (ROOT / "docs" / "linking.md", 5),
        (ROOT / "docs" / "status.md", 8),
        (ROOT / "docs" / "notifications.md", 9),
        (ROOT / "docs" / "outages.md", 9),
        (ROOT / "docs" / "outage-story.md", 8),
        (ROOT / "docs" / "life-cycle.md", 6),
    ],
)
def test_what_a_page_shows_in_python_runs_as_it_is_printed(page: Path, least: int) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    test = doctest.DocTestParser().get_doctest("".join(blocks), {}, page.name, page.name, 0)
    told: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append)
    assert outcome.attempted >= least
    assert outcome.failed == 0, "".join(told)


@pytest.mark.parametrize("page", PAPERS, ids=lambda page: page.name)
def test_links_between_the_papers_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAPERS, ids=lambda page: page.name)
def test_commands_in_the_papers_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = set(re.findall(r"oms-topology (db|network|events|outages|report) ([a-z]+)", text))
    for group, command in sorted(shown):
        assert CliRunner().invoke(app, [group, command, "--help"]).exit_code == 0, (group, command)
