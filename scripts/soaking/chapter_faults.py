"""What a machine, a network and other programs do to a recorder while it records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from soaking import faults_clock as clock
from soaking import faults_disk as disk
from soaking import faults_exit as exits
from soaking import faults_file as file
from soaking import faults_network as network
from soaking import faults_traffic as traffic
from soaking.harness import Chapter, Fault, Figures, largest, total

_NOTHING = "Nothing."
_IN_ORDER = "Nothing of it; exit code 0, a file in order."
_GONE = (
    "Exit code 5: `FILE was removed, renamed or replaced while it was recorded into, and recording "
    "has stopped; ...`. The name is free for a new recording."
)


def _most(name: str, text: str) -> Callable[[Sequence[Figures]], str]:
    return lambda rounds: text.format(largest(rounds, name))


def _sum(name: str, text: str) -> Callable[[Sequence[Figures]], str]:
    return lambda rounds: text.format(total(rounds, name))


DISK = (
    Fault(
        "disk-full",
        "a disk that gets full while recording, of which room is then freed",
        "What comes after it; what fitted is one self-contained file that is in order, and "
        "`--append` goes on in it once there is room.",
        "A warning, then exit code 5: `... the disk is nearly full ...; free some space`.",
        disk.disk_full,
        rounds=10,
    ),
    Fault(
        "disk-filled",
        "another program takes all room at once, and gives it back a second later",
        "What comes after it; what was committed before is there once and in order.",
        "Exit code 5: `... the disk is full; free some space, ...`. Recording "
        "ends and does not begin again by itself; `recover` finishes the file.",
        disk.disk_filled_by_others,
        rounds=10,
    ),
    *(
        Fault(
            f"slow-disk-{stall_s}",
            f"the disk takes {stall_s} s for a write or an fsync",
            _NOTHING,
            _IN_ORDER,
            partial(disk.slow_disk, stall_s=stall_s),
            rounds=10,
        )
        for stall_s in (1, 5)
    ),
    Fault(
        "slow-disk-buffer",
        "the disk takes longer than the buffer (`--buffer`) lasts",
        "What the buffer cannot hold, counted exactly per topic: received = written + dropped.",
        "A warning while it happens, `LOST: ...` at the end; with `--strict` exit code 9.",
        partial(disk.slow_disk_small_buffer, stall_s=3),
        rounds=10,
        summary=_sum("dropped", "{:,.0f} messages dropped, all counted"),
    ),
    *(
        Fault(
            f"locked-{lock_s:.0f}",
            f"another program locks the file for {lock_s:.0f} s",
            _NOTHING,
            _IN_ORDER + " Beyond 10 s a warning says who waits for whom.",
            partial(disk.locked, lock_s=lock_s),
            rounds=10 if lock_s < 5 else 5,
        )
        for lock_s in (1.0, 10.5)
    ),
    Fault(
        "read-only",
        "the file and its folder are made read-only",
        _NOTHING,
        _IN_ORDER,
        disk.read_only,
        rounds=5,
    ),
    Fault(
        "read-only-disk",
        "the file system becomes read-only, as after an error of the disk",
        "About the last second, as after a power cut (tested: 1.25 s).",
        "Exit code 5: `... disk I/O error; check the disk`; `recover` finishes the file.",
        disk.remounted_read_only,
        rounds=10,
        summary=_most("missing", "at most {:.0f} messages of 5 ms missing"),
    ),
)

FILE = tuple(
    Fault(
        name,
        what,
        loss,
        sees,
        partial(file.taken_away, take=take),
        rounds=10,
    )
    for name, what, loss, sees, take in (
        ("deleted", "the file is deleted", "All of it.", _GONE, file.deleted),
        ("folder-deleted", "its folder is deleted", "All of it.", _GONE, file.folder_deleted),
        (
            "replaced",
            "another file takes its place",
            "All of it; the other is not touched.",
            _GONE,
            file.replaced,
        ),
        (
            "renamed",
            "the file is renamed",
            "What comes after it, at most a second later.",
            _GONE,
            file.renamed,
        ),
        (
            "renamed-with-log",
            "the file is renamed with its log",
            "What comes after it, at most a second later.",
            _GONE,
            file.renamed_with_log,
        ),
        (
            "folder-renamed",
            "its folder is renamed",
            "What comes after it, at most a second later.",
            _GONE,
            file.folder_renamed,
        ),
    )
)

MACHINE = (
    Fault(
        "clock-set",
        "the wall clock is set back by an hour, forward again, and forward by a year",
        "Nothing; receive times go on evenly.",
        "A warning at each step, `The wall clock was set 3 times; ...` at the end.",
        clock.clock_set,
        rounds=10,
    ),
    *(
        Fault(
            f"interface-down{suffix}",
            f"the network interface goes down and comes up again, {how}",
            "What could not be sent meanwhile; reception goes on by itself.",
            _IN_ORDER,
            partial(network.interface_down, native=native),
            rounds=10,
            summary=_most("missing", "at most {:.0f} messages that were sent are missing"),
        )
        for native, suffix, how in (
            (True, "", "received by the compiled part"),
            (False, "-python", "received by the package `lcm`"),
        )
    ),
)

TRAFFIC = (
    Fault(
        "type-changes",
        "a publisher comes back with another type, with another layout of it, or without one",
        "Nothing; each type of a topic is a stream of its own.",
        _IN_ORDER + " Decoding bytes of another layout says so per message.",
        traffic.type_changes,
        rounds=10,
    ),
    Fault(
        "odd-names",
        "names that differ in case, end in `_blob`, are SQL or SQLite's own, have quotes, escape "
        "sequences, 63 bytes",
        "Nothing; they play as they were.",
        _IN_ORDER + " Control characters are shown, not obeyed.",
        traffic.odd_names,
        rounds=5,
    ),
    Fault(
        "every-byte",
        "names with every character up to U+07FF, and with it every byte of UTF-8 text",
        "Nothing; they play as they were.",
        _IN_ORDER,
        partial(traffic.odd_names, names=traffic.EVERY_BYTE),
        rounds=2,
        timeout_s=300.0,
    ),
    Fault(
        "no-text",
        "names that are not UTF-8",
        "Messages of these names, which are no topics; nothing of others.",
        _IN_ORDER,
        traffic.names_that_are_no_text,
        rounds=5,
    ),
    Fault(
        "sizes",
        "messages of 0 bytes, of one packet, of 2^28 bytes; one byte beyond it",
        "Nothing; sending what LCM cannot carry is refused.",
        _IN_ORDER,
        traffic.sizes,
        rounds=3,
    ),
    Fault(
        "many-topics",
        "10,000 topics",
        "Nothing; they play as they were.",
        _IN_ORDER,
        traffic.many_topics,
        timeout_s=900.0,
        summary=lambda rounds: (
            f"{largest(rounds, 'peak_mb'):.0f} MB of memory, "
            f"{largest(rounds, 'file_kb_per_topic'):.0f} kB of file per topic, "
            f"opened in {largest(rounds, 'open_s'):.1f} s"
        ),
    ),
)

PROGRAMS = (
    Fault(
        "stop-signals",
        "Ctrl-C, SIGTERM, or the terminal is closed",
        _NOTHING,
        _IN_ORDER,
        exits.recorder_is_asked_to_end,
        rounds=15,
    ),
    Fault(
        "program-ends",
        "a program of one's own ends while it records: "
        + ", ".join(way.name for way in exits.WAYS),
        "Nothing where Python can still act; where it cannot (a signal nobody handles, `os._exit`, "
        "`abort`) the last 0.2 s, as of any kill.",
        "The program's own exit code and messages, none of ours; a file in order, or one that "
        "`recover` finishes.",
        exits.program_ends,
        rounds=2 * len(exits.WAYS),
    ),
    Fault(
        "two-recorders",
        "a second recorder on the same file, during the first, and two at once after it",
        "Nothing of either that records.",
        "Exit code 3, `FILE exists already`, or 5, `FILE is being recorded into by process N`.",
        exits.two_recorders,
        rounds=10,
    ),
)

CHAPTER = Chapter(
    "faults",
    "Faults of the machine and of others",
    (*DISK, *FILE, *MACHINE, *TRAFFIC, *PROGRAMS),
    "`dimos-record record` runs in a process of its own and receives over LCM what a publisher "
    "numbers. Afterwards every message of the recording is looked at, `doctor` and SQLite's own "
    "`integrity_check` look at the file.",
)
