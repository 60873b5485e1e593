"""Names as attributes: `rec.streams.odom`, `rec.topics["/odom"]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from dimos_record.errors import DimosRecordError, UnknownTopic
from dimos_record.store.base import StreamInfo

Item = TypeVar("Item")


class Namespace(Generic[Item]):
    """Items by name, as attributes and by index; iterates over the names.

    It has no methods with plain names, so that an item may be called `start`, `stop` or `items`.

    Args:
        names: the names to iterate over.
        find: the stream of a name, of a topic, or of a topic without its first slash.
        item: what to give for a stream.
        attributes: the names to complete with the tab key; stream names, which are identifiers.
    """

    def __init__(
        self,
        names: Callable[[], Sequence[str]],
        find: Callable[[str], StreamInfo],
        item: Callable[[StreamInfo], Item],
        attributes: Callable[[], Sequence[str]],
    ) -> None:
        self.__names = names
        self.__find = find
        self.__item = item
        self.__attributes = attributes

    def __getitem__(self, name: str) -> Item:
        return self.__item(self.__find(name))

    def __getattr__(self, name: str) -> Item:
        if name.startswith(("__", "_Namespace__")):
            raise AttributeError(name)
        try:
            return self[name]
        except UnknownTopic as error:
            raise AttributeError(str(error)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.__names())

    def __len__(self) -> int:
        return len(self.__names())

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(self.__find(name))
        except UnknownTopic:
            return False

    def __dir__(self) -> list[str]:
        try:
            return sorted(self.__attributes())
        except DimosRecordError:  # completing a name in a shell is no place to fail
            return []

    def __repr__(self) -> str:
        try:
            return f"<{', '.join(self)}>"
        except DimosRecordError as error:
            return f"<{error}>"
