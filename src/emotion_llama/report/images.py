"""Images of faces for the pages: cropped at the peak frame, scaled, encoded, with mesh points and units over them.

Coordinates are pixels of the image, the origin at its upper left corner, x right, y down.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from emotion_llama.errors import BackendError, InputError
from emotion_llama.records import Analysis, Float, UInt8
from emotion_llama.report.charts import path, shape
from emotion_llama.report.selection import Key, choose_detailed
from emotion_llama.report.wording import unit_name

if TYPE_CHECKING:
    from emotion_llama.analysis import Analyzer

MARGIN = 0.25  # room around the box on each side, as a share of its longer side
JPEG_QUALITY = 82
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


@dataclass(frozen=True, repr=False)
class PeakImage:
    """A face at its peak frame.

    Attributes:
        jpeg: the encoded image.
        width, height: its size in pixels.
        mesh: [478, 2] mesh points in the image's pixels, or None where the backend gives none.
    """

    jpeg: bytes
    width: int
    height: int
    mesh: Float | None

    def __repr__(self) -> str:
        return f"PeakImage({self.width}x{self.height}, {len(self.jpeg)} bytes, mesh={self.mesh is not None})"


def crop_around(
    box_xyxy: tuple[float, float, float, float], frame_size: tuple[int, int], margin: float
) -> tuple[int, int, int, int]:
    """The square around a box with `margin` on each side, moved, then cut, to lie within the (width, height) frame.

    Returns:
        Left, top, right and bottom in whole pixels, the right and lower border not included.

    Raises:
        InputError: the box has no area or does not touch the frame.
    """
    x1, y1, x2, y2 = box_xyxy
    width, height = frame_size
    if not (np.isfinite(box_xyxy).all() and x2 > x1 and y2 > y1 and x1 < width and y1 < height and x2 > 0 and y2 > 0):
        raise InputError(f"a face box must have an area within the frame of {width}x{height} pixels, got {box_xyxy}")
    side = max(1, round(max(x2 - x1, y2 - y1) * (1 + 2 * margin)))
    left = min(max(0, round((x1 + x2 - side) / 2)), max(0, width - side))
    top = min(max(0, round((y1 + y2 - side) / 2)), max(0, height - side))
    return left, top, min(width, left + side), min(height, top + side)


def peak_images(analyzer: Analyzer, analysis: Analysis) -> dict[Key, PeakImage]:
    """The images that a page of this analysis shows, each read from the clip again; by (person_id, segment index).

    Raises:
        MediaError: the clip can no longer be read.
    """
    from emotion_llama.analysis.peak_view import peak_view

    people = {person.person_id: person for person in analysis.people}
    found: dict[Key, PeakImage] = {}
    for person_id, index in choose_detailed(analysis.people):
        person = people[person_id]
        if person.track is None or person.segments[index].evidence.peak_frame is None:
            continue  # nothing to track: do not start the face backend
        view = peak_view(analysis, person, person.segments[index], analyzer.mesh_backend())
        if view is not None:
            found[person_id, index] = make_peak_image(view.frame_rgb, view.box_xyxy, view.landmarks)
    return found


def make_peak_image(
    frame_rgb: UInt8,
    box_xyxy: tuple[float, float, float, float],
    landmarks: Float | None,
    *,
    size: int = 480,
    margin: float = MARGIN,
) -> PeakImage:
    """The face region of a frame [H, W, 3], its longer side at most `size` pixels, as JPEG.

    Args:
        frame_rgb: the upright frame.
        box_xyxy: the face, pixels of the frame.
        landmarks: [478, 3] or [478, 2] mesh points in pixels of the frame, or None.
        size: longest side of the image, pixels; a smaller face is not enlarged.
        margin: room around the box on each side, as a share of its longer side.

    Raises:
        InputError: the frame is not an RGB image, or the box lies outside.
        BackendError: OpenCV could not encode the image.
    """
    if frame_rgb.ndim != 3 or frame_rgb.shape[2] != 3 or frame_rgb.dtype != np.uint8:
        raise InputError(f"a frame must be [H, W, 3] uint8, got {list(frame_rgb.shape)} {frame_rgb.dtype}")
    left, top, right, bottom = crop_around(box_xyxy, (frame_rgb.shape[1], frame_rgb.shape[0]), margin)
    face_bgr = frame_rgb[top:bottom, left:right, ::-1]
    jpeg, width, height = _scaled_jpeg(face_bgr, size)
    mesh = None
    if landmarks is not None:
        # Resizing maps border to border, so that continuous coordinates scale by the ratio of the sizes.
        ratio = np.array([width / (right - left), height / (bottom - top)])
        mesh = (landmarks[:, :2] - np.array([left, top])) * ratio
    return PeakImage(jpeg, width, height, mesh)


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
    return _scaled_jpeg(np.asarray(image, dtype=np.uint8), side)[0]


def _scaled_jpeg(image_bgr: UInt8, side: int) -> tuple[bytes, int, int]:
    """An image [H, W, 3] as JPEG, never enlarged, its longer side at most `side` pixels; its width and height."""
    import cv2

    height, width = image_bgr.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        image_bgr = np.asarray(cv2.resize(image_bgr, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    encoded, jpeg = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not encoded:
        raise BackendError(f"OpenCV could not encode an image of {width}x{height} pixels as JPEG")
    return bytes(jpeg.tobytes()), width, height


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
