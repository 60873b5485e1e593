"""Everything that can be done with a recording, in groups: what an odd one is put through."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from dimos_record import RecordReplay
from dimos_record.errors import DimosRecordError, RecordingDamaged
from dimos_record.store.doctor import diagnose
from dimos_record.store.recovery import rescue
from soaking.fuzz_targets.checks import BrokenPromise, check_sentence
from soaking.fuzz_targets.running import run_command

_OF_TOPICS = 4_000
"""Characters of an error that lists topics, whose names may be long."""
_MOST = 500
"""Messages that are looked at."""


@contextmanager
def _sentence() -> Iterator[None]:
    try:
        yield
    except DimosRecordError as error:
        check_sentence(str(error), _OF_TOPICS)


def try_all(steps: list[Callable[[], Any]]) -> None:
    """Take each step; what one refuses keeps no other from being taken."""
    for step in steps:
        with _sentence():
            step()


def look(path: Path) -> None:
    """Open it, and ask for everything that is said of it."""
    with closing(RecordReplay(path)) as rec:
        steps: list[Callable[[], Any]] = [
            rec.info,
            rec.log,
            lambda: rec.markers,
            lambda: rec.history,
            lambda: rec.skips,
            lambda: (rec.extent, rec.span, rec.duration),
            lambda: rec.account,
            lambda: [repr(rec.topics[name]) for name in islice(rec.topics, 20)],
        ]
        try_all(steps)


def read(path: Path) -> None:
    """Iterate, decode and query."""
    with closing(RecordReplay(path)) as rec:

        def messages() -> None:
            for one in islice(rec.select("*"), _MOST):
                with _sentence():
                    if not isinstance(one.raw, bytes):
                        raise BrokenPromise(f"the bytes of a message are {one.raw!r}")
                with _sentence():
                    _ = one.data
                with _sentence():
                    _ = (one.pose, one.tags, one.stamp, one.ts, repr(one))

        def queries() -> None:
            for name in islice(rec.streams, 5):
                one = rec.streams[name]
                try_all(
                    [
                        one.count,
                        one.exists,
                        lambda one=one: one.exists() and (one.first(), one.last()),
                        lambda one=one: one.tags(lap=1).count(),
                        lambda one=one: one.near((0.0, 0.0, 0.0), 1.0).to_list(),
                        lambda one=one: one.order_by("ts", desc=True).limit(3).to_list(),
                        lambda one=one: one.at(1_700_000_000.5).to_list(),
                    ]
                )

        try_all([messages, queries])


def view(path: Path) -> None:
    """Views: sections, filters, operators."""
    with closing(RecordReplay(path)) as rec:
        made: list[Callable[[], Any]] = [
            lambda: rec.between(0.1, 1.0),
            lambda: rec.between(-1.0, None).every(2),
            lambda: rec.throttle(2.0).looped(),
            lambda: rec.near((0.0, 0.0, 0.0), 1.0),
            lambda: rec.tags(lap=1),
            lambda: rec.remap({"/odom": "/other"}).restamped(),
        ]
        steps: list[Callable[[], Any]] = []
        for make in made:
            steps += [
                lambda make=make: list(islice(make(), _MOST)),
                lambda make=make: make().count(),
            ]
        try_all(steps)


def play(path: Path) -> None:
    """Play it as fast as possible, and move about in it."""
    with closing(RecordReplay(path, bus="memory://fuzz")) as rec:

        def all_of_it() -> None:
            rec.play(speed=math.inf, block=True, restamp=True, listen_s=0)

        def moving() -> None:
            player = rec.play(speed=1.0, listen_s=0, paused=True)
            player.play_next(2)
            player.play_previous(1)
            player.seek(rec.extent[1] / 2)
            player.play_next(1)

        try_all([all_of_it, rec.stop_playback, moving, rec.stop_playback])


def edit(path: Path) -> None:
    """Edit it, take edits back, and save it."""
    with closing(RecordReplay(path)) as rec:
        try_all(
            [
                lambda: rec.delete_section((0.1, 0.2)),
                lambda: rec.trim((0.0, 5.0)),
                lambda: rec.add_marker(0.1, "here", until=0.5),
                lambda: rec.shift("/odom", 0.01),
                lambda: rec.rename_topic("/odom", "/renamed"),
                lambda: rec.undo(2),
                lambda: rec.redo(1),
                lambda: rec.delete_marker("here"),
                rec.info,
                lambda: list(islice(rec.select("*"), _MOST)),
                rec.save,
            ]
        )
    look(path)


def write(path: Path) -> None:
    """Write others from it."""
    with closing(RecordReplay(path)) as rec:
        try_all(
            [
                lambda: rec.save_as(path.parent / "as.db"),
                lambda: rec.extract((0.0, 0.3), path.parent / "part.db"),
                lambda: rec.split([0.2]),
                lambda: rec.keep(path.parent / "kept.db", last_s=1.0),
                lambda: RecordReplay(path.parent / "both.db").merge([path, path]),
                rec.fill_poses,
            ]
        )
    if _is_readable(path):
        _check_others(path)


def share(path: Path) -> None:
    """Export it."""
    with closing(RecordReplay(path)) as rec:
        try_all(
            [
                lambda: rec.export(path.parent / "out.lcm"),
                lambda: rec.export(path.parent / "out.mcap"),
                lambda: rec.export(path.parent / "csv", format="csv"),
                lambda: rec.export(path.parent / "parquet", format="parquet", raw=True),
            ]
        )


def append(path: Path) -> None:
    """Write more into it."""
    with closing(RecordReplay(path)) as rec:
        try_all(
            [
                lambda: rec.stream("odom", type_name="geometry_msgs.PoseStamped").append(b"x"),
                lambda: rec.stream("more").append(b"y", tags={"lap": 1}, pose=(1.0, 2.0, 3.0)),
            ]
        )
    look(path)


def mend(path: Path) -> None:
    """Ask the doctor, save what is left, and compare that with what it came from."""
    with _sentence():
        diagnose(path)
    with _sentence():
        found = rescue(path, path.parent / "rescued.db")
        if found.path != path and diagnose(found.path).damaged:
            raise BrokenPromise("what was rescued is damaged itself")
    _check_others(path)
    with _sentence(), closing(RecordReplay(path)) as rec:
        rec.compare(path.parent / "rescued.db")


def _check_others(path: Path) -> None:
    """What was written from a recording, however odd, can be opened."""
    for other in sorted(path.parent.glob("*.db")):
        if other.name == path.name:
            continue
        if not _is_readable(other):
            raise BrokenPromise(f"{other.name}, which we have written, is damaged")


def _is_readable(path: Path) -> bool:
    try:
        with closing(RecordReplay(path)) as rec:
            rec.info()
            for _ in rec.select("*"):
                pass
    except RecordingDamaged:
        return False
    except DimosRecordError as error:
        check_sentence(str(error), _OF_TOPICS)
    return True


def command(path: Path) -> None:
    """Ask the commands that print."""
    for words in (
        ["info"],
        ["info", "--json"],
        ["echo", "-n5", "--file"],
        ["markers"],
        ["history"],
        ["doctor"],
        ["doctor", "--json"],
        ["plot", "--list"],
    ):
        run_command([*words, path.name], path.parent)


GROUPS = (look, read, view, play, edit, write, share, append, mend, command)
