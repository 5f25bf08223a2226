"""Balance: caps computed by hand, and near duplicates that are found, or rightly are not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emotion_llama.merr.stages import sets
from emotion_llama.merr.stages.sets import Look, caps_of, near_duplicates, over_caps, picture_hash

FACE = "0f" * 32


def hash_distance(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def look(name: str, label: str = "happy", **changes: object) -> Look:
    base = Look(name, label, "", 3.0, FACE, 0.5, 640 * 480, 0)
    return replace(base, **changes)  # type: ignore[arg-type]


def flipped(face: str, bits: int) -> str:
    """The hash with so many bits turned."""
    return f"{int(face, 16) ^ ((1 << bits) - 1):064x}"


def picture(seed: int, size: int = 224) -> np.ndarray:
    """A smooth picture of large blobs."""
    import cv2

    small = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), np.uint8)
    return np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC))


def test_the_hash_is_of_rising_brightness() -> None:
    ramp = np.repeat(np.linspace(0, 255, 68, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    assert picture_hash(ramp) == "f" * 64  # every step to the right is brighter
    assert picture_hash(ramp[:, ::-1]) == "0" * 64
    half = np.concatenate([ramp[:32], ramp[32:, ::-1]])
    assert picture_hash(half) == "f" * 32 + "0" * 32


def test_another_encoding_differs_in_few_bits_and_another_picture_in_many() -> None:
    import cv2

    image = picture(1)
    small = cv2.imdecode(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)[..., ::-1]
    again = cv2.resize(np.ascontiguousarray(small), (112, 112), interpolation=cv2.INTER_AREA)
    assert hash_distance(picture_hash(image), picture_hash(np.ascontiguousarray(again))) <= 8
    others = [hash_distance(picture_hash(image), picture_hash(picture(seed))) for seed in range(2, 12)]
    assert min(others) > 60


def test_hash_distance_counts_bits() -> None:
    assert hash_distance("00ff", "00ff") == 0
    assert hash_distance("00ff", "10fe") == 2


def test_of_near_duplicates_the_surest_then_the_largest_then_the_first_stays() -> None:
    looks = [
        look("a", words="Hello there", confidence=0.4),
        look("b", words="hello  THERE", confidence=0.9, face_hash=flipped(FACE, 10)),
        look("c", words="Hello there", confidence=0.9, pixels=1920 * 1080, duration_seconds=3.2),
        look("d", words="Hello there", confidence=0.9, pixels=1920 * 1080),
    ]
    assert near_duplicates(looks, 16) == {"a": "c", "b": "c", "d": "c"}
    assert near_duplicates(looks[::-1], 16) == {"a": "c", "b": "c", "d": "c"}


@pytest.mark.parametrize(
    "other",
    [
        look("b", words="Hello again"),
        look("b", words="Hello there", face_hash=flipped(FACE, 17)),
        look("b", words="Hello there", duration_seconds=3.3),
        look("b", words="Hello there", duration_seconds=None),
        look("b", words="Hello there", face_hash=None),
        look("b", words=""),
    ],
    ids=["other words", "other face", "other length", "unknown length", "one without a face", "one without words"],
)
def test_what_differs_is_no_duplicate(other: Look) -> None:
    assert near_duplicates([look("a", words="Hello there"), other], 16) == {}


def test_clips_are_compared_in_what_they_have_but_never_on_length_alone() -> None:
    assert near_duplicates([look("a"), look("b", face_hash=flipped(FACE, 8))], 16) == {"b": "a"}  # face and length
    # The same person at rest in two clips without words differed in 16 bits: not the same clip.
    assert near_duplicates([look("a"), look("b", face_hash=flipped(FACE, 9))], 16) == {}
    heard = [look("a", words="Hello", face_hash=None), look("b", words="Hello", face_hash=None)]
    assert near_duplicates(heard, 16) == {"b": "a"}  # no face: words and length
    assert near_duplicates([look("a", face_hash=None), look("b", face_hash=None)], 16) == {}


def test_thousands_of_clips_without_words_take_seconds_not_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    def counted(*pair: Any) -> bool:
        nonlocal compared
        compared += 1
        return alike(*pair)

    alike = sets._alike
    monkeypatch.setattr(sets, "_alike", counted)
    faces = np.random.default_rng(0).bytes(32 * 4000)
    looks = [
        look(f"c{i}", duration_seconds=2 + (i % 1300) / 100, face_hash=faces[32 * i : 32 * i + 32].hex())
        for i in range(4000)
    ]
    assert near_duplicates([*looks, replace(looks[7], clip_id="copy", confidence=0.1)], 16) == {"copy": "c7"}
    assert compared < 4000 * 4000 / 20  # only those of about the same length


# --- caps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "share", "caps"),
    [
        (None, None, {"happy": 60, "sad": 30, "fear": 10}),
        (20, None, {"happy": 20, "sad": 20, "fear": 10}),
        # The largest c with c <= 0.5 x (min(60, c) + 30 + 10): 40.
        (None, 0.5, {"happy": 40, "sad": 30, "fear": 10}),
        # c <= 0.4 x (c + c + 10) holds up to 20.
        (None, 0.4, {"happy": 20, "sad": 20, "fear": 10}),
        # Three labels cannot each have a fifth: as many as the smallest.
        (None, 0.2, {"happy": 10, "sad": 10, "fear": 10}),
        (15, 0.4, {"happy": 15, "sad": 15, "fear": 10}),
    ],
)
def test_caps(most: int | None, share: float | None, caps: dict[str, int]) -> None:
    assert caps_of({"happy": 60, "sad": 30, "fear": 10}, most, share) == caps
    assert caps_of({}, most, share) == {}


def test_the_least_sure_clips_go_and_equals_by_chance() -> None:
    looks = [look("a", confidence=0.9), look("b", confidence=0.2), look("c", confidence=0.5, chance=9)]
    looks += [look("d", confidence=0.5, chance=3), look("e", "sad", confidence=0.1)]
    assert over_caps(looks, 2, None) == {"b", "c"}
    assert over_caps(looks, None, None) == set()
