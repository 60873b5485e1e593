"""The program: which screen is shown, what it says, and what it runs beside the screen."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.reactive import reactive

from dimos_record.cli.tui.advice import one_line
from dimos_record.cli.tui.dialogs import Ask, Choose, Confirm, Progress
from dimos_record.cli.tui.files import existing_recording
from dimos_record.cli.tui.help import Help
from dimos_record.cli.tui.keys import Key, keys_of
from dimos_record.cli.tui.palette import KeyCommands
from dimos_record.cli.tui.screen import TuiScreen
from dimos_record.cli.tui.tasks import Cancelled, OnProgress, task
from dimos_record.cli.tui.theme import COLOURS, THEME
from dimos_record.errors import DimosRecordError

T = TypeVar("T")
_SAID_S = 20.0
log = logging.getLogger("dimos_record")
_TIMELINE = "dimos_record.cli.tui.timeline.screen"


class Said(NamedTuple):
    """The line at the bottom."""

    text: str = ""
    is_error: bool = False


class TuiApp(App[None]):
    """The terminal program.

    Args:
        file: the recording to show; what is on the bus, if None.
        bus_url: the bus to record from and to play to; the default one, if None.
    """

    TITLE = "dimos-record"
    ALLOW_SELECT = False
    COMMANDS: ClassVar[set[Any]] = {KeyCommands}
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        Key("question_mark,f1", "help", "All keys, to be searched", label="help"),
        Key("q,ctrl+q", "leave", "Quit", label="quit"),
        Key("ctrl+o", "open", "Open a recording"),
        Key("L", "live", "Show what is on the bus now"),
        Key("B", "before", "Go back to the screen before"),
        Key("colon,ctrl+p", "command_palette", "Find a command by its name"),
        Binding("ctrl+c", "leave", show=False),
    ]
    said: reactive[Said] = reactive(Said())

    def __init__(self, file: Path | None = None, bus_url: str | None = None) -> None:
        super().__init__()
        self.bus_url = bus_url
        self._file = file
        self._tasks: set[tuple[DOMNode, str]] = set()
        self._working: set[Progress] = set()
        self._unreleased: list[TuiScreen] = []
        self._thread = threading.get_ident()
        self._here: asyncio.AbstractEventLoop | None = None
        self._here_context = contextvars.copy_context()
        self.failure: BaseException | None = None
        """What ended the program, if that was an error."""
        self.parting: list[str] = []
        """What is said once more after the program has ended."""

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our colours, for any theme that lacks them."""
        return COLOURS

    async def on_mount(self) -> None:
        """Show the first screen."""
        self._thread = threading.get_ident()
        self._here, self._here_context = asyncio.get_running_loop(), contextvars.copy_context()
        self.register_theme(THEME)
        self.theme = THEME.name
        await self.show(self._timeline(self._file) if self._file else self._live())
        self.run_worker(self.in_thread(partial(import_module, _TIMELINE)))  # so that it is there

    # --- screens

    def _live(self) -> TuiScreen:
        from dimos_record.cli.tui.live.screen import LiveScreen

        return LiveScreen(self.bus_url)

    def _timeline(self, path: Path) -> TuiScreen:
        from dimos_record.cli.tui.timeline.screen import TimelineScreen

        return TimelineScreen(path)

    async def show(self, screen: TuiScreen) -> None:
        """Show a screen above the one that is shown now."""
        self._unreleased.append(screen)
        await self.push_screen(screen)

    async def open_recording(self, path: Path) -> None:
        """Show a recording on the timeline, above the screen that is shown now."""
        await self.show(self._timeline(path))

    async def close_screen(self) -> None:
        """Go back to the screen below, or quit where there is none. Within a `task`."""
        screen = self.shown
        if not await screen.may_leave():
            return
        if len(self.screens_shown) == 1:
            self.end()
            return
        self.pop_screen()
        self._unreleased.remove(screen)
        await self.in_thread(screen.release)

    @property
    def screens_shown(self) -> list[TuiScreen]:
        """The full screens, the uppermost last."""
        return [one for one in self.screen_stack if isinstance(one, TuiScreen)]

    @property
    def shown(self) -> TuiScreen:
        """The uppermost full screen, whatever dialog is above it."""
        return self.screens_shown[-1]

    def release(self) -> list[DimosRecordError]:
        """Close what the screens own, after the program has ended; returns what went wrong."""
        errors = []
        for screen in reversed(self._unreleased):
            try:
                screen.release()
            except DimosRecordError as error:
                errors.append(error)
        self._unreleased.clear()
        return errors

    # --- saying

    def say(self, text: str) -> None:
        """Say something in the line at the bottom; from any thread."""
        self._set_said(Said(text))

    def complain(self, what: Exception | str) -> None:
        """Say in the line at the bottom what is wrong; from any thread."""
        self._set_said(Said(one_line(what), is_error=True))

    def watch_said(self, said: Said) -> None:
        """Make room again after a while."""
        if said.text:
            self.set_timer(_SAID_S, lambda: self._forget(said))

    def _forget(self, said: Said) -> None:
        if self.said is said:
            self.said = Said()

    def _set_said(self, said: Said) -> None:
        if threading.get_ident() == self._thread:
            self.said = said
        elif self._here is not None and not self._here.is_closed():
            self._here.call_soon_threadsafe(
                setattr, self, "said", said, context=self._here_context.copy()
            )

    # --- asking

    async def ask(
        self,
        title: str,
        *,
        read: Callable[[str], T],
        default: str = "",
        hint: str = "",
    ) -> T | None:
        """Ask for a line of text; None if it was given up. Within a `task`.

        Args:
            title: the question.
            read: makes of the text what is wanted (`str` takes it as it is); a `DimosRecordError`
                that it raises is shown, and the window stays.
            default: what stands there already, selected.
            hint: how to write it.
        """
        return await self.push_screen_wait(Ask(title, default, read, hint))

    async def confirm(
        self, title: str, text: str = "", *, yes: str = "yes", no: str = "no"
    ) -> bool:
        """Ask whether to do something. Within a `task`.

        Args:
            title: the question: "Cut 10-20 s of all topics?".
            text: what will go and how large it is; may have several lines.
            yes, no: the words on the buttons.
        """
        return await self.push_screen_wait(Confirm(title, text, yes, no)) is True

    async def choose(self, title: str, choices: Sequence[str]) -> int | None:
        """Ask for one of several choices; returns its number, None if given up. In a `task`."""
        return await self.push_screen_wait(Choose(title, choices))

    # --- working

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do short work that may block (opening a file, starting a session) beside the screen."""
        return await asyncio.to_thread(work)

    async def with_progress(self, title: str, work: Callable[[OnProgress], T]) -> T:
        """Do long work beside the screen, in a window with its progress. Within a `task`.

        Args:
            title: what is going on: "Saving walk.db".
            work: is called in a thread, with a function to be called often with (done, total).

        Raises:
            Cancelled: its user did not want to wait. (A `task` says so.)
            DimosRecordError: what the work raised.
        """
        window = Progress(title)
        self._working.add(window)
        await self.push_screen(window)
        try:
            return await asyncio.to_thread(work, window.on_progress)
        finally:
            self._working.discard(window)
            if window.is_attached:
                window.dismiss()

    def start_task(self, node: DOMNode, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run what a `task` does; see there."""
        if (node, name) in self._tasks:
            self.say("That is still under way")
            return
        self._tasks.add((node, name))
        self.run_worker(self._run_task(node, name, run), group="tasks")

    async def _run_task(self, node: DOMNode, name: str, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except Cancelled:
            self.say("Cancelled; nothing was changed")
        except (DimosRecordError, OSError) as error:
            self.complain(error)
        finally:
            self._tasks.discard((node, name))

    async def run_action(self, *args: Any, **kwargs: Any) -> bool:
        """Do what a key or click means; an error of ours becomes the line at the bottom."""
        try:
            return await super().run_action(*args, **kwargs)
        except (DimosRecordError, OSError) as error:
            self.complain(error)
            return True

    # --- ending

    def end(self) -> None:
        """End the program at once; what is under way is cancelled, what is open gets closed."""
        for window in self._working:
            window.cancel()
        self.exit()

    def _handle_exception(self, error: Exception) -> None:
        """End the program for an error that nothing else has caught.

        Textual would print a traceback with it.
        """
        cause = getattr(error, "error", error)  # that of a WorkerFailed
        log.error("the program ended", exc_info=cause)
        self.failure = self.failure or cause
        for window in self._working:
            window.cancel()
        super()._handle_exception(error)
        self._exit_renderables.clear()

    # --- keys of the program

    @task
    async def action_leave(self) -> None:
        """Quit, unless a screen has something to lose."""
        for screen in reversed(self.screens_shown):
            if not await screen.may_leave():
                return
        self.end()

    @task
    async def action_before(self) -> None:
        """Go back to the screen before."""
        if len(self.screens_shown) == 1:
            self.say("There is no screen before this one; q quits")
            return
        await self.close_screen()

    @task
    async def action_live(self) -> None:
        """Show what is on the bus."""
        from dimos_record.cli.tui.live.screen import LiveScreen

        if not any(isinstance(screen, LiveScreen) for screen in self.screens_shown):
            await self.show(self._live())
        while not isinstance(before := self.shown, LiveScreen):
            await self.close_screen()
            if self.shown is before:
                return

    @task
    async def action_open(self) -> None:
        """Ask for a recording, and show it."""
        path = await self.ask(
            "Open a recording", read=existing_recording, hint="its name, or its path"
        )
        if path is not None:
            await self.open_recording(path)

    @task
    async def action_help(self) -> None:
        """Show all keys, and do what is chosen there."""
        chosen = await self.push_screen_wait(Help(list(keys_of(self.shown))))
        if chosen is not None:
            await self.run_action(chosen.key.action, chosen.owner)
