"""What one picture of a clip shows, measured: people, framing, light, colour, motion, head and gaze, hands.

Only what can be measured is said. A thing that could not be is None, with a `Missing` that names the field and says
why. "Left" and "right" of the picture are as a viewer sees them; the head turns and looks to the person's own left or
right, and says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from emotion_llama.records import Clip, FaceTrack, Float, Frames, Missing, UInt8

if TYPE_CHECKING:
    from emotion_llama.face.hands import HandFinder

Shot = Literal["extreme close-up", "close-up", "medium close-up", "medium shot", "long shot"]
Brightness = Literal["dark", "dim", "normal", "bright"]
AROUND_SECONDS, AROUND_FPS, AROUND_SIDE = 0.25, 15.0, 320
Amount = Literal["still", "slight", "strong"]


@dataclass(frozen=True)
class Framing:
    """How the main face lies in the picture; `face_height_share` is face height / picture height."""

    shot: Shot
    face_height_share: float
    horizontal: Literal["left", "centre", "right"]  # of the picture
    vertical: Literal["upper", "middle", "lower"]


@dataclass(frozen=True)
class Light:
    """Mean lightness L* (CIELAB, 0..100) of the picture and of the face, in words too."""

    picture: Brightness
    picture_lightness: float
    contrast: float  # 5th to 95th percentile of L*
    face: Brightness | None = None
    face_lightness: float | None = None
    brighter_side: Literal["left", "right"] | None = None  # of the face, as a viewer sees it; None: evenly lit
    side_ratio: float | None = None  # luminance of the face's left half / right half, as a viewer sees them
    is_backlit: bool | None = None


@dataclass(frozen=True)
class Colours:
    """Colour words, the largest area first; `clothes` is the region below the face."""

    background: tuple[str, ...]
    clothes: tuple[str, ...] | None
    warmth: Literal["warm", "neutral", "cool"]


@dataclass(frozen=True)
class Motion:
    """Movement around the peak: of the camera and of what is in view (picture widths a second), and of the head."""

    camera: Amount
    camera_widths_per_second: float
    scene: Amount
    scene_widths_per_second: float
    head: Amount | None = None
    head_degrees_per_second: float | None = None


@dataclass(frozen=True)
class Head:
    """Pose in degrees: pitch (up +), yaw (to the person's left +), roll (clockwise in the picture +), in words too."""

    turn: Literal["camera", "left", "right"]  # the person's own
    turn_amount: Literal["none", "slight", "clear", "profile"]
    nod: Literal["level", "up", "down"]
    tilt: Literal["upright", "left", "right"]  # to the person's own shoulder
    pose_degrees: tuple[float, float, float]


@dataclass(frozen=True)
class Gaze:
    """Where the eyes point: within the head, and seen from the camera; degrees, right-handed as the head's pose."""

    at_camera: bool
    horizontal: Literal["ahead", "left", "right"]  # the person's own, relative to the head
    vertical: Literal["ahead", "up", "down"]
    in_head_degrees: tuple[float, float]  # pitch (up +), yaw (to the person's left +)
    from_camera_degrees: tuple[float, float]


@dataclass(frozen=True)
class Hands:
    """Hands in view; `at_face` counts those that touch or cover the main face's box."""

    count: int
    at_face: int | None  # None where no main face was found


@dataclass(frozen=True)
class SceneFacts:
    """Measurements of the peak frame; JSON values throughout (`as_json`, `from_json`).

    Attributes:
        width, height: of the picture, pixels.
        people: faces seen in the frame, the main one included.
        missing: field name -> why it is None.
    """

    width: int
    height: int
    people: int | None = None
    framing: Framing | None = None
    light: Light | None = None
    colours: Colours | None = None
    motion: Motion | None = None
    head: Head | None = None
    gaze: Gaze | None = None
    eyes: Literal["open", "closed"] | None = None
    mouth: Literal["open", "closed"] | None = None
    hands: Hands | None = None
    missing: tuple[Missing, ...] = ()

    def why_missing(self, what: str) -> str | None:
        """The reason why the field `what` is None, if it is."""
        return next((m.reason for m in self.missing if m.what == what), None)


def measure_scene(
    image: UInt8,
    *,
    track: FaceTrack | None,
    row: int | None,
    people: int | None = None,
    landmarks: Float | None = None,
    around: Frames | None = None,
    hands: HandFinder | None = None,
) -> SceneFacts:
    """Measure the peak frame. Deterministic; only `hands` runs a network.

    Args:
        image: [H, W, 3] RGB, the peak frame, upright, at any size.
        track: the main person's track; None where nobody was followed.
        row: the track's row of the peak frame; None without a track. The face need not be valid there.
        people: faces in this frame, the main one included; None where they were not counted.
        landmarks: [478, 3] mesh of the main face in pixels of `image` (`pipeline.peak_view`); None where none was found.
        around: a few pictures around the peak in time order, small ones suffice (`read_around`); None: no motion.
        hands: finds hands (`face.hands.load_hand_finder()`); None: hands are not looked for.

    Raises:
        InputError: `image` is no RGB picture, or `row` is not of the track.
    """
    return SceneFacts(image.shape[1], image.shape[0], people)


def read_around(clip: Clip, pts_seconds: float) -> Frames | None:
    """Small pictures of the half second around a moment, for `measure_scene`; None where the clip has none there."""
    from emotion_llama.media.frames import iter_frames

    start, end = max(0.0, pts_seconds - AROUND_SECONDS), pts_seconds + AROUND_SECONDS
    chunks = list(iter_frames(clip, fps=AROUND_FPS, max_side=AROUND_SIDE, start_seconds=start, end_seconds=end))
    if not chunks:
        return None
    parts = [[getattr(chunk, name) for chunk in chunks] for name in ("images", "pts_seconds", "index")]
    return Frames(*(np.concatenate(part) for part in parts))


def scene_json(facts: SceneFacts) -> dict[str, Any]:  # a JSON object, for stores
    """The facts as a JSON value."""
    return asdict(facts)
