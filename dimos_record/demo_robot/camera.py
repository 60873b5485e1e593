"""A pinhole camera that draws the room, fast enough for video with numpy alone.

All faces stand upright and the camera looks level, so everything in an image column that lies on
one face has one depth. Each column is therefore a stack of spans, worked out per column and
painted with one `np.repeat`; only the floor has a texture that is looked up per pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dimos_record.demo_robot.noise import Noise
from dimos_record.demo_robot.robot import RobotState
from dimos_record.demo_robot.world import BANDS, Floats, Hits, Ints, World

WIDTH, HEIGHT = 640, 480
FOCAL_PX = 420.0
CENTRE_X, CENTRE_Y = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
FORWARD_M = 0.12
HEIGHT_M = 0.85
"""Where the camera sits: ahead of the robot's axis and above the floor; it looks forwards."""

FLOOR, CEILING = np.uint32(0), np.uint32(1)
"""Stand for a pixel of floor or ceiling until their textures are painted."""
SHADES = 64
TOP_LIGHT = 0.95
"""Share of the light that horizontal surfaces get."""
TEXELS_PER_M = 32
HORIZON = HEIGHT // 2
"""The first row below the horizon."""


class Camera:
    """Draws what the robot sees.

    Args:
        world: what it sees.
        noise: grain of the image; None for none.
    """

    def __init__(self, world: World, noise: Noise | None = None) -> None:
        self.world = world
        self.noise = noise
        self.across = (np.arange(WIDTH) - CENTRE_X) / FOCAL_PX
        """How far to the right each column looks, per metre of depth."""
        self._palette = _palette(world)
        self._light = _light(world)
        rows = np.arange(HORIZON, HEIGHT)
        self._floor_depth_m = HEIGHT_M * FOCAL_PX / (rows - CENTRE_Y)
        self._floor = _FloorTexture(world)
        self._floor_level = self._floor.level_start(self._floor_depth_m).astype(np.int32)
        self._ceiling = _ceiling_rows(world.height_m)

    def render(self, state: RobotState) -> NDArray[np.uint8]:
        """The picture at one instant: RGB of shape (480, 640, 3)."""
        hits, eye = self._look(state)
        lengths, colours = self._spans(hits)
        packed = np.repeat(colours.T.ravel(), lengths.T.ravel())
        picture = np.ascontiguousarray(packed.reshape(WIDTH, HEIGHT).T)
        below, above = picture[HORIZON:], picture[:HORIZON]
        np.copyto(below, self._floor_pixels(eye, state.yaw), where=below == FLOOR)
        np.copyto(above, self._ceiling[:, None], where=above == CEILING)
        rgb = np.ascontiguousarray(picture.view(np.uint8).reshape(HEIGHT, WIDTH, 4)[..., :3])
        if self.noise is not None:
            rgb += self.noise.grain(state.t_ns, rgb.size).reshape(rgb.shape)
        return rgb

    def depth_m(self, state: RobotState) -> Floats:
        """Depth along the optical axis of the first face in each column, on the horizon."""
        hits, _ = self._look(state)
        bottom, top = self.world.bottom_m[hits.face], self.world.top_m[hits.face]
        met = (bottom <= HEIGHT_M) & (top >= HEIGHT_M)
        depth: Floats = np.where(met, hits.distance, np.inf).min(axis=0)
        return depth

    def _look(self, state: RobotState) -> tuple[Hits, tuple[float, float]]:
        """Crossings of every column's ray, with distances counted as depth, and the eye (m)."""
        cos, sin = np.cos(state.yaw), np.sin(state.yaw)
        eye = (state.x + FORWARD_M * cos, state.y + FORWARD_M * sin)
        directions = np.stack([cos + self.across * sin, sin - self.across * cos])
        return self.world.cast(eye, directions), eye

    def _spans(self, hits: Hits) -> tuple[Ints, NDArray[np.uint32]]:
        """Each column as a stack of spans from the top of the image down.

        Nearest faces first, what stands on the floor grows a stack from the bottom of the image
        and what hangs from the ceiling one from its top; farther faces only get the rows that
        are still open between the two.

        Returns:
            lengths in rows and packed colours, both of shape (spans, columns).
        """
        stacks = _Stacks(hits.distance.shape[1])
        reaches_ceiling = self.world.top_m >= self.world.height_m
        open_columns = np.ones(hits.distance.shape[1], bool)
        shades = self._shades(hits)
        for layer in range(len(hits.distance)):
            face, depth = hits.face[layer], hits.distance[layer]
            met = open_columns & np.isfinite(depth)
            stands = self.world.bottom_m[face] == 0.0
            colours = self._palette.packed[face, :, shades[layer]].T
            edges = _rows(self._palette.edges_m[face].T, depth)
            entering = hits.entering[layer]
            stacks.stand(edges, colours, met & stands & entering, met & stands & ~entering)
            if not stands.all():
                stacks.hang(edges, colours, met & ~stands & entering, met & ~stands & ~entering)
            open_columns &= ~(met & stands & reaches_ceiling[face])
            if not open_columns.any():
                break
        return stacks.closed()

    def _floor_pixels(self, eye: tuple[float, float], yaw: float) -> NDArray[np.uint32]:
        """The floor in every pixel below the horizon, as if nothing stood on it."""
        floor, depth_m = self._floor, self._floor_depth_m
        cos, sin = np.cos(yaw), np.sin(yaw)
        ahead_x, ahead_y = eye[0] + depth_m * cos, eye[1] + depth_m * sin
        x = _texels(ahead_x, depth_m * sin, self.across) & (floor.columns - 1)
        y = _texels(ahead_y, -depth_m * cos, self.across) & (floor.rows - 1)
        y *= floor.columns
        y += x
        y += self._floor_level[:, None]
        return floor.texels.take(y)

    def _shades(self, hits: Hits) -> Ints:
        """Brightness of each crossing, as an index into the palette."""
        panels, within = np.divmod(hits.along_m, self.world.panel_m[hits.face])
        texture = np.where(within < 0.03, 0.82, np.where(panels % 2, 1.0, 0.95))
        side = self._light[hits.face] * texture
        light = np.where(hits.entering, side, TOP_LIGHT) * _haze(hits.distance)
        return (light * (SHADES - 1)).astype(np.intp)


class _Stacks:
    """The spans of all columns, while they grow towards each other."""

    def __init__(self, columns: int) -> None:
        self.roof: Ints = np.zeros(columns, np.intp)
        self.ground: Ints = np.full(columns, HEIGHT, np.intp)
        self._upper: list[tuple[Ints, NDArray[np.uint32]]] = []
        self._lower: list[tuple[Ints, NDArray[np.uint32]]] = []

    def stand(
        self,
        edges: Ints,
        colours: NDArray[np.uint32],
        front: NDArray[np.bool_],
        back: NDArray[np.bool_],
    ) -> None:
        """Stack floor, the bands of a front, or the top of a solid seen up to its back."""
        floor = np.full_like(colours[0], FLOOR)
        for band, edge in enumerate(edges):
            self._raise(np.where(front, edge, HEIGHT), colours[band - 1] if band else floor)
        self._raise(np.where(back, edges[-1], HEIGHT), colours[-1])

    def hang(
        self,
        edges: Ints,
        colours: NDArray[np.uint32],
        front: NDArray[np.bool_],
        back: NDArray[np.bool_],
    ) -> None:
        """The same from the ceiling down; seen from below, a solid shows its underside."""
        ceiling = np.full_like(colours[0], CEILING)
        for band in range(BANDS, -1, -1):
            colour = colours[band] if band < BANDS else ceiling
            self._lower_roof(np.where(front, edges[band], 0), colour)
        self._lower_roof(np.where(back, edges[0], 0), colours[-1])

    def closed(self) -> tuple[Ints, NDArray[np.uint32]]:
        """All spans, with ceiling in the rows that stayed open."""
        ceiling = np.full(len(self.roof), CEILING, np.uint32)
        spans = [*self._upper, (self.ground - self.roof, ceiling), *reversed(self._lower)]
        return np.stack([span[0] for span in spans]), np.stack([span[1] for span in spans])

    def _raise(self, row: Ints, colour: NDArray[np.uint32]) -> None:
        row = np.maximum(np.minimum(row, self.ground), self.roof)
        self._lower.append((self.ground - row, colour))
        self.ground = row

    def _lower_roof(self, row: Ints, colour: NDArray[np.uint32]) -> None:
        row = np.minimum(np.maximum(row, self.roof), self.ground)
        self._upper.append((row - self.roof, colour))
        self.roof = row


class _Palette(NamedTuple):
    edges_m: Floats
    """Lower edge of the face, then the upper edge of each band; shape (faces, BANDS + 1)."""
    packed: NDArray[np.uint32]
    """Packed colours of shape (faces, BANDS + 1, SHADES); the last band is the solid's top."""


class _FloorTexture:
    """A picture of the floor with its shadows, at several distances."""

    blur_depths_m = (2.0, 4.0, 7.0)
    """Beyond each of these depths the pattern gets fainter, instead of flickering."""

    def __init__(self, world: World) -> None:
        self.columns, self.rows = (
            1 << int(np.ceil(np.log2(size * TEXELS_PER_M))) for size in world.size_m
        )
        y, x = (np.indices((self.rows, self.columns)) + 0.5) / TEXELS_PER_M
        clearance_m = world.clearance_m(np.column_stack([x.ravel(), y.ravel()]))
        shadow = 1.0 - 0.5 * np.exp(-clearance_m.reshape(x.shape) / 0.1)
        pattern, base = _tiles(x, y)
        levels = [
            _pack((base * (1.0 + strength * pattern[..., None])) * shadow[..., None])
            for strength in (1.0, 0.7, 0.4, 0.2)
        ]
        self.texels = np.concatenate([level.ravel() for level in levels])

    def level_start(self, depth_m: Floats) -> Ints:
        """Index of the first texel to use at each depth."""
        return np.searchsorted(self.blur_depths_m, depth_m) * (self.rows * self.columns)


def _texels(start_m: Floats, step_m: Floats, across: Floats) -> NDArray[np.int32]:
    """Texel coordinates of shape (rows, columns), linear along each row."""
    start, step, across = (
        np.float32(TEXELS_PER_M * start_m),
        np.float32(TEXELS_PER_M * step_m),
        np.float32(across),
    )
    texels: NDArray[np.int32] = (start[:, None] + step[:, None] * across).astype(np.int32)
    return texels


def _tiles(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Stone tiles in the west room, planks in the east room: pattern and mean colour."""
    checker = 0.16 * (((x // 0.5) + (y // 0.5)) % 2) - 0.08
    stone = np.where((x % 0.5 < 0.03) | (y % 0.5 < 0.03), -0.3, checker)
    shift = (y // 0.25) * 0.7
    plank = 0.07 * np.sin(12.9 * (y // 0.25) + 78.2 * ((x + shift) // 1.5))
    planks = np.where((y % 0.25 < 0.03) | ((x + shift) % 1.5 < 0.03), -0.28, plank)
    west = x < 7.0
    base = np.where(west[..., None], (168.0, 164.0, 156.0), (176.0, 130.0, 84.0))
    return np.where(west, stone, planks), base


def _palette(world: World) -> _Palette:
    edges_m = np.array(
        [[wall.bottom_m, *(edge for edge, _ in wall.material.bands)] for wall in world.walls]
    )
    colours = np.array(
        [[*(rgb for _, rgb in wall.material.bands), wall.material.top] for wall in world.walls]
    )
    shade = (np.arange(SHADES) / (SHADES - 1))[:, None]
    return _Palette(edges_m, _pack(colours[:, :, None, :] * shade))


def _light(world: World) -> Floats:
    """Share of the light that each face gets, from its direction: 0 to 1."""
    light: Floats = 0.85 + 0.15 * (world.normal @ np.array([-0.5, -0.866]))
    return light


def _haze(depth_m: Floats) -> Floats:
    """How much darker things get with distance; 0 at infinity."""
    return 1.0 / (1.0 + 0.035 * depth_m)


def _ceiling_rows(height_m: float) -> NDArray[np.uint32]:
    depth_m = (height_m - HEIGHT_M) * FOCAL_PX / (CENTRE_Y - np.arange(HORIZON))
    return _pack(np.array([232.0, 230.0, 222.0]) * _haze(depth_m)[:, None])


def _rows(z: Floats, depth_m: Floats) -> Ints:
    """The first image row at or below height z (m), seen at a depth."""
    rows = np.ceil(CENTRE_Y + FOCAL_PX * (HEIGHT_M - z) / depth_m)
    return np.clip(rows, 0, HEIGHT).astype(np.intp)


def _pack(rgb: Floats) -> NDArray[np.uint32]:
    """Colours of shape (..., 3) as one number each, with room for the grain of +-2."""
    packed = np.full((*rgb.shape[:-1], 4), 255, np.uint8)
    packed[..., :3] = np.clip(rgb, 4, 250)
    return packed.view(np.uint32)[..., 0]
