"""What was lost on the way from each sender is kept with the session, and said."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dimos_record.bus.base import Selection, Sender
from dimos_record.bus.memory import MemoryBus, MemorySubscription
from dimos_record.edit.keep import keep
from dimos_record.errors import DiskFull, MessagesLost
from dimos_record.record import keep_loop
from dimos_record.store.senders import SenderAccount, add_senders, from_meta, losses_in_words
from dimos_record.store.writer import RecordingWriter
from tests.record.recordings import only_session, session_on, wait_until, written

pytestmark = pytest.mark.once

A, B = "127.0.0.1:4001", "127.0.0.1:4002"


class NumberedBus(MemoryBus):
    """A bus that tells what it heard of whom, as LCM does with the compiled part."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.heard = {A: Sender(A, 1000, 5, {"/old": 5})}
        self.packets = 0

    def senders(self) -> list[Sender]:
        return list(self.heard.values())

    def lost_before_reception(self) -> int:
        return self.packets

    def hear(self, address: str, received: int, lost: int, **channels: int) -> None:
        before = self.heard.get(address, Sender(address, 0, 0, {}))
        lost_channels = dict(before.lost_channels)
        for topic, count in channels.items():
            channel = f"/{topic}#std_msgs.String"
            lost_channels[channel] = lost_channels.get(channel, 0) + count
        self.heard[address] = replace(
            before,
            received=before.received + received,
            lost=before.lost + lost,
            lost_channels=lost_channels,
        )


@pytest.fixture
def bus() -> Iterator[NumberedBus]:
    with NumberedBus("memory://numbered") as opened:
        yield opened


def stored_senders(path: Path) -> list[dict[str, Any]]:
    """As a program sees them that knows nothing of ours."""
    with sqlite3.connect(path) as db:
        (meta,) = db.execute("SELECT meta FROM _dr_sessions ORDER BY id DESC LIMIT 1").fetchone()
    found: list[dict[str, Any]] = json.loads(meta)["senders"]
    return found


def test_a_session_keeps_what_was_lost_of_each_sender_since_it_began(
    tmp_path: Path, bus: NumberedBus
) -> None:
    with session_on(bus, tmp_path / "walk.db") as session:
        bus.hear(A, 100, 12, color=2)
        bus.hear(B, 7, 0)
        bus.packets += 40
        progress = session.progress()
        assert (progress.lost, progress.lost_on_the_way) == (12, 12)
    bus.hear(A, 100, 100)
    found = only_session(tmp_path / "walk.db")
    lost = SenderAccount(A, 100, 12, {"/color#std_msgs.String": 2})
    assert found.senders == (lost, SenderAccount(B, 7, 0, {}))
    assert found.senders == session.progress().senders
    assert found.lost_before_reception == 40
    assert stored_senders(tmp_path / "walk.db")[0] == {
        "address": A,
        "received": 100,
        "lost": 12,
        "lost_channels": {"/color#std_msgs.String": 2},
    }


def test_a_sender_of_which_nothing_came_meanwhile_is_not_named(
    tmp_path: Path, bus: NumberedBus
) -> None:
    with session_on(bus, tmp_path / "walk.db"):
        bus.hear(B, 1, 0)
    assert [one.address for one in only_session(tmp_path / "walk.db").senders] == [B]


def test_what_was_lost_is_in_the_file_while_it_is_recorded(
    tmp_path: Path, bus: NumberedBus
) -> None:
    with session_on(bus, tmp_path / "walk.db"):
        bus.hear(A, 100, 12)
        wait_until(lambda: bool(stored_senders(tmp_path / "walk.db")))
        assert stored_senders(tmp_path / "walk.db")[0]["lost"] == 12


def test_a_loss_is_warned_of_and_an_error_if_asked_for_with_the_sender_and_the_topic(
    tmp_path: Path, bus: NumberedBus, caplog: pytest.LogCaptureFixture
) -> None:
    session = session_on(bus, tmp_path / "walk.db", strict=True).start()
    bus.hear(A, 100, 12, color=2)
    bus.packets += 40
    sentence = "12 messages of 127.0.0.1:4001 (on /color 2) were lost before reception"
    wait_until(lambda: sentence in caplog.text)
    with pytest.raises(MessagesLost) as error:
        session.stop()
    assert sentence in str(error.value)


def test_a_warning_says_where_messages_were_lost(
    tmp_path: Path,
    bus: NumberedBus,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def warned(*parts: str) -> bool:
        return any(all(part in line for part in parts) for line in caplog.messages)

    def send_many() -> None:
        for _ in range(50):
            bus.publish("/a", bytes(500))

    monkeypatch.setattr(keep_loop, "KEEP_S", 0.02)
    with session_on(bus, tmp_path / "walk.db", buffer_bytes=1000):
        bus.hear(A, 0, 12)
        wait_until(lambda: warned("12 messages", "network"))
        assert not warned("dropped")
        bus.hear(A, 0, 6)
        bus.heard[A] = replace(bus.heard[A], dropped_channels={"/color": 6})
        wait_until(lambda: warned("6 messages dropped", "too busy to take"))
        assert not warned("the disk")
        wait_until(lambda: send_many() or warned("the buffer is full", "the disk", "locked"))
    assert not warned("the disk", "too busy to take")
    assert not warned("the disk", "network")


def test_packets_count_where_no_message_is_known_to_be_lost(
    tmp_path: Path, bus: NumberedBus
) -> None:
    session = session_on(bus, tmp_path / "walk.db", strict=True).start()
    bus.hear(A, 100, 0)
    bus.packets += 40
    with pytest.raises(MessagesLost, match="40 packets were lost before reception"):
        session.stop()
    assert session.progress().lost == 40


def test_each_segment_has_its_own_losses_and_the_folder_their_sum(
    tmp_path: Path, bus: NumberedBus
) -> None:
    folder = tmp_path / "long"
    with session_on(bus, folder, split_bytes=1_000_000) as session:
        bus.hear(A, 10, 1, color=1)
        for segments in (2, 3):
            bus.hear(A, 10, 3, color=2)
            bus.publish("/a", bytes(2_000_000))
            wait_until(lambda n=segments: session.progress().segments == n)  # type: ignore[misc]
        bus.hear(B, 5, 5)
        bus.publish("/a", bytes(10))
    losses = [sum(one["lost"] for one in stored_senders(file)) for file in sorted(folder.iterdir())]
    assert losses == [4, 3, 5]
    whole = (
        SenderAccount(A, 30, 7, {"/color#std_msgs.String": 5}),
        SenderAccount(B, 5, 5, {}),
    )
    assert only_session(folder).senders == whole == session.progress().senders
    kept = keep(folder, last_s=1000.0).path
    assert only_session(Path(kept)).senders == whole


def test_what_came_and_found_no_room_counts_as_dropped_and_not_as_lost_before(
    tmp_path: Path, bus: NumberedBus
) -> None:
    color, other = "/color#std_msgs.String", "/other#std_msgs.String"
    with session_on(bus, tmp_path / "walk.db", "/color") as session:
        bus.publish(color, b"1")
        wait_until(lambda: written(session) == 1)
        bus.hear(A, 100, 12, color=8, other=3)
        bus.heard[A] = replace(bus.heard[A], dropped_channels={color: 6, other: 3})
    progress = session.progress()
    account = progress.accounts["color"]
    assert (account.received, account.written, account.dropped) == (7, 1, 6)
    assert progress.senders == (SenderAccount(A, 109, 3, {color: 2}),)
    assert progress.lost == 9
    assert only_session(tmp_path / "walk.db").accounts == progress.accounts


def test_what_found_no_room_counts_if_it_was_selected_then(
    tmp_path: Path, bus: NumberedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    color, other = "/color#std_msgs.String", "/other#std_msgs.String"
    reselect = MemorySubscription.reselect

    def drop(channel: str, count: int) -> None:
        bus.hear(A, 0, count)
        dropped = Counter(bus.heard[A].dropped_channels) + Counter({channel: count})
        bus.heard[A] = replace(bus.heard[A], dropped_channels=dict(dropped))

    def reselect_under_load(subscription: MemorySubscription, selection: Selection) -> None:
        drop(color, 1000)
        reselect(subscription, selection)

    monkeypatch.setattr(keep_loop, "KEEP_S", 3600.0)
    path = tmp_path / "walk.db"
    with session_on(bus, path, "/color") as session:
        drop(color, 1)
        drop(other, 1)
        session.pause()
        drop(color, 10)
        session.resume()
        drop(color, 2)
        monkeypatch.setattr(MemorySubscription, "reselect", reselect_under_load)
        session.select(Selection.of(["/other"]))
        drop(color, 10)
        drop(other, 4)
    progress = session.progress()
    dropped = {name: account.dropped for name, account in progress.accounts.items()}
    assert dropped == {"color": 1 + 2 + 1000, "other": 4}
    assert only_session(path).accounts == progress.accounts
    assert progress.lost_on_the_way == 0


def test_what_found_no_room_belongs_to_the_segment_that_was_recorded_then(
    tmp_path: Path, bus: NumberedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    color, folder = "/color#std_msgs.String", tmp_path / "long"
    monkeypatch.setattr(keep_loop, "KEEP_S", 3600.0)
    with session_on(bus, folder, split_bytes=1_000_000) as session:
        bus.hear(A, 100, 6, color=6)
        bus.heard[A] = replace(bus.heard[A], dropped_channels={color: 6})
        bus.publish("/large", bytes(2_000_000))
        wait_until(lambda: session.progress().segments == 2)
        bus.hear(A, 10, 3, color=3)
        bus.heard[A] = replace(bus.heard[A], dropped_channels={color: 9})
    dropped, heard = [], []
    for file in sorted(folder.iterdir()):
        part = only_session(file)
        dropped.append(part.accounts["color"].dropped)
        heard.append(part.senders)
    assert dropped == [6, 3]
    assert heard == [(SenderAccount(A, 106, 0, {}),), (SenderAccount(A, 13, 0, {}),)]
    assert only_session(folder).accounts == session.progress().accounts


def test_what_found_no_room_counts_though_no_new_segment_can_begin(
    tmp_path: Path, bus: NumberedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DiskFull("no luck")

    monkeypatch.setattr(keep_loop, "KEEP_S", 3600.0)
    session = session_on(bus, tmp_path / "long", split_bytes=1_000_000).start()
    bus.hear(A, 100, 6, a=6)
    bus.heard[A] = replace(bus.heard[A], dropped_channels={"/a#std_msgs.String": 6})
    monkeypatch.setattr(RecordingWriter, "begin_session", fail)
    bus.publish("/a#std_msgs.String", bytes(2_000_000))
    assert session.wait(60.0)
    with pytest.raises(DiskFull, match="no luck"):
        session.stop()
    account = session.progress().accounts["a"]
    assert (account.received, account.written, account.dropped) == (7, 1, 6)


def test_what_is_no_account_of_a_sender_is_left_out() -> None:
    good = {"address": A, "received": 3, "lost": 1, "lost_channels": {"/a": 1, "/b": "x"}}
    strange: list[Any] = [None, 7, [], {}, {"address": 3, "received": 1, "lost": 1}]
    assert from_meta({"senders": [*strange, good]}) == (SenderAccount(A, 3, 1, {"/a": 1}),)
    for senders in (None, "many", {"address": A}):
        assert from_meta({"senders": senders}) == ()


def test_losses_are_said_in_one_clause_the_worst_first() -> None:
    first = SenderAccount(A, 10_000, 1312, {"/color#sensor_msgs.Image": 12, "/b": 2})
    assert losses_in_words([SenderAccount(B, 5, 0, {})]) == ""
    assert losses_in_words([SenderAccount(B, 5, 4, {}), first]) == (
        "1,312 messages of 127.0.0.1:4001 (on /color 12, /b 2), 4 of 127.0.0.1:4002"
    )
    many = [SenderAccount(f"10.0.0.1:{port}", 0, 1, {}) for port in range(10)]
    assert losses_in_words(many).endswith("1 of 10.0.0.1:2, 7 of 7 others")
    assert add_senders([[first], [first]])[0].lost_channels["/b"] == 4
