"""`dimos-record fill-poses`: where messages were observed."""

from __future__ import annotations

from typing import Annotated

import typer

from dimos_record.cli.running import Json, say


def fill_poses(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The recording to fill in.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TOPIC", help="Odometry, pose or tf topic. Default: the likeliest."
        ),
    ] = None,
    topics: Annotated[
        list[str] | None,
        typer.Option(
            "--topics",
            "-t",
            metavar="TOPIC",
            help="Topics to fill in, patterns allowed; default all.",
        ),
    ] = None,
    frame: Annotated[
        str, typer.Option(metavar="FRAME", help="With tf: the frame whose pose is meant.")
    ] = "base_link",
    root: Annotated[
        str | None,
        typer.Option(metavar="FRAME", help="With tf: the frame it is given in. Default: the root."),
    ] = None,
    tolerance: Annotated[
        str, typer.Option(metavar="TIME", help="How far from a known pose a message may be.")
    ] = "0.5s",
    as_json: Json = False,
) -> None:
    """Give each message the pose at which it was observed.

    The poses come from the recording itself: from its odometry, a pose topic, or the tf tree.
    `near` then finds messages by place, here and in dimos. Payloads do not change.

    Examples:

      dimos-record fill-poses walk.db

      dimos-record fill-poses walk.db --from /tf --root map --topics '/camera/*'
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import plain_table, print_json, show
    from dimos_record.record.options import parse_duration

    tolerance_s = parse_duration(tolerance, "--tolerance")
    with RecordReplay(file) as rec:
        if topics:
            _ = rec.select(topics).streams  # an unknown topic is an error before anything changes
        filled = rec.fill_poses(
            source, topics=topics or "*", frame=frame, root=root, tolerance_s=tolerance_s
        )
        name = rec.store.name
    if as_json:
        print_json({"path": name, "filled": filled})
        return
    table = plain_table()
    table.add_column("topic", overflow="fold")
    table.add_column("messages with a pose", justify="right")
    for topic, count in filled.items():
        table.add_row(topic, f"{count:,}")
    show(table)
    say(f"{name}: {sum(filled.values()):,} messages have a pose now")
