"""What can go wrong, one class per kind of failure.

Every message is one sentence that names the file, topic or option and says what to do. The CLI
prints it and exits with ``exit_code``; `docs/reference/cli.md` lists the codes.
"""

from __future__ import annotations

_LONGEST_REASON = 200
_LONGEST_SENTENCE, _BEGINNING = 2000, 1500


def reason(error: BaseException) -> str:
    """Why another library has failed, for a sentence of ours: in one line, and not too long."""
    text = printable(" ".join(str(error).split())).rstrip(".")
    short = text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."
    return short or type(error).__name__


def printable(text: str) -> str:
    """A text with escapes in the place of what cannot be printed: a terminal obeys it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class DimosRecordError(Exception):
    """Base of every error this library raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        """The sentence, in one line: names from files and buses may hold what a terminal obeys.

        Of one that quotes very much, the beginning and the end.
        """
        text = str(self.args[0]) if self.args else ""
        if len(text) > _LONGEST_SENTENCE:
            text = f"{text[:_BEGINNING]} ... {text[_BEGINNING - _LONGEST_SENTENCE :]}"
        return printable(text)


class OptionError(DimosRecordError, ValueError):
    """An argument or option has a value that makes no sense (a rate of 0, an empty name)."""

    exit_code = 2


class PatternError(OptionError):
    """A topic pattern that cannot be read."""


class MissingExtra(DimosRecordError, ImportError):
    """A feature needs an optional package that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra {extra!r}; install it with: "
            f"pip install 'dimos-record[{extra}]'"
        )


class RecordingNotFound(DimosRecordError, FileNotFoundError):
    """There is no file or folder of that name."""

    exit_code = 3


class RecordingExists(DimosRecordError, FileExistsError):
    """The target exists already and nobody said to append or overwrite."""

    exit_code = 3


class AmbiguousName(DimosRecordError):
    """A bare recording name exists in more than one place."""

    exit_code = 3


class NotARecording(DimosRecordError):
    """The file or folder is something else than a recording."""

    exit_code = 4


class NotSqlite(NotARecording):
    """A file does not begin as SQLite's do; it may be a recording that has lost its beginning."""


class RecordingDamaged(DimosRecordError):
    """The recording is truncated or corrupt."""

    exit_code = 4


class RecordingUnsound(DimosRecordError):
    """The recording can be read, and something should be done about it (`doctor`)."""

    exit_code = 6


class MessagesMissing(DimosRecordError):
    """Not every message of a damaged recording could be saved (`recover`)."""

    exit_code = 6


class NewerSchema(DimosRecordError):
    """The recording was written by a newer dimos-record than this one."""

    exit_code = 4


class RecordingBusy(DimosRecordError):
    """Another process is writing to the recording."""

    exit_code = 5


class StorageError(DimosRecordError):
    """The recording cannot be read or written: permission, read-only media, I/O."""

    exit_code = 5


class DiskFull(StorageError):
    """No room is left, or so little that recording stopped before the disk was full."""


class RecordingGone(StorageError):
    """The file was removed, renamed or replaced while it was recorded into."""


class UnknownTopic(DimosRecordError, KeyError):
    """The recording has no such topic or stream."""

    exit_code = 6


class CodecError(DimosRecordError):
    """A stored payload cannot be turned back into wire bytes, or the other way round."""

    exit_code = 6


class DecodeError(DimosRecordError):
    """A message's bytes do not decode as its type."""

    exit_code = 6


class EditError(DimosRecordError):
    """An edit changes nothing or cannot be made, or a recording's edits stand in the way."""

    exit_code = 6


class BusError(DimosRecordError):
    """The bus cannot be reached, or its URL is not one."""

    exit_code = 7


class ChannelTooLong(BusError):
    """The name of a topic with its type is longer than the bus can carry."""


class PublisherConflict(DimosRecordError):
    """Somebody else publishes a topic that is about to be replayed, or runs a blueprint there."""

    exit_code = 8


class CommandsRefused(DimosRecordError):
    """Commands would be played to machines beyond this one, and nobody allowed that."""

    exit_code = 8


class PlanError(DimosRecordError):
    """A blueprint and a recording do not fit: no stream in common, types that differ."""

    exit_code = 6


class NotRunning(DimosRecordError):
    """No running dimos blueprint answers, or it has no such module."""

    exit_code = 7


class MessagesLost(DimosRecordError):
    """Messages were lost while recording in strict mode."""

    exit_code = 9


class GitError(DimosRecordError):
    """Git or Git LFS is missing, or does not do what publishing or fetching needs."""
