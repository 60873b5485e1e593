"""The compiled Assembler, packet by packet: what LCM's packets become, and what is counted lost."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimos_record.bus._lcm_native import Assembler, Clock

pytestmark = pytest.mark.once

HOST, PORT = "127.0.0.1", 7000
S = 1_000_000_000
MAX_MESSAGE = 2**28


def short(number: int, channel: bytes = b"/a", data: bytes = b"") -> bytes:
    return struct.pack(">4sI", b"LC02", number) + channel + b"\0" + data


def fragment(
    number: int,
    no: int,
    of: int,
    data: bytes,
    *,
    size: int,
    offset: int,
    channel: bytes = b"/big",
) -> bytes:
    header = struct.pack(">4sIIIHH", b"LC03", number, size, offset, no, of)
    return header + (channel + b"\0" if no == 0 else b"") + data


def fragments(number: int, data: bytes, piece: int, channel: bytes = b"/big") -> list[bytes]:
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    return [
        fragment(number, i, len(pieces), p, size=len(data), offset=i * piece, channel=channel)
        for i, p in enumerate(pieces)
    ]


class Fed:
    """An assembler and the time."""

    def __init__(self, max_bytes: int = 2**27) -> None:
        self.assembler = Assembler(max_bytes)
        self.now_ns = 0

    def __call__(self, *packets: bytes, port: int = PORT, host: str = HOST) -> Fed:
        for packet in packets:
            self.assembler.feed(packet, host, port, self.now_ns)
        return self

    def wait(self, seconds: float) -> Fed:
        self.now_ns += int(seconds * S)
        return self

    def take(self) -> list[tuple[str, bytes]]:
        return [(channel, data) for _, channel, data in self.assembler.take()]

    @property
    def received(self) -> int:
        return sum(row[1] for row in self.assembler.senders(self.now_ns))

    @property
    def lost(self) -> int:
        return sum(row[2] for row in self.assembler.senders(self.now_ns))

    @property
    def lost_channels(self) -> dict[str, int]:
        ((_, _, _, channels),) = self.assembler.senders(self.now_ns)
        return channels


@pytest.fixture
def fed() -> Fed:
    return Fed()


# --- messages


@pytest.mark.parametrize("channel", ["/a", "", "x" * 63, "/ä" * 21, "/\U0001f916"])
@pytest.mark.parametrize("data", [b"", b"\0\xff", bytes(65000)])
def test_a_short_message_arrives(fed: Fed, channel: str, data: bytes) -> None:
    fed.wait(5)(short(0, channel.encode(), data))
    assert fed.assembler.take() == [(5 * S, channel, data)]
    assert fed.assembler.take() == []
    assert fed.assembler.senders() == [(f"{HOST}:{PORT}", 1, 0, {})]
    assert fed.assembler.waiting_bytes == 0


@given(
    data=st.binary(min_size=1, max_size=300),
    piece=st.integers(1, 400),
    order=st.randoms(use_true_random=False),
    twice=st.booleans(),
)
def test_fragments_make_a_message_in_any_order(
    data: bytes, piece: int, order: object, twice: bool
) -> None:
    packets = fragments(9, data, piece) * (1 + twice)
    order.shuffle(packets)  # type: ignore[attr-defined]
    fed = Fed()(*packets)
    taken = fed.take()
    assert taken
    assert set(taken) == {("/big", data)}
    assert fed.lost == 0


def test_the_arrival_of_fragments_is_that_of_the_last(fed: Fed) -> None:
    first, second = fragments(0, b"abcdef", 4)
    fed(first).wait(1)(second)
    assert fed.assembler.take() == [(S, "/big", b"abcdef")]


def test_messages_of_several_senders_may_be_interleaved(fed: Fed) -> None:
    messages = {port: bytes([port]) * 1000 for port in range(1, 40)}
    for no in range(10):
        for port, data in messages.items():
            fed(fragments(5, data, 100)[no], port=port)
    assert sorted(fed.take()) == [("/big", data) for data in messages.values()]
    assert fed.lost == 0
    assert fed.assembler.half_received_bytes == 0


def test_a_message_larger_than_any_trust_arrives_backwards(fed: Fed) -> None:
    data = bytes(range(256)) * 20_000  # 5 MB
    fed(*reversed(fragments(0, data, 60_000)))
    assert fed.take() == [("/big", data)]


def test_what_is_taken_is_bounded(fed: Fed) -> None:
    fed(*(short(i, data=bytes(100)) for i in range(10)))
    assert len(fed.assembler.take(3)) == 3
    assert len(fed.assembler.take(max_bytes=150)) == 2
    assert len(fed.assembler.take()) == 5


# --- packets that no LCM sends

BAD = {
    "empty": b"",
    "short": b"LC02\0\0\0",
    "no LCM": b"LC01\0\0\0\0/a\0",
    "no end of the name": b"LC02\0\0\0\0/a",
    "name of 64 bytes": short(0, b"x" * 64),
    "name that is no UTF-8": short(0, b"\xff\xfe"),
    "name that is overlong UTF-8": short(0, b"\xc0\xaf"),
    "name with a surrogate": short(0, b"\xed\xa0\x80"),
    "name beyond Unicode": short(0, b"\xf4\x90\x80\x80"),
    "name that is cut off": short(0, b"\xe2\x82"),
    "header of a fragment cut off": b"LC03" + bytes(15),
    "fragment of none": fragment(0, 0, 0, b"", size=1, offset=0),
    "fragment beyond the last": fragment(0, 2, 2, b"x", size=9, offset=1),
    "more fragments than bytes": fragment(0, 0, 9, b"x", size=7, offset=0),
    "data beyond the end": fragment(0, 1, 2, b"xyz", size=4, offset=2),
    "offset beyond the end": fragment(0, 1, 2, b"", size=4, offset=5),
    "offset that wraps": fragment(0, 1, 2, b"xx", size=4, offset=2**32 - 1),
    "larger than LCM allows": fragment(0, 1, 2, b"x", size=MAX_MESSAGE + 1, offset=0),
}


@pytest.mark.parametrize("packet", BAD.values(), ids=BAD.keys())
def test_a_bad_packet_is_counted_and_dropped(fed: Fed, packet: bytes) -> None:
    fed(packet)
    assert fed.assembler.rejected == 1
    assert fed.assembler.half_received_bytes == 0
    assert fed.assembler.senders() == []
    assert fed(short(0)).take() == [("/a", b"")]


def test_names_are_utf8_as_python_sees_it(fed: Fed) -> None:
    for number, code in enumerate([0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10FFFF]):
        assert fed(short(number, chr(code).encode())).take() == [(chr(code), b"")]


@pytest.mark.parametrize(
    ("offsets", "sizes"),
    [((0, 2), (3, 3)), ((0, 4), (2, 2)), ((1, 3), (2, 3)), ((3, 0), (3, 3))],
    ids=["overlap", "hole", "late start", "order"],
)
def test_fragments_that_do_not_fit_together_are_no_message(
    fed: Fed, offsets: tuple[int, int], sizes: tuple[int, int]
) -> None:
    for no, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        fed(fragment(0, no, 2, bytes(size), size=6, offset=offset))
    fed(short(1))
    assert fed.take() == [("/a", b"")]
    assert fed.lost == 1
    assert fed.lost_channels == {"/big": 1}


def test_nothing_is_allocated_on_the_word_of_a_packet(fed: Fed) -> None:
    fed(fragment(0, 0, 65535, b"x", size=MAX_MESSAGE, offset=0))
    fed(fragment(1, 1, 5000, b"x", size=MAX_MESSAGE, offset=MAX_MESSAGE - 1))
    assert fed.assembler.half_received_bytes < 4_000_000


def test_half_received_messages_have_a_bound_and_the_oldest_are_given_up(fed: Fed) -> None:
    for port in range(1, 400):
        fed(fragments(0, bytes(400_000), 200_000)[0], port=port)
    assert fed.assembler.half_received_bytes <= 66 * 2**20
    fed(fragments(0, bytes(400_000), 200_000)[1], port=399)
    assert fed.take() == [("/big", bytes(400_000))]
    for number in range(1, 100):  # of one sender
        fed(fragment(number, 0, 3, b"x", size=9, offset=0))
    fed.wait(10)(short(100))
    assert fed.assembler.half_received_bytes == 0


# --- losses


def test_a_gap_in_the_numbers_is_what_was_lost(fed: Fed) -> None:
    fed(*(short(number) for number in (100, 101, 105, 106, 110)))
    fed(*(short(number) for number in (7, 9)), port=1)
    assert fed.assembler.senders() == [(f"{HOST}:{PORT}", 5, 6, {}), (f"{HOST}:1", 2, 1, {})]


@pytest.mark.parametrize("lost", [0, 1, 1023, 1024, 1025, 100_000])
def test_gaps_of_any_length_are_counted(fed: Fed, lost: int) -> None:
    fed(short(3), short(4 + lost), short(5 + lost))
    assert (fed.received, fed.lost) == (3, lost)


def test_numbers_wrap_around(fed: Fed) -> None:
    fed(*(short(number % 2**32) for number in range(2**32 - 3, 2**32 + 3) if number != 2**32 + 1))
    assert (fed.received, fed.lost) == (5, 1)


def test_what_comes_late_is_not_lost_and_what_comes_twice_counts_once(fed: Fed) -> None:
    fed(*(short(number) for number in (0, 1, 2, 5)))
    assert fed.lost == 2
    fed(short(4), short(3), short(3), short(4), short(5), short(6))
    assert fed.lost == 0
    assert len(fed.take()) == 10


def test_what_comes_late_at_the_very_start_is_no_negative_loss(fed: Fed) -> None:
    fed(short(5), short(4), short(3), short(8))
    assert fed.lost == 2


def test_a_sender_that_starts_anew_on_its_port_begins_at_its_new_number(fed: Fed) -> None:
    fed(*(short(number) for number in (0, 1, 4)))
    fed.wait(0.5)(*(short(number) for number in (0, 1, 2, 3, 4, 6)))
    assert (fed.received, fed.lost) == (9, 3)
    fed(*(short(number) for number in range(10_000, 12_000)), port=1)
    fed(short(0), short(1), port=1)  # far behind: that cannot be late
    assert fed.assembler.senders()[-1][1:3] == (2002, 0)


@pytest.mark.parametrize("first", [0, 3])
def test_a_sender_that_starts_anew_at_once_has_not_sent_what_the_one_before_lost(
    fed: Fed, first: int
) -> None:
    fed(*(short(number) for number in range(100) if number != 50))
    fed(*(short(number) for number in range(first, 200) if number != 20))
    assert (fed.received, fed.lost) == (99 + 199 - first, 2)


def test_a_packet_that_was_doubled_on_its_way_is_no_sender_that_starts_anew(fed: Fed) -> None:
    for number in range(200):
        fed(short(number), *([short(number - 50)] if number >= 50 else []))
    fed(short(200))
    assert fed.lost == 0


def test_a_message_of_which_a_fragment_is_missing_is_lost_once(fed: Fed) -> None:
    packets = fragments(1, bytes(1000), 100)
    fed(short(0), *packets[:4], *packets[5:])
    assert fed.lost == 0  # the rest may still come
    fed(short(2))
    assert fed.lost == 1
    assert fed.lost_channels == {"/big": 1}
    fed(packets[4])
    assert fed.take()[-1] == ("/big", bytes(1000))
    assert fed.lost == 0


def test_a_message_is_given_up_when_nothing_of_it_comes_any_more(fed: Fed) -> None:
    fed(short(0), fragments(1, bytes(1000), 100)[0]).wait(1.9)
    assert fed.lost == 0
    fed.wait(0.2)
    assert fed.lost == 1
    assert fed.lost_channels == {"/big": 1}
    assert fed.assembler.half_received_bytes == 0


def test_a_message_that_was_begun_before_we_listened_is_not_lost(fed: Fed) -> None:
    fed(*fragments(7, bytes(1000), 100)[3:]).wait(5)(short(8), short(10))
    assert (fed.received, fed.lost) == (2, 1)


def test_a_full_queue_drops_and_counts_by_channel() -> None:
    fed = Fed(max_bytes=1000)
    for number in range(0, 60, 3):
        fed(short(number, b"/a", bytes(100)), short(number + 1, b"/b", bytes(100)))
        fed(*fragments(number + 2, bytes(200), 100))
    assert fed.assembler.waiting_bytes < 1300
    received = len(fed.take())
    assert fed.received == received
    assert fed.lost == 60 - received
    lost = fed.lost_channels
    assert sum(lost.values()) == fed.lost
    assert lost.keys() == {"/a", "/b", "/big"}
    assert fed(short(60)).take() == [("/a", b"")]


def test_the_queue_takes_a_message_larger_than_itself_when_there_is_room() -> None:
    fed = Fed(max_bytes=1000)
    assert fed(short(0, data=bytes(5000))).take() == [("/a", bytes(5000))]


def test_an_ignored_channel_is_neither_delivered_nor_lost(fed: Fed) -> None:
    fed(short(0), *fragments(1, bytes(10), 5))
    fed.take()
    fed.assembler.ignore("/a")
    fed.assembler.ignore("/big")
    fed.assembler.ignore("/never heard")
    fed(short(2), *fragments(3, bytes(10), 5), *reversed(fragments(4, bytes(10), 5)))
    half, rest = fragments(5, bytes(10), 5)
    fed(half)
    fed.assembler.listen()
    fed(rest)
    assert fed.take() == []
    assert (fed.received, fed.lost) == (6, 0)
    fed(short(6), *fragments(7, bytes(10), 5))
    assert fed.take() == [("/a", b""), ("/big", bytes(10))]
    assert fed.assembler.half_received_bytes == 0


def test_lcms_own_test_is_not_among_what_was_received(fed: Fed) -> None:
    fed(short(0, b"LCM_SELF_TEST"))
    assert fed.assembler.senders() == []
    fed(short(1))
    assert fed.assembler.senders() == [(f"{HOST}:{PORT}", 1, 0, {})]


def test_many_senders_are_remembered_and_the_others_summed_up(fed: Fed) -> None:
    for i in range(3000):
        fed(short(0), *fragments(2, bytes(9), 5)[:1], host=f"10.0.{i // 200}.{i % 200}", port=9)
    fed.wait(10)
    rows = fed.assembler.senders(fed.now_ns)
    assert len(rows) == 1025
    assert sum(row[1] for row in rows) == 3000
    assert sum(row[2] for row in rows) == 6000
    assert sum(row[3]["/big"] for row in rows) == 3000
    assert rows[-1][0] == "0.0.0.0:0"


def test_more_channels_than_are_remembered_are_received_all_the_same(fed: Fed) -> None:
    names = [f"/{i}" for i in range(66_000)]
    for number, name in enumerate(names):
        fed(short(number, name.encode()))
    assert [channel for channel, _ in fed.take()] == names


# --- times of arrival


@pytest.fixture
def clock() -> Clock:
    """At 100 s by the monotonic clock and 5,000 s by the wall clock."""
    clock = Clock()
    clock.see(100 * S, 5000 * S)
    return clock


def test_a_stamp_of_the_wall_clock_becomes_a_monotonic_time(clock: Clock) -> None:
    assert clock.arrival(4999 * S) == 99 * S
    assert clock.arrival(0) == 100 * S  # without a stamp it is now
    clock.see(103 * S, 5003 * S)
    assert clock.arrival(5002 * S) == 102 * S


def test_an_arrival_is_not_after_now_and_not_before_the_one_before(clock: Clock) -> None:
    assert clock.arrival(4999 * S) == 99 * S
    assert clock.arrival(4998 * S) == 99 * S
    assert clock.arrival(5001 * S) == 100 * S


@pytest.mark.parametrize("step_s", [3600, -3600, 1, -1])
def test_setting_the_clock_between_arrival_and_reading_does_no_harm(
    clock: Clock, step_s: int
) -> None:
    clock.arrival(4999 * S)
    clock.see(110 * S, (5010 + step_s) * S)  # it was set, and then three packets were read:
    assert clock.arrival(5009 * S + S // 4) == 109 * S + S // 4  # stamped before
    assert clock.arrival(5009 * S + S // 2) == 109 * S + S // 2
    assert clock.arrival((5010 + step_s) * S) == 110 * S  # stamped after
    clock.caught_up()
    clock.see(120 * S, (5020 + step_s) * S)
    assert clock.arrival((5019 + step_s) * S) == 119 * S
