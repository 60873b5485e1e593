"""The console scripts. Deliberately light: every worker process of dimos runs them once more."""

from __future__ import annotations


def main() -> None:
    """Run `dimos-record` and exit with a documented code."""
    import sys

    try:
        from dimos_record.cli.main import main as run_main

        run_main()
    except KeyboardInterrupt:  # while what it needs is still being imported
        sys.exit(_INTERRUPTED)


def dimos_main() -> None:
    """Run `dimos` with `--record [FILE]` and `--replay [FILE]`, as `install-cli` lets it."""
    import sys

    try:
        from dimos_record.cli.dimos_run import run_dimos

        run_dimos(sys.argv[1:], patched=True)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


_INTERRUPTED = 130
