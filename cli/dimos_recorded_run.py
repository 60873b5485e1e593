"""One run of a dimos blueprint with `--record` or `--replay`: what these options make of it."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from dimos_record.cli.dimos_options import (
    DIMOS_RECORDERS,
    RECORD_OPTIONS,
    REPLAY_OPTIONS,
    RUN_OPTIONS,
    RunOption,
    names_in,
)
from dimos_record.cli.running import say
from dimos_record.cli.text import json_text
from dimos_record.cli.times import Timescale, parse_end, parse_position, parse_rate
from dimos_record.errors import OptionError, RecordingExists


class RecordedRun:
    """Takes our options from the command line, and changes the blueprint by them."""

    def __init__(self, dimos: Any, blueprint_name: str, *, wants_help: bool) -> None:
        self._dimos = dimos
        self._blueprint_name = blueprint_name
        self._wants_help = wants_help
        self._given: dict[str, Any] = {}

    def choose(self, given: dict[str, Any], command: str | None) -> dict[str, Any]:
        """Take our options; returns what dimos is to make of its own of these names.

        Raises:
            OptionError: they contradict each other, or the command is not `run`.
        """
        theirs: dict[str, Any] = {}
        if given["record"] in DIMOS_RECORDERS:
            theirs["record"] = given.pop("record")
            theirs["record_topics"] = ",".join(given.pop("record_topics") or ()) or None
        if given["no_replay"]:
            if given["replay"] is not None:
                raise OptionError("--replay and --no-replay contradict each other; give one")
            theirs["replay"] = False
        self._given = {name: value for name, value in given.items() if value not in (None, False)}
        self._check(command)
        if self._records:
            theirs["record"] = ""  # not also by dimos's own recorder
        if "replay" in self._given:
            self._dimos.play_with_dimos(self._given["replay"] == "")
        return theirs

    def _check(self, command: str | None) -> None:
        for option in RUN_OPTIONS:
            if option.name != "--replay" and self._given.get(option.parameter) in ("", [""]):
                raise OptionError(f"{option.name} needs a value: {option.shown}")
        self._require(RECORD_OPTIONS, "record", "--record FILE")
        self._require(REPLAY_OPTIONS, "replay", "--replay FILE")
        if command != "run" and (self._records or self._given.get("replay")):
            raise OptionError("--record FILE and --replay FILE are for the command run")
        if "dry_run" in self._given and not (self._records or "replay" in self._given):
            raise OptionError("--dry-run shows what --replay FILE or --record FILE do; give one")
        if "json" in self._given and "dry_run" not in self._given:
            raise OptionError(
                "--json is for --dry-run; dimos's commands have their own behind them"
            )
        if "record_append" in self._given and "record_overwrite" in self._given:
            raise OptionError("--record-append and --record-overwrite contradict each other")

    def _require(self, options: tuple[RunOption, ...], needed: str, shown: str) -> None:
        for option in options:
            if option.parameter in self._given and needed not in self._given:
                raise OptionError(f"{option.name} needs {shown}")

    @property
    def _records(self) -> bool:
        return "record" in self._given

    def change(self, blueprint: Any) -> Any:
        """The blueprint that is to be started: with the plan printed, or nothing at all."""
        if self._wants_help or not (self._records or "replay" in self._given):
            return blueprint
        blueprint = blueprint.requirements(self._dimos.refuse_second_run)
        with _Report(dry="dry_run" in self._given, as_json="json" in self._given) as report:
            if "replay" in self._given:
                blueprint = self._replayed(blueprint, report)
            if self._records:
                blueprint = self._recorded(blueprint, report)
        return blueprint

    def _replayed(self, blueprint: Any, report: _Report) -> Any:
        from dimos_record.integrations.dimos.markers import recording_of
        from dimos_record.integrations.dimos.planning import replay_plan
        from dimos_record.integrations.dimos.replaying import replay

        path = self._given["replay"] or self._own_recording(recording_of(blueprint))
        if path is None:
            report.say("The blueprint names no recording; --replay is dimos's own")
            return blueprint
        choice: dict[str, Any] = {
            name: names_in(self._given.get(f"replay_{name}"))
            for name in ("only", "keep", "disable")
        }
        plan = replay_plan(blueprint, path, **choice)
        report.plan(plan)
        plan.check()
        options = self._play_options(path)
        try:
            return replay(blueprint, path, **choice, **options)
        except OptionError as error:
            raise OptionError(_OPTION_OF_PLAY.sub("--replay-", str(error))) from None

    def _own_recording(self, name: str | None) -> str | None:
        """The path of the recording that the blueprint names; `restart` plays that one again."""
        from dimos_record.lfs import existing

        if name is None:
            given = self._given.keys() - {"replay"}
            more = [one.name for one in REPLAY_OPTIONS if one.parameter in given]
            if more:
                raise OptionError(f"the blueprint names no recording, and {more[0]} needs one")
            return None
        path = str(existing(name).absolute())
        sys.argv = [f"--replay={path}" if one == "--replay" else one for one in sys.argv]
        self._dimos.play_with_dimos(False)
        return path

    def _play_options(self, path: str) -> dict[str, Any]:
        given = self._given
        start_s, end_s = _section(path, given.get("replay_start"), given.get("replay_end"))
        return {
            "speed": parse_rate(given.get("replay_speed", "1"), "--replay-speed"),
            "start_s": start_s,
            "end_s": end_s,
            "loop": "replay_loop" in given,
            "restamp": "replay_restamp" in given,
            "clock_topic": given.get("replay_clock"),
            "check_conflicts": "replay_force" not in given,
            "allow_commands": "allow_commands" in given,
            "exit_at_end": "exit_at_end" in given,
        }

    def _recorded(self, blueprint: Any, report: _Report) -> Any:
        from dimos_record.integrations.dimos.recording import record

        given = self._given
        path = given["record"]
        if path.endswith(os.sep):
            path = str(Path(path, f"{self._dimos.run_id_for(self._blueprint_name)}.db"))
        elif os.path.exists(path) and not {"record_append", "record_overwrite"} & given.keys():
            raise RecordingExists(
                f"{path} exists already; add to it with --record-append, replace it with "
                "--record-overwrite, or choose another name"
            )
        recorded = record(
            blueprint,
            path,
            topics=names_in(given.get("record_topics")),
            exclude=names_in(given.get("record_exclude")),
            everything="record_all" in given,
            append="record_append" in given,
            overwrite="record_overwrite" in given,
        )
        report.recording(path, recorded.blueprints[-1].kwargs["task"].ports)
        return recorded

    def while_running(self, coordinator: Any) -> AbstractContextManager[object]:
        """What goes on in the coordinator's process for as long as the blueprint runs."""
        if not self._records:
            return nullcontext()
        from dimos_record.integrations.dimos.late_modules import recorded_too

        return recorded_too(coordinator)


_OPTION_OF_PLAY = re.compile(r"--(?=(?:start|end|clock)\b)")
"""What the player calls an option of `dimos-record play`."""


def _section(path: str, start: str | None, end: str | None) -> tuple[float | None, float | None]:
    """Where playback begins and ends, in seconds; None where nothing is said."""
    from dimos_record import RecordReplay

    if start is None and end is None:
        return None, None
    with RecordReplay(path) as rec:
        scale = Timescale.of(rec.reader)
    start_s = None if start is None else parse_position(start, "--replay-start", scale)
    end_s = None if end is None else parse_end(end, "--replay-end", scale, start_s)
    return start_s, end_s


class _Report:
    """Tells a person what will happen: on stderr, or where nothing will, on stdout.

    Leaving its ``with`` block ends the command if nothing is to be started.
    """

    def __init__(self, *, dry: bool, as_json: bool) -> None:
        self._dry, self._as_json = dry, as_json
        self._found: dict[str, Any] = {}

    def __enter__(self) -> _Report:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._as_json and self._found:
            print(json_text(self._found, indent=2), file=sys.__stdout__)
        if self._dry and kind is None:
            sys.exit(0)

    def say(self, text: str) -> None:
        if not self._dry:
            say(text)
        elif not self._as_json:
            print(text, file=sys.__stdout__)

    def plan(self, plan: Any) -> None:
        """What a replay does to the blueprint."""
        self._found |= plan.to_dict()
        self.say(f"{plan.text()}\n")

    def recording(self, path: str, ports: tuple[Any, ...]) -> None:
        """What is recorded; before a run, the topics too."""
        topics: dict[str, list[str]] = {}
        for port in ports:
            topics.setdefault(port.module, []).append(f"/{port.stream}")
        self._found["record"] = {"recording": path, "modules": topics}
        self.say(f"Recording to {path}")
        if self._dry:
            for module, names in topics.items():
                self.say(textwrap.fill(f"{module}: {' '.join(names)}", 80, **_INDENTED))


_INDENTED: dict[str, Any] = {
    "initial_indent": "  ",
    "subsequent_indent": "    ",
    "break_long_words": False,
    "break_on_hyphens": False,
}
