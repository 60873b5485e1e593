"""The keys of the timeline: those of VLC and mpv where these have one."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from dimos_record.cli.tui.keys import Key

_PLAY, _LOOK, _EDIT, _FILE = "Playing", "Looking", "Editing", "Saving"

KEYS: list[BindingType] = [
    Key("space", "play", "Play to the bus, or pause", label="play", section=_PLAY),
    Key("left", "seek_by(-5)", "5 s back", section=_PLAY),
    Key("right", "seek_by(5)", "5 s forward", label="5 s", section=_PLAY),
    Key("plus,equals_sign", "zoom(2)", "Zoom in, around the playhead", label="zoom", section=_LOOK),
    Key("i", "mark_in", "Mark in: a section begins at the playhead", label="in", section=_EDIT),
    Key("o", "mark_out", "Mark out: it ends before the playhead", label="out", section=_EDIT),
    Key("x", "cut", "Cut what is between the marks, of all streams", label="cut", section=_EDIT),
    Key("t", "trim", "Trim: keep what is between the marks", label="trim", section=_EDIT),
    Key("u", "undo", "Undo the last edit", label="undo", section=_EDIT),
    Key("w", "save", "Save: write the edits into the file", label="save", section=_FILE),
    Key(
        "W",
        "save_as",
        "Save as a new file; this one stays as it is",
        label="save as",
        section=_FILE,
    ),
    Key(
        "e",
        "extract",
        "Export what is between the marks into a new file",
        label="export",
        section=_FILE,
    ),
    Key(
        "enter", "inspect", "Look into the message under the playhead", label="look", section=_LOOK
    ),
    Key("shift+left", "seek_by(-1)", "1 s back", section=_PLAY),
    Key("shift+right", "seek_by(1)", "1 s forward", section=_PLAY),
    Key("pageup,ctrl+left", "seek_by(-30)", "30 s back", section=_PLAY),
    Key("pagedown,ctrl+right", "seek_by(30)", "30 s forward", section=_PLAY),
    Key("full_stop", "step(True)", "To the next message", section=_PLAY),
    Key("comma", "step(False)", "To the message before", section=_PLAY),
    Key(
        "greater_than_sign", "step_lane(True)", "To the next message of this stream", section=_PLAY
    ),
    Key(
        "less_than_sign", "step_lane(False)", "To the message before of this stream", section=_PLAY
    ),
    Key("home", "seek_share(0.0)", "To the start", section=_PLAY),
    Key("end", "seek_share(1.0)", "To the end", section=_PLAY),
    Key(
        "1",
        "seek_share(0.1)",
        "To 10 %, 20 % ... of the recording",
        key_display="1-9",
        section=_PLAY,
    ),
    *(Binding(str(digit), f"seek_share(0.{digit})", show=False) for digit in (0, *range(2, 10))),
    Key("g", "go_to", "Go to a time or a marker", label="go to", section=_PLAY),
    Key("n,right_parenthesis", "flag(True)", "To the next marker", section=_PLAY),
    Key("N,left_parenthesis", "flag(False)", "To the marker before", section=_PLAY),
    Key("left_square_bracket", "multiply_rate(0.9)", "10 % slower", section=_PLAY),
    Key("right_square_bracket", "multiply_rate(1.1)", "10 % faster", section=_PLAY),
    Key("left_curly_bracket", "multiply_rate(0.5)", "Half as fast", section=_PLAY),
    Key("right_curly_bracket", "multiply_rate(2.0)", "Twice as fast", section=_PLAY),
    Key("backspace", "set_rate(1.0)", "As fast as it was recorded", section=_PLAY),
    Key("l", "loop", "Loop: set A, then B, then end it", label="loop", section=_PLAY),
    Key(
        "m",
        "mute",
        "Mute this stream, or not; muted before it plays, it is left out",
        label="mute",
        section=_PLAY,
    ),
    Key("s", "solo", "Solo: play this stream alone, or not", label="solo", section=_PLAY),
    Key("up", "cursor(-1)", "To the stream above", section=_LOOK),
    Key("down", "cursor(1)", "To the stream below", section=_LOOK),
    Key("minus", "zoom(0.5)", "Zoom out", section=_LOOK),
    Key("z", "zoom_all", "Show the whole recording", section=_LOOK),
    Key("b", "pan(-0.5)", "Look half a screen earlier; the playhead stays", section=_LOOK),
    Key("f", "pan(0.5)", "Look half a screen later; the playhead stays", section=_LOOK),
    Key("c", "follow", "Look where the playhead is", section=_LOOK),
    Key("v", "unit", "Show bytes, or messages", label="bytes", section=_LOOK),
    Key("escape", "give_up", "Close the inspector, or forget the marks", section=_LOOK),
    Key("X", "cut_lane", "Cut what is between the marks, of this stream only", section=_EDIT),
    Key("d", "delete_lane", "Delete this stream", section=_EDIT),
    Key("k", "add_marker", "Put a marker at the playhead", label="marker", section=_EDIT),
    Key("K", "add_interval", "Put a marker on what is between the marks", section=_EDIT),
    Key("D", "delete_marker", "Delete the marker at the playhead", section=_EDIT),
    Key("U,ctrl+r", "redo", "Redo what was undone", section=_EDIT),
    Key(
        "h",
        "history",
        "The list of edits: go back to one, or forward",
        label="history",
        section=_EDIT,
    ),
    Binding("p", "play", show=False),  # as in mpv
    Binding("r", "record", show=False),
    Binding("ctrl+z", "undo", show=False),
]
