"""`dimos-record export`: registration of its formats only."""

from __future__ import annotations

import typer

from dimos_record.cli.export import csv, lcm, mcap, parquet, rrd

app = typer.Typer(
    no_args_is_help=True,
    help="""Write a recording into a file of another tool.

    FILE stays as it is, and is written as its edits leave it. The new file is complete or not there
    at all. What a format cannot carry is said on stderr, and with --json per topic.

    Examples:

      dimos-record export mcap walk.db walk.mcap

      dimos-record export csv walk.db tables -t /odom
    """,
)
app.command("mcap")(mcap.mcap)
app.command("lcm")(lcm.lcm)
app.command("csv")(csv.csv)
app.command("parquet")(parquet.parquet)
app.command("rrd")(rrd.rrd)
