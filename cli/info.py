"""`dimos-record info`: what is in a recording."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.running import Json

if TYPE_CHECKING:
    from dimos_record.cli.extent import Extent
    from dimos_record.store.base import LogLine, SessionInfo
    from dimos_record.store.summary import Summary, Topic

_HEADERS = ("messages", "rate", "duration", "bytes", "gap", "dropped")
_UNKNOWN = "-"


def info(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A recording: a file, or a folder of segments.")
    ],
    log: Annotated[
        bool, typer.Option("--log", help="Print what the recorded program has logged, and no more.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what is in a recording, and what was lost.

    Reads files of dimos-record and of dimos itself, finished, killed or being recorded into, and
    changes nothing on disk. `gap` is the longest time between two messages of a topic, `dropped`
    what arrived and could not be written.

    Examples:

      dimos-record info walk.db

      dimos-record info walk.db --log

      dimos-record info walk.db --json | jq '.topics[] | {topic, messages, rate_hz}'
    """
    from dimos_record.cli.extent import Extent
    from dimos_record.lfs import existing
    from dimos_record.store import open_recording
    from dimos_record.store.summary import summarize

    with open_recording(existing(file)) as reader:  # RecordReplay would take as long to import
        if log:
            _print_log(reader.log_lines(), as_json)
            return
        summary, extent = summarize(reader), Extent.of(reader)
    size = _size_on_disk(Path(summary.name))
    if as_json:
        from dimos_record.cli.tables import print_json

        print_json({**_as_json(summary, size), **extent.as_json(), **_markers_as_json(extent)})
    else:
        _print(summary, size, extent)


def _print_log(lines: Iterable[LogLine], as_json: bool) -> None:
    """One line each: when, how grave, who, what; as JSON, an object each."""
    from dimos_record.cli import text

    for one in lines:
        if as_json:
            print(text.json_text(one._asdict()))
        else:
            origin = f" [{one.source}]" if one.source else ""
            what = f"{one.level or _UNKNOWN:<8}{origin} {one.line}"
            print(f"{text.moment(one.ts_ns)} {text.printable(what)}")


def _size_on_disk(path: Path) -> int:
    """Bytes of a recording's files, their logs included."""
    if path.is_dir():
        return sum(one.stat().st_size for one in path.iterdir() if one.is_file())
    beside = (Path(f"{path}{suffix}") for suffix in ("", "-wal"))
    return sum(one.stat().st_size for one in beside if one.exists())


def _print(summary: Summary, size: int, extent: Extent) -> None:
    from dimos_record.cli import text
    from dimos_record.cli.tables import TopicRow, console, kind_of, show, topic_table

    console().print(summary.name, style="bold", soft_wrap=True)
    print(f"{_origin(summary)}, {text.size(size)} on disk, {_state(summary)}")
    if summary.span_ns:
        print(
            f"{text.moment(summary.span_ns[0])}, {text.seconds(summary.duration_s)}, "
            f"{summary.count:,} messages, {text.size(summary.bytes)}"
        )
    for line in extent.sentences():
        print(line)
    rows = [
        TopicRow(topic.name, kind_of(topic.info), _figures(topic), topic.account.dropped > 0)
        for topic in summary.topics
    ]
    print()
    if rows:
        show(topic_table(_HEADERS, rows))
    else:
        print("no topics")
    _print_modules(summary)
    _print_sessions(summary)
    for line in _notes(summary):
        print(line)


def _origin(summary: Summary) -> str:
    version = summary.schema_version
    return f"dimos-record, schema {version}" if version else "written by dimos"


def _state(summary: Summary) -> str:
    states = {session.state for session in summary.sessions}
    if "recording" in states:
        return "being recorded into"
    return "self-contained" if summary.self_contained else "not self-contained"


def _figures(topic: Topic) -> tuple[str, ...]:
    from dimos_record.cli import text

    gap_ns, counted = topic.account.largest_gap_ns, topic.account.received > 0
    return (
        f"{topic.count:,}",
        text.rate(topic.rate_hz) if topic.count > 2 else _UNKNOWN,
        text.seconds(topic.duration_s) if topic.count > 1 else _UNKNOWN,
        text.size(topic.bytes),
        text.seconds(gap_ns / 1e9) if gap_ns else _UNKNOWN,
        f"{topic.account.dropped:,}" if counted else _UNKNOWN,
    )


def _print_modules(summary: Summary) -> None:
    """Which module published which topics, where that is known."""
    from dimos_record.cli.tables import plain_table, show
    from dimos_record.cli.text import printable

    topics: dict[str, list[str]] = {}
    for topic in summary.topics:
        if topic.info.module:
            topics.setdefault(topic.info.module, []).append(topic.name)
    if not topics:
        return
    table = plain_table()
    table.add_column("module", overflow="fold")
    table.add_column("topics", overflow="fold")
    for module, names in sorted(topics.items()):
        table.add_row(printable(module), printable(" ".join(names)))
    print()
    show(table)


def _print_sessions(summary: Summary) -> None:
    from dimos_record.cli import text
    from dimos_record.cli.tables import plain_table, show

    if not summary.sessions:
        return
    table = plain_table()
    for header in ("session", "start", "duration", "host", "ended"):
        table.add_column(header, overflow="fold", no_wrap=header in ("start", "duration"))
    for number, session in enumerate(summary.sessions, 1):
        stop_ns = _stop_ns(session, summary)
        table.add_row(
            f"{number:,}",
            text.moment(session.start_ns)[:19],
            text.seconds((stop_ns - session.start_ns) / 1e9) if stop_ns else _UNKNOWN,
            str(session.meta.get("host") or _UNKNOWN),
            _ending(session),
        )
    print()
    show(table)


def _stop_ns(session: SessionInfo, summary: Summary) -> int | None:
    """When a session ended; of the last one, as far as its messages go while it has not."""
    if session.stop_ns is not None:
        return session.stop_ns
    is_last = session is summary.sessions[-1]
    return max(summary.span_ns[1], session.start_ns) if is_last and summary.span_ns else None


def _ending(session: SessionInfo) -> str:
    if session.state == "recording":
        return "not yet: recording now"
    if session.state == "killed":
        return "killed"
    source = session.meta.get("imported_from")
    return f"imported from {source}" if source else session.reason or session.state


def _notes(summary: Summary) -> list[str]:
    """Sentences on what the tables do not show."""
    from dimos_record.cli.account import loss_sentence, stamp_notes

    notes = stamp_notes((topic.info, topic.account) for topic in summary.topics)
    for number, session in enumerate(summary.sessions, 1):
        if session.state == "killed":
            notes.append(
                f"Session {number} was killed. Everything that it had written is here; what had "
                "arrived in the last 0.2 s may be missing"
            )
        if left_out := session.meta.get("left_out_played"):
            notes.append(
                f"Session {number} lacks what the process that recorded played itself: "
                f"{', '.join(map(str, left_out))}"
            )
        if session.clock_jumps:
            notes.append(
                f"The wall clock was set {session.clock_jumps:,} times during session {number}; "
                "receive times went on evenly"
            )
    recorded = [one for one in summary.sessions if not one.meta.get("imported_from")]
    if recorded:
        unknown = all(one.lost_before_reception is None for one in recorded)
        lost = None if unknown else summary.lost_before_reception
        notes.append(loss_sentence(summary.dropped, lost, summary.senders))
    if not summary.self_contained:
        notes.append(_not_self_contained(summary))
    return ["", *notes] if notes else []


def _not_self_contained(summary: Summary) -> str:
    from dimos_record.store.connection import has_log
    from dimos_record.store.segments import segments_of

    path = Path(summary.name)
    files = segments_of(path) if path.is_dir() else [path]
    if not any(has_log(file) for file in files):
        return (
            "Complete, but not finished: other programs cannot read it from a read-only folder; "
            f"`dimos-record recover {summary.name}` finishes it"
        )
    beside = "the -wal files" if path.is_dir() else f"{summary.name}-wal"
    return (
        f"Not self-contained: to copy it, take {beside} too, or let "
        f"`dimos-record recover {summary.name}` finish it"
    )


def _as_json(summary: Summary, size: int) -> dict[str, Any]:
    from dimos_record.cli.account import senders_as_json

    return {
        "path": summary.name,
        "schema_version": summary.schema_version,
        "size_on_disk_bytes": size,
        "self_contained": summary.self_contained,
        "being_recorded": any(one.state == "recording" for one in summary.sessions),
        "first_ns": summary.span_ns[0] if summary.span_ns else None,
        "last_ns": summary.span_ns[1] if summary.span_ns else None,
        "duration_s": summary.duration_s,
        "messages": summary.count,
        "stored_bytes": summary.bytes,
        "dropped": summary.dropped,
        "lost_before_reception": summary.lost_before_reception,
        **senders_as_json(summary.senders),
        "topics": [_topic_as_json(topic) for topic in summary.topics],
        "sessions": [_session_as_json(session) for session in summary.sessions],
    }


def _markers_as_json(extent: Extent) -> dict[str, Any]:
    from dimos_record.cli.markers import as_json_list

    return {"markers": as_json_list(extent.scale.markers, extent.scale)}


def _topic_as_json(topic: Topic) -> dict[str, Any]:
    from dimos_record.cli.account import account_as_json

    return {
        "topic": topic.name,
        "stream": topic.info.name,
        "type": topic.info.type_name,
        "channel": topic.info.channel,
        "module": topic.info.module,
        "codec": topic.info.codec,
        "latched": topic.info.latched,
        "messages": topic.count,
        "rate_hz": topic.rate_hz,
        "duration_s": topic.duration_s,
        "stored_bytes": topic.bytes,
        "first_ns": topic.first_ns,
        "last_ns": topic.last_ns,
        "account": account_as_json(topic.account) if topic.account.received else None,
    }


def _session_as_json(session: SessionInfo) -> dict[str, Any]:
    from dimos_record.cli.account import senders_as_json

    return {
        "start_ns": session.start_ns,
        "stop_ns": session.stop_ns,
        "state": session.state,
        "reason": session.reason,
        "lost_before_reception": session.lost_before_reception,
        **senders_as_json(session.senders),
        "clock_jumps": session.clock_jumps,
        "meta": session.meta,
    }
