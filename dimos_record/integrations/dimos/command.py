"""dimos's own command line, and the places in it where a run can be changed.

dimos has no hooks for that, so functions of `dimos.cli.commands.lifecycle` are wrapped in this
process. A test fails when one of them is gone.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from dimos.cli import dimos as command_line
from dimos.cli.commands import lifecycle
from dimos.cli.commands.global_options import create_dynamic_callback
from dimos.core import run_registry
from dimos.core.coordination.blueprints import Blueprint
from dimos.core.coordination.coordinator_rpc import CoordinatorRPC
from dimos.core.coordination.module_coordinator import ModuleCoordinator
from dimos.core.global_config import global_config

from dimos_record.errors import DimosRecordError, PublisherConflict
from dimos_record.integrations.dimos.remote_errors import error_in, from_text, to_text

app = command_line.main
"""dimos's typer application."""
normalized = command_line.normalize_argv
"""dimos's own treatment of options that may lack their value."""
dimos_options = create_dynamic_callback
"""Makes the function that takes dimos's global options."""


def change_runs(
    change: Callable[[Blueprint], Blueprint],
    while_running: Callable[[ModuleCoordinator], AbstractContextManager[object]],
) -> None:
    """Let every `run` of this process start a changed blueprint.

    Args:
        change: called with the blueprint before anything starts, in the process that the user
            started; what it raises ends the command.
        while_running: entered in the coordinator's process when all modules have started.
    """
    with_relay_bridge = lifecycle._with_relay_bridge
    lifecycle._with_relay_bridge = lambda blueprint: change(with_relay_bridge(blueprint))
    run_registry.generate_run_id = functools.cache(run_registry.generate_run_id)
    status = _DaemonStatus()
    lifecycle.fork_daemon = status.remembering(lifecycle.fork_daemon)
    lifecycle.read_daemon_status = _raising(lifecycle.read_daemon_status)
    lifecycle._run_registered = _reporting(lifecycle._run_registered, while_running, status)


def run_id_for(blueprint_name: str) -> str:
    """The id that the run about to start will have: `20261120-101530-1a2b-unitree-go2`.

    Only after `change_runs`.
    """
    run_id: str = run_registry.generate_run_id(blueprint_name)
    return run_id


def play_with_dimos(wanted: bool) -> None:
    """Turn dimos's own `--replay` on or off, also for blueprints that are composed by it.

    As a setting of the environment it can still be taken back once the blueprint is known.
    """
    global_config.update(replay=wanted)
    os.environ["REPLAY"] = "true" if wanted else "false"


def refuse_second_run() -> None:
    """A requirement of a blueprint: that no other is running on the bus.

    Coordinators reach modules by their names, so that a second run builds and starts those of the
    first once more; dimos refuses it only after that.

    Raises:
        PublisherConflict: another is running.
    """
    try:
        other = CoordinatorRPC.connect(timeout=_ANSWER_TIMEOUT_S)
    except TimeoutError:
        return
    other.stop()
    raise PublisherConflict(
        f"a blueprint is running on {global_config.transport} already; end it first with: "
        "dimos stop"
    )


_ANSWER_TIMEOUT_S = 0.5


def raise_ours(error: BaseException) -> None:
    """Raise the error of ours that is behind what dimos raised, if there is one."""
    ours = error_in(error)
    if ours is not None:
        raise ours from None


class _DaemonStatus:
    """How a daemon tells the process that started it what became of it."""

    def __init__(self) -> None:
        self.fd: int | None = None

    def remembering(self, fork: Callable[[Path], tuple[int, int]]) -> Callable[..., Any]:
        def fork_daemon(log_dir: Path) -> tuple[int, int]:
            group, fd = fork(log_dir)
            self.fd = None if group else fd
            return group, fd

        return fork_daemon

    def fail(self, error: DimosRecordError) -> None:
        """End this daemon before it has started: the error is said where it was started."""
        if self.fd is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            os.write(self.fd, (json.dumps({"ok": False, _ERROR: to_text(error)}) + "\n").encode())
            os._exit(error.exit_code)


_ERROR = "dimos_record_error"


def _raising(read: Callable[[int], dict[str, Any] | None]) -> Callable[..., Any]:
    def read_daemon_status(fd: int) -> dict[str, Any] | None:
        status = read(fd)
        if status and _ERROR in status:
            raise from_text(status[_ERROR])
        return status

    return read_daemon_status


def _reporting(
    run: Callable[..., None],
    while_running: Callable[[ModuleCoordinator], AbstractContextManager[object]],
    status: _DaemonStatus,
) -> Callable[..., None]:
    def run_registered(*args: Any, on_ready: Any = None, **kwargs: Any) -> None:
        started = False

        def ready(coordinator: ModuleCoordinator) -> None:
            nonlocal started
            until_the_end.enter_context(while_running(coordinator))
            if on_ready is not None:
                on_ready(coordinator)
            started = True

        with ExitStack() as until_the_end:
            try:
                run(*args, on_ready=ready, **kwargs)
            except Exception as error:
                ours = error_in(error)
                if ours is None:
                    raise
                if not started:
                    status.fail(ours)
                raise ours from None

    return run_registered
