"""Where the time of our own programs goes: sampled by py-spy, interpreter and C alike."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

_SAMPLES_PER_S = 200
_SHOWN = 15
_WAITING = re.compile(
    r"poll|select|epoll|futex|sem_|pthread_cond|nanosleep|recvmmsg|accept|wait \(threading|"
    r"PyThread_acquire|take_gil|lock_Pylock|__lll_lock"
)
"""What a thread that waits is in."""
_LINE = re.compile(r":\d+\)$")
_NOT_NAMED = re.compile(r"^0x[0-9a-f]+ ")


class Sampler:
    """Attaches py-spy to the programs that are ours, and keeps what it found, by case."""

    def __init__(self, folder: Path, ours: Sequence[str]) -> None:
        self._folder, self._ours = folder, list(ours)
        self._label = ""
        self._files: list[tuple[str, Path, subprocess.Popen[bytes]]] = []
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    @staticmethod
    def is_installed() -> bool:
        """Whether there is a py-spy."""
        return _find() is not None

    def say(self, *lines: str) -> None:
        """Take the last line that tells what is measured as the name of what is sampled next."""
        self._label = lines[-1].strip() if lines else self._label

    def attach(self, command: Sequence[str], pid: int) -> None:
        """Sample a process from now until it ends, if it is one of ours."""
        is_ours = list(command[: len(self._ours)]) == self._ours
        if not is_ours and not ("benchmarks.chapter_storage" in command and "ours" in command):
            return
        file = self._folder / f"{len(self._files):02}.txt"
        flags = ["--format", "raw", "--native", "--rate", str(_SAMPLES_PER_S)]
        sampling = subprocess.Popen(
            [str(_find()), "record", "--pid", str(pid), *flags, "--output", str(file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._files.append((self._label, file, sampling))

    def to_markdown(self) -> str:
        """What was found: of each case, the functions in which most of the time was spent."""
        parts = ["### Where the time goes"]
        for label, file, sampling in self._files:
            sampling.wait(30)
            if file.exists():
                parts.append(f"{label}\n\n" + "\n".join(_table(file.read_text().splitlines())))
        return "\n\n".join(parts) + "\n"


def _find() -> str | None:
    beside = str(Path(sys.executable).parent)
    return shutil.which("py-spy", path=beside) or shutil.which("py-spy")


def _table(lines: Sequence[str]) -> Iterator[str]:
    own, total, samples = Counter[str](), Counter[str](), 0
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = [_NOT_NAMED.sub("no name ", _LINE.sub(")", one)) for one in stack.split(";")]
        if _WAITING.search(" ".join(frames[-3:])):
            continue
        samples += int(count)
        own[frames[-1]] += int(count)
        total.update({frame: int(count) for frame in set(frames)})
    yield "| own % | with what it calls % | function |"
    yield "| ----: | --------------------: | -------- |"
    for frame, count in own.most_common(_SHOWN):
        yield f"| {100 * count / samples:.1f} | {100 * total[frame] / samples:.1f} | `{frame}` |"
    yield ""
    yield f"{samples:,} samples of {_SAMPLES_PER_S} per second and thread, waiting left out."
