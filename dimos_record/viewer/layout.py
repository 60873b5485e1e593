"""The arrangement of the viewer for what is in a recording, or on the bus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from dimos_record.viewer.converters import Kind
from dimos_record.viewer.entities import FRAMES, MARKERS, ROBOT, below
from dimos_record.viewer.presets import eye_controls
from dimos_record.viewer.times import MESSAGE, POSITION, STAMP, TIME

_SIDE_BY_SIDE = 4
"""So many views of one sort are shown at once; more share tabs."""
_WITH_LEGEND = 2
"""So many plots at once have room for the names of their curves, and one in a tab."""


@dataclass(frozen=True)
class ShownTopic:
    """What the layout needs to know of a topic."""

    topic: str
    entity: str
    kind: Kind
    curves: tuple[str, ...] = ()
    """Paths below the entity that hold curves."""
    trail: str | None = None
    """The entity of the way that it has taken, if it draws one."""
    has_camera: bool = False
    """Of pictures: whether it is known where their camera stands."""

    @property
    def is_in_space(self) -> bool:
        """Whether it belongs into the 3D world."""
        return self.kind in ("3d", "transforms") or (self.kind == "image" and self.has_camera)


@dataclass(frozen=True)
class Scene:
    """Everything that decides what the layout is."""

    topics: tuple[ShownTopic, ...]
    preset: str
    robot: bool = False
    """Whether it is known where the robot is."""
    markers: bool = False
    live: bool = False
    """Whether the view is to stay at the newest message."""

    def of(self, *kinds: Kind) -> list[ShownTopic]:
        """The topics of some kinds."""
        return [topic for topic in self.topics if topic.kind in kinds]


def blueprint(scene: Scene) -> Any:
    """The layout (a `rerun.blueprint.Blueprint`): views of what is there, and nothing else.

    Left the 3D world, and below it the map and the log; right one picture per camera and one plot
    per topic with curves.
    """
    import rerun.blueprint as rrb

    left = [*_world(scene), *_map(scene), *_log(scene)]
    pictures, plots = _cameras(scene), _plots(scene)
    right = [*_arranged(pictures, columns=1), *_arranged(plots, columns=2)]
    columns = []
    if left:
        columns.append(rrb.Vertical(*left, row_shares=[4, *[1] * (len(left) - 1)]))
    if right:
        columns.append(rrb.Vertical(*right))
    return rrb.Blueprint(
        rrb.Horizontal(*columns, column_shares=[3, 2] if len(columns) == 2 else None),
        rrb.TimePanel(
            state="collapsed",
            timeline=TIME if scene.live else POSITION,
            play_state="following" if scene.live else "playing",
        ),
        rrb.SelectionPanel(state="collapsed"),
        rrb.BlueprintPanel(state="collapsed"),
        auto_views=False,
        auto_layout=False,
    )


def _world(scene: Scene) -> list[Any]:
    import rerun.blueprint as rrb

    there = [topic for topic in scene.topics if topic.is_in_space]
    if not there:
        return []
    contents = [f"+ /{topic.entity}/**" for topic in there]
    view = rrb.Spatial3DView(
        name="World",
        origin="/",
        contents=[*contents, f"+ /{FRAMES}/**", f"+ /{ROBOT}/**"],
        eye_controls=eye_controls(scene.preset, robot=scene.robot),
        overrides={topic.trail: _everything_so_far() for topic in there if topic.trail},
    )
    return [view]


def _everything_so_far() -> Any:
    import rerun as rr
    import rerun.blueprint as rrb

    boundary = rr.TimeRangeBoundary
    ends = {
        TIME: boundary.cursor_relative(seconds=0.0),
        STAMP: boundary.cursor_relative(seconds=0.0),
        POSITION: boundary.cursor_relative(seconds=0.0),
        MESSAGE: boundary.cursor_relative(seq=0),
    }
    return rrb.VisibleTimeRanges(
        [
            rr.VisibleTimeRange(timeline, start=boundary.infinite(), end=end)
            for timeline, end in ends.items()
        ]
    )


def _map(scene: Scene) -> list[Any]:
    import rerun.blueprint as rrb

    there = scene.of("map")
    return [rrb.MapView(name="Map", origin="/", contents=_entities(there))] if there else []


def _log(scene: Scene) -> list[Any]:
    import rerun.blueprint as rrb

    texts = scene.of("text")
    if not (texts or scene.markers):
        return []
    contents = _entities(texts) + ([f"+ /{MARKERS}/**"] if scene.markers else [])
    return [rrb.TextLogView(name="Log", origin="/", contents=contents)]


def _cameras(scene: Scene) -> list[Any]:
    import rerun.blueprint as rrb

    cameras, boxes = scene.of("image"), scene.of("detections2d")
    return [
        rrb.Spatial2DView(
            name=camera.topic,
            origin=f"/{camera.entity}",
            contents=_entities([camera, *(b for b in boxes if nearest(b, cameras) is camera)]),
        )
        for camera in cameras
    ]


def nearest(topic: ShownTopic, cameras: Sequence[ShownTopic]) -> ShownTopic | None:
    """The camera whose name has most in common with that of a topic; the first of equals."""
    return max(cameras, key=lambda one: _shared_levels(one.topic, topic.topic), default=None)


def _shared_levels(a: str, b: str) -> int:
    pairs = zip(a.split("/"), b.split("/"), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _plots(scene: Scene) -> list[Any]:
    import rerun.blueprint as rrb

    there = [topic for topic in scene.topics if topic.curves]
    has_room = not _WITH_LEGEND < len(there) <= _SIDE_BY_SIDE
    return [
        rrb.TimeSeriesView(
            name=topic.topic,
            origin=f"/{topic.entity}",
            contents=[f"+ /{below(topic.entity, path)}/**" for path in topic.curves],
            plot_legend=rrb.PlotLegend(visible=has_room),
        )
        for topic in there
    ]


def _entities(topics: Iterable[ShownTopic]) -> list[str]:
    return [f"+ /{topic.entity}/**" for topic in topics]


def _arranged(views: list[Any], columns: int) -> list[Any]:
    """Views as one part of the layout; none if there are none."""
    import rerun.blueprint as rrb

    if len(views) > _SIDE_BY_SIDE:
        return [rrb.Tabs(*views)]
    if len(views) > 1:
        return [rrb.Grid(*views, grid_columns=columns if len(views) < _SIDE_BY_SIDE else 2)]
    return views
