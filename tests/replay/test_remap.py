from __future__ import annotations

import pytest

from dimos_record.errors import OptionError, PatternError
from dimos_record.replay.remap import Remap
from tests.replay.fakes import stream


@pytest.mark.parametrize(
    ("mapping", "channel", "target"),
    [
        ({"/odom": "/replay/odom"}, "/odom#nav_msgs.Odometry", "/replay/odom#nav_msgs.Odometry"),
        ({"/odom": "/replay/odom"}, "/odom", "/replay/odom"),
        ({"/odom": "/replay/odom"}, "/odom2#a.B", "/odom2#a.B"),
        ({"odom": "/o"}, "/odom#a.B", "/o#a.B"),
        ({"/camera/*": "/sim/camera/*"}, "/camera/left#a.B", "/sim/camera/left#a.B"),
        ({"/camera/*": "/sim/camera/*"}, "/camera/left/info", "/camera/left/info"),
        ({"/robot*/*/x": "/r*/x/*"}, "/robot1/arm/x#a.B", "/r1/x/arm#a.B"),
        ({"/camera/**": "/sim/**"}, "/camera/left/info#a.B", "/sim/left/info#a.B"),
        ({"/{left,right}/image": "/cam_*"}, "/right/image#a.B", "/cam_right#a.B"),
        ({"/cam[01]": "/camera/?"}, "/cam1", "/camera/1"),
        ({"/a.b": "/c"}, "/axb", "/axb"),
        ({"*": "/replay/*"}, "/odom#a.B", "/replay/odom#a.B"),
        ({"*": "/replay/*"}, "RAW", "/replay/RAW"),
        ({"/cam/*": "/all"}, "/cam/left", "/all"),
        ({"/*": "/x/*", "/odom": "/exact"}, "/odom#a.B", "/exact#a.B"),
        ({"/o*": "/first/*", "/*": "/second/*"}, "/odom", "/first/dom"),
    ],
)
def test_remapping(mapping: dict[str, str], channel: str, target: str) -> None:
    assert Remap(mapping).channel(channel) == target


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"/a": ""}, "give a topic or pattern and a target without a type, such as /odom="),
        ({"/a": "/b#std_msgs.String"}, "without a type"),
        ({"/a/*": "/b/*/*"}, "2 wildcards and the pattern only 1"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(mapping: dict[str, str], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Remap(mapping)


def test_a_broken_pattern_is_refused() -> None:
    with pytest.raises(PatternError, match="is not closed"):
        Remap({"/a[": "/b"})


def test_a_rule_that_matches_no_topic_is_refused() -> None:
    with pytest.raises(OptionError, match=r"--remap '/pose' matches no topic .*these are /odom"):
        Remap({"/pose": "/b"}).check([stream("/odom#a.B")], "walk.db")


def test_two_topics_cannot_become_one() -> None:
    streams = [stream("/a#t.T"), stream("/b#t.T"), stream("/c#other.T")]
    Remap({"/c": "/b"}).check(streams, "walk.db")
    with pytest.raises(OptionError, match="both /a and /b as /b"):
        Remap({"/a": "/b"}).check(streams, "walk.db")


def test_topics_that_are_left_alone_may_share_a_channel() -> None:
    streams = [stream("/a#t.T"), stream("/a#t.T")._replace(name="a_2"), stream("/b#t.T")]
    Remap({"/b": "/c"}).check(streams, "walk.db")
