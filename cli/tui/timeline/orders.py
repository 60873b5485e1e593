"""What keys order to be done to a recording: in a thread, one after another."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from textual.dom import DOMNode

from dimos_record.errors import DimosRecordError

T = TypeVar("T")


class Order(NamedTuple):
    """Something to be done."""

    work: Callable[[], Any]
    """Runs in a thread."""
    then: Callable[[Any], object]
    """Gets what came of it, on the screen's thread, before the next order begins."""
    failed: Callable[[Exception], object]
    """Gets the error that came of it instead."""


class Orders:
    """Carries out orders in the order in which they were given.

    Args:
        node: whose orders they are; they end with it.
        look: looks, in a thread, how things stand; after every order, and whenever asked to.
        show: gets what was seen, on the screen's thread.
        failed: gets the error, if it could not be seen.
    """

    def __init__(
        self,
        node: DOMNode,
        look: Callable[[], Any],
        show: Callable[[Any], object],
        failed: Callable[[Exception], object],
    ) -> None:
        self._node = node
        self._look = Order(look, show, failed)
        self._waiting: deque[Order] = deque()
        self._running = False
        self.lock = threading.Lock()
        """Held while an order is carried out, and by what must not happen meanwhile."""

    @property
    def settled(self) -> bool:
        """Whether everything is done."""
        return not self._running and not self._waiting

    def give(self, order: Order) -> None:
        """Have something done after all that was ordered before."""
        self._waiting.append(order)
        self.look()

    async def done(self, work: Callable[[], T]) -> T:
        """Have something done after all that was ordered before, and wait for it.

        Raises:
            DimosRecordError: what it raised.
        """
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.give(Order(work, outcome.set_result, outcome.set_exception))
        return await outcome

    def look(self) -> None:
        """Do what is to be done, and look how things stand."""
        if not self._running:
            self._running = True
            self._node.run_worker(self._run(), group="orders")

    async def _run(self) -> None:
        try:
            await self._carry_out(self._waiting.popleft() if self._waiting else None)
            while self._waiting:
                await self._carry_out(self._waiting.popleft())
        finally:
            self._running = False

    async def _carry_out(self, order: Order | None) -> None:
        for each in (order, self._look) if order is not None else (self._look,):
            try:
                result = await asyncio.to_thread(self._locked, each.work)
            except (DimosRecordError, OSError) as error:
                each.failed(error)
            else:
                if self._node.is_running:
                    each.then(result)

    def _locked(self, work: Callable[[], Any]) -> Any:
        with self.lock:
            return work()
