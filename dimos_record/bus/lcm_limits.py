"""What LCM can carry."""

from __future__ import annotations

from dimos_record.errors import BusError, ChannelTooLong

_MAX_CHANNEL_BYTES = 63  # LCM_MAX_CHANNEL_NAME_LENGTH
_MAX_MESSAGE_BYTES = 2**28  # LCM_MAX_MESSAGE_SIZE: receivers drop anything larger


def check_channel(channel: str) -> None:
    """Raise if LCM cannot carry a channel of this name.

    Raises:
        ChannelTooLong: the name is longer than 63 bytes.
        BusError: it is empty, or has characters that cannot be sent.
    """
    try:
        size = len(channel.encode())
    except UnicodeEncodeError:
        size = 0
    if size > _MAX_CHANNEL_BYTES:
        raise ChannelTooLong(
            f"LCM channel {channel!r} has {size} bytes, and LCM carries at most "
            f"{_MAX_CHANNEL_BYTES}; use a shorter topic name"
        )
    if not size or "\0" in channel:
        raise BusError(f"{channel!r} cannot be the name of an LCM channel")


def check_message(channel: str, data: bytes) -> None:
    """Raise if LCM cannot carry a message.

    Raises:
        ChannelTooLong, BusError: as `check_channel`, or the message is too large.
    """
    check_channel(channel)
    if len(data) > _MAX_MESSAGE_BYTES:
        raise BusError(
            f"cannot publish {channel}: {len(data)} bytes are more than the "
            f"{_MAX_MESSAGE_BYTES} that LCM can carry in one message"
        )
