"""Work beside the screen of which only the latest request counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from textual.widget import Widget

from dimos_record.cli.tui.frame import tui
from dimos_record.errors import DimosRecordError

Request = TypeVar("Request")
Result = TypeVar("Result")


class Latest(Generic[Request, Result]):
    """Runs work in a thread, one request after another; those that were overtaken are left out.

    Args:
        widget: whose work it is; it ends with the widget.
        work: called in a thread with a request and a function that says whether the request was
            overtaken; then it may return None.
        done: called on the screen's thread with what came of the latest request.
    """

    def __init__(
        self,
        widget: Widget,
        work: Callable[[Request, Callable[[], bool]], Result | None],
        done: Callable[[Request, Result], Any],
    ) -> None:
        self._widget, self._work, self._done = widget, work, done
        self._wanted: Request | None = None
        self._running = False

    @property
    def running(self) -> bool:
        """Whether something is still to come."""
        return self._running

    def ask(self, request: Request) -> None:
        """Want this now, and nothing that was asked for before."""
        self._wanted = request
        if not self._running:
            self._running = True
            self._widget.run_worker(self._run(), group="latest")

    async def _run(self) -> None:
        try:
            while (request := self._wanted) is not None:
                await self._serve(request)
        finally:
            self._running = False

    async def _serve(self, request: Request) -> None:
        result = None
        try:
            result = await asyncio.to_thread(self._work, request, self._overtaken(request))
        except (DimosRecordError, OSError) as error:
            if self._wanted is request:
                tui(self._widget).complain(error)
        if self._wanted is request:
            self._wanted = None
            if result is not None:
                self._done(request, result)

    def _overtaken(self, request: Request) -> Callable[[], bool]:
        return lambda: self._wanted is not request or not self._widget.is_attached
