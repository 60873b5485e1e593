"""The module that publishes a recording in the place of the modules that it replaces."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from dimos.core.coordination.blueprints import Blueprint
from dimos.core.core import rpc
from dimos.core.module import Module, ModuleConfig
from dimos.core.stream import Out
from dimos.core.transport_factory import make_transport
from dimos.utils.logging_config import setup_logger
from dimos_lcm.std_msgs import Time

from dimos_record.bus import Bus, split_channel
from dimos_record.errors import BusError, DimosRecordError, PublisherConflict
from dimos_record.integrations.dimos.added import blueprint_of
from dimos_record.integrations.dimos.packing import Assignment
from dimos_record.integrations.dimos.planned import Planned
from dimos_record.integrations.dimos.receivers import open_bus_to_modules, until_reached
from dimos_record.integrations.dimos.replaced import StandIn
from dimos_record.integrations.dimos.routed_bus import (
    Route,
    RoutedBus,
    refuse_commands,
    route_of,
)
from dimos_record.integrations.dimos.run_end import shut_down_run
from dimos_record.integrations.dimos.wires import wire_of
from dimos_record.replay.clock import clock_channel
from dimos_record.replay.options import PlayOptions
from dimos_record.replay.player import Player

logger = setup_logger()

_REFERENCE_TIMEOUT_S = 5.0
_LINGER_S = 1.0
"""How long receivers have for the last messages before the run ends."""


class ReplayConfig(ModuleConfig):
    """How to play; see `PlayOptions`. What to play is fixed by `replay`."""

    assignment: Assignment
    speed: float = 1.0
    loop: bool | tuple[float, float] = False
    start_s: float | None = None
    end_s: float | None = None
    restamp: bool = False
    paused: bool = False
    clock_topic: str | None = None
    latched: tuple[str, ...] = ()
    exit_at_end: bool = False

    def options(self, base: PlayOptions) -> PlayOptions:
        """These options over those of a view; what concerns the blueprint is settled by then."""
        names = PlayOptions.__dataclass_fields__.keys() & type(self).model_fields.keys()
        chosen = {name: getattr(self, name) for name in names}
        return replace(base, **chosen, remap={}, check_conflicts=False, allow_commands=True)


class ReplayModule(Module):
    """Publishes recorded bytes on the transports that the blueprint's modules would have used.

    It opens the recording in `build`, before any module starts, and begins to publish when every
    module has started and its subscriptions are known here, so that the first message arrives.
    Methods can be called by RPC at any time; positions are seconds from the recording's start. They
    have names of their own, since dimos binds a `Spec` to whatever has methods of its names.
    """

    config: ReplayConfig
    dedicated_worker = True
    warm_up_inputs = False

    @classmethod
    def blueprint(cls, **kwargs: Any) -> Blueprint:
        """A blueprint of this module alone, with the ports of its assignment."""
        assignment: Assignment = kwargs["assignment"]
        return blueprint_of(cls, assignment.ports, "out", kwargs)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for one in self.config.assignment.ports:
            setattr(self, one.port, Out(one.message, one.port, self))
        self._lock = threading.Lock()
        self._opened = ExitStack()
        self._buses: dict[str, Bus] = {}
        self._player: Player | None = None
        self._topics: dict[str, str] = {}
        """The topic that each recorded topic is published as."""
        self._begun = False
        self._ending = threading.Event()
        self._module_names: frozenset[str] = frozenset()

    @rpc
    def build(self) -> None:
        """Open the recording and prepare to play it; replaced modules' references get stand-ins.

        Raises:
            RecordingNotFound, NotARecording, OptionError, BusError: it cannot be played.
            PublisherConflict: another run plays into this network.
        """
        super().build()
        self._refuse_second_run()
        self._set_references(self.config.assignment.stand_ins)
        with self._lock:
            try:
                self._prepare()
            except BaseException:
                self._opened.close()
                raise

    def _prepare(self) -> None:
        assignment = self.config.assignment
        view = assignment.view.open()
        self._opened.callback(view.recording.close)
        routes = self._routes()
        if not assignment.allow_commands:
            refuse_commands(routes.values(), assignment.view.path, assignment.view.commands)
        source = Planned(view, routes)
        options = self.config.options(view.options)
        if options.clock_topic is not None:
            clock = clock_channel(options.clock_topic)
            routes[clock] = self._clock_route(clock)
        way_out = RoutedBus(routes, self._buses.values())
        self._player = Player(
            source, way_out, options, on_finished=self._at_end, on_failed=self._at_failure
        )
        self._opened.callback(self._player.close)

    @rpc
    def on_system_modules(self, modules: list[Any]) -> None:
        """Begin, once every module has started; called again when modules come or go."""
        with self._lock:
            self._module_names = frozenset(module.remote_name for module in modules)
            threading.Thread(target=_release, args=(modules,), daemon=True).start()
            if not self._begun:
                self._begun = True
                others = self._module_names - {self._rpc_name}
                until_reached(self._buses.values(), others)
                self._playing().start()
            else:  # one of them may have been restarted, and have lost its references
                stand_ins = self.config.assignment.stand_ins
                names = self._module_names
                self._set_references(s for s in stand_ins if self._rpc_name_of(s) in names)

    @rpc
    def stop(self) -> None:
        """End playback and close the recording."""
        self._ending.set()
        self._opened.close()
        super().stop()

    @rpc
    def pause_replay(self) -> None:
        """Hold playback where it is."""
        self._playing().pause()

    @rpc
    def resume_replay(self) -> None:
        """Go on; from the beginning again when the end was reached."""
        self._playing().resume()

    @rpc
    def seek_replay(self, seconds: float) -> None:
        """Move the playhead."""
        self._playing().seek(seconds)

    @rpc
    def set_replay_rate(self, rate: float) -> None:
        """Change the speed: recorded seconds per second."""
        self._playing().set_rate(rate)

    @rpc
    def loop_replay(self, a: float | None, b: float | None = None) -> None:
        """Play ``[a, b)`` over and over; None ends that."""
        self._playing().loop(a, b)

    @rpc
    def step_replay(self, n: int = 1) -> int:
        """Publish the next `n` messages (the previous, if negative) and stay paused behind them.

        Returns:
            How many there were.
        """
        player = self._playing()
        return player.play_previous(-n) if n < 0 else player.play_next(n)

    @rpc
    def replay_status(self) -> dict[str, Any]:
        """What is played, where playback is, and what has been published how late."""
        stats = self._playing().stats
        return {
            "recording": self.config.assignment.view.path,
            "state": stats.state,
            "position_s": stats.position_s,
            "duration_s": stats.duration_s,
            "rate": stats.rate,
            "published": self._published(stats.topics),
            "late": stats.late,
            "mean_late_s": stats.mean_late_s,
            "max_late_s": stats.max_late_s,
        }

    @property
    def _rpc_name(self) -> str:
        return self.config.rpc_name or self.config.instance_name or type(self).__name__

    def _refuse_second_run(self) -> None:
        """A coordinator reaches all modules of a name on its bus, so it may be that of another run.

        Raises:
            PublisherConflict: it is.
        """
        if self._player is not None:
            raise PublisherConflict(
                f"another run on this bus is a replay of {self.config.assignment.view.path}; end "
                "that one first with dimos stop, or play on another network"
            )

    def _playing(self) -> Player:
        if self._player is None:
            raise DimosRecordError("the replay is not prepared yet; wait until the run has started")
        return self._player

    def _routes(self) -> dict[str, Route]:
        """Where each recorded channel goes, by the transports that dimos has set."""
        routes = {}
        for one in self.config.assignment.ports:
            topic = split_channel(one.channels[0])[0]
            route = route_of(topic, getattr(self, one.port).transport, one.message, self._bus)
            for channel in one.channels:
                routes[channel] = route
                self._topics[split_channel(channel)[0]] = route.topic
        return routes

    def _clock_route(self, channel: str) -> Route:
        """The clock goes where dimos would publish a topic of that name."""
        topic = split_channel(channel)[0]
        wire = wire_of(make_transport(topic, Time))
        if wire is None:
            raise BusError(f"dimos's transport carries no clock; do without {topic}")
        bus = self._bus(wire.bus)
        return Route(
            topic,
            bus,
            lambda data: bus.publish(channel, data),
            lambda: bus.check_channel(channel),
        )

    def _bus(self, url: str) -> Bus:
        if url not in self._buses:
            self._buses[url] = self._opened.enter_context(open_bus_to_modules(url))
        return self._buses[url]

    def _set_references(self, stand_ins: Iterable[StandIn]) -> None:
        """Give those who refer to a module that is not started something in its place."""
        for one in stand_ins:
            name = self._rpc_name_of(one)
            try:
                self.rpc.call_sync(
                    f"{name}/set_module_ref",
                    ([one.reference, one.module], {}),
                    rpc_timeout=_REFERENCE_TIMEOUT_S,
                )
            except TimeoutError:
                logger.warning(f"{name} does not answer, so its {one.reference} remains unset")

    def _rpc_name_of(self, stand_in: StandIn) -> str:
        namespace = self.config.assignment.namespace_of(self.config.instance_name)
        return namespace + stand_in.consumer if namespace else stand_in.rpc_name

    def _published(self, topics: Mapping[str, int]) -> dict[str, int]:
        published: Counter[str] = Counter()
        for recorded, count in topics.items():
            published[self._topics.get(recorded, recorded)] += count
        return dict(published)

    def _at_end(self) -> None:
        """Called on the publishing thread, which `stop` waits for."""
        stats = self._playing().stats
        logger.info(
            f"The replay of {self.config.assignment.view.path} has reached its end",
            published=self._published(stats.topics),
            late=stats.late,
            max_late_ms=round(stats.max_late_s * 1e3, 1),
        )
        self._end_run()

    def _at_failure(self, error: Exception) -> None:
        """Called on the publishing thread; nobody else would hear of it."""
        ours = isinstance(error, DimosRecordError)
        what = error if ours else repr(error)
        path = self.config.assignment.view.path
        logger.error(f"The replay of {path} has failed: {what}", exc_info=None if ours else error)
        self._end_run()

    def _end_run(self) -> None:
        """End the run if that is wished, once receivers have had their time."""
        if self.config.exit_at_end:
            thread = threading.Thread(target=self._shut_down, name="replay-end", daemon=True)
            self._opened.callback(thread.join)
            thread.start()

    def _shut_down(self) -> None:
        if not self._ending.wait(_LINGER_S):
            shut_down_run(self._module_names, self._ending)


def _release(proxies: Iterable[Any]) -> None:
    """Close the RPC clients that dimos opens for a list of modules: our own reaches them all."""
    for proxy in proxies:
        proxy.stop_rpc_client()
