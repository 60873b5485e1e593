"""Work that takes a while, or waits for an answer, beside the screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from textual.dom import DOMNode

if TYPE_CHECKING:
    from dimos_record.cli.tui.app import TuiApp

P = ParamSpec("P")
Node = TypeVar("Node", bound=DOMNode)

OnProgress = Callable[[float, float], None]
"""Called with (done, total) in any unit, usually bytes; raises `Cancelled` when it is to end."""


class Cancelled(Exception):
    """Raised in work that its user has cancelled."""


def task(
    method: Callable[Concatenate[Node, P], Awaitable[None]],
) -> Callable[Concatenate[Node, P], None]:
    """Let an action or handler (`async def action_save(self)`) run beside the screen.

    Inside it `await` whatever takes time: `app.ask`, `app.confirm`, `app.in_thread`,
    `app.with_progress`. What it raises becomes the line at the bottom. Asked for again
    while it still runs, it is not started twice; a sentence says so.
    """

    @wraps(method)
    def start(self: Node, *args: P.args, **kwargs: P.kwargs) -> None:
        app = cast("TuiApp", self.app)
        app.start_task(self, method.__name__, lambda: method(self, *args, **kwargs))

    return cast("Callable[Concatenate[Node, P], None]", start)
