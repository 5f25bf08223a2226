"""The picture of a face with its mesh points and the units that fired drawn over it.

Coordinates are pixels of the picture, the origin at its upper left corner, x right, y down.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from emotion_llama.records import AU_DESCRIPTIONS, Float
from emotion_llama.report.charts import path
from emotion_llama.report.markup import Html, element
from emotion_llama.report.pictures import PeakPicture

LABEL_GAP = 26  # least distance between two unit labels, pixels of a picture 480 high

# Where a unit is seen: points of the 478-point FaceMesh, the person's right first. Chosen by hand on the canonical
# mesh after the FACS manual's description of each unit's main change (Ekman, Friesen & Hager, 2002); for marks only.
UNIT_POINTS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "AU01": (107, 336),
        "AU02": (63, 293),
        "AU04": (55, 285),
        "AU05": (159, 386),
        "AU06": (50, 280),
        "AU07": (145, 374),
        "AU09": (193, 417),
        "AU10": (37, 267),
        "AU12": (61, 291),
        "AU14": (57, 287),
        "AU15": (202, 422),
        "AU17": (199,),
        "AU20": (61, 291),
        "AU23": (0, 17),
        "AU25": (13, 14),
        "AU26": (152,),
        "AU45": (159, 386),
    }
)


def portrait(picture: PeakPicture, units: Mapping[str, float], description: str) -> Html:
    """The picture with the mesh points and the units that fired drawn over it.

    Both overlays carry a class ("mesh", "fired-units"), by which the page's check boxes show and hide them.
    """
    encoded = base64.b64encode(picture.jpeg).decode("ascii")
    image = element(
        "img", src=f"data:image/jpeg;base64,{encoded}", alt=description, width=picture.width, height=picture.height
    )
    overlay = []
    if picture.mesh is not None:
        scale = max(picture.width, picture.height) / 480
        dots = path(picture.mesh * 10, "dots", dots=True)
        overlay.append(element("g", dots, class_="mesh", transform="scale(.1)"))
        overlay.append(element("g", *_unit_marks(picture, units, scale), class_="fired-units"))
    view_box = f"0 0 {picture.width} {picture.height}"
    return element(
        "div", image, element("svg", *overlay, viewBox=view_box, aria_hidden="true"), class_="portrait"
    )  # fmt: skip


class Mark(NamedTuple):
    """A unit's label, the side it stands on, its height, and the points it belongs to."""

    name: str
    on_left: bool
    y: float
    points: Float


def place_marks(mesh: Float, names: list[str], height: float, gap: float) -> list[Mark]:
    """Labels at the left and right border, alternating, by falling height of their points and at least `gap` apart."""
    points = {name: mesh[list(UNIT_POINTS[name])] for name in names if name in UNIT_POINTS}
    ordered = sorted(points, key=lambda name: float(points[name][:, 1].mean()))
    marks = []
    for on_left in (True, False):
        side = ordered[0 if on_left else 1 :: 2]
        wanted = [float(points[name][:, 1].mean()) for name in side]
        for name, y in zip(side, spread(wanted, gap, gap / 2, height - gap / 2)):
            marks.append(Mark(name, on_left, y, points[name]))
    return marks


def spread(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Rising positions near the wanted ones, `gap` apart; the ends of the range win where there is room for both."""
    placed: list[float] = []
    for y in wanted:
        placed.append(max(y, low, placed[-1] + gap if placed else low))
    limit = high
    for index in range(len(placed) - 1, -1, -1):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - gap
    return placed


def _unit_marks(picture: PeakPicture, units: Mapping[str, float], scale: float) -> list[Html]:
    assert picture.mesh is not None
    marks = place_marks(picture.mesh, list(units), picture.height, LABEL_GAP * scale)
    drawn = []
    for mark in marks:
        # The leader goes to the point that is nearest to the label's side.
        near = mark.points[np.argmin(mark.points[:, 0]) if mark.on_left else np.argmax(mark.points[:, 0])]
        x = 10 * scale if mark.on_left else picture.width - 10 * scale
        start = x + (78 * scale if mark.on_left else -78 * scale)
        drawn.append(element("line", x1=start, y1=mark.y, x2=float(near[0]), y2=float(near[1]), class_="leader"))
        for px, py in mark.points:
            drawn.append(element("circle", cx=float(px), cy=float(py), r=6 * scale, class_="ring"))
        drawn.append(
            element(
                "text", element("title", f"{mark.name} {AU_DESCRIPTIONS.get(mark.name, '')}"),
                f"{mark.name} {units[mark.name]:.1f}", x=x, y=mark.y + 5 * scale, font_size=15 * scale,
                text_anchor=None if mark.on_left else "end",
            )
        )  # fmt: skip
    return drawn
