"""Types that only dimos knows how to show are shown as dimos shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dimos_record import RecordReplay
from dimos_record.viewer import RecordingLogger
from dimos_record.viewer.converters import converter_for
from tests.viewer.rrd import read_rrd

pytestmark = pytest.mark.dimos

T0 = 1_700_000_000_000_000_000


def test_lines_and_markers_of_dimos_are_shown_through_dimos(tmp_path: Path) -> None:
    import rerun as rr
    from dimos.msgs.nav_msgs.LineSegments3D import LineSegments3D
    from dimos.msgs.shape_msgs.TriangleMesh import TriangleMesh

    lines = LineSegments3D(
        ts=1.0, frame_id="map", segments=[((0.0, 0.0, 0.0), (1.0, 2.0, 3.0))], weights=[1.0]
    )
    mesh = TriangleMesh(vertices=np.eye(3), faces=np.array([[0, 1, 2]]))
    for type_name in ("nav_msgs.LineSegments3D", "shape_msgs.TriangleMesh"):
        assert converter_for(type_name) is None
    with RecordReplay(tmp_path / "a.db") as rec:
        rec.stream("lines", type_name="nav_msgs.LineSegments3D").append(
            lines.lcm_encode(), ts_ns=T0
        )
        mesh_stream = rec.stream("mesh", type_name="shape_msgs.TriangleMesh")
        mesh_stream.append(mesh.lcm_encode(), ts_ns=T0 + 1)
        mesh_stream.append(b"damaged", ts_ns=T0 + 2)
        stream = rr.RecordingStream("test")
        stream.save(tmp_path / "a.rrd")
        logger = RecordingLogger(stream, rec.view().streams, T0)
        shown = [logger.log(row) for row in rec.view().rows()]
        logger.layout()
    stream.disconnect()
    log = read_rrd(tmp_path / "a.rrd")
    assert shown == [True, True, False]
    (strips,) = log["/world/lines", "LineStrips3D:strips"]
    assert strips.value == [[[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]]
    (vertices,) = log["/world/mesh", "Mesh3D:vertex_positions"]
    assert vertices.value == np.eye(3).tolist()
    (unshown,) = logger.unshown
    assert (unshown.topic, unshown.count) == ("/mesh", 1)
    assert unshown.reason.startswith("dimos cannot show this shape_msgs.TriangleMesh")
