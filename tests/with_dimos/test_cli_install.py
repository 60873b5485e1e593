"""`install-cli` and `uninstall-cli`, in an environment that is thrown away."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import dimos_record
from dimos_record import RecordReplay
from tests.with_dimos.cli_runs import Network
from tests.with_dimos.messages import pose

pytestmark = pytest.mark.dimos
REPOSITORY = str(Path(dimos_record.__file__).parents[1])
SITE = sysconfig.get_path("purelib")
SCRIPT = """\
#!{python}
import sys
from {module} import main
if __name__ == '__main__':
    sys.argv[0] = sys.argv[0].removesuffix('.exe')
    sys.exit(main())
"""


class Environment:
    """A virtual environment with dimos's metadata and scripts of its own, as pip leaves them.

    The packages themselves are those of the tests' environment.
    """

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        venv.create(folder, symlinks=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.bin = folder / "bin"
        self.site = folder / "lib" / version / "site-packages"
        self.dimos = self.write_script("dimos", "dimos.cli.entry")
        self.write_script("dimos-record", "dimos_record.cli.entry")
        info = Path(str(metadata.distribution("dimos")._path))  # type: ignore[attr-defined]
        shutil.copytree(info, self.site / info.name)
        record = f"../../../bin/dimos,,\n{info.name}/RECORD,,\n"
        (self.site / info.name / "RECORD").write_text(record)
        (self.site / "packages.pth").write_text(SITE + "\n")
        (self.site / "dimos_record.pth").write_text(REPOSITORY + "\n")
        self.env = {**env, "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}

    def write_script(self, name: str, module: str) -> Path:
        path = self.bin / name
        path.write_text(SCRIPT.format(python=self.bin / "python", module=module))
        path.chmod(0o755)
        return path

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, capture_output=True, text=True, env=self.env, timeout=60, check=False, cwd=cwd
        )


@pytest.fixture
def environment(tmp_path: Path, dimos_env: dict[str, str]) -> Iterator[Environment]:
    environment = Environment(tmp_path / "venv", dimos_env)
    yield environment
    shutil.rmtree(environment.bin.parent)


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """Odometry of the demo robot."""
    path = tmp_path / "walk.db"
    with RecordReplay(path) as rec:
        odom = rec.stream("odom", topic="/odom", type_name="geometry_msgs.PoseStamped")
        for i in range(100):
            odom.append(pose(i).lcm_encode(), ts_ns=1_700_000_000 * 10**9 + i * 50_000_000)
    return path


def state_of(path: Path) -> tuple[bytes, int]:
    return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)


def test_plain_dimos_takes_a_recording_and_is_restored_byte_for_byte(
    environment: Environment, walk: Path
) -> None:
    before = state_of(environment.dimos)
    replay = ("dimos", "--replay", str(walk), "--dry-run", "run", "dimos-record.demo-robot")
    assert "No such command" in environment.run(*replay).stderr  # as dimos has it

    installed = environment.run("dimos-record", "install-cli")
    assert installed.returncode == 0, installed.stderr
    kept = environment.bin / "dimos.before-dimos-record"
    assert installed.stdout.splitlines() == [
        f"Changed {environment.dimos}",
        f"The original is kept as {kept}",
    ]
    assert installed.stderr == ""
    assert state_of(kept) == before
    assert state_of(environment.dimos)[1] == before[1]

    planned = environment.run(*replay)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.startswith(f"Replay of {walk}")
    assert "Recording and replay, by dimos-record" in environment.run("dimos", "--help").stdout

    restored = environment.run("dimos-record", "uninstall-cli")
    assert restored.stdout == f"Restored {environment.dimos}\n"
    assert state_of(environment.dimos) == before
    assert not kept.exists()
    assert "No such command" in environment.run(*replay).stderr


def test_plain_dimos_replays_and_a_restart_never_starts_the_hardware(
    tmp_path: Path, walk: Path
) -> None:
    network = Network(tmp_path, "lcm")
    environment = Environment(tmp_path / "venv", network.env)
    network.env = environment.env
    dimos, ours = str(environment.dimos), str(environment.bin / "dimos-record")

    def classes() -> set[str]:
        shown = network.run("modules", "--json", program=ours).stdout
        return {module["class"] for module in json.loads(shown)}

    assert network.run("install-cli", program=ours).returncode == 0
    replay = ("--replay", str(walk), "--replay-loop", "run", "-d", "dimos-record.demo-robot")
    try:
        assert network.run(*replay, program=dimos).returncode == 0
        assert network.run("restart", program=dimos, cwd=Path("/")).returncode == 0
        assert classes() == {"DemoMapper", "DemoFollower", "ReplayModule"}
        assert network.run("uninstall-cli", program=ours).returncode == 0
        assert network.run("restart", program=dimos).returncode == 2  # an option that it has not
        assert network.run("status", program=dimos).stdout == "No running DimOS instance\n"
    finally:
        network.run("stop", program=dimos)


def test_installing_and_uninstalling_twice_changes_nothing_more(environment: Environment) -> None:
    before = state_of(environment.dimos)
    harmless = environment.run("dimos-record", "uninstall-cli")
    assert (harmless.returncode, state_of(environment.dimos)) == (0, before)
    assert harmless.stdout.startswith("Nothing to do")
    environment.run("dimos-record", "install-cli")
    once = state_of(environment.dimos)
    again = environment.run("dimos-record", "install-cli")
    assert again.stdout.startswith("Nothing to do")
    assert state_of(environment.dimos) == once
    environment.run("dimos-record", "uninstall-cli")
    assert state_of(environment.dimos) == before


def test_a_script_that_an_upgrade_of_dimos_wrote_is_left_alone(environment: Environment) -> None:
    environment.run("dimos-record", "install-cli")
    environment.dimos.write_text(environment.dimos.read_text().partition("\n")[0] + "\n# newer\n")
    newer = state_of(environment.dimos)
    assert environment.run("dimos-record", "uninstall-cli").stdout.startswith("Nothing to do")
    assert state_of(environment.dimos) == newer


def test_without_dimos_record_the_changed_script_runs_dimos(environment: Environment) -> None:
    environment.run("dimos-record", "install-cli")
    (environment.site / "dimos_record.pth").unlink()
    done = environment.run("dimos", "status", cwd=environment.bin)
    assert "No running DimOS instance" in done.stdout, done.stderr
    shown = environment.run("dimos", "--help", cwd=environment.bin).stdout
    assert "by dimos-record" not in shown


def test_a_script_that_is_not_known_is_refused(environment: Environment) -> None:
    environment.dimos.write_text("#!/bin/sh\nexec something-else\n")
    before = state_of(environment.dimos)
    done = environment.run("dimos-record", "install-cli")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {environment.dimos} is no console script of dimos that")
    assert state_of(environment.dimos) == before
    assert sorted(path.name for path in environment.bin.glob("dimos*")) == ["dimos", "dimos-record"]


def test_a_script_that_cannot_be_replaced_is_one_sentence(environment: Environment) -> None:
    before = state_of(environment.dimos)
    (environment.bin / "dimos.before-dimos-record").mkdir()
    done = environment.run("dimos-record", "install-cli")
    assert done.returncode == 5
    assert "dimos.before-dimos-record cannot be replaced: " in done.stderr
    assert done.stderr.count("\n") == 1
    assert state_of(environment.dimos) == before


def test_another_dimos_on_the_path_is_pointed_out(environment: Environment, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    shutil.copy2(environment.dimos, other / "dimos")
    environment.env["PATH"] = f"{other}{os.pathsep}{environment.env['PATH']}"
    done = environment.run(str(environment.bin / "dimos-record"), "install-cli")
    assert done.returncode == 0
    assert done.stderr == f"warning: your shell finds another dimos first: {other / 'dimos'}\n"
