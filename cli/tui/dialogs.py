"""Small windows that ask, and one that shows how far work is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, ProgressBar, Static

from dimos_record.cli.tui.advice import one_line
from dimos_record.cli.tui.frame import TooSmall
from dimos_record.cli.tui.tasks import Cancelled
from dimos_record.errors import DimosRecordError

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A window above the screen; escape closes it without an answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", show=False),
        Binding("ctrl+c", "give_up", show=False, priority=True),  # a line would copy with it
    ]
    DEFAULT_CSS = """
    Dialog { layers: default above; align: center middle; background: $background 60%; }
    Dialog > Vertical {
        width: 72; max-width: 90%; height: auto; max-height: 90%;
        padding: 0 1; border: round $primary; background: $surface;
    }
    Dialog Static.title { text-style: bold; }
    Dialog Static.hint { color: $faint; }
    Dialog Static.wrong { color: $error; }
    Dialog Horizontal { height: auto; align-horizontal: right; margin-top: 1; }
    Dialog Button { margin-left: 2; }
    """

    def compose(self) -> ComposeResult:
        """The window, and what covers it in a terminal that is too small."""
        with Vertical():
            yield from self.compose_body()
        yield TooSmall()

    def compose_body(self) -> ComposeResult:
        """The widgets of the window."""
        raise NotImplementedError

    def on_resize(self, event: events.Resize) -> None:
        """Say so where the terminal is too small."""
        self.query_one(TooSmall).look()

    def action_give_up(self) -> None:
        """Close the window without an answer."""
        self.dismiss(None)


class Ask(Dialog[T | None], Generic[T]):
    """Asks for a line of text, and reads it as what is wanted."""

    def __init__(self, title: str, default: str, read: Callable[[str], T], hint: str = "") -> None:
        super().__init__()
        self._title, self._default, self._read, self._hint = title, default, read, hint

    def compose_body(self) -> ComposeResult:
        """The question and a line to write."""
        yield Static(Text(self._title), classes="title")
        yield Input(self._default, select_on_focus=True, compact=True)
        yield Static(Text(self._hint), classes="hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Close with what was written, if it can be read; else say what is wrong with it."""
        try:
            answer = self._read(event.value)
        except DimosRecordError as error:
            hint = self.query_one(".hint", Static)
            hint.update(Text(one_line(error)))
            hint.add_class("wrong")
        else:
            self.dismiss(answer)


class Confirm(Dialog[bool | None]):
    """Says what will happen, and asks whether it shall."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,q", "answer(False)", show=False),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, text: str, yes: str, no: str) -> None:
        super().__init__()
        self._title, self._text, self._yes, self._no = title, text, yes, no

    def compose_body(self) -> ComposeResult:
        """The question, what it is about, and two buttons."""
        yield Static(Text(self._title), classes="title")
        if self._text:
            yield Static(Text(self._text))
        with Horizontal():
            yield Button(f"{self._yes} (y)", id="yes", variant="error", compact=True)
            yield Button(f"{self._no} (n)", id="no", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Close with the answer."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """Close with an answer."""
        self.dismiss(answer)

    def action_give_up(self) -> None:
        """No answer is no."""
        self.dismiss(False)


class Choose(Dialog[int | None]):
    """Offers some choices."""

    def __init__(self, title: str, choices: Sequence[str]) -> None:
        super().__init__()
        self._title, self._choices = title, choices

    def compose_body(self) -> ComposeResult:
        """The question and a list."""
        yield Static(Text(self._title), classes="title")
        yield OptionList(*map(Text, self._choices))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Close with the number of the choice."""
        self.dismiss(event.option_index)


class Progress(Dialog[None]):
    """How far work in a thread is; escape cancels it."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._done, self._total = 0.0, 0.0
        self._cancel = threading.Event()

    def compose_body(self) -> ComposeResult:
        """What is going on, and how far it is."""
        yield Static(Text(self._title), classes="title")
        yield ProgressBar(show_eta=False)
        with Horizontal():
            yield Button("cancel (esc)", compact=True)

    def on_mount(self) -> None:
        """Look often; the work only leaves its figures here."""
        self.set_interval(0.1, self._show)

    def _show(self) -> None:
        if self._total:
            self.query_one(ProgressBar).update(total=self._total, progress=self._done)

    def on_progress(self, done: float, total: float) -> None:
        """Called by the work, in its thread.

        Raises:
            Cancelled: the work is to end.
        """
        self._done, self._total = done, total
        if self._cancel.is_set():
            raise Cancelled

    def cancel(self) -> None:
        """Let the work end as soon as it looks."""
        self._cancel.set()

    def on_button_pressed(self) -> None:
        """Cancel."""
        self.action_give_up()

    def action_give_up(self) -> None:
        """Cancel; the window goes when the work has ended."""
        self.cancel()
        self.query_one(".title", Static).update(Text(f"{self._title}: ending ..."))


AnyDialog = Dialog[Any]
