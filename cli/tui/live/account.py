"""The account of a recording that is under way, and what it loses."""

from __future__ import annotations

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from dimos_record.cli import text
from dimos_record.cli.times import clock
from dimos_record.cli.tui.live.recording import Account

_METER = 10
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class AccountPanel(Widget):
    """Three lines while a recording is under way; the meter of the buffer turns red with losses."""

    DEFAULT_CSS = """
    AccountPanel { height: 3; padding: 0 1; background: $surface; display: none; }
    """
    account: reactive[Account | None] = reactive(None)
    ending: reactive[bool] = reactive(False)

    def watch_account(self, account: Account | None) -> None:
        """Appear with the first figures, go with the last."""
        self.display = account is not None

    def render(self) -> Text:
        """The figures."""
        account = self.account
        if account is None:
            return Text()
        colours = self.app.theme_variables
        lossy = f"bold {colours['lost']}" if account.is_lossy else colours["success"]
        lines = [
            self._first(account, colours["recording"]),
            Text.assemble(
                f"received {account.received:,}   written {account.written:,}   ",
                (f"dropped {account.dropped:,}   {_lost(account)}", lossy),
            ),
            Text.assemble(
                f"buffer {account.buffer:4.0%} ",
                (f"▕{meter(account.buffer)}▏", lossy),
                (f" {_in_words(account)}", lossy),
                f"   disk free {_free(account)}",
            ),
        ]
        for line in lines:
            line.truncate(self.size.width, overflow="ellipsis")
        return Text("\n").join(lines)

    def _first(self, account: Account, red: str) -> Text:
        state = "FINISHING" if self.ending else "PAUSED" if account.paused else "RECORDING"
        rate = account.stored_bytes / account.elapsed_s if account.elapsed_s else 0.0
        return Text.assemble(
            (f"● {state}", f"bold {red}"),
            (f"  {text.printable(account.name)}", "bold"),
            f"  {clock(account.elapsed_s)}  {text.size(account.stored_bytes)}  {text.size(rate)}/s",
        )


def _lost(account: Account) -> str:
    lost = "not known" if account.lost is None else f"{account.lost:,}"
    return f"lost before reception {lost}"


def _in_words(account: Account) -> str:
    if account.is_lossy:
        return "LOSING MESSAGES"
    return "nothing dropped" if account.lost is None else "nothing lost"


def _free(account: Account) -> str:
    free_bytes = account.disk_free_bytes
    return "not known" if free_bytes is None else text.size(free_bytes)


def meter(share: float, width: int = _METER) -> str:
    """A bar of so many characters, filled from the left to a share of 0 to 1."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    bar = "█" * full + (_EIGHTHS[rest] if rest else "")
    return bar.ljust(width)
