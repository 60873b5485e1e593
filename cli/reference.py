"""The reference page of the command line, made from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from dimos_record import errors
from dimos_record.cli.dimos_options import PLAN_OPTIONS, RECORD_OPTIONS, REPLAY_OPTIONS

_OTHER_CODES = {
    0: "All is well; `compare`: the recordings are equal.",
    1: "Anything else; `compare`: the recordings are not equal.",
    130: "Interrupted: Ctrl-C where it does not end the command, or a second one.",
}


def reference(app: typer.Typer) -> str:
    """The page, in Markdown."""
    group: Any = typer.main.get_command(app)
    parts = [_INTRODUCTION, "## Commands\n", _overview(group)]
    for name in group.list_commands(None):
        parts += _command(name, group.commands[name])
    parts += _run()
    parts += ["## Exit codes\n", _exit_codes()]
    return "\n".join(parts)


_INTRODUCTION = """# Command line

<!-- Made by scripts/docs_cli from the commands themselves; changes belong there. -->

Data goes to stdout, narration and progress to stderr. In a pipe nothing is coloured, cut or drawn
again. `--json` gives figures under names that stay, with their unit: `_ns` are nanoseconds, `_s`
seconds. `dimos-record --install-completion` installs completion for your shell.

**Recordings.** A path with a folder in it is taken as it stands. A bare name such as `walk.db`
means the project's data folder (`data/` beside `data/.lfs`, or `DIMOS_RECORD_DATA`) where there is
one, else the current folder. What is read and only packed in `data/.lfs` is fetched.
A folder of segments is given like a file.

**Topics.** `*` stands for anything within one level of a name, `**` across levels, `?` for one
character, `[ab]` and `{a,b}` for one of several; `*` alone means every topic, `*#TYPE` every topic
of a type. Quote patterns, so that the shell leaves them alone.

**Times** are `12.5` (seconds), `90s`, `10m`, `1.5h`, `1:23.5`, `1:02:03`. **Positions** are counted
from the start as recorded, whatever was cut since; they are times, or

- `-10`, before the end; `+10`, after the other end of the section, or after the start,
- `start` and `end`,
- a time of day: `2026-11-20T14:03:05`, `@14:03:05` on the day of the recording, UNIX seconds
  `@1763649785.2`; local time, unless `Z` or an offset such as `+01:00` follows,
- the name of a marker. An interval marker alone is a section.

A section is half-open: the message at its end is not in it, unless that is `end`.

**Sizes** are `500MB` (decimal), `512MiB` (binary).
"""


def _overview(group: Any) -> str:
    lines = (
        f"| [`{name}`](#dimos-record-{name}) | {_first(group.commands[name])} |"
        for name in group.list_commands(None)
    )
    return "\n".join(["| command | does |", "|---|---|", *lines]) + "\n"


def _sentences(command: Any) -> list[str]:
    """The paragraphs of a command's help."""
    text = inspect.cleandoc(command.help or "")
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]


def _first(command: Any) -> str:
    return _escaped(_sentences(command)[0])


def _command(name: str, command: Any) -> Iterator[str]:
    """The section of a command, and those of its own commands, where it has some."""
    yield f"## dimos-record {name}\n"
    description, examples = _split(_sentences(command))
    yield "\n\n".join(description) + "\n"
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    own = getattr(command, "commands", {})
    behind = ["COMMAND ..."] if own else ["[OPTIONS]", *map(_usage, arguments)]
    usage = " ".join(["dimos-record", name, *behind])
    yield f"```text\n{usage}\n```\n"
    if examples:
        yield "```bash\n" + "\n".join(examples) + "\n```\n"
    rows = [(f"`{_usage(one)}`", _help(one)) for one in arguments]
    rows += [(_names(one), _help(one)) for one in options if one.name != "help"]
    rows += [(f"[`{one}`](#dimos-record-{name}-{one})", _first(own[one])) for one in own]
    yield "\n".join(["| | |", "|---|---|", *(f"| {left} | {right} |" for left, right in rows)])
    yield ""
    for one in own:
        yield from _command(f"{name} {one}", own[one])


def _run() -> Iterator[str]:
    """Our options of dimos's `run`."""
    yield "## dimos-record run\n"
    yield _RUN
    titles = {"to record": RECORD_OPTIONS, "to replay": REPLAY_OPTIONS, "for both": PLAN_OPTIONS}
    for title, options in titles.items():
        yield f"| {title} | |\n|---|---|"
        for one in options:
            names = "; repeatable, or several with commas" if one.repeatable else ""
            yield f"| `{one.shown}` | {_escaped(one.help.rstrip('.'))}{names}. |"
        yield ""


_RUN = """With dimos installed, `dimos-record` takes every command and option of dimos's own command
line, and adds these to its global options. They stand before `run`, or behind the blueprint. A word
after `--record` or `--replay` is its file, unless it is a command of dimos (`--record=run` is a
file of that name). [How to use them](../how-to/dimos-command.md).

```text
dimos-record [OPTIONS] --record [FILE] run BLUEPRINT...
dimos-record [OPTIONS] --replay [FILE] run BLUEPRINT...
```

```bash
dimos-record --record walk.db run unitree-go2
dimos-record --replay walk.db --dry-run run unitree-go2
dimos-record --replay walk.db --replay-only Go2Connection --replay-loop run -d unitree-go2
```
"""


def _split(paragraphs: list[str]) -> tuple[list[str], list[str]]:
    """What is said, and the examples that end it."""
    if "Examples:" not in paragraphs:
        return paragraphs, []
    at = paragraphs.index("Examples:")
    return paragraphs[:at], paragraphs[at + 1 :]


def _usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    if argument.nargs == -1 and " " not in name:  # else it says itself what may be several
        name += "..."
    return name if argument.required else f"[{name}]"


def _names(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or 'VALUE'}"
    names = [*option.opts, *option.secondary_opts]
    short_first = sorted(names, key=lambda name: name.startswith("--"))
    return f"`{_escaped(', '.join(short_first) + value)}`"


def _help(parameter: Any) -> str:
    text = _escaped(" ".join((getattr(parameter, "help", None) or "").split()))
    default = parameter.default
    if default in (None, False, "", ()) or callable(default) or parameter.required:
        return text
    shown = ("on" if default else "off") if isinstance(default, bool) else default
    return f"{text} Default: `{shown}`."


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _exit_codes() -> str:
    meanings: dict[int, list[str]] = {code: [text] for code, text in _OTHER_CODES.items()}
    base = errors.DimosRecordError
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, base) and kind is not base:
            meanings.setdefault(kind.exit_code, []).append((kind.__doc__ or "").split("\n")[0])
    lines = ["| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {' '.join(meanings[code])} |" for code in sorted(meanings)]
    return "\n".join(lines) + "\n"
