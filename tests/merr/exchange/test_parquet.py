"""Parquet: typed columns that pyarrow reads back, Hugging Face's features and card, shards, pictures and sound."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from emotion_llama.errors import MissingDependency
from emotion_llama.merr.io.export import export_build, new_export, write_manifest
from emotion_llama.merr.io.parquet import without_places, write_parquet
from emotion_llama.merr.io.rows import Choice, Rows
from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.records import Field, Provenance
from emotion_llama.merr.store import Store

Make = Callable[..., Store]
PROSODY = {
    "speech_seconds": 2.0, "voiced_seconds": 1.5, "pitch_median_hz": None, "pause_count": 3, "backend": "own",
}  # fmt: skip
WORDS = ("face", "happy", "words", "sad", "a smile with sad words")


@pytest.fixture
def build(make_build: Make, spec: Any) -> Store:
    measured = Provenance("measured", "m")
    extras = (
        Field("prosody", PROSODY, measured),
        Field("conflicts", [dict(zip(("first", "first_label", "second", "second_label", "text"), WORDS))], measured),
        Field("visual_objective", None, measured, "en", "no picture"),
        Field("people", {"count": 2}, measured),
    )  # fmt: skip
    private = (
        Field("features", {"root": "/home/me/secret/features"}, measured),
        Field("prosody", None, measured, why_missing="/home/me/secret/b.mp4: no sound"),
    )
    return make_build(
        spec(
            "a", split="train", extra=extras, artifacts={"peak_frame": (".png", b"one"), "face_crop": (".png", b"two")}
        ),
        spec("b", "sad", fine={}, split="test", row={"path": "/home/me/secret/b.mp4", "person": "p1"}, extra=private),
        spec("c", split="train", words=None, drop=("vague", "fine")),
        spec("d", drop=("too dark: 3 of 9", "all"), split="train"),
    )


def test_rows_come_back_with_their_types(build: Store) -> None:
    tally = export_build(build, None, "parquet")
    assert tally.files == {
        "data/train-00000-of-00001.parquet": 2, "data/test-00000-of-00001.parquet": 1, "README.md": None,
    }  # fmt: skip
    assert tally.samples == {"coarse": 3, "fine": 1}
    table = pq.read_table(tally.folder / "data/train-00000-of-00001.parquet")
    assert table.schema.field("visual_expression_en").type == pa.list_(pa.string())
    assert table.schema.field("frame_count").type == pa.int64()
    one, two = table.to_pylist()
    assert (one["clip_id"], one["label"], one["in_fine"], one["subtitle"]) == ("a", "happy", True, "What a nice day")
    assert one["label_details"]["units"] == [{"name": "AU06", "value": 2.0}, {"name": "AU12", "value": 3.0}]
    assert (one["peak"]["frame_index"], one["peak"]["pts_seconds"], one["peak"]["rule"]) == (12, 0.48, "all")
    assert (one["tone"], one["tone_words"]) == ("loud voice", ["loud"])
    assert (one["prosody"]["pause_count"], one["prosody"]["pitch_median_hz"]) == (3, None)
    assert one["conflicts"][0]["second_label"] == "sad"
    assert one["visual_objective_en"] is None
    assert json.loads(one["why_missing"]) == {"visual_objective_en": "no picture"}
    assert json.loads(one["other_fields"]) == {"people": {"count": 2}}
    assert json.loads(one["provenance"])["fine_caption_en"]["model"] == "some-model"
    assert (two["in_fine"], two["subtitle"], two["prosody"]) == (False, None, None)


def test_folders_of_the_media_stay_private(build: Store) -> None:
    tally = export_build(build, None, "parquet")
    row = pq.read_table(tally.folder / "data/test-00000-of-00001.parquet").to_pylist()[0]
    assert (row["media_file"], row["person"]) == ("b.mp4", "p1")
    assert not [p for p in tally.folder.rglob("*") if p.is_file() and b"secret" in p.read_bytes()]


def test_pictures_are_embedded_as_hugging_face_has_them(build: Store) -> None:
    tally = export_build(build, None, "parquet", Choice(media="all"))
    table = pq.read_table(tally.folder / "data/train-00000-of-00001.parquet")
    one, two = table.to_pylist()
    assert one["peak_frame"] == {"bytes": b"one", "path": "a_peak_frame.png"}
    assert one["face_crop"] == {"bytes": b"two", "path": "a_face_crop.png"}
    assert (one["sound"], two["peak_frame"]) == (None, None)
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert (features["peak_frame"], features["sound"]) == ({"_type": "Image"}, {"_type": "Audio"})
    assert features["visual_expression_en"] == [{"dtype": "string", "_type": "Value"}]
    assert list(features) == table.schema.names
    peak_only = export_build(build, None, "parquet", Choice(media="peak"))
    names = pq.read_schema(peak_only.folder / "data/train-00000-of-00001.parquet").names
    assert "peak_frame" in names
    assert "sound" not in names


def test_card_tells_what_is_in_it(build: Store) -> None:
    build.put_recipe(Recipe())
    folder = export_build(build, None, "parquet", Choice(licence="cc-by-nc-4.0", name="my-set")).folder
    text = (folder / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    assert (head["license"], head["pretty_name"], head["language"]) == ("cc-by-nc-4.0", "my-set", ["en"])
    assert head["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*"}, {"split": "test", "path": "data/test-*"},
    ]  # fmt: skip
    sizes = {split["name"]: split["num_examples"] for split in head["dataset_info"]["splits"]}
    assert sizes == {"train": 2, "test": 1}
    assert head["dataset_info"]["download_size"] == sum(p.stat().st_size for p in (folder / "data").iterdir())
    columns = [feature["name"] for feature in head["dataset_info"]["features"]]
    assert columns == pq.read_schema(folder / "data/train-00000-of-00001.parquet").names
    assert "| 1 | dropped at balance: too dark |" in text
    assert "| fine_caption (en) | openai | some-model | abababababab | yes | 2 |" in text
    assert "| happy | 2 |\n| sad | 1 |" in text
    assert "label_space: merr9" in text


def test_card_without_a_licence_says_so(build: Store) -> None:
    tally = export_build(build, None, "parquet")
    text = (tally.folder / "README.md").read_text(encoding="utf-8")
    assert "license" not in yaml.safe_load(text.split("---\n")[1])
    assert "# license: not set yet" in text
    assert any("no licence" in note for note in tally.notes)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("base_url: http://10.0.0.3:8000/v1", "base_url: (server)"),
        ("units: /home/me/openface/out", "units: out"),
        ("model: org/name-7b", "model: org/name-7b"),
        ("rate: 3/4, ratio: 1/2/3", "rate: 3/4, ratio: 1/2/3"),
        ("folder: ~/clips/x", "folder: x"),
    ],
)
def test_places_are_not_published(text: str, shown: str) -> None:
    assert without_places(text) == shown


def test_shards_are_numbered_and_hold_every_row_once(make_build: Make, spec: Any) -> None:
    store = make_build(*(spec(f"clip_{i:04d}") for i in range(2300)))
    with new_export(store.folder / "export/x", own=True, force=False) as half:
        files = write_parquet(half, Rows(store, Choice()), shard_bytes=1000)[0]
        tables = [pq.read_table(half / name) for name in files if name.endswith("parquet")]
        rows = [clip_id for table in tables for clip_id in table.column("clip_id").to_pylist()]
        write_manifest(half, {})
    assert {k: v for k, v in files.items() if v} == {
        "data/train-00000-of-00003.parquet": 1000,
        "data/train-00001-of-00003.parquet": 1000,
        "data/train-00002-of-00003.parquet": 300,
    }
    assert rows == [f"clip_{i:04d}" for i in range(2300)]


def test_coarse_alone_has_no_fine_columns(build: Store) -> None:
    folder = export_build(build, None, "parquet", Choice(scope="coarse")).folder
    names = pq.read_schema(folder / "data/train-00000-of-00001.parquet").names
    assert not [name for name in names if name.startswith(("fine_caption", "clues"))]


def test_without_pyarrow(build: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_llama.merr.io.parquet.find_spec", lambda name: None)
    with pytest.raises(
        MissingDependency, match=r"an export to Parquet needs pyarrow.*pip install 'emotion-llama\[model\]'"
    ):
        export_build(build, None, "parquet")
