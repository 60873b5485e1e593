"""One recorded message, as users see it: decoded when asked, and not before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dimos_record.errors import CodecError, OptionError
from dimos_record.messages import decode, encode, fingerprint, stamp_reader, type_name_of
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


class _Unknown:
    """What is not known yet; a class, so that a copy of it is the same."""


UNKNOWN: Any = _Unknown
_NO_META = Meta()


class Observation:
    """One recorded message: times, topic, pose, tags, raw bytes, and the decoded message.

    `raw`, `data`, `pose` and `tags` are loaded when they are first asked for. An observation does
    not change; `derive`, `tag` and `with_pose` return another one. It can be pickled.
    """

    __slots__ = (
        "_data",
        "_load_meta",
        "_load_raw",
        "_meta",
        "_raw",
        "_stamp_ns",
        "_ts",
        "id",
        "seq",
        "stream",
        "ts_ns",
    )

    def __init__(
        self,
        stream: StreamInfo,
        id: int,
        seq: int,
        ts_ns: int,
        stamp_ns: int | None = UNKNOWN,
        *,
        raw: bytes | Callable[[], bytes],
        meta: Meta | Callable[[], Meta] = _NO_META,
        ts: float | None = None,
    ) -> None:
        self.stream = stream
        self.id = id
        """1, 2, 3 ... within its stream."""
        self.seq = seq
        """Order of arrival across the streams of the recording."""
        self.ts_ns = ts_ns
        """Receive time, nanoseconds since the UNIX epoch."""
        self._stamp_ns = stamp_ns
        self._raw = raw if isinstance(raw, bytes) else None
        self._load_raw = None if isinstance(raw, bytes) else raw
        self._meta = meta if isinstance(meta, Meta) else None
        self._load_meta = None if isinstance(meta, Meta) else meta
        self._ts = ts
        self._data: Any = UNKNOWN

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
        """Receive time, seconds since the UNIX epoch; in steps of 238 ns, as floats have them."""
        return self.ts_ns / 10**9 if self._ts is None else self._ts

    @property
    def stamp_ns(self) -> int | None:
        """Time in the message's own header, nanoseconds since the UNIX epoch; None without one."""
        if self._stamp_ns is UNKNOWN:
            stamp_of = stamp_reader(self.type_name)
            self._stamp_ns = stamp_of(self.raw) if stamp_of else None
        return self._stamp_ns

    @property
    def stamp(self) -> float | None:
        """Time in the message's own header, seconds since the UNIX epoch; None without one."""
        return None if self.stamp_ns is None else self.stamp_ns / 10**9

    @property
    def raw(self) -> bytes:
        """The bytes as they came off the wire; of derived data, as they would go onto it.

        Raises:
            CodecError: the derived data is no message, or cannot be encoded.
        """
        if self._raw is None:
            self._raw = self._load_raw() if self._load_raw else self._encoded()
        return self._raw

    def _encoded(self) -> bytes:
        try:
            return encode(self._data)
        except (OptionError, CodecError) as error:
            raise CodecError(f"{self.topic}: the data of an observation: {error}") from error

    @property
    def data(self) -> Any:
        """The decoded message; a number where a number was stored; the bytes of a raw channel.

        Raises:
            DecodeError: the bytes are not of the stream's type, or nobody knows the type.
        """
        if self._data is UNKNOWN:
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

        Args:
            data: a message, whose type the observation then has, or the bytes of one of the same
                type; their own header stamp counts. Anything else is only for those who ask for
                `data`: it can be neither played nor saved.

        Raises:
            OptionError: a change names something else.
        """
        made = self._changed(**changes)
        made._load_raw = None
        if isinstance(data, (bytes, bytearray, memoryview)):
            made._raw, made._data = bytes(data), UNKNOWN
            if self.stream.codec == "scalar":
                made.stream = self.stream._replace(codec="lcm")
        else:
            made._raw, made._data = None, data
            type_name = _type_of(data)
            if type_name is None:
                return made
            made.stream = _of_type(self.stream, type_name)
        if "stamp_ns" not in changes:
            made._stamp_ns = UNKNOWN
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
        if "ts_ns" in changes:
            made.ts_ns, made._ts = changes.pop("ts_ns"), None
        if "stamp_ns" in changes:
            made._stamp_ns = changes.pop("stamp_ns")
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

    def unchanged_or_derived(self) -> Observation:
        """This observation, or one derived from it if somebody has changed its message in place.

        Raises:
            CodecError: the changed message cannot be encoded.
        """
        if self._data is UNKNOWN or self._raw is None or _type_of(self._data) is None:
            return self
        return self if self._encoded() == self._raw else self.derive(data=self._data)

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        state = {name: getattr(self, name) for name in Observation.__slots__}
        state |= {"_meta": self.meta, "_load_meta": None, "_load_raw": None}
        if self._data is UNKNOWN or self._load_raw or _type_of(self._data):
            state |= {"_raw": self.raw, "_data": UNKNOWN}
        return None, state

    def __repr__(self) -> str:
        kind = self.type_name or "raw"
        return f"<Observation {self.topic} #{self.id} {kind} ts={self.ts:.6f}>"


def _of_type(stream: StreamInfo, type_name: str) -> StreamInfo:
    if type_name == stream.type_name:
        return stream
    return stream._replace(
        type_name=type_name,
        channel=f"{stream.topic}#{type_name}",
        fingerprint=fingerprint(type_name),
        codec="lcm",
    )


def _type_of(data: Any) -> str | None:
    try:
        return type_name_of(data)
    except OptionError:
        return None


def to_pose(pose: Any) -> Pose | None:
    """A pose from 3 or 7 numbers, or from a message that is or has one, or that is a place.

    Raises:
        OptionError: it is none of these.
    """
    if pose is None or isinstance(pose, Pose):
        return pose
    if hasattr(pose, "pose"):
        return to_pose(pose.pose)
    place = getattr(pose, "position", getattr(pose, "translation", pose))
    turn = getattr(pose, "orientation", getattr(pose, "rotation", None))
    try:
        if hasattr(place, "x"):
            numbers = [float(getattr(place, axis)) for axis in "xyz"]
            if turn is not None:
                numbers += [float(getattr(turn, axis)) for axis in "xyzw"]
        else:
            numbers = [float(number) for number in place]
    except (AttributeError, TypeError, ValueError):
        numbers = []
    if len(numbers) not in (3, 7):
        raise OptionError(f"{pose!r} is not a pose; give x, y, z or x, y, z, qx, qy, qz, qw")
    return Pose(*numbers)
