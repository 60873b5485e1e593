"""Where messages go to be seen: a viewer's window, a browser, a viewer elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from dimos_record.errors import BusError, DimosRecordError
from dimos_record.viewer import program

APPLICATION = "dimos-record"
_SCHEMES = ("rerun", "rerun+http", "rerun+https")
_LOOK_EVERY_S = 1.0


@dataclass
class Sink:
    """An open Rerun recording, and where it goes."""

    recording: Any
    """A `rerun.RecordingStream`."""
    place: str
    """For people: `the viewer`, `http://127.0.0.1:9090/...`."""
    url: str
    """Where the viewer takes messages."""

    @property
    def closed(self) -> bool:
        """Whether the viewer has ended, or cannot be reached any more."""
        return not _is_there(self.url)

    def flush(self) -> None:
        """Wait until everything has arrived.

        Raises:
            DimosRecordError: the viewer does not take it any more.
        """
        try:
            _waiting_for(self.recording.flush, self.url)
        except (RuntimeError, ValueError) as error:
            raise DimosRecordError(f"{self.place} takes no more messages: {error}") from error


@contextmanager
def connected(url: str, *, name: str) -> Iterator[Sink]:
    """A viewer that runs already, here or elsewhere.

    Args:
        url: `rerun+http://HOST:PORT/proxy`; of `HOST:PORT` and `HOST` the rest is filled in.
        name: of the recording in the viewer.

    Raises:
        BusError: it is no such URL, or nobody listens there.
    """
    url = viewer_url(url)
    if not _is_there(url):
        raise BusError(f"no viewer listens at {url}; start one there with: rerun")
    with _sending(url, name, f"the viewer at {url}") as sink:
        yield sink


@contextmanager
def window(*, name: str, memory: str) -> Iterator[Sink]:
    """The viewer in a window, which stays when this process ends; one that is open is used again.

    Args:
        name: of the recording in the viewer.
        memory: how much of it the viewer may use before it forgets the oldest: 4GB, 50%.

    Raises:
        OptionError: there is no display.
        DimosRecordError: the viewer does not start.
    """
    if not program.listens(program.LOOPBACK, program.GRPC_PORT):
        program.check_display()
        options = ["--memory-limit", memory, "--hide-welcome-screen", "--expect-data-soon"]
        program.start(options, program.GRPC_PORT)
    with _sending(program.grpc_url(program.GRPC_PORT), name, "the viewer") as sink:
        yield sink


@contextmanager
def browser(*, name: str, memory: str, port: int = program.WEB_PORT) -> Iterator[Sink]:
    """The viewer for a browser of this machine, served as long as the ``with`` block lasts.

    Args:
        name: of the recording in the viewer.
        memory: how much of it the server may use before it forgets the oldest: 4GB, 50%.
        port: where the page is served, on loopback.

    Raises:
        BusError: the port is taken.
        DimosRecordError: the server does not start.
    """
    if program.listens(program.LOOPBACK, port):
        raise BusError(f"port {port} is taken already; choose another one with --port")
    grpc_port = program.free_port()
    options = ["--serve-web", "--web-viewer-port", str(port), "--server-memory-limit", memory]
    process = program.start(options, grpc_port)
    try:
        url = program.grpc_url(grpc_port)
        page = f"http://{program.LOOPBACK}:{port}/?url={quote(url, safe='')}"
        with _sending(url, name, page) as sink:
            yield sink
    finally:
        program.stop(process)


def viewer_url(text: str) -> str:
    """The whole URL of a viewer.

    Raises:
        BusError: it cannot be one.
    """
    url = text if "://" in text else f"rerun+http://{text}"
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port or program.GRPC_PORT
    except ValueError:  # UnicodeError is one: a name with an empty part
        host, port = "", 0
    if not (host and port and parts.scheme in _SCHEMES):
        raise BusError(f"{text!r} is no viewer; write HOST:PORT or rerun+http://HOST:PORT/proxy")
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{port}{parts.path or '/proxy'}"


@contextmanager
def _sending(url: str, name: str, place: str) -> Iterator[Sink]:
    recording = new_recording(name)
    recording.connect_grpc(url)
    cancelled = False
    try:
        yield Sink(recording, place, url)
    except KeyboardInterrupt:
        cancelled = True
        raise
    finally:
        with suppress(RuntimeError, ValueError):  # the viewer is gone, as viewers go
            _waiting_for(recording.disconnect, url, patient=not cancelled)


def _waiting_for(call: Callable[[], None], url: str, *, patient: bool = True) -> None:
    """Do something in Rerun that waits for the viewer, and nothing else: not even for Ctrl-C.

    It goes on as long as the viewer can be reached, which may be slow; Ctrl-C ends the wait.

    Raises:
        RuntimeError, ValueError: the viewer cannot be reached, or Rerun says so.
    """
    import rerun as rr

    done: Future[None] = Future()

    def run() -> None:
        try:
            call()
        except (RuntimeError, ValueError) as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name="viewer-wait", daemon=True).start()
    try:
        while not wait([done], _LOOK_EVERY_S).done:
            if not (patient and _is_there(url)):
                raise RuntimeError("it cannot be reached")
        done.result()
    finally:
        if not done.done():
            rr.unregister_shutdown()  # which would wait for the same when this process ends


def _is_there(url: str) -> bool:
    parts = urlsplit(url)
    return program.listens(parts.hostname or "", parts.port or program.GRPC_PORT)


def new_recording(name: str) -> Any:
    """A `rerun.RecordingStream` that goes nowhere yet, of a name for people.

    Raises:
        MissingExtra: the viewer is not installed.
    """
    program.need_rerun()
    os.environ.setdefault("RUST_LOG", "off")  # rerun would log, in colours, what is said here
    import rerun as rr

    recording = rr.RecordingStream(APPLICATION)
    recording.send_recording_name(name)
    return recording
