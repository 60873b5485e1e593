"""What every bus offers, and how topics are selected on it.

A bus moves raw bytes between named channels. A *topic* is the name people use (`/odom`); a
*channel* is its name on the wire, which on LCM also carries the type
(`/odom#geometry_msgs.PoseStamped`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from dimos_record.errors import BusError, PatternError

OnMessage = Callable[[str, bytes], None]
"""Called with (channel, data) on the bus's own thread; it must return quickly."""

Arrival = tuple[int, str, bytes]
"""(time of arrival on the scale of `time.monotonic_ns()`, channel, data)"""

OnArrivals = Callable[[list[Arrival]], None]
"""Called with one or more messages, in order of arrival, on the bus's own thread."""


def split_channel(channel: str) -> tuple[str, str | None]:
    """Split a wire name into topic and type name; the type is None where one of them is missing.

    >>> split_channel("/odom#geometry_msgs.PoseStamped")
    ('/odom', 'geometry_msgs.PoseStamped')
    """
    topic, _, type_name = channel.partition("#")
    return (topic, type_name) if topic and type_name else (channel, None)


def join_channel(topic: str, type_name: str | None) -> str:
    """The wire name of a topic: the opposite of `split_channel`."""
    return f"{topic}#{type_name}" if type_name else topic


def glob_to_regex(pattern: str) -> str:
    """Translate a topic pattern into a regular expression (PCRE and Python alike).

    ``*`` matches within one level of the name, ``**`` across levels, ``?`` one character,
    ``[abc]`` one of them, ``[!abc]`` one other, ``{a,b}`` either. A lone ``*`` matches every
    topic, ``*#TYPE`` every topic of a type. A pattern without ``#`` matches the topic with any
    type. A name that starts without ``/`` is also found with one.

    Raises:
        PatternError: the pattern is empty or a bracket in it is not closed.
    """
    if not pattern or pattern.isspace():
        raise PatternError("an empty topic pattern matches nothing; name a topic or use '*'")
    if not pattern.isprintable():
        raise PatternError(f"topic pattern {pattern!r} has characters that no topic can have")
    if pattern in ("*", "**"):
        return _ANYTHING
    topic, separator, type_pattern = pattern.partition("#")
    regex = _translate("**" if topic == "*" else topic, pattern)
    if not topic.startswith("/"):
        regex = "/?" + regex
    return regex + (
        "\\#" + _translate(type_pattern, pattern) if separator else f"(?:\\#{_ANYTHING})?"
    )


def several(topics: str | Iterable[str]) -> tuple[str, ...]:
    """One topic or pattern, or any number of them, as a tuple."""
    return (topics,) if isinstance(topics, str) else tuple(topics)


def literal(topic: str) -> str:
    """The pattern that matches one topic, with any type, whatever characters are in its name.

    A character that no pattern can have matches any; a name without a slash at its start is also
    found with one.
    """
    return "".join(_LITERAL.get(char, char if char.isprintable() else "?") for char in topic) or "?"


_LITERAL = {char: f"[{char}]" for char in "*?[{} "} | {"]": "[\\-^]"}  # a range around the bracket
_ANYTHING = r"[\s\S]*"  # a dot would not match a line feed, which no rule forbids in a name
_END = r"(?![\s\S])"  # the end, in Python and PCRE alike
_HAS_ATOMIC = sys.version_info >= (3, 11)
"""Whether Python's regular expressions know `(?>...)`, as PCRE does."""
_MOST_AMBIGUOUS = 2


class _Piece(NamedTuple):
    """A part of a pattern as a regular expression."""

    regex: str
    kind: Literal["*", "**", "one", "slash", "some", "wild"]
    """A wildcard; one character that is no slash; a slash; what may be either or of several
    lengths; alternatives with wildcards in them."""


def _translate(glob: str, whole: str) -> str:
    pieces = _pieces(glob, whole)
    out: list[str] = []
    ambiguous = i = 0
    while i < len(pieces):
        piece, i = pieces[i], i + 1
        if piece.kind not in ("*", "**"):
            out.append(piece.regex)
            ambiguous += piece.kind == "wild"
            continue
        end = next((j for j in range(i, len(pieces)) if pieces[j].kind in ("*", "**")), None)
        kinds = {other.kind for other in pieces[i:end]}
        if end is None or (piece.kind == "*" and "slash" in kinds):
            out.append(piece.regex)  # there is one way at most to get past it
        elif _takes_first(piece.kind, kinds, pieces[end].kind):
            behind = "".join(other.regex for other in pieces[i:end])
            out.append(f"(?>{piece.regex}?{behind})")
            i = end
        else:
            out.append(piece.regex)
            ambiguous += 1
    if ambiguous > _MOST_AMBIGUOUS:
        raise PatternError(
            f"topic pattern {whole!r} has too many wildcards that can match the same part of a "
            "name; write fewer, or several patterns"
        )
    return "".join(out)


def _takes_first(kind: str, behind: Set[str], following: str) -> bool:
    """Whether a wildcard needs to try only the first place where what is behind it fits.

    So it is where the wildcard that follows can match all that lies between that and a later one.
    Without it, the time to find out that a name does not match grows with a power of its length.
    """
    return (
        _HAS_ATOMIC and not behind & {"some", "wild"} and (kind == following or following == "**")
    )


def _pieces(glob: str, whole: str) -> list[_Piece]:
    found: list[_Piece] = []
    i = 0
    while i < len(glob):
        char = glob[i]
        if glob.startswith("**", i):
            if not found or found[-1].kind != "**":
                found.append(_Piece("[^#]*", "**"))
            i += 1
        elif char == "*":
            found.append(_Piece("[^/#]*", "*"))
        elif char == "?":
            found.append(_Piece("[^/#]", "one"))
        elif char in "[{":
            end = glob.find("]" if char == "[" else "}", i + 1)
            if end <= i + 1:
                fault = "is not closed" if end < 0 else "encloses nothing"
                raise PatternError(f"topic pattern {whole!r}: {char!r} {fault}")
            inner = glob[i + 1 : end]
            found.append(_alternatives(inner, whole) if char == "{" else _bracket(inner, whole))
            i = end
        elif char in "]}":
            raise PatternError(f"topic pattern {whole!r}: {char!r} closes nothing")
        else:
            found.append(_Piece(re.escape(char), "slash" if char == "/" else "one"))
        i += 1
    return found


def _alternatives(inner: str, whole: str) -> _Piece:
    either = "|".join(_translate(part, whole) for part in inner.split(","))
    return _Piece(f"(?:{either})", "wild" if "*" in inner else "some")


def _bracket(inner: str, whole: str) -> _Piece:
    negated = inner[0] in "!^"
    body = re.escape(inner[1:] if negated else inner)
    body = re.sub(r"(?<=.)\\-(?=.)", "-", body)  # a range; at an end it is a hyphen
    if not body:
        raise PatternError(f"topic pattern {whole!r}: the brackets are empty")
    characters = f"[^/#{body}]" if negated else f"[{body}]"
    try:
        may_be_slash = re.search(characters, "/#") is not None
    except re.error as error:
        raise PatternError(f"topic pattern {whole!r}: {error}") from None
    return _Piece(characters, "some" if may_be_slash else "one")


@dataclass(frozen=True)
class Selection:
    """Which topics are wanted: any of `include` and none of `exclude` (topic patterns).

    An empty `include` selects nothing. LCM's own self-test channel is never selected.
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()

    @classmethod
    def of(cls, include: Iterable[str] = ("*",), exclude: Iterable[str] = ()) -> Selection:
        """Build a selection and check its patterns at once.

        Raises:
            PatternError: a pattern cannot be read.
        """
        selection = cls(tuple(include), tuple(exclude))
        _ = selection.compiled
        return selection

    @cached_property
    def regex(self) -> str:
        """One regular expression for the whole selection, to be anchored at both ends."""
        if not self.include:
            return "(?!)"
        refused = "|".join(["LCM_SELF_TEST", *map(glob_to_regex, self.exclude)])
        wanted = "|".join(map(glob_to_regex, self.include))
        return f"(?!(?:{refused}){_END})(?:{wanted})"

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The selection as a compiled Python pattern, to be used with `fullmatch`."""
        try:
            return re.compile(self.regex)
        except re.error as error:
            patterns = ", ".join(map(repr, self.include + self.exclude))
            raise PatternError(f"topic pattern {patterns}: {error}") from None

    def matches(self, channel: str) -> bool:
        """Whether a channel (with or without its type) is selected."""
        return self.compiled.fullmatch(channel) is not None

    def without(self, topics: Iterable[str]) -> Selection:
        """The same selection less some topics, which are names and not patterns."""
        return Selection(self.include, (*self.exclude, *map(literal, topics)))


@dataclass(frozen=True)
class Sender:
    """Who was heard on a bus, and how much of what it sent has come here."""

    address: str
    """Where it sends from: '127.0.0.1:45123'."""
    received: int
    """Messages, selected or not."""
    lost: int
    """Messages that it sent since it was first heard and that never came here complete."""
    lost_channels: dict[str, int]
    """Of the lost ones, per channel, those whose channel is known (that of a gap is not)."""
    dropped_channels: dict[str, int] = field(default_factory=dict)
    """Of these, those that came complete and found no room, since nobody took what waited."""


class Subscription(Protocol):
    """A running subscription. Close it from any thread, also from its own callback."""

    @property
    def selection(self) -> Selection:
        """What is being received."""

    def reselect(self, selection: Selection) -> None:
        """Change what is received, without losing or doubling a message of what stays selected."""

    @property
    def failure(self) -> BusError | None:
        """Why nothing is received any more; None as long as the bus works."""

    def catch_up(self, timeout_s: float) -> bool:
        """Wait until what had arrived before the call is delivered; not possible in a callback.

        Returns:
            False if that took longer than `timeout_s`.
        """

    def close(self) -> None:
        """End the subscription; after this returns the callback is not called any more."""


@runtime_checkable
class Bus(Protocol):
    """A connection to a message bus. It is a context manager and owns its thread and sockets."""

    @property
    def url(self) -> str:
        """The URL that the bus was opened with, defaults filled in."""

    @property
    def is_local(self) -> bool:
        """Whether what is published cannot leave this machine."""

    @property
    def reach(self) -> str:
        """Where published messages go, for people: 'LCM 239.255.76.67:7667 (this machine only)'."""

    def publish(self, channel: str, data: bytes) -> None:
        """Send raw bytes.

        Raises:
            ChannelTooLong: the bus cannot carry a channel name of this length.
            BusError: the bus is closed, or sending failed.
        """

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Send many messages, (channel, data), in order and without a pause between them.

        They are taken once, in order. A bus that calls receivers of this process before it returns
        takes each only when the one before is delivered, so that a receiver may end them.

        Raises:
            ChannelTooLong, BusError: as `publish`; those before the one at fault may be sent.
        """

    def subscribe(self, selection: Selection, on_message: OnMessage) -> Subscription:
        """Receive every message on the selected channels, raw, on the bus's own thread."""

    def subscribe_arrivals(self, selection: Selection, on_arrivals: OnArrivals) -> Subscription:
        """Like `subscribe`, but in batches, each message with the time at which it arrived."""

    def lost_before_reception(self) -> int | None:
        """Packets the kernel dropped since the bus was opened; None where that is not known."""

    def senders(self) -> list[Sender]:
        """Who was heard since the bus was opened, and what of theirs was lost.

        Empty where that is not known.
        """

    def check_channel(self, channel: str) -> None:
        """Raise `ChannelTooLong` if the bus cannot carry a channel of this name."""

    def close(self) -> None:
        """End every subscription and release threads and sockets. Closing twice is harmless."""

    def __enter__(self) -> Bus: ...

    def __exit__(self, *exc: object) -> None: ...
