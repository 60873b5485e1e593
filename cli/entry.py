"""The console scripts. Deliberately light: every worker process of dimos runs them once more."""

from __future__ import annotations


def main() -> None:
    """Run `dimos-record` and exit with a documented code."""
    from dimos_record.cli.main import main as run_main

    run_main()


def dimos_main() -> None:
    """Run `dimos` with `--record [FILE]` and `--replay [FILE]`, as `install-cli` lets it."""
    import sys

    from dimos_record.cli.dimos_run import run_dimos

    run_dimos(sys.argv[1:], patched=True)
