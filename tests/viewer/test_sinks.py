"""Where messages go to be seen: viewers of this machine, on loopback only."""

from __future__ import annotations

import threading
import urllib.request
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.errors import BusError, MissingExtra, OptionError
from dimos_record.viewer import RecordingLogger, program, sinks
from dimos_record.viewer.recorded import log_view
from tests.viewer.rrd import SavingViewer
from tests.viewer.test_logger import T0, S, pose, transform

pytest.importorskip("rerun")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("robot", "rerun+http://robot:9876/proxy"),
        ("10.0.0.7:9877", "rerun+http://10.0.0.7:9877/proxy"),
        ("rerun+https://robot:1/proxy", "rerun+https://robot:1/proxy"),
        ("rerun://robot", "rerun://robot:9876/proxy"),
        ("[::1]:9877", "rerun+http://[::1]:9877/proxy"),
    ],
)
def test_a_viewer_is_named_by_host_and_port_or_as_rerun_does(written: str, meant: str) -> None:
    assert sinks.viewer_url(written) == meant


@pytest.mark.parametrize(
    "written", ["", "http://robot", ":9876", "robot:port", "robot:99999", "a..b", "[::1"]
)
def test_what_names_no_viewer_is_refused(written: str) -> None:
    with pytest.raises(BusError, match="write HOST:PORT"):
        sinks.viewer_url(written)


def test_a_viewer_that_is_not_there_is_refused() -> None:
    url = f"127.0.0.1:{program.free_port()}"
    with pytest.raises(BusError, match="no viewer listens"), sinks.connected(url, name="walk.db"):
        pass


def test_without_a_display_no_window_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "GRPC_PORT", program.free_port())
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OptionError, match="--web"), sinks.window(name="a", memory="1GB"):
        pass


def test_without_rerun_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"dimos-record\[view\]"):
        program.need_rerun()


def test_a_recording_arrives_at_a_viewer_that_runs_already(tmp_path: Path) -> None:
    """The real program of Rerun, which writes what it gets into a file."""
    with RecordReplay(tmp_path / "a.db") as rec:
        tf = rec.stream("tf_static", type_name="tf2_msgs.TFMessage")
        tf.append(transform("odom", "base_link"), ts_ns=T0)
        odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
        for i in range(10):
            odom.append(pose(float(i)), ts_ns=T0 + i * S)
        progress = []
        with (
            SavingViewer(tmp_path / "a.rrd") as viewer,
            sinks.connected(f"127.0.0.1:{viewer.port}", name="a.db") as sink,
        ):
            view = rec.between(5.0, None)
            logger = RecordingLogger(sink.recording, view.streams, view.origin_ns())
            read = log_view(view, logger, "top", lambda *at: progress.append(at))
            sink.flush()
            assert not sink.closed
            found = viewer.wait_for("/world/odom", "CoordinateFrame:frame", 5)
            viewer.wait_for("/frames/base_link", "Transform3D:translation")  # said before that
        assert sink.closed
    times = [one.times["position"] for one in found]
    assert (read, times) == (5, [i * S for i in range(5, 10)])
    assert progress[-1] == (5, 5)


def test_a_viewer_that_is_out_of_reach_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    import rerun as rr

    monkeypatch.setattr(sinks, "_LOOK_EVERY_S", 0.1)
    with SavingViewer(tmp_path / "a.rrd") as viewer:
        try:
            with sinks.connected(f"127.0.0.1:{viewer.port}", name="a") as sink:
                viewer.stall()
                for _ in range(60):
                    sink.recording.log("a", rr.Image(np.zeros((480, 640, 3), np.uint8)))
                monkeypatch.setattr(sinks, "_is_there", lambda url: False)
            ending = [one for one in threading.enumerate() if one.name == "viewer-wait"]
            assert ending
        finally:
            viewer.stall(over=True)
        for one in ending:
            one.join(60.0)
            assert not one.is_alive()


def test_a_browser_gets_the_viewer_from_loopback_only() -> None:
    port = program.free_port()
    with sinks.browser(name="walk.db", memory="1GB", port=port) as sink:
        assert sink.place.startswith(f"http://127.0.0.1:{port}/?url=rerun%2Bhttp")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
            assert b"rerun" in page.read().lower()
        assert not listens_beyond_loopback(port)
        with (
            pytest.raises(BusError, match="is taken"),
            sinks.browser(name="b", memory="1GB", port=port),
        ):
            pass
    assert not program.listens(program.LOOPBACK, port)


def listens_beyond_loopback(port: int) -> bool:
    """Whether a TCP port is open on an address other than 127.0.0.1 (see proc_net_tcp(5))."""
    lines = [*Path("/proc/net/tcp").read_text().splitlines()[1:]]
    lines += Path("/proc/net/tcp6").read_text().splitlines()[1:]
    local = [line.split()[1].split(":") for line in lines if line.split()[3] == "0A"]
    return any(int(number, 16) == port and address != "0100007F" for address, number in local)
