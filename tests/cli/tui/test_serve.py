"""The program in a browser."""

from __future__ import annotations

import importlib.util
import json
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from dimos_record.cli.tui import serve
from dimos_record.errors import MissingExtra
from tests.cli.commands import Running, run


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


needs_server = pytest.mark.skipif(
    importlib.util.find_spec("textual_serve") is None, reason="needs the extra serve"
)


@pytest.fixture
def page() -> Iterator[str]:
    """The address of the program, served."""
    port = _free_port()
    with Running("tui", "--bus", "memory://none", "--serve", "--port", str(port)) as server:
        server.wait_for(f"Open http://127.0.0.1:{port} in a browser")
        yield f"http://127.0.0.1:{port}"
        server.end(signal.SIGINT)


@needs_server
async def test_a_page_is_served_in_which_the_program_runs(page: str) -> None:
    import aiohttp

    with urllib.request.urlopen(page, timeout=30) as answer:
        assert f"{page.replace('http', 'ws')}/ws" in answer.read().decode()
    screen = b""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{page}/ws?width=80&height=24", origin=page) as connection,
    ):
        async for message in connection:
            if message.type == aiohttp.WSMsgType.BINARY:
                screen += message.data
            if b"nothing is published" in screen:
                await connection.send_str(json.dumps(["stdin", "q"]))
                break
        await connection.receive(timeout=30)
    assert b"nothing is published" in screen


@needs_server
async def test_another_page_of_the_browser_cannot_drive_it(page: str) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{page}/ws", origin="http://elsewhere.example")
    assert refused.value.status == 403


@needs_server
def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("tui", "--serve", "--port", str(port))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: --port {port} cannot be listened on")


def test_without_the_extra_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve", None)
    monkeypatch.setattr(serve.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="dimos-record\\[serve\\]"):
        serve.serve_in_browser([], 8000)
