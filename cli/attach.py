"""`dimos-record attach` and `detach`: a recorder inside the running robot."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING, Annotated

import typer

from dimos_record.cli.needs_dimos import Modules, Transport, need_running_dimos
from dimos_record.cli.running import Json, say

if TYPE_CHECKING:
    from dimos_record.store.base import SessionInfo


def attach(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The recording to write: walk.db")],
    topics: Annotated[
        list[str] | None,
        typer.Argument(metavar="TOPIC", help="Topics to record, patterns allowed; none means all."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", "-x", metavar="TOPIC", help="A topic to leave out; repeatable."),
    ] = None,
    modules: Modules = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add a session to an existing recording.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing recording.")
    ] = False,
    transport: Transport = None,
) -> None:
    """Load a recorder into a running blueprint.

    It records what the modules publish, also those that are loaded later, until `detach` or until
    the robot stops; the file is finished then. The robot writes the file, so it must be one that
    runs on this machine.

    Examples:

      dimos-record attach walk.db

      dimos-record attach walk.db --module Go2Connection --exclude '/camera/*'
    """
    need_running_dimos("attaching a recorder")
    from dimos_record.errors import OptionError
    from dimos_record.integrations.dimos.attaching import attach as attach_to
    from dimos_record.integrations.dimos.running import connected

    if append and overwrite:
        raise OptionError("--append and --overwrite contradict each other; give one of them")
    with connected(transport=transport) as robot:
        recorder = attach_to(
            robot,
            file,
            modules=modules or (),
            topics=topics or (),
            exclude=exclude or (),
            append=append,
            overwrite=overwrite,
        )
    print(f"Recording {_many(recorder.topics)} to {recorder.path}: {_list(recorder.topics)}")
    say("End it with: dimos-record detach")


def detach(transport: Transport = None, as_json: Json = False) -> None:
    """End the recorder of `attach`, and print its account.

    Takes it out of the running blueprint on this machine, and returns when the file is finished.

    Examples:

      dimos-record detach

      dimos-record detach --json
    """
    need_running_dimos("detaching a recorder")
    from dimos_record.cli.account import account_as_json, loss_sentence
    from dimos_record.cli.tables import print_json
    from dimos_record.integrations.dimos.attaching import detach as detach_from
    from dimos_record.integrations.dimos.running import connected
    from dimos_record.store.base import StreamAccount

    with connected(transport=transport) as robot:
        path, session = detach_from(robot)
    if as_json:
        streams = {name: account_as_json(one) for name, one in session.accounts.items()}
        print_json({"path": path, "elapsed_s": _elapsed_s(session), "streams": streams})
        return
    total = sum(session.accounts.values(), StreamAccount())
    print(
        f"{path}: {total.written:,} messages of {_many(session.accounts)} in "
        f"{_elapsed_s(session):.1f} s"
    )
    print(loss_sentence(total.dropped, session.lost_before_reception, session.senders))


def _elapsed_s(session: SessionInfo) -> float:
    return ((session.stop_ns or session.start_ns) - session.start_ns) / 1e9


def _many(topics: Sized) -> str:
    return "1 topic" if len(topics) == 1 else f"{len(topics)} topics"


def _list(topics: tuple[str, ...]) -> str:
    from dimos_record.cli.text import printable

    return printable(" ".join(topics))
