"""The documentation's examples with dimos run: as they stand there, page by page, in one folder.

A page with `<!-- given: walk.db -->` finds a recording of that name. Run are the blocks after a
line `<!-- test with dimos -->`: bash blocks, and python blocks as a program of their own. After
`<!-- test with dimos: Ctrl-C -->` each line of the block runs for some seconds, until Ctrl-C. After
`<!-- test with dimos: prints -->` the next `text` block must be what the commands print, apart from
folders, durations, and the order of words in a line.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import time
from pathlib import Path

import pytest

from tests.test_docs import (  # noqa: F401 - the recording is a fixture
    PAGES,
    ROOT,
    Example,
    examples,
    named,
    needs_dimos,
    recording,
)
from tests.with_dimos.cli_runs import DIMOS_RECORD, STARTED, Network
from tests.with_dimos.processes import running, wait_until

pytestmark = pytest.mark.dimos

RUN_S = 1.0
"""How long a person waits before Ctrl-C, at least."""
VIEWER_STARTED = "bridge listening"
DURATION = re.compile(r"[\d.]+ s\b")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", named([p for p in PAGES if any(map(needs_dimos, examples(p)))]))
def test_examples_with_dimos_work(
    page: Path,
    recording: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    if "<!-- given: walk.db -->" in page.read_text():
        shutil.copy(recording, tmp_path / "walk.db")
    network = Network(tmp_path, "zenoh")
    network.env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    network.env["PYTHONPATH"] += f"{os.pathsep}{ROOT / 'tests' / 'dimos_env'}"  # from any folder
    blocks = examples(page)
    try:
        for example, following in zip(blocks, [*blocks[1:], None], strict=True):
            if not needs_dimos(example):
                continue
            if example.mark == "test with dimos: Ctrl-C":
                run_until_ctrl_c(example, network)
                continue
            printed = run_to_its_end(example, network, page)
            if example.mark == "test with dimos: prints":
                assert following is not None
                assert following.language == "text"
                assert comparable(printed) == comparable(following.text)
    finally:
        network.run("stop")


def run_to_its_end(example: Example, network: Network, page: Path) -> str:
    """Run a block, and return what it has printed on stdout."""
    if example.language == "python":
        script = network.folder / "example.py"
        script.write_text(example.text)
        done = network.run(str(script), program=sys.executable)
    else:
        done = network.run("-euo", "pipefail", "-c", example.text, program="bash")
    where = f"{page.relative_to(ROOT)}, line {example.line + 1}"
    assert done.returncode == 0, f"{where}:\n{example.text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_until_ctrl_c(example: Example, network: Network) -> None:
    """Run each line, which goes on in the foreground, for a while."""
    for line in example.text.splitlines():
        command = shlex.split(line, comments=True)
        assert command[0] == "dimos-record"
        with running([DIMOS_RECORD, *command[1:]], network.env, network.folder / "run.log") as run:
            run.wait_for_output(VIEWER_STARTED if "rerun-bridge" in command else STARTED, 60.0)
            end = time.monotonic() + RUN_S
            wait_until(lambda end=end: time.monotonic() > end)
            assert run.interrupt() == 0, run.output


def comparable(text: str) -> list[list[str]]:
    """The lines of a text, without what differs from run to run."""
    lines = [re.sub(r"/\S+/(?=\w+\.db)", "", line).rstrip() for line in text.splitlines()]
    return [sorted(DURATION.sub("N s", line).split()) for line in lines if line]
