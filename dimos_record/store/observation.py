"""One recorded message, as users see it: decoded when asked, and not before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dimos_record.errors import OptionError
from dimos_record.messages import decode, encode, type_name_of
from dimos_record.store.base import Row, StreamInfo


class Pose(NamedTuple):
    """Where the robot, or the sensor, was: position in metres and orientation as a quaternion."""

    x: float
    y: float
    z: float
    qx: float = 0.0
    qy: float = 0.0
    qz: float = 0.0
    qw: float = 1.0


class Meta(NamedTuple):
    """What is stored beside a payload."""

    pose: Pose | None = None
    tags: Mapping[str, Any] = {}
    value: float | None = None
    """The payload itself, where dimos stored a number instead of a message."""


_UNSET: Any = object()
_NO_META = Meta()


class Observation:
    """One recorded message: times, topic, pose, tags, raw bytes, and the decoded message.

    `raw`, `data`, `pose` and `tags` are loaded when they are first asked for. An observation does
    not change; `derive`, `tag` and `with_pose` return another one.
    """

    __slots__ = (
        "_data",
        "_load_meta",
        "_load_raw",
        "_meta",
        "_raw",
        "id",
        "seq",
        "stamp_ns",
        "stream",
        "ts_ns",
    )

    def __init__(
        self,
        stream: StreamInfo,
        id: int,
        seq: int,
        ts_ns: int,
        stamp_ns: int | None,
        *,
        raw: bytes | Callable[[], bytes],
        meta: Meta | Callable[[], Meta] = _NO_META,
        data: Any = _UNSET,
    ) -> None:
        self.stream = stream
        self.id = id
        """1, 2, 3 ... within its stream."""
        self.seq = seq
        """Order of arrival across the streams of the recording."""
        self.ts_ns = ts_ns
        """Receive time, nanoseconds since the UNIX epoch."""
        self.stamp_ns = stamp_ns
        """Time in the message's own header (ns), or None."""
        self._raw = raw if isinstance(raw, bytes) else None
        self._load_raw = None if isinstance(raw, bytes) else raw
        self._meta = meta if isinstance(meta, Meta) else None
        self._load_meta = None if isinstance(meta, Meta) else meta
        self._data = data

    @classmethod
    def of_row(cls, row: Row, meta: Meta | Callable[[], Meta] = _NO_META) -> Observation:
        """The observation of a row."""
        return cls(row.stream, row.id, row.seq, row.ts_ns, row.stamp_ns, raw=row.data, meta=meta)

    @property
    def topic(self) -> str:
        """`/odom`"""
        return self.stream.topic

    @property
    def type_name(self) -> str | None:
        """`geometry_msgs.PoseStamped`; None for raw channels."""
        return self.stream.type_name

    @property
    def ts(self) -> float:
        """Receive time, seconds since the UNIX epoch."""
        return self.ts_ns / 1e9

    @property
    def stamp(self) -> float | None:
        """Time in the message's own header, seconds since the UNIX epoch; None if it has none."""
        return None if self.stamp_ns is None else self.stamp_ns / 1e9

    @property
    def raw(self) -> bytes:
        """The bytes as they came off the wire; of derived data, as they would go onto it.

        Raises:
            CodecError: the derived data cannot be encoded.
        """
        if self._raw is None:
            self._raw = self._load_raw() if self._load_raw else encode(self._data)
        return self._raw

    @property
    def data(self) -> Any:
        """The decoded message; a number where a number was stored; the bytes of a raw channel.

        Raises:
            DecodeError: the bytes are not of the stream's type, or nobody knows the type.
        """
        if self._data is _UNSET:
            if self.stream.codec == "scalar":
                self._data = self.meta.value
            elif self.type_name is None:
                self._data = self.raw
            else:
                self._data = decode(self.type_name, self.raw)
        return self._data

    @property
    def meta(self) -> Meta:
        """Pose, tags and value together."""
        if self._meta is None:
            self._meta = self._load_meta() if self._load_meta else _NO_META
        return self._meta

    @property
    def pose(self) -> Pose | None:
        """Where it was observed, if the recording knows."""
        return self.meta.pose

    @property
    def tags(self) -> Mapping[str, Any]:
        """Labels stored with the message."""
        return self.meta.tags

    def derive(self, *, data: Any, **changes: Any) -> Observation:
        """The same observation with other data, and other `ts_ns`, `stamp_ns`, `pose`, `tags`.

        Data may be a message, whose type the observation then has, or bytes to publish as they are.

        Raises:
            OptionError: a change names something else.
        """
        stream = self.stream
        if not isinstance(data, bytes):
            type_name = _type_of(data)
            if type_name and type_name != stream.type_name:
                channel = f"{stream.topic}#{type_name}"
                stream = stream._replace(type_name=type_name, channel=channel, codec="lcm")
        made = self._changed(**changes)
        made.stream = stream
        if isinstance(data, bytes):
            made._raw, made._load_raw, made._data = data, None, _UNSET
        else:
            made._raw, made._load_raw, made._data = None, None, data
        return made

    def tag(self, **tags: Any) -> Observation:
        """The same observation with more tags."""
        return self._changed(tags={**self.tags, **tags})

    def with_pose(self, pose: Any) -> Observation:
        """The same observation at another pose (3 or 7 numbers, a message with a pose, or None)."""
        return self._changed(pose=pose)

    def _changed(self, **changes: Any) -> Observation:
        made = Observation.__new__(Observation)
        for name in Observation.__slots__:
            setattr(made, name, getattr(self, name))
        for name in ("ts_ns", "stamp_ns"):
            if name in changes:
                setattr(made, name, changes.pop(name))
        if "pose" in changes:
            made._meta = made.meta._replace(pose=to_pose(changes.pop("pose")))
        if "tags" in changes:
            made._meta = made.meta._replace(tags=dict(changes.pop("tags")))
        if changes:
            names = ", ".join(sorted(changes))
            raise OptionError(f"an observation cannot be derived with another {names}")
        return made

    def to_row(self) -> Row:
        """The row that publishes this observation."""
        return Row(self.stream, self.id, self.seq, self.ts_ns, self.stamp_ns, self.raw)

    def __repr__(self) -> str:
        kind = self.type_name or "raw"
        return f"<Observation {self.topic} #{self.id} {kind} ts={self.ts:.6f}>"


def _type_of(data: Any) -> str | None:
    try:
        return type_name_of(data)
    except OptionError:
        return None


def to_pose(pose: Any) -> Pose | None:
    """A pose from 3 or 7 numbers, or from a message that is or has one.

    Raises:
        OptionError: it is none of these.
    """
    if pose is None or isinstance(pose, Pose):
        return pose
    if hasattr(pose, "pose"):
        return to_pose(pose.pose)
    place = getattr(pose, "position", getattr(pose, "translation", None))
    if place is not None:
        turn = getattr(pose, "orientation", getattr(pose, "rotation", None))
        point = (float(place.x), float(place.y), float(place.z))
        return (
            Pose(*point, *(float(getattr(turn, axis)) for axis in "xyzw")) if turn else Pose(*point)
        )
    try:
        numbers = [float(number) for number in pose]
    except TypeError:
        numbers = []
    if len(numbers) not in (3, 7):
        raise OptionError(f"{pose!r} is not a pose; give x, y, z or x, y, z, qx, qy, qz, qw")
    return Pose(*numbers)
