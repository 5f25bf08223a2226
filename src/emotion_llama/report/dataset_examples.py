"""Samples to look at: the peak frame, the label, the descriptions and the clues."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from emotion_llama.errors import BackendError, InputError
from emotion_llama.merr.overview import Example
from emotion_llama.merr.records import Json, Sample
from emotion_llama.merr.values import label_of, part, peak_units, subtitle_text, text_of
from emotion_llama.report.markup import Html, element
from emotion_llama.report.pictures import JPEG_QUALITY

PICTURE_SIDE = 360  # longer side, pixels
PICTURE_BYTES = 1_500_000  # all pictures of a page together, base64
LANGUAGES = ("en", "zh")


def examples(chosen: Sequence[Example]) -> list[Html]:
    """A heading and up to a few cards a label."""
    if not chosen:
        return [element("p", "There is no sample to show.", class_="note")]
    left, found = PICTURE_BYTES, []
    for label, group in groupby(chosen, key=lambda example: label_of(example[0]) or "no label"):
        cards = []
        for sample, picture_png in group:
            picture = None if picture_png is None else thumbnail(picture_png)
            if picture is not None and 4 * len(picture) // 3 > left:
                picture = None
            left -= 0 if picture is None else 4 * len(picture) // 3
            cards.append(_card(sample, picture))
        found += [element("h3", label), element("div", *cards, class_="examples")]
    return found


def card(sample: Sample, picture_png: bytes | None) -> Html:
    """One sample."""
    return _card(sample, None if picture_png is None else thumbnail(picture_png))


def thumbnail(picture_png: bytes, side: int = PICTURE_SIDE) -> bytes:
    """A picture as a JPEG whose longer side is at most `side` pixels.

    Raises:
        InputError: the bytes are no picture.
        BackendError: OpenCV could not encode it.
    """
    import cv2

    image = cv2.imdecode(np.frombuffer(picture_png, np.uint8), cv2.IMREAD_COLOR) if picture_png else None
    if image is None:
        raise InputError(f"expected a picture, got {len(picture_png)} bytes that OpenCV cannot read")
    scale = side / max(image.shape[:2])
    if scale < 1:
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    encoded, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not encoded:
        raise BackendError(f"OpenCV could not encode a picture of {image.shape[1]}x{image.shape[0]} pixels as JPEG")
    return bytes(jpeg.tobytes())


def _card(sample: Sample, picture: bytes | None) -> Html:
    clip_id = sample.clip.clip_id
    if picture is None:
        shown = element("p", "No picture of a peak.", class_="no-picture")
    else:
        data = f"data:image/jpeg;base64,{b64encode(picture).decode('ascii')}"
        shown = element("img", src=data, alt=f"{clip_id}: frame of strongest expression", loading="lazy")
    parts = [shown, element("h4", clip_id, dir="auto"), element("p", _how_labelled(sample), class_="who")]
    said = subtitle_text(sample.value("subtitle"))
    if said is not None:
        parts.append(element("blockquote", said, dir="auto"))
    conflicts = _list(sample.value("conflicts"))
    parts += [element("p", f"In conflict: {text_of(conflict) or ''}", class_="clash") for conflict in conflicts]
    for language in LANGUAGES:
        parts += _descriptions(sample, language)
    return element("article", *parts, class_="example")


def _descriptions(sample: Sample, language: str) -> list[Html]:
    parts = []
    fine, coarse = (text_of(sample.value(name, language)) for name in ("fine_caption", "coarse_caption"))
    if fine is not None:
        parts.append(element("p", fine, class_="fine", lang=language))
    clues = sample.value("clues", language)
    listed = [
        element("li", str(clue), class_=kind)
        for name, kind in (("supporting", "for"), ("misleading", "against"))
        for clue in _list(part(clues, name))
    ]
    if listed:
        parts.append(element("ul", *listed, class_="clues", lang=language))
    if coarse is not None:
        parts.append(element("details", element("summary", f"Coarse caption ({language})"),
                             element("p", coarse, lang=language)))  # fmt: skip
    return parts


def _how_labelled(sample: Sample) -> str:
    value = sample.value("label")
    source, strength, confidence = (part(value, name) for name in ("source", "strength", "confidence"))
    if label_of(sample) is None:
        return "no label"
    said = ["label given" if source == "given" else "label by rules"]
    if isinstance(strength, str):
        said.append(strength)
    if isinstance(confidence, (int, float)):
        said.append(f"confidence {confidence:.2f}")
    seconds = part(sample.value("peak"), "pts_seconds")
    if isinstance(seconds, (int, float)):
        units = ", ".join(f"{name} {x:.1f}" for name, x in (peak_units(sample) or {}).items())
        said.append(f"peak at {seconds:.2f} s" + (f" ({units})" if units else ""))
    return "; ".join(said)


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
