"""The account of a recording session: what was received, written and lost."""

from __future__ import annotations

from typing import Any

from dimos_record.cli import text
from dimos_record.cli.running import say
from dimos_record.cli.tables import TopicRow, console, kind_of, print_json, topic_table
from dimos_record.errors import DimosRecordError
from dimos_record.record.session import Progress
from dimos_record.record_replay import RecordReplay
from dimos_record.store.base import StreamAccount, StreamInfo

_HEADERS = ("received", "written", "rate", "bytes", "gap", "dropped")


def print_account(rec: RecordReplay, *, as_json: bool = False) -> None:
    """Print the account of the session that has just ended: a table, and a sentence on stderr."""
    progress = rec.progress
    if progress is None:
        return
    infos = _streams(rec)
    if as_json:
        print_json(_as_json(rec.store.name, progress, infos))
    elif progress.accounts:
        out = console()
        rows = [_row(infos.get(name), name, progress) for name in progress.accounts]
        out.print(topic_table(_HEADERS, rows, out.width))
        for line in stamp_notes(
            (_topic(infos.get(name), name), account) for name, account in progress.accounts.items()
        ):
            print(line)
    _say_how_it_ended(rec, progress)


def _streams(rec: RecordReplay) -> dict[str, StreamInfo]:
    """The streams by name; empty where the file cannot be read: the account is known anyway."""
    try:
        return rec.reader.streams
    except DimosRecordError:
        return {}


def _topic(info: StreamInfo | None, name: str) -> str:
    return info.topic if info else name


def _row(info: StreamInfo | None, name: str, progress: Progress) -> TopicRow:
    account = progress.accounts[name]
    return TopicRow(
        _topic(info, name),
        kind_of(info) if info else "",
        (
            f"{account.received:,}",
            f"{account.written:,}",
            text.rate(_rate_hz(account, progress)),
            text.size(account.bytes),
            text.seconds(account.largest_gap_ns / 1e9) if account.largest_gap_ns else "-",
            f"{account.dropped:,}",
        ),
        alarm=account.dropped > 0,
    )


def _rate_hz(account: StreamAccount, progress: Progress) -> float:
    return account.received / progress.elapsed_s if progress.elapsed_s > 0 else 0.0


def stamp_notes(accounts: Any) -> list[str]:
    """A line per topic whose header stamps were not as they should be.

    Args:
        accounts: pairs of topic and account.
    """
    lines = []
    for topic, account in accounts:
        faults = [
            f"{count:,} {what}"
            for count, what in (
                (account.out_of_order, "went backwards"),
                (account.frozen, "did not move"),
                (account.stamp_jumps, "jumped by more than a second"),
            )
            if count
        ]
        if faults:
            lines.append(f"{topic}: of the header stamps {', '.join(faults)}")
    return lines


def _say_how_it_ended(rec: RecordReplay, progress: Progress) -> None:
    name, total = rec.store.name, progress.total
    segments = f" in {progress.segments:,} segments" if progress.segments > 1 else ""
    say(
        f"{name}: {total.written:,} messages, {text.size(total.bytes)}{segments} in "
        f"{text.seconds(progress.elapsed_s)}; ended by: {progress.reason or 'stopped'}"
    )
    say(loss_sentence(total.dropped, progress.lost_before_reception))
    if not total.received:
        say(f"No message arrived on {rec.bus.reach}; check that somebody publishes there")
    if progress.clock_jumps:
        say(f"The wall clock was set {progress.clock_jumps:,} times; receive times went on evenly")
    if not progress.self_contained:
        say(f"{name} is in use elsewhere and not self-contained yet: keep {name}-wal beside it")


def loss_sentence(dropped: int, lost_before_reception: int | None) -> str:
    """What was lost, in one sentence."""
    parts = []
    if dropped:
        parts.append(f"{dropped:,} messages were dropped, since the disk was too slow")
    if lost_before_reception:
        parts.append(
            f"{lost_before_reception:,} packets were lost before reception, in the kernel's buffer"
        )
    if parts:
        return f"LOST: {' and '.join(parts)}"
    if lost_before_reception is None:
        return "Nothing was dropped; what the kernel dropped before that is not known here"
    return "Nothing was lost"


def _as_json(name: str, progress: Progress, infos: dict[str, StreamInfo]) -> dict[str, Any]:
    return {
        "path": name,
        "elapsed_s": progress.elapsed_s,
        "reason": progress.reason,
        "messages": progress.total.written,
        "stored_bytes": progress.total.bytes,
        "dropped": progress.total.dropped,
        "lost_before_reception": progress.lost_before_reception,
        "clock_jumps": progress.clock_jumps,
        "segments": progress.segments,
        "self_contained": progress.self_contained,
        "topics": [
            {
                "topic": _topic(infos.get(stream), stream),
                "stream": stream,
                "type": infos[stream].type_name if stream in infos else None,
                "rate_hz": _rate_hz(account, progress),
                **account_as_json(account),
            }
            for stream, account in progress.accounts.items()
        ],
    }


def account_as_json(account: StreamAccount) -> dict[str, Any]:
    """The figures of an account, under names that stay."""
    return {
        "received": account.received,
        "written": account.written,
        "dropped": account.dropped,
        "stored_bytes": account.bytes,
        "largest_gap_ns": account.largest_gap_ns,
        "largest_gap_at_ns": account.largest_gap_at_ns,
        "stamps_out_of_order": account.out_of_order,
        "stamps_frozen": account.frozen,
        "stamps_jumped": account.stamp_jumps,
    }
