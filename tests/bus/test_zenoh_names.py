"""Topics as Zenoh keys, selections as Zenoh key expressions."""

from __future__ import annotations

import pytest
import zenoh

from dimos_record.bus.base import Selection
from dimos_record.bus.zenoh_names import channel_of, is_internal, key_expressions, key_of
from dimos_record.errors import BusError, ChannelTooLong


@pytest.mark.parametrize(
    ("channel", "key"),
    [
        ("/odom#geometry_msgs.PoseStamped", "dimos/odom/geometry_msgs.PoseStamped"),
        ("/robot1/odom#nav_msgs.Odometry", "dimos/robot1/odom/nav_msgs.Odometry"),
        ("/pose#geometry_msgs.Pose2D", "dimos/pose/geometry_msgs.Pose2D"),
        ("/agent", "dimos/agent"),
        ("/maps/floor.png", "dimos/maps/floor.png"),
        ("/a name/größe", "dimos/a name/größe"),
    ],
)
def test_a_channel_has_the_key_that_dimos_gives_it(channel: str, key: str) -> None:
    assert key_of(channel, "dimos/") == key
    assert channel_of(key, "dimos/") == channel
    in_domain = key_of(channel, "dimos-domains/fleet/")
    assert in_domain == key.replace("dimos/", "dimos-domains/fleet/", 1)
    assert channel_of(in_domain, "dimos-domains/fleet/") == channel
    assert channel_of(in_domain, "dimos/") is None


def test_a_channel_without_a_slash_gets_one() -> None:
    assert key_of("odom", "dimos/") == key_of("/odom", "dimos/")


@pytest.mark.parametrize(
    ("channel", "complaint"),
    [
        ("/a*", r"'\*'"),
        ("/a$b", r"'\$'"),
        ("/what?", r"'\?'"),
        ("", "empty"),
        ("/", "empty"),
        ("//odom", "empty"),
        ("/a//b", "empty"),
        ("/a/", "empty"),
        ("/a#", "'#'"),
        ("/a#b#c", "looks like"),
        ("/a#untyped", "looks like"),
        ("/a/geometry_msgs.Pose", "looks like"),
        ("/\ud800", "not text"),
    ],
)
def test_what_zenoh_has_no_key_for_is_refused(channel: str, complaint: str) -> None:
    with pytest.raises(BusError, match=complaint) as caught:
        key_of(channel, "dimos/")
    assert repr(channel) in str(caught.value)


def test_a_name_of_absurd_length_is_refused() -> None:
    with pytest.raises(ChannelTooLong, match="at most 4096"):
        key_of("/" + "a" * 5000, "dimos/")


def test_what_dimos_uses_for_itself_is_no_topic() -> None:
    internal = ["dimos/rpc/Driver/start", "dimos/runs/7f3a/logs/robot"]
    topics = ["dimos/rpc", "dimos/runs/count", "dimos/agent", "dimos-domains/d/runs/1/logs/a"]
    assert [key for key in internal + topics if is_internal(key)] == internal


CHANNELS = [
    "/odom",
    "/odom#geometry_msgs.PoseStamped",
    "/odom/raw#geometry_msgs.PoseStamped",
    "/robot1/odom#geometry_msgs.PoseStamped",
    "/camera/left#sensor_msgs.Image",
    "/camera/left/info#sensor_msgs.CameraInfo",
    "/camera_info#sensor_msgs.CameraInfo",
    "/tf#tf2_msgs.TFMessage",
    "/a/b/c/d",
]
PATTERNS = [
    "*",
    "**",
    "/odom",
    "odom",
    "/odom#geometry_msgs.PoseStamped",
    "/odom#*",
    "/odom#geometry_msgs.*",
    "*#sensor_msgs.Image",
    "*#*Info",
    "/*",
    "/?dom",
    "/camera/*",
    "/camera/**",
    "/camera*",
    "/cam**info",
    "/**/odom",
    "/{odom,tf}",
    "/{camera/left,tf}",
    "/camera/{left,right}/info",
    "/[ot]*",
    "/camera[/_]*",
    "/a/**/d",
    "/*/*/*/?",
    "//odom",
    "/odom$",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_expressions_match_all_that_is_selected(pattern: str) -> None:
    selection = Selection.of([pattern])
    expressions = [zenoh.KeyExpr(text) for text in key_expressions(selection, "dimos/")]
    for channel in CHANNELS:
        if selection.matches(channel):
            key = key_of(channel, "dimos/")
            assert any(expression.includes(key) for expression in expressions), key


def test_the_expressions_leave_out_what_they_can() -> None:
    patterns = ["/odom", "/camera/*_info", "/{a,b}/x?", "*#tf2_msgs.TFMessage", "/odom"]
    assert key_expressions(Selection.of(patterns), "dimos/") == [
        "dimos/odom/**",
        "dimos/camera/$*_info/**",
        "dimos/*/x$*/**",
        "dimos/**/tf2_msgs.TFMessage/**",
    ]
    assert key_expressions(Selection.of([]), "dimos/") == []
