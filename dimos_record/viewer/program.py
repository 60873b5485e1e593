"""The viewer's own program, `rerun`, as a process of this machine.

Rerun's Python functions for this (`spawn`, `serve_grpc`, `serve_web_viewer`) listen on every
interface of the network. The program can be told to stay on loopback.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import time
from pathlib import Path

from dimos_record.errors import DimosRecordError, MissingExtra, OptionError

LOOPBACK = "127.0.0.1"
GRPC_PORT = 9876
WEB_PORT = 9090
_STARTS_WITHIN_S = 60.0


def need_rerun() -> None:
    """Check that the viewer is installed.

    Raises:
        MissingExtra: it is not.
    """
    if importlib.util.find_spec("rerun") is None:
        raise MissingExtra("the viewer", "view")


def grpc_url(port: int) -> str:
    """Where a viewer of this machine takes messages."""
    return f"rerun+http://{LOOPBACK}:{port}/proxy"


def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection((host, port), timeout=2.0).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A TCP port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def check_display() -> None:
    """Check that windows can be opened.

    Raises:
        OptionError: there is no display.
    """
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise OptionError(
            "there is no display for the viewer's window; use --web for a browser, --connect URL "
            "for a viewer elsewhere, or --save FILE.rrd"
        )


def start(arguments: list[str], port: int) -> subprocess.Popen[bytes]:
    """Start the program and wait until it takes messages; it stays when this process ends.

    Args:
        arguments: further options of `rerun`.
        port: where it is to take messages, on loopback.

    Raises:
        DimosRecordError: it does not start.
    """
    command = [str(_executable()), "--bind", LOOPBACK, "--port", str(port), *arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for this process, which ends the other in its time
        env={**os.environ, "RERUN_APP_ONLY": "true"},
    )
    give_up_s = time.monotonic() + _STARTS_WITHIN_S
    while not listens(LOOPBACK, port):
        if process.poll() is not None or time.monotonic() > give_up_s:
            stop(process)
            raise DimosRecordError(
                f"the viewer did not start (exit code {process.returncode}); try it by hand: "
                + " ".join(command)
            )
        time.sleep(0.05)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the program; harmless if it has ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _executable() -> Path:
    found = importlib.util.find_spec("rerun_cli")
    chosen = os.environ.get("RERUN_CLI_PATH")
    if chosen:
        return Path(chosen)
    if found is None or found.origin is None:
        raise MissingExtra("the viewer", "view")
    return Path(found.origin).with_name("rerun")
