"""The account of a recording session: what was received, written and lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dimos_record.cli import text
from dimos_record.cli.running import say
from dimos_record.cli.tables import TopicRow, kind_of, print_json, show, topic_table
from dimos_record.errors import DimosRecordError
from dimos_record.store.base import StoreReader, StreamAccount, StreamInfo
from dimos_record.store.senders import SenderAccount, losses_in_words, to_meta

if TYPE_CHECKING:
    from dimos_record.record.progress import Progress
    from dimos_record.record_replay import RecordReplay

_HEADERS = ("received", "written", "rate", "bytes", "gap", "dropped")


def print_account(rec: RecordReplay, *, as_json: bool = False) -> None:
    """Print the account of the session that has just ended: a table, and a sentence on stderr."""
    progress = rec.progress
    if progress is None:
        return
    streams = _streams(rec, progress)
    if as_json:
        print_json(_as_json(rec.store.name, progress, streams))
    elif streams:
        show(topic_table(_HEADERS, map(_row, streams)))
        for line in stamp_notes((one.info, one.account) for one in streams):
            print(line)
    _say_how_it_ended(rec, progress)


class _Recorded(NamedTuple):
    """One stream of the session."""

    info: StreamInfo
    account: StreamAccount
    rate_hz: float


def _streams(rec: RecordReplay, progress: Progress) -> list[_Recorded]:
    """The streams of the session; where the file cannot be read, as far as they are known."""
    accounts = progress.accounts.items()
    try:
        infos, start_ns = rec.reader.streams, rec.reader.sessions()[-1].start_ns
        return [
            _Recorded(infos[name], account, _rate_hz(rec.reader, name, start_ns))
            for name, account in accounts
        ]
    except DimosRecordError:
        unknown = [StreamInfo(name, name, name, None) for name, _ in accounts]
        return [
            _Recorded(info, account, account.received / max(progress.elapsed_s, 1e-9))
            for info, (_, account) in zip(unknown, accounts, strict=True)
        ]


def _rate_hz(reader: StoreReader, name: str, start_ns: int) -> float:
    """Messages per second from the first of the session to its last; 0 where there are too few.

    In a ring, the first is the oldest that is still there.
    """
    first = next(iter(reader.rows(name, start_ns=start_ns)), None)
    last = next(iter(reader.rows(name, start_ns=start_ns, reverse=True)), None)
    if first is None or last is None or first.ts_ns == last.ts_ns or last.id - first.id < 2:
        return 0.0
    return (last.id - first.id) * 1e9 / (last.ts_ns - first.ts_ns)


def _row(one: _Recorded) -> TopicRow:
    account = one.account
    return TopicRow(
        one.info.topic,
        kind_of(one.info),
        (
            f"{account.received:,}",
            f"{account.written:,}",
            text.rate(one.rate_hz) if one.rate_hz else "-",
            text.size(account.bytes),
            text.seconds(account.largest_gap_ns / 1e9) if account.largest_gap_ns else "-",
            f"{account.dropped:,}",
        ),
        alarm=account.dropped > 0,
    )


def stamp_notes(accounts: Iterable[tuple[StreamInfo, StreamAccount]]) -> list[str]:
    """A line per topic whose header stamps were not as they should be."""
    lines = []
    for info, account in accounts:
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
            lines.append(f"{text.printable(info.topic)}: of the header stamps {', '.join(faults)}")
    return lines


def _say_how_it_ended(rec: RecordReplay, progress: Progress) -> None:
    name, total = rec.store.name, progress.total
    segments = f" in {progress.segments:,} segments" if progress.segments > 1 else ""
    ended = f"; ended by {progress.reason}" if progress.reason != "stopped" else ""
    say(
        f"{name}: {total.written:,} messages, {text.size(total.bytes)}{segments} in "
        f"{text.seconds(progress.elapsed_s)}{ended}"
    )
    if progress.reason != "file gone":  # how much of it is left nobody knows
        say(loss_sentence(total.dropped, progress.lost_before_reception, progress.senders))
    if not total.received:
        say(f"No message arrived on {rec.bus.reach}; check that somebody publishes there")
    if progress.clock_jumps:
        say(f"The wall clock was set {progress.clock_jumps:,} times; receive times went on evenly")
    if not progress.self_contained and progress.reason != "file gone":
        say(f"{name} is not self-contained yet; finish it with: dimos-record recover {name}")


def loss_sentence(
    dropped: int, lost_before_reception: int | None, senders: Sequence[SenderAccount] = ()
) -> str:
    """What was lost, in one sentence.

    Args:
        lost_before_reception: packets that the kernel dropped; None where that is not known.
        senders: what is known of the messages of each sender.
    """
    parts = []
    if dropped:
        parts.append(f"{dropped:,} messages were dropped, since they could not be written in time")
    if lost := losses_in_words(senders):
        parts.append(f"{text.printable(lost)} were lost before reception")
    elif lost_before_reception:
        parts.append(
            f"{lost_before_reception:,} packets were lost before reception, in the kernel's buffer"
        )
    if parts:
        return f"LOST: {' and '.join(parts)}"
    if lost_before_reception is None and not senders:
        return "Nothing was dropped; what was lost on its way here is not known"
    return "Nothing was lost"


def _as_json(name: str, progress: Progress, streams: list[_Recorded]) -> dict[str, Any]:
    return {
        "path": name,
        "elapsed_s": progress.elapsed_s,
        "reason": progress.reason,
        "messages": progress.total.written,
        "stored_bytes": progress.total.bytes,
        "dropped": progress.total.dropped,
        "lost_before_reception": progress.lost_before_reception,
        **senders_as_json(progress.senders),
        "clock_jumps": progress.clock_jumps,
        "segments": progress.segments,
        "self_contained": progress.self_contained,
        "topics": [
            {
                "topic": one.info.topic,
                "stream": one.info.name,
                "type": one.info.type_name,
                "rate_hz": one.rate_hz,
                **account_as_json(one.account),
            }
            for one in streams
        ],
    }


def senders_as_json(senders: Sequence[SenderAccount]) -> dict[str, Any]:
    """What came from each sender, and how many messages were lost; None where it is not known."""
    return {
        "messages_lost_before_reception": sum(one.lost for one in senders) if senders else None,
        "senders": to_meta(senders),
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
