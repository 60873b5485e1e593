"""The compiled part of the LCM bus, built so that every wrong access to memory ends the process."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

from soaking.fuzz_targets.packets import BUILD

_SOURCES = Path(__file__).resolve().parents[2] / "dimos_record" / "bus" / "native"
_FLAGS = ("-O1", "-g", "-std=c11", "-D_GNU_SOURCE", "-fno-omit-frame-pointer", "-shared", "-fPIC")
_LIBRARIES = ("libasan.so", "libubsan.so")


def sanitized(folder: Path) -> dict[str, str] | None:
    """Build it into a folder; the environment for a process that is to use it.

    Returns:
        None where there is no gcc with its sanitizers.
    """
    gcc = shutil.which("gcc")
    found = [_library(gcc, name) for name in _LIBRARIES] if gcc else []
    if gcc is None or None in found:
        return None
    built = folder / "_lcm_native.so"
    include = f"-I{sysconfig.get_paths()['include']}"
    sources = sorted(map(str, _SOURCES.glob("*.c")))
    sanitize = "-fsanitize=address,undefined"
    command = [gcc, *_FLAGS, sanitize, include, *sources, "-o", str(built)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the compiled part cannot be built with sanitizers: {done.stderr}")
    return {
        BUILD: str(built),
        "LD_PRELOAD": ":".join(filter(None, found)),
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }


def _library(gcc: str, name: str) -> str | None:
    done = subprocess.run(
        [gcc, f"-print-file-name={name}"], capture_output=True, text=True, check=False
    )
    path = done.stdout.strip()
    return path if path != name else None
