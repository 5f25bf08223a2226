"""HTML pages from the templates of this folder, and the images that they hold: each is one file that asks no network.

A page carries a content security policy that forbids every request (only `data:` images and inline style), no script,
and no link that loads anything. Whatever a template shows is made printable and escaped, unless it is markup already.

Coordinates of drawings over an image are its pixels, the origin at its upper left corner, x right, y down.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from emotion_llama import __version__
from emotion_llama.errors import InputError
from emotion_llama.media.encoded import scaled_jpeg
from emotion_llama.records import Float
from emotion_llama.report import charts, wording
from emotion_llama.report.charts import path, shape
from emotion_llama.report.wording import unit_name
from emotion_llama.results import PeakImage

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
THUMBNAIL_SIDE = 360  # longer side, pixels
LABEL_GAP = 26  # least distance between two unit labels, pixels of an image 480 high

# Where a unit shows: points of the 478-point FaceMesh, the person's right first. Chosen by hand on the canonical
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


def render(template: str, *helpers: Callable[..., object], **values: Any) -> str:  # whatever the template shows
    """A page as HTML text, to be written as UTF-8; the template calls `helpers` by their names."""
    return environment().get_template(template).render({one.__name__: one for one in helpers}, **values)


@cache
def environment() -> Environment:
    """The templates; a name that a template does not know is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("emotion_llama.report"), autoescape=True, undefined=StrictUndefined, finalize=_shown,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, auto_reload=False,
    )  # fmt: skip
    found.globals.update(_helpers(), policy=POLICY, style=_style(), version=__version__)
    return found


def _style() -> Markup:
    folder = resources.files("emotion_llama.report").joinpath("templates")
    return Markup(folder.joinpath("style.css").read_text(encoding="utf-8"))  # noqa: S704  our own file


def _shown(value: object) -> str:
    """A value of a template as text: markup as it is, nothing for None."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return ""
    return charts.number(value) if isinstance(value, float) else wording.printable(str(value))


def _helpers() -> dict[str, Any]:  # what every template may call
    return {
        "clock": wording.clock,
        "count_bars": charts.count_bars,
        "data_url": data_url,
        "histogram": charts.histogram,
        "percent": wording.percent,
        "person_headline": wording.person_headline,
        "person_name": wording.person_name,
        "prediction_headline": wording.prediction_headline,
        "probability_bars": charts.probability_bars,
        "sentence": wording.sentence,
        "span": wording.span,
        "unit_name": wording.unit_name,
    }


# --- images -----------------------------------------------------------------------------------------------------------


def thumbnail(image_png: bytes, side: int = THUMBNAIL_SIDE) -> bytes:
    """An image as a JPEG whose longer side is at most `side` pixels.

    Raises:
        InputError: the bytes are no image.
        BackendError: OpenCV could not encode it.
    """
    import cv2

    image = cv2.imdecode(np.frombuffer(image_png, np.uint8), cv2.IMREAD_COLOR) if image_png else None
    if image is None:
        raise InputError(f"expected an image, got {len(image_png)} bytes that OpenCV cannot read")
    return scaled_jpeg(np.asarray(image, dtype=np.uint8), side)[0]


def data_url(jpeg: bytes, kind: str = "jpeg") -> str:
    """The address under which a page holds an image itself."""
    return f"data:image/{kind};base64,{base64.b64encode(jpeg).decode('ascii')}"


def overlay(image: PeakImage, units: Mapping[str, float]) -> Markup:
    """The drawing over an image: mesh points and the units that are present, in groups that the page can hide."""
    groups = []
    if image.mesh is not None:
        dots = path(image.mesh * 10, "dots", dots=True)
        groups.append(shape("g", dots, class_="mesh", transform="scale(.1)"))
        groups.append(shape("g", *_unit_marks(image, image.mesh, units), class_="fired-units"))
    return shape("svg", *groups, viewBox=f"0 0 {image.width} {image.height}", aria_hidden="true")


def place_marks(mesh: Float, names: list[str], height: float, gap: float) -> list[tuple[str, bool, float, Float]]:
    """Labels at the left and right border, alternating, by falling height of their points and at least `gap` apart.

    Returns:
        For each unit: its name, whether it stands on the left, the label's height, and the points [N, 2] it belongs to.
    """
    points = {name: mesh[list(UNIT_POINTS[name])] for name in names if name in UNIT_POINTS}
    ordered = sorted(points, key=lambda name: float(points[name][:, 1].mean()))
    marks = []
    for on_left in (True, False):
        side = ordered[0 if on_left else 1 :: 2]
        wanted = [float(points[name][:, 1].mean()) for name in side]
        for name, y in zip(side, spread(wanted, gap, gap / 2, height - gap / 2)):
            marks.append((name, on_left, y, points[name]))
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


def _unit_marks(image: PeakImage, mesh: Float, units: Mapping[str, float]) -> list[Markup]:
    scale = max(image.width, image.height) / 480
    drawn = []
    for name, on_left, y, points in place_marks(mesh, list(units), image.height, LABEL_GAP * scale):
        # The leader goes to the point that is nearest to the label's side.
        near = points[np.argmin(points[:, 0]) if on_left else np.argmax(points[:, 0])]
        x = 10 * scale if on_left else image.width - 10 * scale
        start = x + (78 * scale if on_left else -78 * scale)
        drawn.append(shape("line", x1=start, y1=y, x2=float(near[0]), y2=float(near[1]), class_="leader"))
        drawn += [shape("circle", cx=float(px), cy=float(py), r=6 * scale, class_="ring") for px, py in points]
        drawn.append(
            shape(
                "text", shape("title", unit_name(name)), f"{name} {units[name]:.1f}", x=x, y=y + 5 * scale,
                font_size=15 * scale, text_anchor=None if on_left else "end",
            )
        )  # fmt: skip
    return drawn
