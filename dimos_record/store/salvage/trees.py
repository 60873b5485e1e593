"""Which pages belong to which table, as far as a damaged file says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple

from dimos_record.store.connection import quote_name
from dimos_record.store.salvage.btree import (
    INDEX_INTERIOR,
    INDEX_LEAF,
    TABLE_INTERIOR,
    TABLE_LEAF,
    Cell,
    Record,
    cells,
    children,
    is_leaf,
    kind_of,
    payload,
    record,
)
from dimos_record.store.salvage.pages import Pages

_LONGEST = 1_000_000_000
"""SQLite stores nothing longer."""

Source = tuple[str, int]
"""Where a page is: ("page", its number), ("log", its place in the log), or ("file", its number), as
the file has it beneath the log."""


class Tree(NamedTuple):
    """The pages of a table that have content, in order."""

    pages: tuple[int, ...]
    broken: int
    """Pages that belong to it and cannot be read."""


NO_TREE = Tree((), 0)
_DESCRIBING = (
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_CREATE_INDEX,  # of a primary key
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,  # in a default, which nobody asks for
)


def _only_describing(action: int, first: str | None, *_: str | None) -> int:
    """Let SQLite do no more than note down a table: not fill it, nor open other files."""
    is_question = action == sqlite3.SQLITE_PRAGMA and first == "table_info"
    return sqlite3.SQLITE_OK if action in _DESCRIBING or is_question else sqlite3.SQLITE_DENY


class Trees:
    """All tables of a file, by name in lower case; and the pages that belong to none."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.reached: set[int] = {1}
        """Pages that are in a tree."""
        self._roots: dict[str, int] = {}
        self._sql: dict[str, str] = {}
        listed = self._walk(1)
        for row in self.records(listed):
            if len(row) == 5 and isinstance(row[1], str) and isinstance(row[3], int) and row[3] > 1:
                self._roots[row[1].lower()] = row[3]
                self._sql[row[1].lower()] = str(row[4])
        self.list_is_whole = bool(self._roots) and not listed.broken
        """Whether the list of the tables could be read: else some are found by their look."""

    @property
    def names(self) -> list[str]:
        """Tables and indexes that the file says it has."""
        return list(self._roots)

    def tree(self, name: str) -> Tree:
        """The pages of a table or an index; none of one that is not there."""
        root = self._roots.get(name.lower())
        return NO_TREE if root is None else self._walk(root)

    def columns(self, name: str) -> list[str]:
        """The columns of a table, in order; none if that is not known.

        What the file says that the table is, SQLite reads, and nothing else of it is done.
        """
        scratch = sqlite3.connect(":memory:")
        scratch.set_authorizer(_only_describing)
        try:
            scratch.execute(self._sql.get(name.lower(), ""))
            found = scratch.execute(f"PRAGMA table_info({quote_name(name)})").fetchall()
        except (sqlite3.Error, sqlite3.Warning, ValueError):
            found = []
        finally:
            scratch.close()
        return [str(row[1]) for row in found]

    def _walk(self, root: int) -> Tree:
        """The pages below a root that are of its kind."""
        kind = kind_of(self.pages[root], root)
        kinds = (TABLE_LEAF, TABLE_INTERIOR)
        if kind in (INDEX_LEAF, INDEX_INTERIOR):
            kinds = (INDEX_LEAF, INDEX_INTERIOR)
        found, seen, broken = [], set(), 0
        waiting = [root]
        while waiting:
            number = waiting.pop()
            page = self.pages[number]
            if number in seen or kind_of(page, number) not in kinds:
                broken += 1
                continue
            seen.add(number)
            waiting += reversed(children(page, number))
            if kind_of(page, number) != TABLE_INTERIOR:
                found.append(number)
        self.reached |= seen
        return Tree(tuple(found), broken)

    def records(self, tree: Tree) -> Iterator[Record]:
        """The rows of a table; the number of a row stands in front."""
        for number in tree.pages:
            yield from self.records_on(("page", number))

    def records_on(self, source: Source) -> Iterator[Record]:
        """The rows on one page."""
        for cell in self.cells_on(source):
            values = record(self.payload(cell) or b"")
            if values is not None:
                yield (cell.rowid, *values[1:]) if cell.rowid and values[:1] == (None,) else values

    def cells_on(self, source: Source) -> Iterator[Cell]:
        """The entries on one page."""
        where, at = source
        if where == "log":
            return cells(self.pages.in_log(at))
        if where == "file":
            return cells(self.pages.in_file(at))
        return cells(self.pages[at], at)

    def payload(self, cell: Cell) -> bytes | None:
        """The whole payload of an entry; None if a part of it is missing."""
        if cell.size > _LONGEST:
            return None
        return payload(cell, self.pages.__getitem__)

    def strays(self) -> Iterator[Source]:
        """Leaves of tables that belong to no tree any more; ask when all trees have been read.

        What was deleted is none of them, unless the log is damaged: it may have been moved, and
        where it was moved to lost.
        """
        damaged = self.pages.log.damaged > 0
        free = set() if damaged else self._free()
        for number in self.pages.numbers():
            if number == 1 or number in self.reached or number in free:
                continue
            if self.pages.begin(number, 1) == bytes([TABLE_LEAF]) and is_leaf(self.pages[number]):
                yield "page", number
        for at in self.pages.log.older:
            if is_leaf(self.pages.in_log(at)):
                yield "log", at
        for number in self.pages.log.pages if damaged else ():
            if is_leaf(self.pages.in_file(number)):
                yield "file", number

    def look_for(self, fits: Callable[[Record], bool]) -> Iterator[Record]:
        """The rows on all pages that have no place yet and whose first row fits."""
        for source, first in self._first_rows:
            if fits(first):
                yield from (row for row in self.records_on(source) if fits(row))

    @cached_property
    def _first_rows(self) -> list[tuple[Source, Record]]:
        indexes: list[Source] = [
            ("page", number)
            for number in self.pages.numbers()
            if number not in self.reached and self.pages.begin(number, 1) == bytes([INDEX_LEAF])
        ]
        sources = (*self.strays(), *indexes)
        firsts = ((source, next(self.records_on(source), None)) for source in sources)
        return [(source, first) for source, first in firsts if first is not None]

    def _free(self) -> set[int]:
        """Pages that are in use by nothing: what is on them was deleted."""
        header = self.pages.begin(1, 40)
        trunk = int.from_bytes(header[32:36], "big")
        free: set[int] = set()
        while trunk and trunk not in free and 1 < trunk <= self.pages.count:
            free.add(trunk)
            page = self.pages[trunk]
            count = min(int.from_bytes(page[4:8], "big"), len(page) // 4)
            numbers = (
                int.from_bytes(page[at : at + 4], "big") for at in range(8, 8 + 4 * count, 4)
            )
            free.update(numbers)
            trunk = int.from_bytes(page[:4], "big")
        return free
