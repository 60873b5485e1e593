"""What a chapter measures, and where: the workbench that it is given."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.subjects import Subjects


class Measurement(NamedTuple):
    """The figures of one subject in one case in one round; all by name, with unit."""

    case: str
    subject: str
    round: int
    figures: dict[str, float | None]


class Column(NamedTuple):
    """A figure as a table shows it."""

    figure: str
    title: str
    format: str = "{:.3g}"
    ratio: bool = False
    """Whether the table compares ours with each peer."""


@dataclass
class Chapter:
    """One part of the benchmark."""

    name: str
    title: str
    about: str
    columns: Sequence[Column]
    run: Callable[[Bench], Iterator[Measurement]]
    measurements: list[Measurement] = field(default_factory=list)

    def figures(self, case: str, subject: str, figure: str) -> list[float]:
        """A figure of a subject in a case, over the rounds."""
        return [
            value
            for m in self.measurements
            if (m.case, m.subject) == (case, subject)
            and (value := m.figures.get(figure)) is not None
        ]

    def ratios(self, case: str, subject: str, peer: str, figure: str) -> list[float]:
        """A figure of a subject over that of a peer, round by round."""
        pairs = zip(
            self.figures(case, subject, figure), self.figures(case, peer, figure), strict=False
        )
        return [mine / theirs for mine, theirs in pairs if theirs]


@dataclass(frozen=True)
class Bench:
    """What a chapter works with."""

    subjects: Subjects
    folder: Path
    """Where recordings are written."""
    quick: bool
    rounds: int | None
    only: tuple[str, ...]
    """Texts, one of which the name of a case must have; empty for all cases."""
    recv_buf_bytes: int
    """The receive buffer that every program is told to ask for."""
    say: Callable[[str], None]

    def pick(self, full: int, quick: int) -> int:
        """A number that depends on how long the benchmark may take."""
        return quick if self.quick else full

    def rounds_of(self, full: int, quick: int = 1) -> range:
        """The rounds to run."""
        return range(self.rounds or self.pick(full, quick))

    def wants(self, case: str) -> bool:
        """Whether a case is to be measured."""
        return not self.only or any(text in case for text in self.only)

    def lcm_url(self) -> str:
        """An LCM network on this machine that nobody uses."""
        from dimos_record.testing import free_lcm_url

        return f"{free_lcm_url()}&recv_buf_size={self.recv_buf_bytes}"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder that is gone afterwards."""
        path = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield path
        finally:
            shutil.rmtree(path)


def alternating(subjects: Sequence[str], round_: int) -> Sequence[str]:
    """The order of a round: every other one is the other way around."""
    return subjects if round_ % 2 == 0 else list(reversed(subjects))


def percentiles_ms(values_ns: Iterable[float]) -> dict[str, float | None]:
    """Median, 99th percentile and largest of absolute times, in ms."""
    sizes = sorted(abs(value) / 1e6 for value in values_ns)
    if not sizes:
        return {"p50_ms": None, "p99_ms": None, "max_ms": None}
    return {
        "p50_ms": statistics.median(sizes),
        "p99_ms": sizes[min(len(sizes) - 1, int(len(sizes) * 0.99))],
        "max_ms": sizes[-1],
    }
