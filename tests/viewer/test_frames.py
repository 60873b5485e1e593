"""Frames that no transform mentions."""

from __future__ import annotations

import pytest

from dimos_record.viewer.converters import Shown, converter_for
from dimos_record.viewer.frames import ROOT, Frames

from .made import made, values

rr = pytest.importorskip("rerun")


def placed(shown: list[Shown]) -> dict[str, str]:
    """The parents that frames get."""
    found = {}
    for one in shown:
        assert one.static
        if isinstance(one.archetype, rr.Transform3D):
            (child,) = values(one.archetype, "child_frame")
            (found[child],) = values(one.archetype, "parent_frame")
            assert one.path == f"/frames/{child}"
    return found


def test_a_frame_is_put_on_the_root_when_it_is_first_seen() -> None:
    frames = Frames()
    assert placed(frames.before("base_link", [])) == {"base_link": ROOT}
    assert frames.before("base_link", []) == []
    assert frames.before(None, []) == []


def test_all_frames_of_a_message_are_seen() -> None:
    convert = converter_for("tf2_msgs.TFMessage").convert  # type: ignore[union-attr]
    tf = {"header": {"frame_id": "map"}, "child_frame_id": "odom"}
    frames = Frames()
    found = placed(frames.before(None, convert(made("tf2_msgs.TFMessage", transforms=[tf]))))
    assert found == {"map": ROOT, "odom": ROOT}
    of_marker = Shown("goal/1", rr.Points3D([]), frame="goal")
    assert placed(frames.before("map", [of_marker])) == {"goal": ROOT}


def test_pictures_wait_for_their_camera() -> None:
    convert = converter_for("sensor_msgs.Image").convert  # type: ignore[union-attr]
    data = made(
        "sensor_msgs.Image",
        header={"frame_id": "cam"},
        width=1,
        height=1,
        encoding="mono8",
        data=b"1",
    )
    assert placed(Frames().before("cam", convert(data))) == {"cam": ROOT}
