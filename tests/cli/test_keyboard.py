"""The keys of `dimos-record play`, pressed in a real terminal (tmux)."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimos_record.bus import open_bus
from dimos_record.cli.keyboard import Keyboard, KeyParser
from dimos_record.cli.play_keys import suspend
from dimos_record.replay import Player, PlayOptions, Timeline
from dimos_record.testing import Collector, free_lcm_url
from tests.cli.commands import CLI, Terminal, until, write_recording
from tests.replay.fakes import ListBus, S, recording, stream

# --- what terminals send


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (b" ", ["space"]),
        (b"\x7f\x08", ["backspace", "backspace"]),
        (b"5.,lL[]{}?q", list("5.,lL[]{}?q")),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1bOA\x1bOD", ["up", "left"]),
        (b"\x1b[1;2C\x1b[1;2D", ["shift-right", "shift-left"]),
        (b"q\x1b[Cq", ["q", "right", "q"]),
        (b"\x1b\x1b[C", ["escape", "right"]),
    ],
)
def test_keys_have_names(sent: bytes, keys: list[str]) -> None:
    assert KeyParser().feed(sent) == keys


@pytest.mark.parametrize(
    "sent",
    [
        b"\x1b[5~",  # page up
        b"\x1b[15~",  # F5
        b"\x1bOP",  # F1
        b"\x1b[1;5C",  # ctrl-right
        b"\x1bq",  # alt-q
        "é\n\t\0".encode(),
    ],
)
def test_keys_without_a_meaning_are_left_out_whole(sent: bytes) -> None:
    parser = KeyParser()
    assert parser.feed(sent) == []
    assert parser.feed(b"x") == ["x"]


def test_a_key_may_arrive_in_pieces() -> None:
    parser = KeyParser()
    sent = b" \x1b[C\x1bOB\x1b[1;2D."
    keys = [key for i in range(len(sent)) for key in parser.feed(sent[i : i + 1])]
    assert keys == ["space", "right", "down", "shift-left", "."]


def test_an_escape_that_nothing_follows_is_the_escape_key() -> None:
    parser = KeyParser()
    assert parser.feed(b"\x1b") == []
    assert parser.has_lone_escape
    assert parser.end_escape() == ["escape"]
    assert parser.feed(b"[") == ["["], "the escape is over"
    assert parser.end_escape() == []


def test_a_broken_sequence_does_not_swallow_what_follows() -> None:
    assert KeyParser().feed(b"\x1b[1\x1b[C") == ["right"]


# --- in a terminal


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s, 10 messages per second on /odom."""
    return write_recording(tmp_path_factory.mktemp("keys") / "walk.db")


@pytest.fixture
def url() -> str:
    return free_lcm_url() + "&recv_buf_size=4000000"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with Terminal(tmp_path) as terminal:
        yield terminal


@pytest.fixture
def paused(terminal: Terminal, walk: Path, url: str) -> Terminal:
    """A terminal in which /odom waits at the start."""
    terminal.run([*CLI, "play", walk, "/odom", "--paused", "--force", "--bus", url])
    terminal.wait_for(r"^paused  0:00\.0 / 0:20\.0")
    return terminal


def test_space_pauses_and_resumes(paused: Terminal, url: str) -> None:
    with open_bus(url) as bus, Collector(bus) as received:
        paused.press("Space")
        received.wait_for(3)
        paused.wait_for(r"^playing 0:0[0-9]\.[1-9]")
        paused.press("Space")
        held = paused.wait_for(r"^paused  \S+")
        published = len(received.messages)
        paused.press(".")  # a pause that did not hold would publish more than this one
        received.wait_for(published + 1)
        paused.press("q")
        paused.wait_for(rf"published {published + 1} messages")
    assert held != "paused  0:00.0"


def test_keys_jump(paused: Terminal) -> None:
    for key, position in (
        ("Right", "0:05.0"),
        ("S-Right", "0:06.0"),
        ("Left", "0:01.0"),
        ("Left", "0:00.0"),
        ("5", "0:10.0"),
        ("9", "0:18.0"),
        ("Up", "0:20.0"),
        ("S-Left", "0:19.0"),
        ("Down", "0:00.0"),
    ):
        paused.press(key)
        paused.wait_for(rf"^paused  {re.escape(position)} / 0:20\.0")


def test_each_step_publishes_exactly_one_message(paused: Terminal, url: str) -> None:
    with open_bus(url) as bus, Collector(bus) as received:
        for count, key in enumerate("..,..", start=1):
            paused.press(key)
            received.wait_for(count)
        paused.press("q")
        paused.wait_for("published 5 messages")
        assert [data for _, data in received.messages] == [b"0", b"1", b"1", b"1", b"2"]


def test_keys_change_the_rate(paused: Terminal) -> None:
    for key, rate in (
        ("]", "1.1x"),
        ("[", "0.99x"),
        ("}", "1.98x"),
        ("{", "0.99x"),
        ("BSpace", "1x"),
    ):
        paused.press("-l", key) if len(key) == 1 else paused.press(key)
        paused.wait_for(rf"^paused .*  {re.escape(rate)}  ")


def test_l_sets_a_then_b_then_ends_the_loop(paused: Terminal, url: str) -> None:
    with open_bus(url) as bus, Collector(bus) as received:
        paused.press("S-Right", "l")
        paused.wait_for(r"  A 0:01\.0")
        paused.press("S-Left", "l")
        paused.wait_for(r"A[━╸─]*B.*  A-B")
        paused.press("Space")
        messages = received.wait_for(25)
    assert [data for _, data in messages[:25]] == [b"%d" % (i % 10) for i in range(25)]
    paused.press("l")
    paused.wait_for(r"^playing (?!.*A-B)")
    paused.press("L")
    paused.wait_for(r"  loop *$")


def test_playing_up_to_the_end_ends_the_command(paused: Terminal) -> None:
    paused.press("9", "Right", ".", ",", ",", "Space")
    paused.wait_for(r"^Published \d+ messages")
    paused.wait_for(r"^\$")


@pytest.mark.parametrize("key", ["q", "Escape", "C-c"])
def test_quitting_leaves_the_terminal_as_it_was(
    terminal: Terminal, walk: Path, url: str, key: str
) -> None:
    before = terminal.settings()
    terminal.run([*CLI, "play", walk, "--force", "--bus", url])
    terminal.wait_for(r"^playing 0:0")
    terminal.press(key)
    terminal.wait_for(r"^Stopped at 0:0")
    assert "playing 0:" not in terminal.screen, "the progress line is gone"
    assert terminal.settings() == before


def test_sigterm_leaves_the_terminal_as_it_was(
    terminal: Terminal, walk: Path, url: str, tmp_path: Path
) -> None:
    before = terminal.settings()
    note = tmp_path / "pid"
    start = f'echo $$ > {note}; exec "$@"'
    terminal.run(["bash", "-c", start, "bash", *CLI, "play", walk, "--force", "--bus", url])
    terminal.wait_for(r"^playing 0:0")
    os.kill(int(note.read_text()), signal.SIGTERM)
    terminal.wait_for(r"^Stopped at 0:0")
    assert terminal.settings() == before


def test_an_error_leaves_the_terminal_as_it_was(terminal: Terminal, tmp_path: Path) -> None:
    before = terminal.settings()
    script = tmp_path / "fails.py"
    script.write_text(
        "from dimos_record.cli.keyboard import Keyboard\n"
        "with Keyboard() as keyboard:\n"
        "    while keyboard.read(1) != ['x']:\n"
        "        print('waiting', flush=True)\n"
        "    raise ValueError('failed')\n"
    )
    terminal.run([sys.executable, script])
    terminal.wait_for("waiting")
    terminal.press("x")
    terminal.wait_for("ValueError: failed")
    assert terminal.settings() == before


def test_keys_work_again_after_the_command_was_suspended(paused: Terminal) -> None:
    paused.press("C-z")
    paused.wait_for("Stopped  ")
    paused.press("-l", "clear; stty -a | grep -o ' icanon.* echo '; fg")
    paused.press("Enter")
    paused.wait_for(r"^paused ")
    assert " icanon" in paused.screen, "the shell has the terminal as it was"
    paused.press("5")
    paused.wait_for(r"^paused  0:10\.0")
    paused.press("q")
    paused.wait_for(r"^Stopped at 0:10\.0")


def test_playback_is_held_while_the_command_is_suspended() -> None:
    held: list[tuple[str, int]] = []

    class Suspended(Keyboard):
        def suspend(self) -> None:
            held.append((player.state, len(bus.published)))
            bus.time.now_ns += 60 * S

    bus = ListBus()
    reader = recording([(t, stream("/odom"), b"%d" % t) for t in range(10)])
    options = PlayOptions(check_conflicts=False)
    bus.on_message(3, lambda: suspend(player, Suspended(enabled=False)))
    with Player(Timeline(reader), bus, options, time=bus.time) as player:
        player.start()
        assert player.wait(60)
    assert held == [("paused", 3)]
    assert bus.seconds == [0, 1, 2, 63, 64, 65, 66, 67, 68, 69]


def test_a_command_in_the_background_is_not_stopped_by_the_terminal(
    terminal: Terminal, walk: Path, url: str
) -> None:
    with open_bus(url) as bus, Collector(bus, "/odom") as received:
        play = [*CLI, "play", walk, "--speed", "20", "--force", "--bus", url]
        terminal.run(["bash", "-i", "-c", '"$@" & wait', "bash", *play])
        received.wait_for(201)
    terminal.wait_for("Published 222 messages")


def test_help_and_warnings_do_not_disturb_the_progress_line(paused: Terminal) -> None:
    paused.press("?")
    paused.wait_for(r"^q esc +quit")
    paused.resize(60)
    paused.press("5")
    paused.wait_for(r"^paused  0:10\.0")
    until(
        lambda: all(len(line) < 60 for line in paused.screen.splitlines()[-1:]),
        "a line that fits the narrow terminal",
    )


def test_without_keys_the_terminal_is_not_touched(terminal: Terminal, walk: Path, url: str) -> None:
    terminal.run([*CLI, "play", walk, "--no-keys", "--quiet", "--force", "--bus", url])
    terminal.wait_for("^Playing ")
    terminal.press("q")
    terminal.press("C-c")
    terminal.wait_for(r"Stopped at")
    assert "playing 0:" not in terminal.screen


def test_with_its_output_in_a_file_there_are_no_control_characters(
    terminal: Terminal, walk: Path, url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    play = [*CLI, "play", walk, "--speed", "20", "--force", "--bus", url]
    terminal.run(["bash", "-c", f'"$@" 2> {log}', "bash", *play])
    until(lambda: log.exists() and "Published" in log.read_text(), "the end of playback")
    assert all(char.isprintable() or char == "\n" for char in log.read_text())
