"""Light on the mesh and its way into the picture: the skin's map, shaded by the mesh's normals, laid over triangles."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emotion_llama.records import Float
from merr_synth.render import head

_GRID = (100, 76)  # width, height of the coarse map on which light is computed: it has no edges
_BITS = 4  # of a pixel's fraction in cv2's drawing calls
_GLOSS, _GLOSS_SHARPNESS = 0.10, 14.0


@lru_cache(maxsize=1)
def facing_triangles() -> head.Index:
    """[T, 3] the head's triangles, turned so that those towards the camera have a positive area in y-down pixels."""
    triangles = head.triangles().copy()
    wrong = signed_areas(head.map_points(), triangles) < 0
    # A few triangles of the lips and nostrils face away from the map's centre: they keep their turn.
    face = np.arange(len(triangles)) < 852
    if np.mean(wrong[face]) > 0.5:
        triangles[face] = triangles[face][:, ::-1]
    flip = wrong & ~face
    triangles[flip] = triangles[flip][:, ::-1]
    return np.asarray(triangles)


def signed_areas(points: Float, triangles: head.Index) -> Float:
    """[T] twice the area of the triangles of the points [K, 2+], by the first two coordinates."""
    a, b, c = (points[triangles[:, i], :2] for i in range(3))
    return np.asarray((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]))


def vertex_normals(points: Float) -> Float:
    """[K, 3] unit normals of the mesh [K, 3] (x right, y up, z towards the camera), area-weighted."""
    triangles = facing_triangles()
    a, b, c = (points[triangles[:, i]] for i in range(3))
    across = -np.cross(b - a, c - a)  # y points up here and down in pixels: the turn is the other way
    where = triangles.ravel()
    total = np.stack([np.bincount(where, np.repeat(across[:, k], 3), len(points)) for k in range(3)], axis=1)
    return np.asarray(total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-9))


def lit(normals: Float, light: tuple[float, float, float], strength: float, ambient: float) -> Float:
    """[K] brightness of points with these normals: ambient and a lamp with a soft edge, and a little gloss."""
    lamp = normals @ np.asarray(light)
    wrapped = np.clip((lamp + 0.25) / 1.25, 0, 1)  # skin lets light through past the edge of its shadow
    halfway = np.asarray(light) + np.array([0, 0, 1.0])
    gloss = _GLOSS * np.clip(normals @ (halfway / np.linalg.norm(halfway)), 0, 1) ** _GLOSS_SHARPNESS
    sky = 0.08 * normals[:, 1]
    return np.asarray(ambient * (0.82 + 0.18 * normals[:, 2]) + sky + strength * (wrapped + gloss), np.float32)


class _Grid(NamedTuple):
    corners: npt.NDArray[np.int64]  # [G, 3]
    weights: Float  # [G, 3]


@lru_cache(maxsize=1)
def _grid() -> _Grid:
    """Which triangle each point of the coarse map lies in; points beyond the mesh take the nearest one."""
    from scipy.ndimage import distance_transform_edt

    width, height = _GRID
    scale = np.array(head.MAP_SIZE) / np.array(_GRID)
    points, triangles = head.map_points() / scale, facing_triangles()
    ids = rasterised(points, triangles, np.arange(len(triangles)), (width, height))
    rows, columns = distance_transform_edt(ids < 0, return_distances=False, return_indices=True)
    ids = ids[rows, columns].ravel()
    y, x = (v.ravel() for v in np.mgrid[0:height, 0:width])
    a, b, c = (points[triangles[ids, i]] for i in range(3))
    area = signed_areas(points, triangles)[ids]
    area = np.where(np.abs(area) < 1e-6, 1e-6, area)
    at = np.stack([x, y], axis=1) + 0.5 - 0.5
    wb = ((at[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (at[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])) / area
    wc = ((b[:, 0] - a[:, 0]) * (at[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (at[:, 0] - a[:, 0])) / area
    weights = np.clip(np.stack([1 - wb - wc, wb, wc], axis=1), 0, 1)
    return _Grid(triangles[ids], (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def on_map(values: Float) -> Float:
    """[H, W] float32 values of the mesh's points [K], spread smoothly over the skin's map."""
    import cv2

    grid = _grid()
    coarse = np.einsum("gk,gk->g", np.asarray(values, np.float32)[grid.corners], grid.weights)
    coarse = cv2.GaussianBlur(coarse.reshape(_GRID[::-1]).astype(np.float32), (0, 0), 0.8)
    return np.asarray(cv2.resize(coarse, head.MAP_SIZE, interpolation=cv2.INTER_LINEAR))


def rasterised(
    points: Float, triangles: head.Index, order: npt.NDArray[np.int64], size: tuple[int, int]
) -> npt.NDArray[np.int32]:
    """[H, W] number of the triangle seen at each pixel, -1 where there is none; later ones of `order` hide earlier."""
    import cv2

    ids = np.full(size[::-1], -1, np.int32)
    corners = np.round(points[triangles[order], :2] * (1 << _BITS)).astype(np.int32)
    fill = cv2.fillConvexPoly
    for number, corner in zip(order.tolist(), corners):
        fill(ids, corner, number, 8, _BITS)
    return ids


def laid(texture: Float, points: Float, size: tuple[int, int]) -> tuple[Float, Float]:
    """The map's picture on the mesh.

    Args:
        texture: [H, W, 3] float32 on the skin's map.
        points: [K, 3] of the mesh, pixels of the patch (y down, z away from the camera).
        size: width and height of the patch.

    Returns:
        colour [h, w, 3] float32, cover [h, w] 0..1 with soft outlines.
    """
    import cv2

    triangles = facing_triangles()
    areas = signed_areas(points, triangles)
    front = np.flatnonzero(areas > 0.02)
    depth = points[triangles, 2].sum(axis=1)
    ids = rasterised(points, triangles, front[np.argsort(-depth[front])], size)
    affine = _affine_to_map(points, triangles, areas)
    where: Float = np.take(affine, ids, axis=0, mode="wrap")  # -1 takes the last triangle's: hidden by the cover
    y, x = np.arange(size[1], dtype=np.float32)[:, None], np.arange(size[0], dtype=np.float32)
    u = np.asarray(where[..., 0] + where[..., 1] * x + where[..., 2] * y, np.float32)
    v = np.asarray(where[..., 3] + where[..., 4] * x + where[..., 5] * y, np.float32)
    colour = cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (ids >= 0).astype(np.float32)
    cover = np.clip(2 * cv2.GaussianBlur(inside, (0, 0), 0.8) - 1, 0, 1) * inside
    return np.asarray(colour, np.float32), np.asarray(cover, np.float32)


def _affine_to_map(points: Float, triangles: head.Index, areas: Float) -> Float:
    """[T, 6] float32: u = c0 + c1 x + c2 y, v = c3 + c4 x + c5 y."""
    a, b, c = (points[triangles[:, i], :2] for i in range(3))
    ma, mb, mc = (head.map_points()[triangles[:, i]] for i in range(3))
    area = np.where(np.abs(areas) < 0.02, 0.02, areas)[:, None]
    ab, ac, mab, mac = b - a, c - a, mb - ma, mc - ma
    dx = (mab * ac[:, 1:2] - mac * ab[:, 1:2]) / area
    dy = (mac * ab[:, 0:1] - mab * ac[:, 0:1]) / area
    start = ma - dx * a[:, 0:1] - dy * a[:, 1:2]
    columns = [start[:, 0], dx[:, 0], dy[:, 0], start[:, 1], dx[:, 1], dy[:, 1]]
    return np.asarray(np.stack(columns, axis=1), np.float32)
