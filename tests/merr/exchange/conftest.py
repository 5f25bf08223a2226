"""A small build made by hand in a real store: what exports, imports and `validate` are tested with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.merr.records import FIELDS, ClipRow, Field, Json, Provenance, Scope, StageRun
from emotion_llama.merr.stage import StageOutput, output_sha256
from emotion_llama.merr.store import Store

MEASURED = Provenance("measured", "onnx_mesh 1", made_at="2026-01-02T03:04:05+00:00", seconds=1.5)
RULES = Provenance("rules", "rules 1", made_at="2026-01-02T03:04:06+00:00", seconds=0.01)
MODEL = Provenance("openai", "some-model", "ab" * 32, True, 120, 30, "2026-01-02T03:04:07+00:00", 2.0)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@dataclass
class Spec:
    """One clip to put into a build."""

    clip_id: str
    label: str | None = "happy"
    words: str | None = "What a nice day"
    coarse: Mapping[str, str] = field(default_factory=lambda: {"en": "This person in the video smiles."})
    fine: Mapping[str, str] = field(default_factory=lambda: {"en": "The cheeks are raised. The person is happy."})
    split: str | None = None
    drop: tuple[str, Scope] | None = None
    peak: Mapping[str, Json] | None = field(
        default_factory=lambda: {
            "frame_index": 12,
            "pts_seconds": 0.48,
            "score": 5.0,
            "rule": "all",
            "why": "largest sum",
            "units": {"AU06": 2.0, "AU12": 3.0},
            "face_hash": None,
        }
    )
    row: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    extra: tuple[Field, ...] = ()


def fields_of(spec: Spec) -> list[Field]:
    """The fields of a clip, as the stages would make them."""
    found = [
        Field("label", _label(spec), RULES) if spec.label else Field("label", None, RULES, why_missing="no face"),
        Field("subtitle", {"text": spec.words, "source": "given", "language": "en"}, MEASURED)
        if spec.words
        else Field("subtitle", None, MEASURED, why_missing="nobody speaks"),
        Field("tone", {"phrase": "loud voice", "words": {"loud": "-12 dB"}}, MEASURED),
    ]
    if spec.peak is not None:
        found.append(Field("peak", dict(spec.peak), MEASURED))
    for language, text in spec.coarse.items():
        found.append(Field("visual_expression", ["eyes widened", "mouth open"], RULES, language))
        found.append(Field("audio_tone", "a loud voice", RULES, language))
        found.append(Field("coarse_caption", text, RULES, language))
    found += [Field("fine_caption", text, MODEL, language) for language, text in spec.fine.items()]
    if spec.split:
        found.append(Field("split", spec.split, RULES))
    return [*found, *spec.extra]


def _label(spec: Spec) -> Json:
    return {
        "label": spec.label, "source": "rules", "strength": "strong", "score": 2.5, "confidence": 0.9,
        "units": {"AU12": 3.0, "AU06": 2.0}, "candidates": {"happy": 2.5}, "table": "merr",
    }  # fmt: skip


def fill(store: Store, specs: Iterable[Spec]) -> None:
    """Put clips into a store, with a run for each stage that has fields."""
    for spec in specs:
        row = {
            "path": f"/videos/{spec.clip_id}.mp4", "sha256": "0" * 64, "frame_count": 75, "duration_seconds": 3.0,
            "fps": 25.0, "width": 320, "height": 240, "has_audio": True, **spec.row,
        }  # fmt: skip
        store.put_clips([ClipRow(spec.clip_id, **row)])
        by_stage: dict[str, list[Field]] = {}
        for one in fields_of(spec):
            by_stage.setdefault(FIELDS[one.name], []).append(one)
        for stage, fields in by_stage.items():
            artifacts = {name + suffix: data for name, (suffix, data) in spec.artifacts.items()}
            output = StageOutput(tuple(fields), artifacts if stage == "peak" else {})
            record(store, spec.clip_id, stage, output)
        if spec.drop is not None:
            record(
                store,
                spec.clip_id,
                "balance" if spec.drop[1] == "all" else "consistency",
                StageOutput(drop=spec.drop),
            )


def record(store: Store, clip_id: str, stage: str, output: StageOutput) -> None:
    """Record one run as a build would."""
    drop = output.drop
    run = StageRun(
        clip_id, stage, "dropped" if drop else "done", f"print of {stage}", output_sha256(output),
        *(drop or (None, None)), 0.5, "2026-01-02T03:04:08+00:00",
    )  # fmt: skip
    store.record(run, output)


@pytest.fixture
def make_build(tmp_path: Path) -> Callable[..., Store]:
    """A function that makes a build of clips and gives its open store."""
    opened: list[Store] = []

    def make(*specs: Spec, folder: str = "build") -> Store:
        store = Store.create(tmp_path / folder)
        opened.append(store)
        fill(store, specs)
        return store

    yield make  # type: ignore[misc]
    for store in opened:
        store.close()


@pytest.fixture
def spec() -> type[Spec]:
    """The class itself: test files cannot import from a conftest."""
    return Spec
