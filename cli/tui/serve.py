"""The program in a browser on this machine, through textual-serve."""

from __future__ import annotations

import importlib.util
import shlex
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dimos_record.cli.running import say
from dimos_record.errors import MissingExtra, OptionError

if TYPE_CHECKING:
    from aiohttp import web

_HOST = "127.0.0.1"


def serve_in_browser(arguments: Sequence[str], port: int) -> None:
    """Serve the program until Ctrl-C; each page that is opened runs one of its own.

    Args:
        arguments: what follows `dimos-record tui` in each.
        port: where to listen, on this machine only.

    Raises:
        MissingExtra: textual-serve is not installed.
        OptionError: the port is taken.
    """
    if importlib.util.find_spec("textual_serve") is None:
        raise MissingExtra("showing the terminal program in a browser", "serve")
    _check_port(port)
    from aiohttp import web
    from textual_serve.server import Server

    class LoopbackServer(Server):
        """Textual's server, which says one line and lets no other page in.

        Any page of the web that is open in the same browser could connect to it otherwise, and
        record and delete.
        """

        def initialize_logging(self) -> None:
            """What it logs is of no use here."""

        async def on_startup(self, app: web.Application) -> None:
            """Say where to look."""
            say(f"Open {self.public_url} in a browser; Ctrl-C stops")

        async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
            """Run the program for a page of this server."""
            if request.headers.get("Origin") != self.public_url:
                raise web.HTTPForbidden(text=f"open {self.public_url} instead")
            return await super().handle_websocket(request)

    command = [sys.executable, "-m", "dimos_record.cli.main", "tui", *arguments]
    LoopbackServer(shlex.join(command), _HOST, port, title="dimos-record").serve()


def _check_port(port: int) -> None:
    """Make sure that it is free: the server says where it is before it listens.

    Raises:
        OptionError: it is not.
    """
    try:
        socket.create_server((_HOST, port)).close()
    except OSError as error:
        raise OptionError(
            f"--port {port} cannot be listened on ({error.strerror}); choose another one"
        ) from None
