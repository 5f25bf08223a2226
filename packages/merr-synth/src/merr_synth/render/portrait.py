"""Draws a person's head into a picture, with true landmarks: body and hair behind, skin on the mesh, eyes, mouth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.records import Float, UInt8
from merr_synth.render import body, emphasis, head, openings, relief, skin, surface, unit_shapes
from merr_synth.render.camera import Patch, View
from merr_synth.render.people import Person
from merr_synth.render.setting import Light, Setting, background, developed

__all__ = ["Portrait", "RenderedFrame", "View", "draw_portrait", "render_frame"]


@dataclass(frozen=True, repr=False)
class Portrait:
    """One person on a transparent patch.

    Attributes:
        colour: [h, w, 3] float32 0..255, already multiplied by `cover`.
        cover: [h, w] float32 0..1.
        origin_xy: the patch's upper left pixel in the picture.
        landmarks: [468, 3] float64 true landmarks, pixels of the picture (z towards the camera negative, scale of x).
    """

    colour: Float
    cover: Float
    origin_xy: tuple[int, int]
    landmarks: Float


class RenderedFrame(NamedTuple):
    """image [H, W, 3] uint8 RGB; landmarks [F, 468, 3] float64 true landmarks of the F people, pixels."""

    image: UInt8
    landmarks: Float


Sitter = tuple[Person, View, Mapping[str, float]]


def render_frame(
    setting: Setting, people: Sequence[Sitter], size: tuple[int, int] = (320, 320), frame_index: int = 0
) -> RenderedFrame:
    """One picture of a clip.

    Args:
        setting: where, and how it is lit.
        people: person, view and unit intensities (0..5) of each; the last one is in front.
        size: width and height, pixels.
        frame_index: which frame of the clip this is; it changes the sensor's noise and nothing else.
    """
    picture = background(setting, size).copy()
    landmarks = np.empty((len(people), head.FACE_POINTS, 3))
    for i, (person, view, units) in enumerate(people):
        drawn = draw_portrait(person, view, units, setting.light, size)
        landmarks[i] = drawn.landmarks
        height, width = drawn.cover.shape
        if height and width:
            x, y = drawn.origin_xy
            under = picture[y : y + height, x : x + width]
            under *= 1 - drawn.cover[..., None]
            under += drawn.colour
    return RenderedFrame(developed(setting, picture, frame_index), landmarks)


def draw_portrait(
    person: Person,
    view: View,
    units: Mapping[str, float],
    light: Light | None = None,
    size: tuple[int, int] = (320, 320),
) -> Portrait:
    """A person, seen, with an expression.

    Args:
        person: who.
        view: where in the picture, how large, how turned, looking where.
        units: intensities 0..5 of action units by name; units not named are 0.
        light: on the person; the default comes from the upper left.
        size: width and height of the picture, to which the patch is cut.

    Raises:
        InputError: an unknown unit, an intensity outside 0..5, or a face less than 16 pixels wide.
    """
    if view.width_px < 16:
        raise InputError(f"a face must be at least 16 pixels wide, got {view.width_px}")
    light = light or Light()
    values = unit_shapes.intensities(units)
    face = unit_shapes.moved(head.neutral_face(person), values, person.proportions)
    whole = head.with_rings(head.neutral_face(person), person.hair_cm)
    whole[: head.FACE_POINTS] = face
    patch = Patch.around(view, size)
    landmarks = patch.project(face) + np.array([*patch.origin_xy, 0.0])
    if patch.is_visible:
        body.draw_behind(patch, person, light)
        _draw_skin(patch, person, whole, values, light)
        openings.draw_eyes(patch, person, face, light)
        openings.draw_mouth(patch, person, face, light)
        body.draw_before(patch, person, face, light)
    return Portrait(patch.colour, patch.cover, patch.origin_xy, landmarks)


def _draw_skin(patch: Patch, person: Person, whole: Float, values: Float, light: Light) -> None:
    texture = skin.albedo(person) * _shade(patch, person, whole, values, light)
    points = patch.project(whole)
    box = patch.box_of(points)
    if box is not None:
        x1, y1, x2, y2 = box
        colour, cover = surface.laid(texture, points - np.array([x1, y1, 0.0]), (x2 - x1, y2 - y1))
        patch.over_box(box, colour, cover)


def _shade(patch: Patch, person: Person, whole: Float, values: Float, light: Light) -> Float:
    """[H, W, 3] float32 brightness on the skin's map."""
    direction = np.asarray(light.direction) / np.linalg.norm(light.direction)
    normals = surface.vertex_normals(patch.rotate(whole))
    shade = surface.on_map(surface.lit(normals, tuple(direction), light.strength, light.ambient))
    spots = emphasis.shades()
    by_unit, by_age = relief.shading(tuple(float(v) for v in np.round(direction, 1)))
    folds = 1 + person.lines * by_age
    depth = 0.8 + 0.5 * person.lines
    shares = unit_shapes.shares(values)
    for i in np.flatnonzero(values > 0.02):
        share = np.float32(shares[i])
        folds += by_unit[i] * (np.float32(depth) * share) + spots[i] * share
    shade = shade * np.maximum(folds, 0.3)
    return np.asarray(shade[..., None] * np.asarray(light.colour, np.float32))
