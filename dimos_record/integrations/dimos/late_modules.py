"""Modules that are loaded into a running blueprint: recorded from their first message on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from dimos.core.coordination.module_coordinator import ModuleCoordinator
from dimos.core.rpc_client import RPCClient

from dimos_record.integrations.dimos.offers import describe
from dimos_record.integrations.dimos.record_module import RecordModule


@contextmanager
def recorded_too(coordinator: ModuleCoordinator) -> Iterator[None]:
    """While entered, the recorders of a coordinator learn of new streams before anybody publishes.

    Without it they learn when the new modules have started. It is for the coordinator's process.
    """
    existing = set(coordinator.transports)
    with ExitStack() as clients:
        recorders = []
        for one in coordinator.list_modules():
            if one.qualified_path == f"{RecordModule.__module__}.{RecordModule.__name__}":
                client = RPCClient.remote(RecordModule, remote_name=one.rpc_name)
                clients.callback(client.stop_rpc_client)
                recorders.append(client)

        def connected(name: str, type_: type, transport: Any) -> None:
            if (name, type_) in existing:
                return
            module = _publisher(coordinator, name, type_)
            for recorder in recorders:
                recorder.add_streams([describe(name, type_, transport, module)])

        with coordinator.observe_transports(connected):
            yield


def _publisher(coordinator: ModuleCoordinator, name: str, type_: type) -> str:
    """RPC name of the module that publishes a stream which is about to be connected.

    The coordinator does not tell how a stream was renamed: nothing, if it was.
    """
    found = [
        atom.instance_name or atom.module.__name__
        for atom in coordinator._deployed_atoms.values()
        for stream in atom.streams
        if stream.type is type_ and stream.direction != "in"
        if f"{_namespace(atom.name)}{stream.name}" == name
    ]
    return found[-1] if found else ""


def _namespace(instance: str) -> str:
    return instance[: instance.rfind("/") + 1]
