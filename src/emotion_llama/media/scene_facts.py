"""What one picture of a clip shows, measured: people, framing, light, colour, motion, head and gaze, hands.

Only what can be measured is said. A thing that could not be is None, with a `Missing` that names it and says why.
"left" and "right" of `Framing`, `Light` and `Hands` are the picture's, as a viewer sees it; those of `Head` and `Gaze`
are the person's own. `scene_measure` measures, and has the bounds between words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from emotion_llama.errors import InputError
from emotion_llama.media.picture import Brightness
from emotion_llama.results import Missing

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Amount = Literal["still", "slight", "strong"]
Shot = Literal["extreme close-up", "close-up", "medium close-up", "medium shot", "long shot"]


@dataclass(frozen=True)
class Framing:
    """How the main face lies in the picture; `face_height_share` is face height / picture height."""

    shot: Shot
    face_height_share: float
    horizontal: Literal["left", "centre", "right"]
    vertical: Literal["upper", "middle", "lower"]


@dataclass(frozen=True)
class Light:
    """Mean lightness L* (CIELAB, 0..100) and its spread, in the picture and on the face.

    Attributes:
        picture: word for `picture_lightness`.
        contrast: L* from the 5th to the 95th percentile of the picture.
        face: word for the face, only where no skin explains its lightness ("normal" otherwise).
        brighter_side: half of the face that gets clearly more light; None where both get the same, or unmeasured.
        side_ratio: luminance of the cheek on the picture's left / that on its right; None when unmeasured.
        is_backlit: the face is dark before bright surroundings; None without a face.
    """

    picture: Brightness
    picture_lightness: float
    contrast: float
    face: Brightness | None = None
    face_lightness: float | None = None
    brighter_side: Literal["left", "right"] | None = None
    side_ratio: float | None = None
    is_backlit: bool | None = None


@dataclass(frozen=True)
class Colours:
    """Words of `media.picture.COLOUR_WORDS`, the largest area first; empty where no colour covers a quarter.

    `below_face` is where clothes are, as a rule: a microphone or a table would be counted as well. None without a face,
    or where the picture ends above it.
    """

    background: tuple[str, ...]
    below_face: tuple[str, ...] | None
    warmth: Literal["warm", "neutral", "cool"]


@dataclass(frozen=True)
class Motion:
    """Movement within a quarter of a second around the frame.

    Attributes:
        camera: of the whole surroundings, picture widths a second in `camera_speed`; None where they have no texture.
        scene: of what moves against the surroundings, the fastest tenth of it.
        head: turning of the head, degrees a second in `head_speed`; None without a face around the frame.
    """

    camera: Amount | None
    camera_speed: float | None
    scene: Amount | None
    scene_speed: float | None
    head: Amount | None
    head_speed: float | None


@dataclass(frozen=True)
class Head:
    """Pose: `pose_degrees` is pitch (up +), yaw (to the person's left +), roll (clockwise in the picture +)."""

    turn: Literal["camera", "left", "right"]
    turn_amount: Literal["none", "slight", "clear", "profile"]
    nod: Literal["level", "up", "down"]
    tilt: Literal["upright", "left", "right"]  # towards which of the person's shoulders
    pose_degrees: tuple[float, float, float]


@dataclass(frozen=True)
class Gaze:
    """Where the eyes point sideways; up and down is not measured (see `face.gaze`).

    Attributes:
        within_head: relative to the nose.
        to_camera: sideways, the eyes point at the camera.
        yaw_degrees: within the head, to the person's left +.
    """

    within_head: Literal["ahead", "left", "right"]
    to_camera: bool
    yaw_degrees: float


@dataclass(frozen=True)
class Hands:
    """Hands in view; `at_face` counts those that reach into the main face's box; None without a face."""

    count: int
    at_face: int | None
    sides: tuple[Literal["left", "centre", "right"], ...]  # of the picture, one a hand


@dataclass(frozen=True)
class SceneFacts:
    """Measurements of one frame.

    Attributes:
        width, height: of the picture, pixels.
        people: faces seen in the frame, the main one included.
        eyes, mouth: of the main face.
        missing: what is None -> why; `camera`, `scene`, `head_motion` for the parts of `motion`.
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
    mouth: Literal["open", "parted", "closed"] | None = None
    hands: Hands | None = None
    missing: tuple[Missing, ...] = ()

    def why_missing(self, what: str) -> str | None:
        """The reason why `what` is None, if it is."""
        return next((m.reason for m in self.missing if m.what == what), None)


@cache
def _adapter() -> TypeAdapter[SceneFacts]:
    from pydantic import TypeAdapter

    return TypeAdapter(SceneFacts)


def scene_to_json(facts: SceneFacts) -> dict[str, Any]:  # a JSON object, for stores
    """The facts as JSON values."""
    found: dict[str, Any] = _adapter().dump_python(facts, mode="json")
    return found


def scene_from_json(value: object) -> SceneFacts:
    """The facts of a stored value.

    Raises:
        InputError: the value is not what `scene_to_json` gives.
    """
    from pydantic import ValidationError

    try:
        return _adapter().validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"expected the facts of a scene; {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error
