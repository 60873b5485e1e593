"""A sweep over every message type that dimos_lcm has."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest

from dimos_record.errors import DecodeError
from dimos_record.messages import (
    decode,
    encode,
    fingerprint,
    known_types,
    message_class,
    pose_of,
    shift_stamps,
    stamp_ns,
    stamp_reader,
    stamp_shifter,
    summarize,
    to_plain,
    type_name_of,
)
from dimos_record.messages.layout import whole

from .samples import NS, headers_in, random_message, stamp_of

TYPES = known_types()
ARRAYS_OF_STAMPED = {
    "control_msgs.BatteryStateArray",
    "tf2_msgs.TFMessage",
    "visualization_msgs.MarkerArray",
}
SEEDS = range(4)


def random_bytes(type_name: str, seed: int) -> bytes:
    return encode(random_message(type_name, random.Random(f"{type_name} {seed}")))


def test_all_the_packages_are_there():
    assert len(TYPES) > 200
    assert {"sensor_msgs.Image", "tf2_msgs.TFMessage", "builtin_interfaces.Time"} <= set(TYPES)


@pytest.mark.parametrize("type_name", TYPES)
def test_the_name_of_a_type_leads_to_its_class_and_back(type_name):
    assert type_name_of(message_class(type_name)) == type_name
    assert type_name_of(message_class(type_name)()) == type_name


@pytest.mark.parametrize("type_name", TYPES)
def test_a_default_message_is_read_to_its_last_byte(type_name):
    data = encode(message_class(type_name)())
    assert whole(type_name).check(data) == len(data)
    assert int.from_bytes(data[:8], "big") == fingerprint(type_name)


@pytest.mark.parametrize("type_name", TYPES)
def test_a_random_message_is_read_to_its_last_byte_and_decodes(type_name):
    for seed in SEEDS:
        data = random_bytes(type_name, seed)
        assert whole(type_name).check(data) == len(data)
        assert whole(type_name).check(data + b"more") == len(data)
        assert encode(decode(type_name, data)) == data


def header_that_counts(type_name: str, message: Any) -> Any:
    if type_name == "std_msgs.Header":
        return message
    if type_name in ARRAYS_OF_STAMPED:
        items = getattr(message, message.__slots__[1])
        return items[0].header if items else None
    return getattr(message, "header", None)


@pytest.mark.parametrize("type_name", TYPES)
def test_the_stamp_is_that_of_the_decoded_header(type_name):
    for seed in SEEDS:
        data = random_bytes(type_name, seed)
        header = header_that_counts(type_name, decode(type_name, data))
        assert stamp_ns(type_name, data) == ((stamp_of(header) or None) if header else None)


def test_a_type_has_a_stamp_if_it_has_a_header_or_is_one_or_holds_an_array_of_stamped():
    without = {name for name in TYPES if "header" not in message_class(name).__slots__}
    stamped_without = {name for name in without if stamp_reader(name)}
    assert stamped_without == {*ARRAYS_OF_STAMPED, "std_msgs.Header"}


@pytest.mark.parametrize("type_name", TYPES)
def test_shifting_stamps_equals_changing_every_header_and_encoding_again(type_name):
    delta_ns = 1_234 * NS + 999_999_999
    for seed in SEEDS:
        data = random_bytes(type_name, seed)
        message = decode(type_name, data)
        for header in headers_in(message):
            if stamp_of(header):
                header.stamp.sec, header.stamp.nsec = divmod(stamp_of(header) + delta_ns, NS)
        shifted = shift_stamps(type_name, data, delta_ns)
        assert shifted == encode(message)
        assert shift_stamps(type_name, shifted, -delta_ns) == data


@pytest.mark.parametrize("type_name", TYPES)
def test_truncated_bytes_are_an_error_and_never_a_crash(type_name):
    data = random_bytes(type_name, 0)
    for length in {*range(min(len(data), 80)), len(data) // 2, len(data) - 1}:
        cut = data[:length]
        with pytest.raises(DecodeError, match=type_name):
            decode(type_name, cut)
        assert stamp_ns(type_name, cut) in (None, stamp_ns(type_name, data))
        assert pose_of(type_name, cut) in (None, pose_of(type_name, data))
        try:
            assert len(shift_stamps(type_name, cut, NS)) == length
        except DecodeError:
            assert stamp_shifter(type_name) is not None


@pytest.mark.parametrize("type_name", TYPES)
def test_garbage_behind_the_fingerprint_is_an_error_and_never_a_crash(type_name):
    rng = random.Random(type_name)
    for _ in range(5):
        data = fingerprint(type_name).to_bytes(8, "big") + rng.randbytes(rng.randrange(200))
        for use in (decode, stamp_ns, pose_of):
            with contextlib.suppress(DecodeError):
                use(type_name, data)
        with contextlib.suppress(DecodeError):
            assert len(shift_stamps(type_name, data, NS)) == len(data)


@pytest.mark.parametrize("type_name", TYPES)
def test_every_message_can_be_shown(type_name):
    message = decode(type_name, random_bytes(type_name, 1))
    plain = to_plain(message)
    assert set(plain) <= set(message.__slots__)
    text = summarize(message)
    assert all(name in text for name in plain)
