"""Names as attributes: `rec.streams.odom`, `rec.topics["/odom"]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Namespace(Generic[Item]):
    """Items by name, as attributes and by index; iterates over the names.

    It has no methods with plain names, so that an item may be called `start`, `stop` or `items`.
    """

    def __init__(self, names: Callable[[], Sequence[str]], item: Callable[[str], Item]) -> None:
        self.__names = names
        self.__item = item

    def __getitem__(self, name: str) -> Item:
        return self.__item(name)

    def __getattr__(self, name: str) -> Item:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.__item(name)
        except KeyError as error:
            raise AttributeError(str(error)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.__names())

    def __len__(self) -> int:
        return len(self.__names())

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and self.__item(name) is not None
        except KeyError:
            return False

    def __dir__(self) -> list[str]:
        return [name.strip("/").replace("/", "__") for name in self.__names()]

    def __repr__(self) -> str:
        return f"<{', '.join(self.__names())}>"
