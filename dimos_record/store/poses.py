"""Giving recorded messages the pose at which they were observed, so that `near` finds them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dimos_record.errors import OptionError
from dimos_record.messages import pose_of, transforms
from dimos_record.store.base import StreamInfo
from dimos_record.store.meta import Where
from dimos_record.store.queries import QueryableReader
from dimos_record.store.writer import RecordingWriter

if TYPE_CHECKING:
    import numpy as np

_TF = "tf2_msgs.TFMessage"
_BATCH = 5000


@dataclass(frozen=True)
class PoseTrack:
    """Poses over time: `times_ns` (N,), `poses` (N, 7) as x, y, z, qx, qy, qz, qw."""

    times_ns: np.ndarray[Any, Any]
    poses: np.ndarray[Any, Any]

    def at(self, times_ns: np.ndarray[Any, Any], tolerance_s: float) -> np.ndarray[Any, Any]:
        """Poses (M, 7) at the given times, NaN where no pose is within `tolerance_s`.

        Positions are interpolated linearly, orientations by normalised linear interpolation.
        """
        import numpy as np

        after = np.clip(np.searchsorted(self.times_ns, times_ns), 0, len(self.times_ns) - 1)
        before = np.clip(after - 1, 0, None)
        before = np.where(self.times_ns[after] <= times_ns, after, before)
        t0, t1 = self.times_ns[before], self.times_ns[after]
        span = np.maximum(t1 - t0, 1)
        share = np.clip((times_ns - t0) / span, 0.0, 1.0)[:, None]
        start, end = self.poses[before], self.poses[after]
        end = np.where(
            _dots(start[:, 3:], end[:, 3:]) < 0, np.hstack([end[:, :3], -end[:, 3:]]), end
        )
        found = start + share * (end - start)
        found[:, 3:] /= np.maximum(np.linalg.norm(found[:, 3:], axis=1, keepdims=True), 1e-12)
        far = np.minimum(np.abs(times_ns - t0), np.abs(times_ns - t1)) > tolerance_s * 1e9
        found[far] = np.nan
        return np.asarray(found)


def _dots(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.asarray((a * b).sum(axis=1, keepdims=True))


def track_from_stream(reader: QueryableReader, info: StreamInfo) -> PoseTrack:
    """The poses of an odometry or pose stream.

    Raises:
        OptionError: no message of the stream has a pose.
    """
    samples = []
    for row in reader.rows(info.name):
        pose = pose_of(info.type_name, row.data)
        if pose is not None and all(map(math.isfinite, pose)):
            samples.append((row.stamp_ns or row.ts_ns, pose))
    if not samples:
        raise OptionError(
            f"{reader.name}: the messages of {info.topic} ({info.type_name}) have no pose; "
            f"name an odometry, pose or tf topic"
        )
    return _track(samples)


def track_from_tf(
    reader: QueryableReader, infos: Iterable[StreamInfo], frame: str, root: str | None
) -> PoseTrack:
    """The pose of a frame in the root of its transform tree (or in a named frame above it).

    Raises:
        OptionError: the frame is in no transform, or `root` is not above it.
    """
    edges: dict[str, tuple[str, list[tuple[int, tuple[float, ...]]]]] = {}
    for info in infos:
        for row in reader.rows(info.name):
            for parent, child, stamp_ns, pose in transforms(row.data):
                # ROS 1 wrote frames with a slash in front
                samples = edges.setdefault(child.lstrip("/"), (parent.lstrip("/"), []))[1]
                if all(map(math.isfinite, pose)):
                    samples.append((stamp_ns or row.ts_ns, pose))
    chain = _chain(edges, frame.lstrip("/"), root and root.lstrip("/"), reader.name)
    moving = max((_track(edges[child][1]) for child in chain), key=lambda t: len(t.times_ns))
    poses = _identity(len(moving.times_ns))
    for child in reversed(chain):
        link = _track(edges[child][1]).at(moving.times_ns, tolerance_s=float("inf"))
        poses = _composed(poses, link)
    return PoseTrack(moving.times_ns, poses)


def _chain(edges: dict[str, Any], frame: str, root: str | None, name: str) -> list[str]:
    """The frames from `frame` upwards whose transforms lead to `root`."""
    chain: list[str] = []
    current = frame
    while current in edges and current != root and current not in chain:
        chain.append(current)
        current = edges[current][0]
    if not chain or (root is not None and current != root):
        known = ", ".join(sorted(edges)) or "none"
        raise OptionError(
            f"{name}: no transforms lead from {root or 'a root'} to {frame!r}; frames are: {known}"
        )
    return chain


def _track(samples: Sequence[tuple[int, tuple[float, ...]]]) -> PoseTrack:
    import numpy as np

    times = np.array([time_ns for time_ns, _ in samples], dtype=np.int64)
    poses = np.array([pose for _, pose in samples], dtype=float)
    order = np.argsort(times, kind="stable")
    return PoseTrack(times[order], poses[order])


def _identity(n: int) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.tile(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), (n, 1))


def _composed(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Poses (N, 7): `b`, which is given in the frame `a`, in the frame that `a` is given in."""
    import numpy as np

    ax, ay, az, aw = a[:, 3:].T
    bx, by, bz, bw = b[:, 3:].T
    turn = np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        axis=1,
    )
    axis = a[:, 3:6]
    cross = 2.0 * np.cross(axis, b[:, :3])
    place = a[:, :3] + b[:, :3] + a[:, 6:] * cross + np.cross(axis, cross)
    return np.hstack([place, turn])


def write_poses(
    reader: QueryableReader,
    writer: RecordingWriter,
    info: StreamInfo,
    track: PoseTrack,
    tolerance_s: float,
) -> int:
    """Fill in the poses of one stream, and return of how many messages."""
    import numpy as np

    rows = [(row.id, row.stamp_ns or row.ts_ns) for row in reader.meta_rows(info.name, Where())]
    filled = 0
    for start in range(0, len(rows), _BATCH):
        numbers, times = zip(*rows[start : start + _BATCH], strict=True)
        poses = track.at(np.array(times, dtype=np.int64), tolerance_s)
        known = ~np.isnan(poses[:, 0])
        found = [
            (n, *pose) for n, pose, ok in zip(numbers, poses.tolist(), known, strict=True) if ok
        ]
        writer.set_poses(info, found)
        filled += len(found)
    return filled


def is_tf(info: StreamInfo) -> bool:
    """Whether a stream holds transforms."""
    return info.type_name == _TF
