"""What may import what (docs: CONTRIBUTING.md), and what may not be in the repository."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "dimos_record"

OPTIONAL = {
    "textual",
    "rerun",
    "mcap",
    "mcap_ros2",
    "rosbags",
    "pyarrow",
    "matplotlib",
    "zenoh",
    "dimos",
}
"""Never imported at import time: they are slow, or in an extra, or both."""
HEAVY = OPTIONAL | {"numpy", "lcm", "dimos_lcm", "typer", "rich", "sqlite_utils", "reactivex"}
"""Not imported by `import dimos_record` either."""

NEED_DIMOS = ("dimos_record.integrations.dimos", "dimos_record.blueprints")
SCREENS = "dimos_record.cli.tui"
DEMO = "dimos_record.demo_robot"
KNOW_STORE_AND_BUS = {
    "interop",
    "viewer",
    "plotting",
    "record",
    "replay",
    "cli",
    "integrations",
    "blueprints",
    "demo_robot",
}
"""Packages that may know both. Modules directly in dimos_record, the facade above all, may too."""


def modules() -> dict[str, Path]:
    """Every module of the library with its file, cli and blueprints (symbolic links) included."""
    found = {}
    for folder, _, files in os.walk(LIBRARY, followlinks=True):
        package = ".".join(("dimos_record", *Path(folder).relative_to(LIBRARY).parts))
        for file in files:
            if file == "__init__.py":
                found[package] = Path(folder, file)
            elif file.endswith(".py"):
                found[f"{package}.{file[:-3]}"] = Path(folder, file)
    return dict(sorted(found.items()))


MODULES = modules()


def is_in(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def imports(module: str, nodes: Iterator[ast.AST]) -> set[str]:
    """The absolute names of what the nodes import; of `from a import b`, both a and a.b."""
    found = set()
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join(filter(None, [*(base if node.level else ()), node.module]))
            found |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
    return found


def all_imports(module: str) -> set[str]:
    return imports(module, ast.walk(ast.parse(MODULES[module].read_text())))


def imports_at_import_time(module: str) -> set[str]:
    return imports(module, _run_at_import(ast.parse(MODULES[module].read_text())))


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    if not is_for_types and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        for child in ast.iter_child_nodes(node):
            yield from _run_at_import(child)


def distributions(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def run_python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_dimos_record_imports_nothing_heavy() -> None:
    loaded = run_python("import sys, dimos_record; print(*sys.modules)").split()
    assert "dimos_record" in loaded
    assert distributions(set(loaded)) & HEAVY == set()


def loaded_by_the_command(*arguments: str) -> set[str]:
    """The modules that `dimos-record ARGUMENTS` has imported when it ends."""
    report = run_python(
        "import sys\n"
        "from dimos_record.cli.entry import main\n"
        f"sys.argv = ['dimos-record', *{arguments}]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print('loaded:', *sys.modules)"
    )
    return set(report.rpartition("loaded:")[2].split())


@pytest.mark.once
def test_help_needs_neither_the_facade_nor_what_it_rests_on() -> None:
    loaded = loaded_by_the_command("--help")
    assert "dimos_record.cli.export.parquet" in loaded
    assert distributions(loaded) & (HEAVY - {"typer", "rich"}) == set()
    assert not {name for name in loaded if is_in(name, "dimos_record.store", "dimos_record.replay")}


@pytest.mark.once
def test_a_command_imports_itself_and_not_the_others(tmp_path: Path) -> None:
    from dimos_record.bus import split_channel
    from dimos_record.store.writer import RecordingWriter

    writer = RecordingWriter.create(tmp_path / "walk.db")
    writer.begin_session(1, {}, split=split_channel)
    writer.write([(1, "/odom#geometry_msgs.PoseStamped", b"")])
    writer.close()
    loaded = loaded_by_the_command("info", str(tmp_path / "walk.db"))
    assert "dimos_record.cli.info" in loaded
    others = {"dimos_record.cli.record", "dimos_record.cli.play", "dimos_record.record_replay"}
    assert loaded & others == set()
    assert distributions(loaded) & (HEAVY - {"typer", "rich"}) == set()


def test_importing_any_module_imports_nothing_optional() -> None:
    names = [name for name in MODULES if not is_in(name, *NEED_DIMOS, SCREENS, DEMO)]
    report = run_python(
        "import importlib, sys\n"
        f"for name in {names}:\n"
        "    importlib.import_module(name)\n"
        f"    found = {OPTIONAL} & sys.modules.keys()\n"
        "    if found: sys.exit(f'{name} imports {sorted(found)}')\n"
        "print('imported', name)"
    )
    assert report.split() == ["imported", names[-1]]


def test_optional_packages_are_imported_where_they_are_used() -> None:
    found = {}
    for module in MODULES:
        early = distributions(imports_at_import_time(module)) & OPTIONAL
        if is_in(module, *NEED_DIMOS, DEMO):
            early -= {"dimos"}
        if is_in(module, SCREENS):
            early -= {"textual"}
        if early:
            found[module] = early
    assert found == {}


def test_only_integrations_dimos_imports_dimos() -> None:
    users = [name for name in MODULES if "dimos" in distributions(all_imports(name))]
    assert [name for name in users if not is_in(name, *NEED_DIMOS, DEMO)] == []


def test_nothing_below_the_cli_knows_it_or_its_packages() -> None:
    for module in MODULES:
        if not is_in(module, "dimos_record.cli"):
            names = all_imports(module)
            assert not any(is_in(name, "dimos_record.cli") for name in names), module
            assert distributions(names) & {"typer", "textual"} == set(), module


def test_every_error_of_ours_is_in_errors() -> None:
    """Errors that come from other processes are found there by their names."""
    names = [name for name in MODULES if not is_in(name, *NEED_DIMOS, SCREENS, DEMO)]
    report = run_python(
        "import importlib\n"
        f"for name in {names}:\n"
        "    importlib.import_module(name)\n"
        "from dimos_record.errors import DimosRecordError\n"
        "def kinds(kind):\n"
        "    return [kind, *(one for sub in kind.__subclasses__() for one in kinds(sub))]\n"
        "print({kind.__module__ for kind in kinds(DimosRecordError)})"
    )
    assert report.strip() == "{'dimos_record.errors'}"


def test_errors_imports_nothing() -> None:
    assert distributions(all_imports("dimos_record.errors")) == {"__future__"}


def test_store_and_bus_know_nothing_of_each_other() -> None:
    for module in MODULES:
        names = all_imports(module)
        if is_in(module, "dimos_record.store"):
            assert not any(is_in(name, "dimos_record.bus") for name in names), module
        if is_in(module, "dimos_record.bus"):
            assert not any(is_in(name, "dimos_record.store") for name in names), module


def test_only_what_is_above_them_knows_both_store_and_bus() -> None:
    for module in MODULES:
        place = module.split(".")[1] if "." in module else ""
        if place and (LIBRARY / place).is_dir() and place not in KNOW_STORE_AND_BUS:
            names = all_imports(module)
            both = [
                p for p in ("store", "bus") if any(is_in(n, f"dimos_record.{p}") for n in names)
            ]
            assert len(both) < 2, module


def test_the_rules_see_imports_of_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "import a.b\nfrom ..bus import base\nfrom . import y\n"
        "try:\n    import c\nexcept ImportError:\n    pass\n"
        "if TYPE_CHECKING:\n    import d\n"
        "class K:\n    import e\n    def f(self):\n        import g\n"
    )
    monkeypatch.setitem(MODULES, "dimos_record.store.x", file)
    everywhere = all_imports("dimos_record.store.x")
    assert {"a.b", "c", "d", "e", "g"} <= everywhere
    assert {"dimos_record.bus", "dimos_record.bus.base", "dimos_record.store.y"} <= everywhere
    early = imports_at_import_time("dimos_record.store.x")
    assert {"a.b", "c", "e", "dimos_record.bus.base"} <= early
    assert early & {"d", "g"} == set()


@pytest.fixture(scope="module")
def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name for name in names.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_registry_or_a_place_of_one_machine(tracked_files: list[Path]) -> None:
    hosts = ["pypi" + r"\.org", "python" + "hosted", r"registry\." + "npmjs", r"deb\." + "debian"]
    unwanted = re.compile("|".join([r"(^|[^A-Za-z0-9_.])/(work|farm|root)/", *hosts]), re.MULTILINE)
    for path in tracked_files:
        content = path.read_bytes()
        if b"\0" not in content:
            found = unwanted.search(content.decode(errors="replace"))
            assert found is None, f"{path.relative_to(ROOT)} names {found.group()!r}"


def test_no_large_file_is_outside_git_lfs(tracked_files: list[Path]) -> None:
    large = [path for path in tracked_files if path.stat().st_size > 1_000_000]
    assert [path for path in large if path.parent != ROOT / "data" / ".lfs"] == []
