"""Topic patterns: what they match, in Python and (through LCM) in PCRE."""

from __future__ import annotations

import pytest

from dimos_record.bus import Selection, join_channel, open_bus, split_channel
from dimos_record.errors import PatternError
from dimos_record.testing import Collector, free_lcm_url

MATCHES = [
    ("*", "/odom", True),
    ("*", "/robot1/camera/rgb#sensor_msgs.Image", True),
    ("*", "plain", True),
    ("/odom", "/odom", True),
    ("/odom", "/odom#geometry_msgs.PoseStamped", True),
    ("/odom", "/odom2", False),
    ("/odom", "/robot1/odom", False),
    ("odom", "/odom#geometry_msgs.PoseStamped", True),
    ("odom", "odom", True),
    ("/camera/*", "/camera/rgb#sensor_msgs.Image", True),
    ("/camera/*", "/camera/left/rgb", False),
    ("/camera/*", "/camera", False),
    ("/camera/**", "/camera/left/rgb#sensor_msgs.Image", True),
    ("**/odom", "/robot1/odom", True),
    ("**/odom", "/a/b/odom#x.Y", True),
    ("**/odom", "/a#odom", False),
    ("*/odom", "/robot1/odom", True),
    ("*/odom", "/a/b/odom", False),
    ("*odom", "/wheel_odom", True),
    ("/cam?", "/cam1", True),
    ("/cam?", "/cam/", False),
    ("/cam[12]", "/cam2", True),
    ("/cam[12]", "/cam3", False),
    ("/cam[0-4]", "/cam3", True),
    ("/cam[!0-4]", "/cam3", False),
    ("/cam[!0-4]", "/cam7", True),
    ("/cam[!0-4]", "/cam/", False),
    ("/cam[!-z]", "/cam-", False),
    ("/cam[!-z]", "/cama", True),
    ("/cam[a-]", "/cam-", True),
    ("{/odom,/imu}", "/imu#sensor_msgs.Imu", True),
    ("{/odom,/imu}", "/tf", False),
    ("/cam{,era}/rgb", "/cam/rgb", True),
    ("/cam{_*,era}/rgb", "/cam_left/rgb", True),
    ("/odom#geometry_msgs.PoseStamped", "/odom#geometry_msgs.PoseStamped", True),
    ("/odom#geometry_msgs.PoseStamped", "/odom#nav_msgs.Odometry", False),
    ("/odom#geometry_msgs.PoseStamped", "/odom", False),
    ("/odom#geometry_msgs.*", "/odom#geometry_msgs.Twist", True),
    ("*#sensor_msgs.Image", "/robot1/camera/rgb#sensor_msgs.Image", True),
    ("*#sensor_msgs.Image", "/robot1/camera/rgb#sensor_msgs.Imu", False),
    ("/a.b", "/aXb", False),
    ("/a+(b)|c$", "/a+(b)|c$", True),
    ("/größe", "/größe#x.Y", True),
    ("*", "LCM_SELF_TEST", False),
    ("LCM_SELF_TEST", "LCM_SELF_TEST", False),
    ("*", "LCM_SELF_TEST_2", True),
]


@pytest.mark.parametrize(("pattern", "channel", "expected"), MATCHES)
def test_a_pattern_matches_what_it_says(pattern: str, channel: str, expected: bool) -> None:
    assert Selection.of([pattern]).matches(channel) is expected


def test_lcm_understands_every_pattern_as_python_does() -> None:
    channels = sorted({channel for _, channel, _ in MATCHES} - {"LCM_SELF_TEST"})
    with open_bus(free_lcm_url()) as bus, Collector(bus) as everything:
        for pattern in sorted({pattern for pattern, _, _ in MATCHES}):
            selection = Selection.of([pattern])
            expected = [channel for channel in channels if selection.matches(channel)]
            with Collector(bus, pattern) as selected:
                seen_before = len(everything.messages)
                for channel in channels:
                    bus.publish(channel, b"")
                everything.wait_for(seen_before + len(channels))
                assert [channel for channel, _ in selected.messages] == expected


def test_a_narrow_selection_is_applied_by_lcm_itself() -> None:
    channels = sorted({channel for _, channel, _ in MATCHES} - {"LCM_SELF_TEST"})
    for pattern in ("/camera/*", "/cam[!0-4]", "*#sensor_msgs.Image", "{/odom,/imu}"):
        selection = Selection.of([pattern, "/last"])
        expected = [channel for channel in [*channels, "/last"] if selection.matches(channel)]
        with open_bus(free_lcm_url()) as bus, Collector(bus, pattern, "/last") as selected:
            for channel in [*channels, "/last"]:
                bus.publish(channel, b"")
            arrived = selected.wait_for(len(expected))
            assert [channel for channel, _ in arrived] == expected


def test_excludes_win_over_includes() -> None:
    selection = Selection.of(["/camera/*", "/odom"], exclude=["/camera/depth*", "*#tf.TF"])
    assert selection.matches("/camera/rgb")
    assert selection.matches("/odom#geometry_msgs.PoseStamped")
    assert not selection.matches("/camera/depth#sensor_msgs.Image")
    assert not selection.matches("/camera/depth_raw")
    assert not selection.matches("/odom#tf.TF")


@pytest.mark.parametrize(
    "topic", ["/odom", "/a*", "/a?c", "/[a]", "/{a,b}", "/a]b", "/a.b", "]", " "]
)
def test_a_topic_can_be_taken_out_whatever_its_name(topic: str) -> None:
    rest = Selection.of(["*"], ["/camera"]).without([topic, "/tf"])
    for gone in (topic, f"{topic}#x.Y", "/tf", "/camera#x.Y"):
        assert not rest.matches(gone)
    for kept in ("/odometry", "/ab", "/abc", "/axb", "/a", f"{topic}/x", f"/x{topic}"):
        assert rest.matches(kept)


def test_an_empty_selection_matches_nothing() -> None:
    selection = Selection.of([])
    assert not selection.matches("/odom")
    assert not selection.matches("")


@pytest.mark.parametrize(
    "pattern",
    ["", "  ", "/cam[", "/cam[]", "/cam[!]", "/cam[z-a]", "/cam]", "{a", "a}", "{}", "/a\0b", "\n"],
)
def test_a_bad_pattern_is_named_in_one_sentence(pattern: str) -> None:
    for include, exclude in (([pattern], []), (["*"], [pattern])):
        with pytest.raises(PatternError) as caught:
            Selection.of(include, exclude)
        assert "pattern" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_channel_splits_into_topic_and_type_and_back() -> None:
    for channel in ("/odom#geometry_msgs.PoseStamped", "/odom", "/odom#", "#x.Y", "/a#b#c"):
        assert join_channel(*split_channel(channel)) == channel
    assert split_channel("/odom#x.Y") == ("/odom", "x.Y")
    assert split_channel("/odom") == ("/odom", None)
    assert split_channel("##") == ("##", None)


def test_a_line_feed_in_a_name_is_a_character_like_any_other() -> None:
    assert Selection().matches("/odd\nname#a.B")
    assert Selection().matches("/odd\n")
    assert Selection.of(["/odd*"]).matches("/odd\nname")
    assert not Selection.of(["*"], ["/odd*"]).matches("/odd\n")
    assert Selection.of(["*"], ["/odd"]).matches("/odd\n")


def test_a_pattern_that_can_match_in_very_many_ways_is_refused():
    with pytest.raises(PatternError, match="too many wildcards that can match the same part"):
        Selection.of(["/**a*b**c*d**e*"])


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("/*a*b", "/xaxaxb", True),
        ("/*a*b", "/xaxa/b", False),
        ("/**a*b", "/xa/xaxb", True),
        ("/*_*_raw", "/left_image_raw", True),
        ("/*_*_raw", "/left_raw", False),
        ("/**/image*/*", "/robot/image/image_raw/x", True),
    ],
)
def test_several_wildcards_find_the_place_that_fits(pattern, name, matches):
    assert Selection.of([pattern]).matches(name) is matches
