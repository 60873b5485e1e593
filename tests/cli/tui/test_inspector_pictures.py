"""Pictures and plots of messages."""

from __future__ import annotations

import io
import struct
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dimos_record.cli.tui.inspector.blocks import half_blocks
from dimos_record.cli.tui.inspector.pictures import (
    Picture,
    Pixels,
    compressed_picture,
    grid_picture,
    image_picture,
)
from dimos_record.cli.tui.inspector.plots import curve, labelled_curve
from dimos_record.cli.tui.inspector.views import Room, view_of
from dimos_record.errors import DecodeError, MissingExtra
from dimos_record.messages import message_class

RED, GREEN, BLUE, GREY = [200, 0, 0], [0, 150, 0], [0, 0, 100], [80, 80, 80]
COLOURS = np.array([[RED, GREEN], [BLUE, GREY]], np.uint8)


def preview(
    encoding: str, numbers: NDArray[Any], *, step: int = 0, big: bool = False, height: int = 2
) -> Picture:
    """The picture of two by two pixels, at that size."""
    return image_picture(Pixels(2, height, encoding, step, big, numbers.tobytes()), 2, 2)


def with_alpha(colours: NDArray[Any]) -> NDArray[Any]:
    return np.dstack([colours, np.full(colours.shape[:2], 9, colours.dtype)])


@pytest.mark.parametrize(
    ("encoding", "numbers"),
    [
        ("rgb8", COLOURS),
        ("RGB8", COLOURS),
        ("bgr8", COLOURS[..., ::-1]),
        ("8UC3", COLOURS[..., ::-1]),
        ("rgba8", with_alpha(COLOURS)),
        ("bgra8", with_alpha(COLOURS[..., ::-1])),
        ("rgb16", COLOURS.astype("<u2") << 8),
    ],
)
def test_colours_of_every_encoding(encoding: str, numbers: NDArray[Any]):
    pixels, caption = preview(encoding, numbers)
    assert pixels.tolist() == COLOURS.tolist()
    assert caption == f"2 x 2 {encoding}"


@pytest.mark.parametrize(
    ("encoding", "numbers", "greys", "caption"),
    [
        ("mono8", np.array([[0, 50], [100, 255]], np.uint8), [0, 50, 100, 255], ""),
        ("8UC1", np.array([[0, 50], [100, 255]], np.uint8), [0, 50, 100, 255], ""),
        (
            "mono16",
            np.array([[1000, 1050], [1100, 1200]], "<u2"),
            [0, 63, 127, 255],
            ", 1000..1200",
        ),
    ],
)
def test_greys(encoding: str, numbers: NDArray[Any], greys: list[int], caption: str):
    picture = preview(encoding, numbers)
    assert picture.pixels.reshape(-1, 3).tolist() == [[grey] * 3 for grey in greys]
    assert picture.caption == f"2 x 2 {encoding}{caption}"


NEAR, FAR, NONE = [72, 40, 120], [250, 225, 60], [0, 0, 0]


@pytest.mark.parametrize(
    ("encoding", "metres", "big", "caption"),
    [
        ("32FC1", np.array([[0.5, 2.5], [np.nan, np.inf]], "<f4"), False, "0.5..2.5"),
        ("64FC1", np.array([[0.5, 2.5], [np.nan, 0]], "<f8"), False, "0.5..2.5"),
        ("16UC1", np.array([[500, 2500], [0, 0]], ">u2"), True, "500..2500"),
    ],
)
def test_depth_is_scaled_by_its_finite_range(
    encoding: str, metres: NDArray[Any], big: bool, caption: str
):
    picture = preview(encoding, metres, big=big)
    assert picture.pixels.tolist() == [[NEAR, FAR], [NONE, NONE]]
    assert picture.caption == f"2 x 2 {encoding}, {caption}"


def test_depth_without_values_is_black():
    picture = preview("32FC1", np.full((2, 2), np.nan, "<f4"))
    assert not picture.pixels.any()
    assert picture.caption == "2 x 2 32FC1, no finite values"


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "grbg", "gbrg"])
def test_bayer_patterns_get_their_colours(pattern: str):
    quad = np.array([{"r": 200, "g": 150, "b": 100}[letter] for letter in pattern], np.uint8)
    assert preview(f"bayer_{pattern}8", quad).pixels.tolist() == [[[200, 150, 100]] * 2] * 2
    assert preview(f"bayer_{pattern}16", quad.astype("<u2") << 8).pixels[0, 0, 0] == 200


def test_yuv_has_its_colours_and_planar_formats_their_brightness():
    uyvy = np.array([[90, 82, 240, 82]] * 2, np.uint8)  # red
    assert np.abs(preview("yuv422", uyvy).pixels.astype(int) - [239, 15, 15]).max() < 2
    yuyv = uyvy[:, [1, 0, 3, 2]]
    assert np.abs(preview("yuv422_yuy2", yuyv).pixels.astype(int) - [239, 15, 15]).max() < 2
    assert preview("nv12", np.array([[7, 7]] * 2 + [[1, 2]], np.uint8)).pixels.max() == 7


def test_the_step_from_row_to_row_is_honoured():
    padded = np.concatenate([COLOURS.reshape(2, 6), np.full((2, 3), 99, np.uint8)], axis=1)
    assert preview("rgb8", padded, step=9).pixels.tolist() == COLOURS.tolist()
    last_row_unpadded = padded.ravel()[:-3]
    assert preview("rgb8", last_row_unpadded, step=9).pixels.tolist() == COLOURS.tolist()


@pytest.mark.parametrize(
    ("encoding", "step", "height", "sentence"),
    [
        ("rgb8", 5, 2, "2 x 2 rgb8 with 5 bytes per row, but its data has 12 bytes"),
        ("rgb8", 7, 2, "7 bytes per row"),
        ("rgb8", 6, 3, "2 x 3"),
        ("rgb8", 6, -1, "2 x -1"),
        ("bayer_rggb8", 0, 1, "2 x 1"),
        ("magic\n", 0, 2, r"The encoding 'magic\\n' is not one"),
        ("16FC1", 0, 2, "16FC1"),
        ("32FC3", 0, 2, "32FC3"),
    ],
)
def test_a_broken_picture_is_a_sentence(encoding: str, step: int, height: int, sentence: str):
    with pytest.raises(DecodeError, match=sentence):
        preview(encoding, COLOURS, step=step, height=height)


def test_pictures_fit_and_keep_their_proportions():
    left_dark = np.zeros((100, 300), np.uint8)
    left_dark[:, 150:] = 200
    image = Pixels(300, 100, "mono8", 0, False, left_dark.tobytes())
    smaller = image_picture(image, 30, 40).pixels
    assert smaller.shape == (10, 30, 3)
    assert (smaller[:, :15] == 0).all()
    assert (smaller[:, 15:] == 200).all()
    assert image_picture(image, 600, 50).pixels.shape == (50, 150, 3)
    thin = Pixels(1000, 1, "mono8", 0, False, bytes(1000))
    assert image_picture(thin, 10, 10).pixels.shape == (1, 10, 3)


def test_compressed_pictures_need_pillow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match="Showing compressed pictures needs the extra 'jpeg'"):
        compressed_picture(b"", "jpeg", 10, 10)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_compressed_pictures(kind: str):
    images = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    images.new("RGB", (64, 48), (200, 30, 10)).save(file, kind)
    whole = file.getvalue()
    pixels, caption = compressed_picture(whole, kind, 16, 16)
    assert (pixels.shape, caption) == ((12, 16, 3), f"64 x 48 {kind}")
    assert np.abs(pixels.astype(int) - [200, 30, 10]).max() < 5
    as_image = image_picture(Pixels(64, 48, kind, 0, False, whole), 16, 16)
    assert as_image.pixels.tolist() == pixels.tolist()
    for broken in (whole[: len(whole) // 2], b"nothing"):
        with pytest.raises(DecodeError, match="compressed picture"):
            compressed_picture(broken, kind, 16, 16)


def test_a_map_has_its_origin_at_the_bottom_and_keeps_thin_walls():
    cells = np.zeros((20, 40), np.int8)
    cells[0, 0], cells[:, 21] = -1, 100
    info = message_class("nav_msgs.MapMetaData")(width=40, height=20, resolution=0.05)
    grid = message_class("nav_msgs.OccupancyGrid")(info=info, data=cells.ravel().tolist())
    pixels, caption = grid_picture(grid, 40, 40)
    assert caption == "40 x 20 cells, 2 x 1 m from (0, 0)"
    assert pixels[19, 0].tolist() == [70, 84, 92]
    assert pixels[0, 0].tolist() == [235, 235, 235]
    assert grid_picture(grid, 10, 10).pixels[:, 5].tolist() == [[12, 12, 12]] * 5
    info.width = 41
    with pytest.raises(DecodeError, match="41 x 20 cells, but its data has 800"):
        grid_picture(grid, 10, 10)


def test_two_pixels_share_a_character():
    (both, last) = half_blocks(np.array([[RED], [GREEN], [BLUE]], np.uint8), few_colours=False)
    (cell,) = both
    assert cell.text == "▀"
    assert cell.style.color.triplet == (206, 0, 0)  # of 32 steps, to save time
    assert cell.style.bgcolor.triplet == (0, 148, 0)
    assert [segment.style.bgcolor for segment in last] == [None]


def test_with_256_colours_the_nearest_are_taken():
    (line,) = half_blocks(np.array([[RED, GREY], [RED, [129] * 3]], np.uint8), few_colours=True)
    shown = [segment.style for segment in line]
    assert [style.color.triplet for style in shown] == [(215, 0, 0), (78, 78, 78)]
    assert shown[1].bgcolor.triplet == (128, 128, 128)


def test_a_curve_in_braille():
    assert curve(np.arange(8), 4, 2) == ["⠀⠀⡠⠊", "⡠⠊⠀⠀"]
    assert curve(np.array([0, 0, 1, 1]), 2, 1) == ["⣀⠏"]
    assert curve(np.array([0, np.nan, 1, 1]), 2, 1) == ["⡀⠉"]
    assert curve(np.array([1.0, 1.0]), 2, 1) == ["⣀⣀"]
    assert curve(np.array([np.nan, np.nan]), 2, 1) == ["  "]


def test_a_curve_of_many_numbers_keeps_a_single_peak():
    values = np.zeros(100_000)
    values[77_777] = 5.0
    (line,) = curve(values, 50, 1)
    assert len(line) == 50
    assert [i for i, cell in enumerate(line) if cell != "⣀"] == [38]
    assert labelled_curve(values, 30, 3)[0].startswith("5 ")
    assert labelled_curve(np.array([1e308, -1e308, np.inf]), 30, 3)[2].startswith("-1e+308 ")


# --- points from above


def drawn(type_name: str, **fields: Any) -> tuple[list[str], list[str]]:
    """The lines of the drawing of a message, and its caption."""
    view = view_of(message_class(type_name)(**fields))
    assert view is not None
    drawing = view.draw(Room(60, 5))
    return [strip.text for strip in drawing.lines], drawing.caption


def cloud(points: NDArray[Any], **changes: Any) -> dict[str, Any]:
    field = message_class("sensor_msgs.PointField")
    fields = [field(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate("xyz")]
    data = points.astype("<f4").tobytes()
    return {
        "fields": fields,
        "width": len(points),
        "height": 1,
        "point_step": 12,
        "data": data,
    } | changes


CORNERS = np.array([[0, 0, 0], [9.5, 0, 1], [0, 9.5, 2], [np.nan, 1, 1]])


def test_a_cloud_is_drawn_from_above_with_its_extents():
    lines, caption = drawn("sensor_msgs.PointCloud2", **cloud(CORNERS))
    assert lines == ["⠁         ".replace(" ", "⠀"), *["⠀" * 10] * 3, "⡀" + "⠀" * 8 + "⢀"]
    assert caption == ["3 points, x 0..9.5 m, y 0..9.5 m, z 0..2 m"]


def test_a_cloud_with_big_endian_doubles_and_padded_rows():
    points = b"".join(struct.pack(">xdd", x, y) for x, y, _ in CORNERS[:2])
    field = message_class("sensor_msgs.PointField")
    fields = [field(name="x", offset=1, datatype=8), field(name="y", offset=9, datatype=8)]
    layout = {"width": 1, "height": 2, "point_step": 17, "row_step": 17, "is_bigendian": True}
    _, caption = drawn("sensor_msgs.PointCloud2", fields=fields, data=points, **layout)
    assert caption == ["2 points, x 0..9.5 m, y 0..0 m"]


@pytest.mark.parametrize(
    "changes",
    [{"width": 5}, {"point_step": 8}, {"point_step": -12}, {"height": 2}, {"fields": []}],
)
def test_a_broken_cloud_is_a_sentence(changes: dict[str, Any]):
    with pytest.raises(DecodeError, match=r"The cloud says|no field 'x'"):
        drawn("sensor_msgs.PointCloud2", **cloud(CORNERS, **changes))


def test_a_scan_shows_its_echoes_and_a_path_its_line():
    scan = {"angle_increment": np.pi / 2, "range_min": 0.1, "range_max": 10.0}
    ranges = [2.0, 3.0, 0.0, 11.0, float("inf")]
    _, caption = drawn("sensor_msgs.LaserScan", ranges=ranges, **scan)
    assert caption == ["2 echoes, x 0..2 m, y 0..3 m"]
    place, pose = message_class("geometry_msgs.Point"), message_class("geometry_msgs.Pose")
    poses = [pose(position=place(x=x)) for x in (0.0, 4.0)]
    lines, caption = drawn("geometry_msgs.PoseArray", poses=poses)
    assert caption == ["2 poses, x 0..4 m, y 0..0 m"]
    assert "⠀" not in lines[-1]


def test_what_has_no_points_and_no_pixels_is_only_read():
    assert view_of(message_class("sensor_msgs.LaserScan")()) is None
    assert view_of(message_class("nav_msgs.Path")()) is None
    assert view_of(message_class("sensor_msgs.PointCloud2")(**cloud(CORNERS[3:]))) is None
    assert view_of(message_class("std_msgs.String")()) is None
