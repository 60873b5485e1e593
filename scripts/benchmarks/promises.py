"""What is promised, and what is aimed at, judged by the figures of this run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.chapter_dimos import PUBLISHERS_DROP
from benchmarks.chapter_rate import LARGE, SMALL
from benchmarks.chapter_record import ROBOT
from benchmarks.chapter_start import HELP, IMPORT
from benchmarks.chapter_viewing import CLOUD, IMAGE
from benchmarks.measuring import Chapter
from benchmarks.recorders import OURS_PYTHON
from benchmarks.subjects import DIMOS, LCM, OURS

_FLAWS = ("lost", "changed", "out_of_order")


class Verdict(NamedTuple):
    """Whether one promise held, or one goal was reached."""

    promise: str
    holds: bool
    figures: str
    is_goal: bool = False


def judge(chapters: Sequence[Chapter]) -> list[Verdict]:
    """Every promise for which there are figures."""
    by_name = {chapter.name: chapter for chapter in chapters if chapter.measurements}
    verdicts: list[Verdict] = []
    if "record" in by_name:
        verdicts += _of_recording(by_name["record"])
        verdicts += _of_the_robot(by_name["record"])
    if "times" in by_name:
        verdicts += _of_times(by_name["times"])
    if "rate" in by_name:
        verdicts += _of_rate(by_name["rate"])
    if "replay" in by_name:
        verdicts += _of_replay(by_name["replay"])
    if "speed" in by_name:
        verdicts += _of_speed(by_name["speed"])
    if "length" in by_name:
        verdicts += _of_length(by_name["length"])
    if "reading" in by_name:
        verdicts += _of_reading(by_name["reading"])
    if "memory" in by_name:
        verdicts += _of_memory(by_name["memory"])
    if "start" in by_name:
        verdicts += _of_start(by_name["start"])
    if "dimos" in by_name:
        verdicts += _of_dimos(by_name["dimos"])
    if "viewing" in by_name:
        verdicts += _of_viewing(by_name["viewing"])
    return verdicts


def to_markdown(verdicts: list[Verdict]) -> str:
    """A list, one line each, promises first."""
    words = {
        (False, True): "Promise kept",
        (False, False): "**Promise not kept**",
        (True, True): "Goal reached",
        (True, False): "Goal not reached yet",
    }
    return "\n".join(
        f"- {words[v.is_goal, v.holds]}: {v.promise} ({v.figures})."
        for v in sorted(verdicts, key=lambda verdict: verdict.is_goal)
    )


def _of_recording(chapter: Chapter) -> Iterator[Verdict]:
    cases = list(dict.fromkeys(m.case for m in chapter.measurements))
    lost = {case: _worst(chapter, case, OURS, "lost") for case in cases}
    without_loss = [case for case in cases if _worst(chapter, case, LCM, "lost") == 0]
    if chapter.figures(cases[0], LCM, "lost"):
        failed = [f"{case}: {lost[case]:,.0f} messages" for case in without_loss if lost[case]]
        yield Verdict(
            "ours loses nothing at any load at which lcm-logger loses nothing",
            not failed,
            "; ".join(failed) if failed else f"{len(without_loss)} of {len(cases)} loads",
        )
    fastest = next((case for case in cases if "100,000/s" in case), None)
    if fastest:
        losses = chapter.figures(fastest, OURS, "lost")
        yield Verdict(
            "ours loses nothing at 100,000 messages/s on two cores",
            not lost[fastest],
            f"lost in {sum(1 for count in losses if count)} of {len(losses)} rounds, "
            f"{max(losses):,.0f} messages at most",
        )
    small = [m for m in chapter.measurements if m.subject == OURS and m.case.startswith("100 B")]
    honest = [m for m in small if m.figures["own_loss"] == m.figures["lost"]]
    yield Verdict(
        "ours says exactly how many messages it lost, wherever one message is one packet",
        len(honest) == len(small),
        f"in {len(honest)} of {len(small)} runs, {sum(1 for m in small if m.figures['lost'])} of "
        "them with losses",
    )
    wrong = [m for m in chapter.measurements if m.subject == OURS and m.figures["doubled"]]
    yield Verdict("ours stores nothing twice", not wrong, f"{len(wrong)} runs with doubles")


def _of_the_robot(chapter: Chapter) -> Iterator[Verdict]:
    for peer, limit in ((DIMOS, 0.25), (LCM, 1.5)):
        ratios = chapter.ratios(ROBOT, OURS, peer, "cpu_s")
        if ratios:
            name = {DIMOS: "dimos's TransportRecorder", LCM: "lcm-logger"}[peer]
            yield Verdict(
                f"recording a {ROBOT}: ours takes at most {limit:g} of the CPU of {name}",
                statistics.median(ratios) <= limit,
                f"{statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f} over the "
                "rounds",
                is_goal=True,
            )


def _of_times(chapter: Chapter) -> Iterator[Verdict]:
    for case in dict.fromkeys(m.case for m in chapter.measurements):
        for subject in (OURS, OURS_PYTHON):
            worst = _worst(chapter, case, subject, "p99_ms")
            if worst is not None:
                yield Verdict(
                    f"recorded receive times, {case}, {subject}: p99 of the error below 2 ms",
                    worst < 2,
                    f"{worst:.3f} ms in the worst round",
                    is_goal=True,
                )


def _of_rate(chapter: Chapter) -> Iterator[Verdict]:
    for case, figure, goal in ((SMALL, "rate_hz", 150_000), (LARGE, "mb_s", 300)):
        reached = chapter.figures(case, OURS, figure)
        if reached:
            unit = "messages/s" if figure == "rate_hz" else "MB/s"
            yield Verdict(
                f"ours records {case} without loss at {goal:,} {unit}",
                min(reached) >= goal,
                f"{min(reached):,.0f} {unit} in the worst round",
                is_goal=True,
            )
        for peer, factor in ((LCM, 2 if case == SMALL else 1), (DIMOS, 10)):
            ratios = chapter.ratios(case, OURS, peer, "rate_hz")
            if ratios and (peer == LCM or case == SMALL):
                name = {LCM: "lcm-logger", DIMOS: "dimos's TransportRecorder"}[peer]
                yield Verdict(
                    f"ours records {case} without loss at {factor} times the rate of {name}",
                    statistics.median(ratios) >= factor,
                    f"{statistics.median(ratios):.2f} of its rate",
                    is_goal=True,
                )


def _worst(chapter: Chapter, case: str, subject: str, figure: str) -> float | None:
    values = chapter.figures(case, subject, figure)
    return max(values) if values else None


def _of_replay(chapter: Chapter) -> Iterator[Verdict]:
    for case in dict.fromkeys(m.case for m in chapter.measurements):
        for peer, limit, is_goal in ((LCM, 2.0, False), (LCM, 1.0, True), (DIMOS, 0.1, True)):
            ratios = chapter.ratios(case, OURS, peer, "p99_ms")
            if ratios:
                ratio = statistics.median(ratios)
                name = {LCM: "lcm-logplayer", DIMOS: "dimos's replay"}[peer]
                yield Verdict(
                    f"replay of {case}: p99 of ours is at most {limit:g} times that of {name}",
                    ratio <= limit,
                    f"{ratio:.2f}, {min(ratios):.2f} to {max(ratios):.2f} over the rounds",
                    is_goal,
                )


def _of_speed(chapter: Chapter) -> Iterator[Verdict]:
    for case in dict.fromkeys(m.case for m in chapter.measurements):
        ratios = chapter.ratios(case, OURS, LCM, "published_hz")
        if ratios:
            ratio = statistics.median(ratios)
            yield Verdict(
                f"at full speed, {case}: ours plays at least as fast as lcm-logplayer",
                ratio >= 1,
                f"{ratio:.2f} of its rate",
                is_goal=True,
            )


def _of_dimos(chapter: Chapter) -> Iterator[Verdict]:
    for is_goal in (False, True):
        runs = [
            m.figures
            for m in chapter.measurements
            if m.subject == OURS and (m.case == PUBLISHERS_DROP) == is_goal
        ]
        perfect = [run for run in runs if not any(run[name] for name in _FLAWS)]
        kind = ", though its publishers drop pictures" if is_goal else ""
        if runs:
            yield Verdict(
                f"inside dimos, ours keeps every message of the full stack, in order and as it was "
                f"sent{kind}",
                len(perfect) == len(runs),
                f"in {len(perfect)} of {len(runs)} runs, "
                f"{max(run['lost'] or 0 for run in runs):,.0f} messages lost at most",
                is_goal,
            )


def _of_viewing(chapter: Chapter) -> Iterator[Verdict]:
    for case in (IMAGE, CLOUD):
        ratios = chapter.ratios(case, OURS, DIMOS, "convert_us")
        if ratios:
            ratio = statistics.median(ratios)
            yield Verdict(
                f"for the viewer, {case}: decoded and converted no slower than by dimos",
                ratio <= 1,
                f"{ratio:.2f} of its time",
            )


_OF_LENGTH = {
    "seek_ms": ("a jump", 5.0),
    "open_ms": ("opening", 50.0),
    "info_command_ms": ("the command info", 200.0),
}


def _of_length(chapter: Chapter) -> Iterator[Verdict]:
    cases = list(dict.fromkeys(m.case for m in chapter.measurements))
    for figure, (what, limit_ms) in _OF_LENGTH.items():
        medians = [statistics.median(chapter.figures(case, OURS, figure)) for case in cases]
        yield Verdict(
            f"{what} takes less than {limit_ms:g} ms, whatever the length of the recording",
            max(medians) < limit_ms,
            ", ".join(f"{ms:.3g} ms at {case}" for case, ms in zip(cases, medians, strict=True)),
            is_goal=True,
        )


def _of_reading(chapter: Chapter) -> Iterator[Verdict]:
    for case in dict.fromkeys(m.case for m in chapter.measurements):
        ratios = chapter.ratios(case, OURS, DIMOS, "messages_per_s")
        if ratios:
            ratio = statistics.median(ratios)
            yield Verdict(
                f"{case}: a stream is read at least 3 times as fast as by dimos's SqliteStore",
                ratio >= 3,
                f"{ratio:.2f}, {min(ratios):.2f} to {max(ratios):.2f} over the rounds",
                is_goal=True,
            )


_NOISE_MB = 30
"""What the memory of a process goes up and down by, as more or less waits for the disk."""


def _of_memory(chapter: Chapter) -> Iterator[Verdict]:
    for case in dict.fromkeys(m.case for m in chapter.measurements):
        peak, growth = (max(chapter.figures(case, OURS, name)) for name in ("peak_mb", "growth_mb"))
        yield Verdict(
            f"{case}: memory is flat and below 300 MB",
            peak < 300 and growth < _NOISE_MB,
            f"{peak:,.0f} MB at most, {growth:+,.1f} MB from the first third to the last",
            is_goal=True,
        )


def _of_start(chapter: Chapter) -> Iterator[Verdict]:
    goals = (
        (IMPORT, "over_ms", "import dimos_record: less than 50 ms over a bare interpreter", 50),
        (HELP, "whole_ms", "dimos-record --help: less than 300 ms", 300),
    )
    for case, figure, promise, limit_ms in goals:
        found = chapter.figures(case, OURS, figure)
        if found:
            ms = statistics.median(found)
            yield Verdict(promise, ms < limit_ms, f"{ms:.1f} ms", is_goal=True)
