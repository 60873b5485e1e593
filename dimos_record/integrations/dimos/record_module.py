"""The module that records what the modules of a blueprint publish."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

from dimos.core.coordination.blueprints import Blueprint
from dimos.core.core import rpc
from dimos.core.introspection.module.info import StreamDescriptor
from dimos.core.module import Module, ModuleConfig
from dimos.core.stream import In
from dimos.utils.logging_config import setup_logger
from pydantic import InstanceOf

from dimos_record.bus import Bus, Selection, open_bus
from dimos_record.bus.base import literal
from dimos_record.errors import DimosRecordError, RecordingBusy
from dimos_record.integrations.dimos.about import about_run, in_namespace
from dimos_record.integrations.dimos.added import Added, blueprint_of
from dimos_record.integrations.dimos.joined_bus import JoinedBus
from dimos_record.integrations.dimos.offers import Offer, described
from dimos_record.integrations.dimos.run_log import RunLog
from dimos_record.record.options import RecordOptions
from dimos_record.record.origin import Origin
from dimos_record.record.session import RecordingSession
from dimos_record.store.target import open_target

logger = setup_logger()


class RecordedPort(NamedTuple):
    """A stream of the blueprint, and the input of the recorder that stands for it."""

    port: str
    message: type
    stream: str
    """Name of the stream, as it was when the recorder was added."""
    module: str
    """Names of the instances that publish it, likewise."""


class RecordTask(Added, SimpleNamespace):
    """What to record where; made by `record`.

    No dataclass: dimos's configuration takes those apart where it parses a command line.
    """

    path: str
    ports: tuple[RecordedPort, ...]
    selection: Selection
    """Topics of modules that come later."""
    modules: tuple[str, ...]
    """Modules that come later and are recorded, in lower case; if there are none, all. A class, or
    an instance in any namespace: `driver`; exactly one instance: `/robot1/driver`."""
    known: frozenset[str]
    """Instances that the blueprint had, as their RPC names; and as their names in a blueprint."""
    options: RecordOptions
    append: bool = False
    overwrite: bool = False
    meta: Mapping[str, Any] = MappingProxyType({})
    host: str = ""
    """Name of the machine that `path` is one of, for `attach`."""

    def wants_late(self, module: str, namespace: str) -> bool:
        """Whether what a module that came later publishes is recorded.

        Args:
            module: its RPC name: `Camera`, `robot1/camera`; empty if it is not known.
            namespace: that of the recorder.
        """
        if not module:
            return not self.modules and not namespace
        own = module.removeprefix(namespace)
        if own in self.known or not module.startswith(namespace):
            return False
        path = f"/{own.lower()}"
        return not self.modules or any(
            path == name or path.endswith(f"/{name}") for name in self.modules
        )


class RecordConfig(ModuleConfig):
    """What to record is fixed by `record`."""

    task: InstanceOf[RecordTask]


class RecordModule(Module):
    """Writes what other modules publish into a recording, as it comes off the wire.

    It subscribes in `build`, before any module starts, so that the first message of each is
    recorded. The file is finished when the module stops, however the run ends. Its methods have
    names of their own, since dimos binds a `Spec` to whatever has methods of its names.
    """

    config: RecordConfig
    dedicated_worker = True
    warm_up_inputs = False

    @classmethod
    def blueprint(cls, **kwargs: Any) -> Blueprint:
        """A blueprint of this module alone, with the ports of its task."""
        task: RecordTask = kwargs["task"]
        return blueprint_of(cls, task.ports, "in", kwargs)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for one in self.config.task.ports:
            setattr(self, one.port, In(one.message, one.port, self))
        self._lock = threading.RLock()
        self._opened = ExitStack()
        self._bus = JoinedBus()
        self._origin = Origin()
        self._topics: dict[str, Offer] = {}
        self._session: RecordingSession | None = None
        self._has_seen_modules = False
        _finish_at_sigterm(self._finish)

    @rpc
    def build(self) -> None:
        """Begin to record. Nothing has started yet.

        Raises:
            RecordingExists, RecordingBusy, DiskFull, StorageError, BusError, OptionError: it cannot
                be recorded; nothing is left behind.
        """
        super().build()
        task = self.config.task
        namespace = task.namespace_of(self.config.instance_name)
        with self._lock:
            if self._session is not None:  # a coordinator reaches all modules of a name on its bus
                raise RecordingBusy(
                    f"another run on this bus is recording to {task.path}; end that one first with "
                    "dimos stop, or record on another network"
                )
            try:
                self._opened.callback(self._bus.close)
                self._opened.enter_context(_warnings_in_run_log())
                for one in task.ports:
                    module = ", ".join(f"{namespace}{name}" for name in one.module.split(", "))
                    transport = getattr(self, one.port).transport
                    self._add(Offer.of(f"{namespace}{one.stream}", one.message, transport, module))
                self._begin(task, namespace)
            except BaseException:
                self._opened.close()
                raise

    def _begin(self, task: RecordTask, namespace: str) -> None:
        run_log = RunLog.of_this_run()
        if run_log is not None:
            self._opened.callback(run_log.close)
        self._origin.log = run_log
        self._origin.meta = about_run(self.config.g) | in_namespace(task.meta, namespace)
        options = task.options
        target = open_target(
            Path(task.path),
            split=options.is_split,
            append=task.append,
            overwrite=task.overwrite,
            ring=options.is_ring,
        )
        session = RecordingSession(self._bus, target, self._selection(), options, self._origin)
        self._session = session.start()
        logger.info(f"Recording {len(self._topics)} topics to {task.path}")

    @rpc
    def on_system_modules(self, modules: list[Any]) -> None:
        """Record modules that the blueprint did not have, from now on; called when any come or go.

        Raises:
            Exception: one of those that were there when this one was loaded cannot be recorded. For
                those that come later it is a warning in the log: they run already.
        """
        failures = self._record_late(modules)
        is_first, self._has_seen_modules = not self._has_seen_modules, True
        if is_first and failures:
            raise next(iter(failures.values()))
        for name, error in failures.items():
            logger.warning(f"{name} is not recorded, or not all of it: {error}")

    def _record_late(self, modules: list[Any]) -> dict[str, Exception]:
        """Record what the blueprint did not have; returns what went wrong, by module."""
        task = self.config.task
        namespace = task.namespace_of(self.config.instance_name)
        failures: dict[str, Exception] = {}
        for module in modules:
            try:
                if task.wants_late(module.remote_name, namespace) and not _is_ours(module):
                    self.record_streams(module.get_stream_descriptors())
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are recorded
                failures[module.remote_name] = error
            finally:
                module.stop_rpc_client()
        return failures

    @rpc
    def record_streams(self, descriptors: list[StreamDescriptor]) -> list[str]:
        """Record streams that the blueprint did not have, from now on.

        Args:
            descriptors: the streams as modules describe theirs; see `offers.describe`.

        Returns:
            The topics that are new and selected.

        Raises:
            BusError: one of them cannot be received.
        """
        task = self.config.task
        namespace = task.namespace_of(self.config.instance_name)
        offers = list(
            described(one for one in descriptors if task.wants_late(one.module, namespace))
        )
        with self._lock:
            if self._session is None:
                return []
            new: list[str] = []
            try:
                for offer in offers:
                    if offer.channel in self._topics:
                        self._learn_module(offer)
                    elif task.selection.matches(offer.topic):
                        self._add(offer)
                        new.append(offer.topic)
            finally:  # what came before one that cannot be recorded is
                if new:
                    self._session.select(self._selection())
                    logger.info(f"Recording {', '.join(new)}, too")
            return new

    @rpc
    def recording_progress(self) -> dict[str, Any]:
        """Where the recording stands: seconds, messages and losses, in all and per topic."""
        with self._lock:
            session = self._session
        if session is None:
            raise DimosRecordError("nothing is being recorded; the module has not been built")
        now = session.progress()
        figures = {one.name: getattr(now, one.name) for one in fields(now)}
        figures["accounts"] = {name: asdict(account) for name, account in now.accounts.items()}
        total = now.total
        return figures | {
            "recording": self.config.task.path,
            "topics": sorted(self._topics[channel].topic for channel in self._topics),
            "received": total.received,
            "written": total.written,
            "dropped": total.dropped,
        }

    @rpc
    def pause_recording(self) -> None:
        """Record nothing until `resume_recording`."""
        if self._session is not None:
            self._session.pause()

    @rpc
    def resume_recording(self) -> None:
        """Go on recording."""
        if self._session is not None:
            self._session.resume()

    @rpc
    def stop(self) -> None:
        """Finish the recording."""
        self._finish()
        super().stop()

    def _finish(self) -> None:
        with self._lock:  # whoever comes second waits until the file is finished
            session, self._session = self._session, None
            try:
                if session is not None:
                    self._report(session)
            finally:
                self._opened.close()

    def _report(self, session: RecordingSession) -> None:
        path = self.config.task.path
        try:
            progress = session.stop()
        except DimosRecordError as error:
            logger.error(str(error))
            return
        logger.info(
            f"Recorded {progress.total.written:,} messages of {len(progress.accounts)} topics in "
            f"{progress.elapsed_s:.1f} s to {path}; lost: {progress.lost:,}"
        )

    def _selection(self) -> Selection:
        return Selection(tuple(map(literal, self._topics)))

    def _learn_module(self, offer: Offer) -> None:
        known = self._origin.sources[offer.channel]
        if known.module is None:
            self._origin.sources[offer.channel] = known._replace(module=offer.source.module)

    def _add(self, offer: Offer) -> None:
        """Receive a stream from its bus; what carries no bytes is encoded and goes round to us."""
        if offer.wire is not None:
            url = offer.wire.bus
            self._bus.add(offer.channel, url, lambda: open_bus(url))
        else:
            bus = self._bus.add(offer.channel, _DECODED, lambda: open_bus(_DECODED))
            self._opened.callback(offer.transport.subscribe(_encoding(bus, offer.channel)))
        self._origin.sources[offer.channel] = offer.source
        self._topics[offer.channel] = offer


_DECODED = f"memory://dimos-record-{os.getpid()}"
"""The bus of messages that dimos hands us decoded."""


def _encoding(bus: Bus, channel: str) -> Callable[[Any], None]:
    def publish(message: Any) -> None:
        bus.publish(channel, message.lcm_encode())

    return publish


def _is_ours(module: Any) -> bool:
    """Whether a deployed module records or replays: what it publishes is recorded already."""
    from dimos_record.integrations.dimos.replay_module import ReplayModule

    return any(set(cls.rpcs) <= set(module.rpcs) for cls in (RecordModule, ReplayModule))


def _finish_at_sigterm(finish: Callable[[], None]) -> None:
    """Make SIGTERM end this worker only when its file is finished.

    It comes to every process of a run from dimos's watchdog and from systemd, and to all workers
    from a coordinator that exits without having stopped them, as after Ctrl-C twice. Whichever it
    is, the coordinator gets a while to end this worker as it should.
    """

    def end() -> None:
        time.sleep(_GRACE_S)
        try:
            finish()
        finally:
            os._exit(128 + signal.SIGTERM)

    def begin_to_end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        threading.Thread(target=end, name="finish-at-sigterm", daemon=True).start()

    in_worker = multiprocessing.parent_process() is not None
    if in_worker and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, begin_to_end)


_GRACE_S = 1.0


class _warnings_in_run_log(logging.Handler):  # noqa: N801 - used like a function
    """Warnings of ours go where dimos's go."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def __enter__(self) -> None:
        logging.getLogger("dimos_record").addHandler(self)

    def __exit__(self, *exc: object) -> None:
        logging.getLogger("dimos_record").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        logger.log(record.levelno, record.getMessage())
