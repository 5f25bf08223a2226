"""A small build with media that plays, made by hand: what the review page is tested with."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
from samples import MODEL, make_clip_row, make_field, make_fields

from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.records import FIELDS, ClipRow, Field, StageRun
from emotion_llama.merr.stage import StageOutput
from emotion_llama.merr.store import Store

CLIP = Path(__file__).parents[2] / "examples" / "synth" / "clips" / "test-00002.mp4"
PNG = bytes(cv2.imencode(".png", np.full((48, 64, 3), 200, np.uint8))[1].tobytes())
CONFLICT = {
    "first": "face", "first_label": "happy", "second": "words", "second_label": "angry",
    "text": "the face reads as happy, the words as angry",
}  # fmt: skip


def put_clip(store: Store, row: ClipRow, label: str = "happy", *changed: Field) -> None:
    """One clip that went through all stages, with pictures of its peak."""
    store.put_clips([row])
    made = make_fields(label) | {(f.name, f.language): f for f in changed}
    for stage in dict.fromkeys(FIELDS[name] for name, _ in made):
        fields = tuple(f for f in made.values() if FIELDS[f.name] == stage)
        files = dict.fromkeys(("peak_frame.png", "face_crop.png"), PNG) if stage == "peak" else {}
        store.record(StageRun(row.clip_id, stage, "done", "f" * 64, "0" * 64), StageOutput(fields, files))


def make_review_build(folder: Path) -> Path:
    """Four samples: a plays; b is sad and in conflict; c has no media any more; d is no media file."""
    media = folder.parent / "videos"
    media.mkdir()
    shutil.copy(CLIP, media / "a.mp4")
    (media / "d.mp4").write_text("root:x:0:0:root:/root:/bin/bash\n" * 200)
    with Store.create(folder) as store:
        store.put_recipe(Recipe())
        put_clip(store, make_clip_row("a", path=str(media / "a.mp4"), person="anna"))
        put_clip(store, make_clip_row("b", path=str(media / "a.mp4")), "sad", make_field("conflicts", [CONFLICT]))
        put_clip(store, make_clip_row("c", path=str(media / "gone.mp4")), "angry")
        put_clip(store, make_clip_row("d", path=str(media / "d.mp4")), "neutral",
                 make_field("fine_caption", "Nothing moves. The person is neutral.", MODEL, "en"))  # fmt: skip
    return folder
