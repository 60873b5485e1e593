"""What is on the bus, selecting it, and recording it."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from textual.pilot import Pilot

from dimos_record import RecordReplay
from dimos_record.bus import Bus, Selection, open_bus
from dimos_record.cli.tui.app import TuiApp
from dimos_record.cli.tui.live.account import AccountPanel
from dimos_record.cli.tui.live.recording import LiveRecording
from dimos_record.cli.tui.live.screen import LiveScreen
from dimos_record.demo_robot import run
from dimos_record.store import open_recording
from dimos_record.testing import free_lcm_url
from tests.cli.tui.programs import running
from tests.cli.tui.snapshots import screen_text
from tests.cli.tui.waiting import until, until_shown

ODOM = "/odom#geometry_msgs.PoseStamped"
LEFT, RIGHT = "/camera/left#sensor_msgs.Image", "/camera/right#sensor_msgs.Image"


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def publish(bus: Bus, *channels: str) -> None:
    for channel in channels or (ODOM, LEFT, RIGHT):
        bus.publish(channel, bytes(1000))


async def hear(bus: Bus, pilot: Pilot[None], *channels: str) -> None:
    """Publish, until it is on the screen."""
    await until(pilot, lambda: live(pilot)._watch is not None, "listening")
    publish(bus, *channels)
    live(pilot).look()
    await until_shown(pilot, "/odom")


def live(pilot: Pilot[None]) -> LiveScreen:
    screen = pilot.app.screen_stack[1]
    assert isinstance(screen, LiveScreen)
    return screen


def marks(app: TuiApp) -> list[str]:
    """The lines of the table, as far as their names: `● /odom`."""
    lines = re.finditer(r"^ ([○●◐]) +(?:([▾▸]) )?(/\S+)", screen_text(app), re.MULTILINE)
    return ["".join(part or "" for part in line.groups()) for line in lines]


async def start(pilot: Pilot[None], name: str = "w.db") -> None:
    """Record what is selected."""
    await pilot.press("r")
    await until_shown(pilot, "starts, esc gives up")
    await pilot.press(*name, "enter")
    await until_shown(pilot, "● RECORDING")


def recorded(name: str = "w.db") -> dict[str, int]:
    """How many messages there are of each topic."""
    with RecordReplay(name) as rec:
        return {topic.name: topic.count for topic in rec.info().topics}


async def test_topics_are_shown_as_a_tree_with_their_figures(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        assert marks(app) == ["○▾/camera", "○/left", "○/right", "○/odom"]
        await pilot.press("end")
        await until_shown(pilot, "/odom  geometry_msgs.PoseStamped  1 messages")


async def test_an_empty_bus_says_what_to_do(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await until_shown(pilot, f"nothing is published on {bus.url}")
        await pilot.press("r")
        await until(pilot, lambda: app.said.is_error, "an error")
        assert "dimos-record demo-robot" in app.said.text


async def test_space_selects_a_topic_or_a_branch_and_unselects_it(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("space")
        assert marks(app) == ["●▾/camera", "●/left", "●/right", "○/odom"]
        await pilot.press("down", "space")
        assert marks(app) == ["◐▾/camera", "○/left", "●/right", "○/odom"]
        await until_shown(pilot, "3 topics  1 selected")


@pytest.mark.once
async def test_all_none_and_patterns_select(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("a")
        assert marks(app) == ["●▾/camera", "●/left", "●/right", "●/odom"]
        await pilot.press("n")
        assert marks(app) == ["○▾/camera", "○/left", "○/right", "○/odom"]
        await pilot.press("asterisk", *"/camera/", "asterisk", "enter")
        await until_shown(pilot, "/camera/* matches 2 of 3 topics")
        assert marks(app) == ["●▾/camera", "●/left", "●/right", "○/odom"]
        await pilot.press("asterisk", *"!*/right", "enter")
        await until_shown(pilot, "1 selected")


async def test_a_pattern_that_cannot_be_read_is_asked_for_again(bus: Bus) -> None:
    async with running(bus) as (_, pilot):
        await hear(bus, pilot)
        await pilot.press("asterisk", *"/a[", "enter")
        await until_shown(pilot, "is not closed")
        await pilot.press("escape")


async def test_a_filter_shows_fewer_topics_and_all_means_these(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("slash", *"LEFT", "enter")
        await pilot.press("a")
        assert marks(app) == ["●/camera/left"]
        await pilot.press("escape")
        assert marks(app) == ["◐▾/camera", "●/left", "○/right", "○/odom"]


async def test_a_branch_can_be_folded(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("enter")
        assert marks(app) == ["○▸/camera", "○/odom"]
        await pilot.press("right")
        assert marks(app) == ["○▾/camera", "○/left", "○/right", "○/odom"]


async def test_the_mouse_selects(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.click("TopicTable", offset=(1, 3))
        assert marks(app) == ["○▾/camera", "○/left", "○/right", "●/odom"]


async def test_what_is_selected_is_recorded_and_then_open_on_the_timeline(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("end", "space")
        await start(pilot)
        publish(bus)
        publish(bus)
        await until_shown(pilot, "received 2   written 2   dropped 0   lost before reception 0")
        await pilot.press("s")
        await until(pilot, lambda: not isinstance(app.shown, LiveScreen), "the timeline")
        assert "w.db: 2 messages" in app.said.text
        assert recorded() == {"/odom": 2}
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.shown, LiveScreen), "the live screen")


@pytest.mark.once
async def test_the_selection_can_be_changed_while_recording(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("end", "space")
        await start(pilot)
        publish(bus)
        await pilot.press("space", "home", "space")
        await until(pilot, lambda: all(one.group != "changes" for one in app.workers), "the change")
        publish(bus)
        await pilot.press("r")
        await until(pilot, lambda: not isinstance(app.shown, LiveScreen), "the timeline")
        assert recorded() == {"/odom": 1, "/camera/left": 1, "/camera/right": 1}


@pytest.mark.once
async def test_the_past_is_kept_while_recording_goes_on(bus: Bus, tmp_path: Path) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("a")
        await start(pilot)
        publish(bus, ODOM)
        await pilot.press("K")
        await until(pilot, lambda: "The last 2 minutes are in" in app.said.text, "it was kept")
        publish(bus, ODOM)
        await until_shown(pilot, "received 2   written 2   dropped 0   lost before reception 0")
        await pilot.press("s")
        await until(pilot, lambda: not isinstance(app.shown, LiveScreen), "the timeline")
        assert recorded() == {"/odom": 2}
    (kept,) = tmp_path.glob("w-*.db")
    with open_recording(kept) as reader:
        assert reader.stats("odom").count == 1


@pytest.mark.once
async def test_pause_leaves_out_what_comes_meanwhile(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("a")
        await start(pilot)
        publish(bus, ODOM)
        await pilot.press("p")
        await until_shown(pilot, "● PAUSED")
        publish(bus, ODOM)
        await pilot.press("p")
        await until_shown(pilot, "● RECORDING")
        publish(bus, ODOM)
        await pilot.press("s")
        await until(pilot, lambda: not isinstance(app.shown, LiveScreen), "the timeline")
        assert recorded() == {"/odom": 2}


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("r", "Nothing is selected; select topics with space, or all with a"),
        ("s", "Nothing is being recorded; r records what is selected"),
        ("p", "Nothing is being recorded; r records what is selected"),
        ("K", "Nothing is being recorded; r records what is selected"),
        ("B", "There is no screen before this one; q quits"),
    ],
)
async def test_a_key_in_the_wrong_state_is_answered(bus: Bus, key: str, sentence: str) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press(key)
        await until(pilot, lambda: app.said.text == sentence, sentence)


async def test_a_name_that_exists_is_asked_for_again(bus: Bus, tmp_path: Path) -> None:
    (tmp_path / "walk.db").write_text("something")
    async with running(bus) as (_, pilot):
        await hear(bus, pilot)
        await pilot.press("a", "r", *"walk.db", "enter")
        await until_shown(pilot, "exists")
        assert (tmp_path / "walk.db").read_text() == "something"


async def test_quitting_while_recording_asks_and_finishes_the_file(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("a")
        await start(pilot)
        publish(bus)
        await pilot.press("q")
        await until_shown(pilot, "Stop recording to w.db?")
        await pilot.press("n")
        await until(pilot, lambda: app.screen is app.shown, "no dialog")
        await pilot.press("q")
        await until_shown(pilot, "Stop recording to w.db?")
        await pilot.press("y")
        await until(pilot, lambda: not app.is_running, "the end")
    assert app.parting[0].startswith("w.db: 3 messages")
    assert recorded() == {"/camera/left": 1, "/camera/right": 1, "/odom": 1}


async def test_a_program_that_is_told_to_end_finishes_the_file(bus: Bus) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("a")
        await start(pilot)
        publish(bus, ODOM)
        app.end()
        await until(pilot, lambda: not app.is_running, "the end")
    assert recorded() == {"/odom": 1}


async def test_losses_turn_the_meter_red(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.cli.tui.fixed import ACCOUNT

    async with running(bus) as (app, _):
        panel = app.shown.query_one(AccountPanel)
        for lost, words, colour in ((0, "nothing lost", "success"), (7, "LOSING", "lost")):
            panel.account = ACCOUNT._replace(lost=lost)
            line = panel.render()
            styles = {
                str(span.style) for span in line.spans if words in line.plain[span.start : span.end]
            }
            assert any(app.theme_variables[colour] in style for style in styles)
        panel.account = None


async def test_a_bus_that_cannot_be_opened_is_said_in_one_line() -> None:
    app = TuiApp(None, "udpm://nonsense")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.said.is_error, "an error")
        await pilot.press("r")
        await until_shown(pilot, "udpm://nonsense")
    assert app.failure is None


async def test_a_recording_that_has_ended_by_itself_is_opened(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LiveRecording, "has_ended", property(lambda one: one.account().written > 0))
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("a")
        await start(pilot)
        publish(bus)
        await until(pilot, lambda: not isinstance(app.shown, LiveScreen), "the timeline")
        assert "w.db: 3 messages" in app.said.text


@pytest.mark.once
async def test_a_recording_that_was_deleted_meanwhile_is_said_in_one_line(
    bus: Bus, tmp_path: Path
) -> None:
    async with running(bus) as (app, pilot):
        await hear(bus, pilot)
        await pilot.press("a")
        await start(pilot)
        publish(bus)
        await until_shown(pilot, "written 3")
        for file in tmp_path.iterdir():
            file.unlink()
        publish(bus)
        await until(pilot, lambda: app.said.is_error, "a sentence")
        assert "w.db" in app.said.text


@pytest.mark.once
async def test_the_demo_robot_is_recorded_without_a_loss() -> None:
    with open_bus(free_lcm_url()) as robot_bus:
        stop = threading.Event()
        selection = Selection.of(exclude=("/camera/*", "/lidar"))
        robot = threading.Thread(
            target=run, args=(robot_bus,), kwargs={"stop": stop, "selection": selection}
        )
        robot.start()
        try:
            async with running(robot_bus) as (app, pilot):
                await until_shown(pilot, "/odom")
                await pilot.press("a")
                await start(pilot)
                panel = app.shown.query_one(AccountPanel)
                await until(
                    pilot, lambda: panel.account is not None and panel.account.written > 100, "data"
                )
                await pilot.press("s")
                await until(pilot, lambda: not isinstance(app.shown, LiveScreen), "the timeline")
                assert "Nothing was lost" in app.said.text
        finally:
            stop.set()
            robot.join()
    counts = recorded()
    assert counts["/odom"] > 10
    assert counts["/imu"] > counts["/odom"]
