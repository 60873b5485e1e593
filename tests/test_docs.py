"""The documentation: its examples run, its links lead somewhere, its SQL fits the real tables.

Of every page, in order and in one folder, each ```python block runs, unless it stands after a line
`<!-- no test: REASON -->`, and each ```bash block after a line `<!-- test -->`. After
`<!-- test: background -->` it runs until the page is done. A page with `<!-- given: walk.db -->`
finds a recording of that name. Topics go over an LCM network of the
test's own. Each ```sql block runs on a recording; the tables that it creates must be the real ones.
Blocks after a line `<!-- test with dimos -->` run in `with_dimos/test_docs_dimos.py`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from dimos_record.testing import free_lcm_url

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")], key=lambda page: page.as_posix()
)
_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>(?:no )?test[^>]*?) -->\n+)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\((?!\w+:)(?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
WITH_DIMOS = "test with dimos"
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


class Example(NamedTuple):
    """One block of a page."""

    language: str
    mark: str | None
    text: str
    line: int


def examples(page: Path) -> list[Example]:
    text = page.read_text()
    return [
        Example(
            found["language"], found["mark"], found["text"], text[: found.start("text")].count("\n")
        )
        for found in _BLOCK.finditer(text)
    ]


def runs(example: Example) -> bool:
    mark = example.mark or ("test" if example.language == "python" else "no test")
    return example.language in ("python", "bash") and not mark.startswith(("no test", WITH_DIMOS))


def needs_dimos(example: Example) -> bool:
    return (example.mark or "").startswith(WITH_DIMOS)


def named(pages: list[Path]) -> list[object]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if any(e.language == language for e in examples(page))]


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some seconds of the demo robot, with poses; on a busy machine it begins late."""
    from dimos_record import RecordReplay
    from dimos_record.bus import open_bus
    from dimos_record.demo_robot import run

    path = tmp_path_factory.mktemp("recording") / "walk.db"
    with (
        open_bus(free_lcm_url()) as bus,
        RecordReplay(path, bus=bus) as rec,
    ):
        with rec.recording():
            run(bus, duration_s=3.0)
        rec.fill_poses()
    return path


@pytest.mark.parametrize("page", named([p for p in PAGES if any(map(runs, examples(p)))]))
def test_examples_of_the_page_work(
    page: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LCM_DEFAULT_URL", free_lcm_url())
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if "<!-- given: walk.db -->" in page.read_text():
        shutil.copy(recording, "walk.db")
    namespace: dict[str, object] = {"__name__": "__main__"}
    with ExitStack() as background:
        for example in filter(runs, examples(page)):
            where = f"{page.relative_to(ROOT)}, line {example.line + 1}"
            if example.language == "python":
                exec(compile("\n" * example.line + example.text, str(page), "exec"), namespace)
            elif example.mark == "test: background":
                background.enter_context(running(example.text))
            else:
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", example.text],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=120,
                )
                assert done.returncode == 0, f"{where}:\n{example.text}\n{done.stdout}"


@contextmanager
def running(command: str) -> Iterator[None]:
    """A command for as long as the block lasts, ended as Ctrl-C does."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@pytest.mark.parametrize("page", named(pages_with("sql")))
def test_sql_of_the_page_fits_a_real_recording(page: Path, recording: Path) -> None:
    connection = sqlite3.connect(f"file:{recording}?mode=ro", uri=True)
    real = {
        _normal(row[0]) for row in connection.execute("SELECT sql FROM sqlite_master") if row[0]
    }
    for example in examples(page):
        if example.language != "sql":
            continue
        for statement in filter(str.strip, example.text.split(";")):
            if "IF NOT EXISTS" in statement:
                copy = sqlite3.connect(":memory:")
                connection.backup(copy)
                copy.execute(statement)
                copy.close()
            elif statement.lstrip().startswith("CREATE"):
                assert _normal(statement) in real
            else:
                assert connection.execute(statement).fetchall()
    connection.close()


def _normal(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip().replace("( ", "(").replace(" )", ")")


@pytest.mark.parametrize("page", named(PAGES))
def test_links_of_the_page_lead_somewhere(page: Path) -> None:
    dead = []
    for link in _LINK.finditer(page.read_text()):
        target = (page.parent / link["target"]).resolve() if link["target"] else page
        if not target.exists():
            dead.append(link["target"])
        elif link["anchor"] and link["anchor"] not in anchors(target):
            dead.append(f"{link['target']}#{link['anchor']}")
    assert not dead


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = _HEADING.findall(page.read_text())
    plain = [re.sub(r"[^\w\- ]", "", heading.replace("`", "")).lower() for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", named([page for page in PAGES if page.parent != ROOT]))
def test_the_map_of_the_documentation_leads_to_the_page(page: Path) -> None:
    folder = page.parent
    maps = [ROOT / "docs" / "index.md", folder / "README.md"]
    linked = {
        (listing.parent / link["target"]).resolve()
        for listing in maps
        if listing.exists()
        for link in _LINK.finditer(listing.read_text())
    }
    assert page in linked or page == ROOT / "docs" / "index.md"
