"""The built package holds what the repository holds, cli/ and blueprints/ as folders of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    os.environ.get("DIMOS_RECORD_TEST_DIMOS") == "1",
    reason="packaging does not depend on dimos; it is tested in the core environment",
)


@pytest.fixture(scope="module")
def tracked_files() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [
        name for name in names.stdout.decode().split("\0") if name and os.path.lexists(ROOT / name)
    ]


@pytest.fixture(scope="module")
def expected(tracked_files: list[str]) -> dict[str, bytes]:
    """What the package must contain: name in the package, content."""
    found = {}
    for name in tracked_files:
        is_linked = name.startswith(("cli/", "blueprints/"))
        is_file = not (ROOT / name).is_symlink()
        if is_file and (is_linked or name.startswith("dimos_record/")):
            found[f"dimos_record/{name}" if is_linked else name] = (ROOT / name).read_bytes()
    return found


@pytest.fixture(scope="module")
def sources(tracked_files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files."""
    copy = tmp_path_factory.mktemp("copy")
    for name in tracked_files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    return copy


@pytest.fixture(scope="module")
def dist(sources: Path) -> Path:
    """The sdist and wheel."""
    return build(sources)


def build(sources: Path, *options: str, **environment: str) -> Path:
    isolation = [] if int(version("setuptools").partition(".")[0]) < 77 else ["--no-isolation"]
    out = sources / "-".join(["dist", *options])
    command = [sys.executable, "-m", "build", *isolation, *options, "--outdir", str(out)]
    result = subprocess.run(
        [*command, str(sources)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return out


def test_the_wheel_has_every_file_of_the_library_as_a_real_file(
    dist: Path, expected: dict[str, bytes]
) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    assert {"dimos_record/cli/__init__.py", "dimos_record/cli/main.py"} <= packed.keys()
    assert sorted(expected.keys() - packed.keys()) == []
    assert [name for name in expected if packed[name] != expected[name]] == []
    assert {name.partition("/")[0] for name in packed if ".dist-info/" not in name} == {
        "dimos_record"
    }


def test_one_wheel_with_the_compiled_part_serves_every_python(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    assert "-cp310-abi3-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        assert "dimos_record/bus/_lcm_native.abi3.so" in archive.namelist()


def test_without_a_compiler_there_is_a_wheel_without_the_compiled_part(
    sources: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(sources, bare, symlinks=True, ignore=shutil.ignore_patterns("build", "*.so"))
    (wheel,) = build(bare, "--wheel", CC="false").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "dimos_record/bus/lcm_native.py" in names
    assert [name for name in names if name.endswith(".so")] == []


def test_the_command_starts_what_the_wheel_contains(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/entry_points.txt"))
        assert "dimos-record = dimos_record.cli.entry:main" in archive.read(name).decode()


def test_the_sdist_has_every_file_of_the_library_as_a_real_file(
    dist: Path, expected: dict[str, bytes]
) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert sorted(expected.keys() - packed) == []
