"""What all screens have: dialogs, help, palette, work beside the screen, the line at the bottom."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from dimos_record.bus import Bus
from dimos_record.cli.tui.dialogs import Progress
from dimos_record.cli.tui.frame import tui
from dimos_record.cli.tui.keys import Key
from dimos_record.cli.tui.screen import TuiScreen
from dimos_record.cli.tui.tasks import OnProgress, task
from dimos_record.errors import OptionError
from tests.cli.commands import write_recording
from tests.cli.tui.programs import running
from tests.cli.tui.snapshots import screen_text
from tests.cli.tui.waiting import until, until_shown


def _number(text: str) -> int:
    if not text.isdigit():
        raise OptionError(f"{text!r} is not a number")
    return int(text)


class Sample(TuiScreen):
    """A screen on which every kind of work can be tried."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Key("1", "ask", "Ask for a number", section="Sample", label="ask"),
        Key("2", "confirm", "Confirm something", section="Sample", label="confirm"),
        Key("3", "choose", "Choose something", section="Sample"),
        Key("4", "work", "Work for long", section="Sample"),
        Key("5", "fail", "Fail at once", section="Sample"),
        Key("6", "fail_later", "Fail in work", section="Sample"),
        Key("7", "wait", "Wait for something", section="Sample"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.released = False

    def compose_body(self) -> ComposeResult:
        yield Static("the body")

    @task
    async def action_ask(self) -> None:
        answer = await tui(self).ask("Which number?", read=_number, default="seven")
        self.say(f"answer {answer}")

    @task
    async def action_confirm(self) -> None:
        answer = await tui(self).confirm("Shall it go?", "3 messages, 12 kB", yes="cut")
        self.say(f"answer {answer}")

    @task
    async def action_choose(self) -> None:
        answer = await tui(self).choose("Which one?", ["first", "second"])
        self.say(f"answer {answer}")

    @task
    async def action_work(self) -> None:
        def work(on_progress: OnProgress) -> str:
            on_progress(25, 100)
            while not self.go_on.wait(0.01):
                on_progress(50, 100)
            return "done"

        self.say(await tui(self).with_progress("Copying", work))

    def action_fail(self) -> None:
        raise OptionError("that makes\nno sense")

    @task
    async def action_fail_later(self) -> None:
        await tui(self).in_thread(self.action_fail)

    @task
    async def action_wait(self) -> None:
        await tui(self).in_thread(self.go_on.wait)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def sample() -> Iterator[Sample]:
    screen = Sample()
    yield screen
    screen.go_on.set()


async def test_a_question_is_asked_again_until_the_answer_can_be_read(
    bus: Bus, sample: Sample
) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        await pilot.press("1")
        await until_shown(pilot, "Which number?")
        await pilot.press("enter")
        await until_shown(pilot, "'seven' is not a number")
        await pilot.press("ctrl+u", "4", "2", "enter")
        await until(pilot, lambda: app.said.text == "answer 42", "an answer")


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (["2", "y"], True),
        (["2", "enter"], True),
        (["2", "n"], False),
        (["2", "escape"], False),
        (["2", "right", "enter"], False),
        (["1", "escape"], None),
        (["1", "ctrl+c"], None),
        (["3", "down", "enter"], 1),
        (["3", "escape"], None),
    ],
)
async def test_an_answer_is_given_by_keys(
    bus: Bus, sample: Sample, keys: list[str], answer: object
) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        await pilot.press(keys[0])
        await until(pilot, lambda: app.screen is not sample, "a window")
        await pilot.press(*keys[1:])
        await until(pilot, lambda: app.said.text == f"answer {answer}", f"answer {answer}")
        assert app.screen is sample


async def test_long_work_shows_how_far_it_is_and_gives_its_result(bus: Bus, sample: Sample) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        await pilot.press("4")
        await until_shown(pilot, "50%")
        assert "Copying" in screen_text(app)
        sample.go_on.set()
        await until(pilot, lambda: app.said.text == "done", "the result")
        assert app.screen is sample


async def test_long_work_can_be_cancelled(bus: Bus, sample: Sample) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, Progress), "the window")
        await pilot.press("escape")
        await until(pilot, lambda: app.said.text == "Cancelled; nothing was changed", "the end")
        assert app.screen is sample


async def test_the_end_of_the_program_cancels_work(bus: Bus, sample: Sample) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, Progress), "the window")
        app.end()
        await until(pilot, lambda: not app.is_running, "the end")
    assert sample.released


@pytest.mark.parametrize("key", ["5", "6"])
async def test_an_error_is_one_line_at_the_bottom(bus: Bus, sample: Sample, key: str) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        await pilot.press(key)
        await until_shown(pilot, "That makes no sense")
        assert app.said.is_error


async def test_what_is_under_way_is_not_started_twice(bus: Bus, sample: Sample) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        await pilot.press("7", "7")
        await until(pilot, lambda: app.said.text == "That is still under way", "a sentence")
        sample.go_on.set()


async def test_the_footer_has_as_many_keys_as_fit_and_they_can_be_clicked(
    bus: Bus, sample: Sample
) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        await until_shown(pilot, "1 ask  2 confirm  ? help  q quit")
        await pilot.click("KeyBar", offset=(9, 0))
        await until_shown(pilot, "Shall it go?")


async def test_the_help_is_searched_and_does_what_is_chosen(bus: Bus, sample: Sample) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        await pilot.press("question_mark")
        await until_shown(pilot, "Ask for a number")
        await pilot.press(*"sample choose")
        await until(pilot, lambda: "Ask for" not in screen_text(app), "fewer keys")
        await pilot.press("enter")
        await until_shown(pilot, "Which one?")


async def test_the_palette_knows_every_key(bus: Bus, sample: Sample) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        await pilot.press("colon")
        await until_shown(pilot, "Search for commands")
        await pilot.press(*"choose some")
        await until(pilot, lambda: "Ask for" not in screen_text(app), "fewer commands")
        await until_shown(pilot, "Choose something")
        await pilot.press("enter")
        await until_shown(pilot, "Which one?")


@pytest.mark.parametrize("with_dialog", [False, True])
async def test_a_terminal_that_is_too_small_says_so_and_recovers(
    bus: Bus, sample: Sample, with_dialog: bool
) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        if with_dialog:
            await pilot.press("2")
            await until_shown(pilot, "Shall it go?")
        shown = "Shall it go?" if with_dialog else "the body"
        await pilot.resize_terminal(40, 10)
        await until_shown(pilot, "40x10")
        assert shown not in screen_text(app)
        await pilot.resize_terminal(80, 24)
        await until_shown(pilot, shown)


async def test_a_warning_that_is_logged_is_said(bus: Bus, sample: Sample) -> None:
    from dimos_record.cli.tui.program import logs_on_screen

    async with running(bus) as (app, pilot):
        with logs_on_screen(app, None):
            warn = logging.getLogger("dimos_record").warning
            thread = threading.Thread(target=warn, args=("the disk is slow",))
            thread.start()
            await until_shown(pilot, "the disk is slow")
            thread.join()


async def test_a_recording_is_opened_by_its_name_and_left_again(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / "w.db", 2)
    async with running(bus) as (app, pilot):
        live = app.shown
        await pilot.press("ctrl+o", *"none.db", "enter")
        await until_shown(pilot, "There is no recording none.db")
        await pilot.press("ctrl+u", *"w.db", "enter")
        await until(pilot, lambda: app.shown is not live, "the recording")
        await until_shown(pilot, "/odom")
        await pilot.press("B")
        await until(pilot, lambda: app.shown is live, "the screen before")


async def test_a_long_sentence_is_shown_to_its_end(bus: Bus, sample: Sample) -> None:
    async with running(bus) as (app, pilot):
        await app.show(sample)
        app.complain("this is the beginning, " + "and it goes on, " * 8 + "to the end")
        await until_shown(pilot, "end")
        assert "to the end 1 ask" in " ".join(screen_text(app).split())
