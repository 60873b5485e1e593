"""The console script. Deliberately light: every worker process of dimos runs it once more."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with a documented code."""
    from dimos_record.cli.main import main as run_main

    run_main()
