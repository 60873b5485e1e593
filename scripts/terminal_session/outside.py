"""Looks at the files of a session from outside, with SQLite."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from dimos_lcm.tf2_msgs import TFMessage

LATCHED = {"/map", "/camera/camera_info", "/tf_static"}
"""Of what the demo robot publishes."""


_OTHERS = (
    "m.ts, m.stamp_ns, m.seq, m.value, m.tags, m.pose_x, m.pose_y, m.pose_z, "
    "m.pose_qx, m.pose_qy, m.pose_qz, m.pose_qw"
)


class NotAsCut(Exception):
    """The saved file is not the recording without its cut section; says where they differ."""


class Message(NamedTuple):
    """A message as it is stored."""

    ts_ns: int
    """When it was received, UNIX ns."""
    data: bytes
    others: tuple[object, ...]
    """Header stamp, sequence number, pose and tags."""


class Outcome(NamedTuple):
    """How many messages are where."""

    recorded: int
    saved: int
    gone: int
    """In the section that was cut."""
    state: int
    """In that section, and kept: the last of each latched topic."""
    cut_s: tuple[float, float]
    """The section, in seconds from the start."""


def check(recording: Path, saved: Path) -> Outcome:
    """Compare what was saved with the recording and the cut that is listed in it.

    Raises:
        NotAsCut: it is not exactly the messages outside of the section and the latched state.
    """
    before, after = messages_of(recording), messages_of(saved)
    if before.keys() != after.keys():
        raise NotAsCut(f"{saved.name} has other topics: {sorted(before.keys() ^ after.keys())}")
    a_ns, b_ns = cut_of(recording)
    gone = state = 0
    for topic, messages in before.items():
        within = [one for one in messages if a_ns <= one.ts_ns < b_ns]
        needed = needed_of(topic, within)
        goes = [one for one in within if one not in needed]
        if after[topic] != [one for one in messages if one not in goes]:
            raise NotAsCut(f"{topic} of {saved.name} is not what was outside of the cut")
        gone, state = gone + len(goes), state + len(needed)
    start_ns = min(messages[0].ts_ns for messages in before.values())
    outcome = Outcome(
        recorded=sum(map(len, before.values())),
        saved=sum(map(len, after.values())),
        gone=gone,
        state=state,
        cut_s=((a_ns - start_ns) / 1e9, (b_ns - start_ns) / 1e9),
    )
    _check_info(saved, outcome)
    return outcome


def messages_of(path: Path) -> dict[str, list[Message]]:
    """All messages, by topic, in the order in which they are stored."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        topics = file.execute("SELECT topic, stream FROM _dr_topics").fetchall()
        return {
            topic: [
                Message(ts_ns, data, tuple(others))
                for ts_ns, data, *others in file.execute(
                    f"SELECT m.ts_ns, b.data, {_OTHERS} FROM {table} m "
                    f"JOIN {table}_blob b USING (id) ORDER BY id"
                )
            ]
            for topic, table in topics
        }


def cut_of(recording: Path) -> tuple[int, int]:
    """The section that is cut out of everything, from a to before b, in UNIX ns."""
    with closing(sqlite3.connect(f"file:{recording}?mode=ro", uri=True)) as file:
        ((args,),) = file.execute("SELECT args FROM _dr_edits WHERE kind = 'cut' AND NOT undone")
    cut = json.loads(args)
    return cut["a"], cut["b"]


def needed_of(topic: str, within: list[Message]) -> list[Message]:
    """What of the section has to stay, so that what follows can be used."""
    if topic == "/tf_static":
        by_frame = {
            transform.child_frame_id: one
            for one in within
            for transform in TFMessage.lcm_decode(one.data).transforms
        }
        return [one for one in within if one in by_frame.values()]
    return within[-1:] if topic in LATCHED else []


def _check_info(saved: Path, outcome: Outcome) -> None:
    command = [sys.executable, "-m", "dimos_record.cli.main", "info", "--json", str(saved)]
    info = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    if info["messages"] != outcome.saved or not info["self_contained"]:
        raise NotAsCut(f"dimos-record info says something else of {saved.name}: {info}")
