"""Pictures: every encoding of ROS gives the same picture."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest

from dimos_record.errors import DecodeError
from dimos_record.viewer.converters import converter_for

from .made import HEADER, made, values

rr = pytest.importorskip("rerun")

Array = np.ndarray[Any, np.dtype[Any]]

WIDTH, HEIGHT = 6, 4
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
ALPHA = np.full((HEIGHT, WIDTH, 1), 200, np.uint8)


def image(encoding: str, pixels: Array | bytes, **fields: Any) -> bytes:
    data = pixels if isinstance(pixels, bytes) else pixels.tobytes()
    size = {"width": WIDTH, "height": HEIGHT, "step": 0} | fields
    return made("sensor_msgs.Image", header=HEADER, encoding=encoding, data=data, **size)


def shown(data: bytes, type_name: str = "sensor_msgs.Image") -> Any:
    converter = converter_for(type_name)
    assert converter is not None
    (one,) = converter.convert(data)
    assert one.frame == "lidar/image plane"
    return one.archetype


def form(archetype: Any) -> Any:
    (found,) = values(archetype, "format")
    return found


def pixels_of(archetype: Any, dtype: str, *shape: int) -> Array:
    """The pixels that Rerun gets."""
    (content,) = values(archetype, "buffer")
    return np.array(content, np.uint8).view(dtype).reshape(shape)


def as_rgb(archetype: Any) -> Array:
    """What Rerun shows of 8-bit colours, shape (height, width, 3)."""
    model = form(archetype)["color_model"]
    name = {
        int(getattr(rr.ColorModel, each).value): each for each in ("RGB", "RGBA", "BGR", "BGRA")
    }
    order = name[model]
    found = pixels_of(archetype, "u1", HEIGHT, WIDTH, len(order))
    return found[:, :, [order.index(channel) for channel in "RGB"]]


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[:, :, ::-1]),
        ("rgba8", np.concatenate([RGB, ALPHA], axis=2)),
        ("bgra8", np.concatenate([RGB[:, :, ::-1], ALPHA], axis=2)),
        ("8UC3", RGB[:, :, ::-1]),
        ("8UC4", np.concatenate([RGB[:, :, ::-1], ALPHA], axis=2)),
        ("rgb16", RGB.astype("<u2") * 257),
        ("bgr16", RGB[:, :, ::-1].astype("<u2") * 257),
    ],
)
def test_colours_keep_their_places(encoding: str, pixels: Array) -> None:
    assert (as_rgb(shown(image(encoding, np.ascontiguousarray(pixels)))) == RGB).all()


def test_padding_behind_rows_is_left_out() -> None:
    padded = np.pad(RGB.reshape(HEIGHT, -1), ((0, 0), (0, 5)), constant_values=9)
    assert (as_rgb(shown(image("rgb8", padded, step=WIDTH * 3 + 5))) == RGB).all()


@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_of_16_bits_in_both_byte_orders(order: str) -> None:
    grey = (np.arange(HEIGHT * WIDTH) * 1000).astype(order + "u2").reshape(HEIGHT, WIDTH)
    archetype = shown(image("mono16", grey, is_bigendian=int(order == ">")))
    assert (pixels_of(archetype, "=u2", HEIGHT, WIDTH) == grey).all()


@pytest.mark.parametrize(
    ("encoding", "dtype", "per_m"), [("16UC1", "<u2", 1000.0), ("32FC1", "<f4", 1.0)]
)
def test_depth_has_its_scale(encoding: str, dtype: str, per_m: float) -> None:
    depth = (np.arange(HEIGHT * WIDTH) * per_m).astype(dtype).reshape(HEIGHT, WIDTH)
    archetype = shown(image(encoding, depth))
    assert isinstance(archetype, rr.DepthImage)
    assert values(archetype, "meter") == [per_m]
    assert (pixels_of(archetype, "=" + dtype[1:], HEIGHT, WIDTH) == depth).all()


@pytest.mark.parametrize("dtype", ["8SC1", "16SC1", "32SC1", "64FC1", "8UC1", "mono8"])
def test_other_numbers_of_one_channel_stay_what_they_are(dtype: str) -> None:
    numpy_type = {"8S": "i1", "16": "<i2", "32": "<i4", "64": "<f8"}.get(dtype[:2], "u1")
    numbers = (np.arange(HEIGHT * WIDTH) - 3).astype(numpy_type).reshape(HEIGHT, WIDTH)
    archetype = shown(image(dtype, numbers))
    native = numpy_type.replace("<", "=")
    assert (pixels_of(archetype, native, HEIGHT, WIDTH) == numbers).all()


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer_patterns_give_the_colours_of_their_cells(pattern: str, bits: int) -> None:
    flat = {"r": 200, "g": 100, "b": 50}
    raw = np.zeros((HEIGHT, WIDTH), np.uint8)
    for place, color in enumerate(pattern):
        raw[place // 2 :: 2, place % 2 :: 2] = flat[color]
    data = raw if bits == 8 else raw.astype("<u2") * 257
    assert (as_rgb(shown(image(f"bayer_{pattern}{bits}", data))) == [200, 100, 50]).all()


def test_yuv_is_arranged_as_rerun_has_it() -> None:
    luma = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    u, v = luma[::2, ::2] + 100, luma[::2, ::2] + 150
    nv12 = luma.tobytes() + np.stack([u, v], axis=-1).tobytes()
    nv21 = luma.tobytes() + np.stack([v, u], axis=-1).tobytes()
    yuyv = np.stack(
        [luma[:, ::2], u.repeat(2, axis=0), luma[:, 1::2], v.repeat(2, axis=0)], axis=-1
    )
    uyvy = np.stack(
        [u.repeat(2, axis=0), luma[:, ::2], v.repeat(2, axis=0), luma[:, 1::2]], axis=-1
    )
    full_u = np.full_like(luma, 90)
    nv24 = luma.tobytes() + np.stack([full_u, full_u + 1], axis=-1).tobytes()
    planar = luma.tobytes() + full_u.tobytes() + (full_u + 1).tobytes()
    for encoding, content, expected, name in (
        ("nv12", nv12, nv12, "NV12"),
        ("nv21", nv21, nv12, "NV12"),
        ("yuyv", yuyv.tobytes(), yuyv.tobytes(), "YUY2"),
        ("yuv422_yuy2", yuyv.tobytes(), yuyv.tobytes(), "YUY2"),
        ("uyvy", uyvy.tobytes(), yuyv.tobytes(), "YUY2"),
        ("yuv422", uyvy.tobytes(), yuyv.tobytes(), "YUY2"),
        ("nv24", nv24, planar, "Y_U_V24_LimitedRange"),
    ):
        archetype = shown(image(encoding, content))
        assert bytes(values(archetype, "buffer")[0]) == expected, encoding
        assert form(archetype)["pixel_format"] == getattr(rr.PixelFormat, name).value


def test_yuv_of_an_odd_size_is_shown_too() -> None:
    archetype = shown(image("nv21", bytes([1, 2, 3, 4, 5, 6, 7, 8, 9]), width=3, height=2, step=3))
    assert bytes(values(archetype, "buffer")[0]) == bytes([1, 2, 3, 4, 5, 6, 8, 7, 9])


@pytest.mark.parametrize(
    ("encoding", "fields", "words"),
    [
        ("rgb8", {"height": HEIGHT + 1}, "90 bytes and has 72"),
        ("nv12", {"height": 100}, "900 bytes and has 72"),
        ("rgb8", {"step": 3}, "cannot be"),
        ("rgb8", {"width": -1}, "cannot be"),
        ("bayer_rggb8", {"height": 1}, "no cell"),
        ("rgb9", {}, "'rgb9'"),
        ("", {}, "''"),
    ],
)
def test_pictures_that_cannot_be_are_refused(
    encoding: str, fields: dict[str, int], words: str
) -> None:
    with pytest.raises(DecodeError, match=words):
        shown(image(encoding, RGB, **fields))


def compressed(form: str, content: bytes) -> Any:
    data = made("sensor_msgs.CompressedImage", header=HEADER, format=form, data=content)
    return shown(data, "sensor_msgs.CompressedImage")


def file_of(pixels: Array, form: str, **options: Any) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_compressed_pictures_go_through_as_they_are(form: str) -> None:
    content = file_of(RGB, form)
    for archetype in (
        compressed(f"rgb8; {form.lower()} compressed bgr8", content),
        shown(image(form.lower(), content)),
    ):
        assert isinstance(archetype, rr.EncodedImage)
        assert bytes(values(archetype, "blob")[0]) == content
        assert values(archetype, "media_type") == [f"image/{form.lower()}"]


def test_what_rerun_does_not_decode_is_decoded() -> None:
    assert (as_rgb(compressed("tiff", file_of(RGB, "TIFF"))) == RGB).all()
    with pytest.raises(DecodeError, match="'h264'"):
        compressed("h264", b"\x00\x00\x00\x01nothing")


def test_compressed_depth_is_depth_again() -> None:
    depth_mm = (np.arange(HEIGHT * WIDTH, dtype=np.uint16) * 100).reshape(HEIGHT, WIDTH)
    content = struct.pack("<iff", 0, 0, 0) + file_of(depth_mm, "PNG")
    archetype = compressed("16UC1; compressedDepth png", content)
    assert values(archetype, "meter") == [1000.0]
    assert (pixels_of(archetype, "=u2", HEIGHT, WIDTH) == depth_mm).all()

    depth_m = np.linspace(0.5, 4.0, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    depth_m[0, 0] = np.nan
    a, b = 10100.0, 1 - 10100.0 / 10
    inverse = np.nan_to_num(a / depth_m + b).astype(np.uint16)
    content = struct.pack("<iff", 1, a, b) + file_of(inverse, "PNG")
    found = pixels_of(compressed("32FC1; compressedDepth png", content), "=f4", HEIGHT, WIDTH)
    assert np.isnan(found[0, 0])
    assert found.ravel()[1:] == pytest.approx(depth_m.ravel()[1:], rel=1e-3)

    rvl = compressed("16UC1; compressedDepth rvl", struct.pack("<iffII", 0, 0, 0, 2, 2) + b"12")
    assert values(rvl, "media_type") == ["application/rvl"]
    with pytest.raises(DecodeError, match="has colours"):
        compressed("16UC1; compressedDepth png", bytes(12) + file_of(RGB, "PNG"))
    with pytest.raises(DecodeError, match="black and white"):
        compressed("16UC1; compressedDepth png", bytes(12) + file_of(RGB[:, :, 0] > 9, "PNG"))
    with pytest.raises(DecodeError, match="'32FC1; compressedDepth png'"):
        compressed("32FC1; compressedDepth png", b"short")


def test_a_camera_stands_between_its_frame_and_its_pictures() -> None:
    k = [500.0, 0, 320, 0, 510.0, 240, 0, 0, 1]
    convert = converter_for("sensor_msgs.CameraInfo").convert  # type: ignore[union-attr]
    data = made("sensor_msgs.CameraInfo", header=HEADER, width=640, height=480, K=k, D=[0.0] * 5)
    (camera,) = convert(data)
    assert camera.path == "/frames/lidar/camera"
    assert values(camera.archetype, "parent_frame") == ["lidar"]
    assert values(camera.archetype, "child_frame") == ["lidar/image plane"]
    assert values(camera.archetype, "resolution") == [[640.0, 480.0]]
    # Rerun's matrices are by columns.
    assert values(camera.archetype, "image_from_camera") == [
        [500.0, 0, 0, 0, 510.0, 0, 320, 240, 1]
    ]
    with pytest.raises(DecodeError, match="not calibrated"):
        convert(made("sensor_msgs.CameraInfo", header=HEADER, width=640, height=480))
