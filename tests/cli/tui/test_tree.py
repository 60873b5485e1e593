from __future__ import annotations

from dimos_record.cli.tui.live.tree import CALLS, OTHERS, Row, rows


def labels(found: list[Row]) -> list[str]:
    return ["  " * row.depth + row.label for row in found]


def test_topics_of_one_beginning_make_a_branch() -> None:
    found = rows(["/odom#a.B", "/camera/image#c.D", "/camera/info#e.F", "/cmd_vel"], {})
    assert labels(found) == ["/camera", "  /image", "  /info", "/cmd_vel", "/odom"]
    assert found[0].channels == ("/camera/image#c.D", "/camera/info#e.F")


def test_a_topic_that_is_alone_is_not_hidden_in_branches() -> None:
    assert labels(rows(["/robot/arm/left/joint", "/odom"], {})) == [
        "/odom",
        "/robot/arm/left/joint",
    ]


def test_branches_have_branches() -> None:
    found = rows(["/r/a/x", "/r/a/y", "/r/b"], {})
    assert labels(found) == ["/r", "  /a", "    /x", "    /y", "  /b"]


def test_a_topic_that_is_also_the_beginning_of_others_is_in_their_branch() -> None:
    found = rows(["/tf#a.B", "/tf/static#a.B"], {})
    assert labels(found) == ["/tf", "  /tf", "  /static"]


def test_one_topic_with_two_types_has_two_lines_that_differ() -> None:
    found = rows(["/odom#a.B", "/odom#c.D"], {})
    assert len({row.label for row in found}) == 2


def test_a_folded_branch_shows_nothing_below_it() -> None:
    found = rows(["/r/a/x", "/r/a/y", "/r/b"], {}, frozenset({"/r/a"}))
    assert labels(found) == ["/r", "  /a", "  /b"]


def test_where_modules_are_known_they_are_the_branches_and_the_rest_comes_last() -> None:
    found = rows(["/odom#a.B", "/image#c.D", "/other"], {"/odom#a.B": "Robot", "/image#c.D": "Cam"})
    assert labels(found) == ["Cam", "  /image", "Robot", "  /odom", OTHERS, "  /other"]


def test_what_belongs_to_no_module_is_shown_by_path() -> None:
    channels = ["/odom", "/rpc/a/ping", "/rpc/b/ping", "/other"]
    found = rows(channels, {"/odom": "Robot"}, frozenset({CALLS}))
    assert labels(found) == ["Robot", "  /odom", OTHERS, "  /other", "  /rpc"]
