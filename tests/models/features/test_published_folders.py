"""Published .npy folders: both shapes accepted, zeros are missing, every fault names its file."""

import json
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.errors import InputError
from emotion_llama.models.clips import MODALITIES, ClipFeatures
from emotion_llama.models.features.feature_store import FeatureStore
from emotion_llama.models.features.published_folders import (
    FOLDERS,
    FolderWriter,
    PublishedFolders,
    open_features,
    read_vector,
)
from emotion_llama.results import Missing

RECIPE = {"recipes": "these"}
VECTORS = {m: np.linspace(i, i + 1, 1024, dtype=np.float32) for i, m in enumerate(MODALITIES)}


def published(root: Path, layout: str = "MER2023", name: str = "sample_00000023") -> Path:
    """A tree as the archives unpack: two vectors (1024,), one (1, 1024)."""
    for modality, folder in FOLDERS[layout].items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        value = VECTORS[modality]
        np.save(root / folder / f"{name}.npy", value[None] if modality == "audio" else value)
    return root


@pytest.mark.parametrize("layout", ["MER2023", "MER2024"])
def test_both_layouts_and_both_shapes_are_read(tmp_path: Path, layout: str) -> None:
    folders = PublishedFolders(published(tmp_path, layout))
    assert folders.layout == layout
    assert "sample_00000023" in folders
    assert "sample_00000024" not in folders
    features = folders["sample_00000023"]
    assert all(np.array_equal(features.vectors()[m], VECTORS[m]) for m in MODALITIES)
    assert list(features.vectors()) == ["face", "temporal", "audio"]
    assert [m.what for m in features.missing] == ["global_image"]
    assert features.given == ("face", "temporal", "audio")


def test_folder_names_are_the_published_ones() -> None:
    assert dict(FOLDERS["MER2023"]) == {"face": "mae_340_UTT", "temporal": "maeV_399_UTT", "audio": "HL-UTT"}
    assert dict(FOLDERS["MER2024"]) == {
        "face": "mae_340_23_UTT", "temporal": "maeVideo_399_23_UTT", "audio": "HL_23_UTT"
    }  # fmt: skip


def test_zeros_stand_for_nothing_found(tmp_path: Path) -> None:
    """The published extraction wrote zeros where it found no face; they are not a measurement."""
    root = published(tmp_path)
    np.save(root / "mae_340_UTT" / "sample_00000023.npy", np.zeros(1024, np.float32))
    features = PublishedFolders(root)["sample_00000023"]
    assert features.face is None
    reason = "mae_340_UTT/sample_00000023.npy holds zeros, which stand for nothing found"
    assert features.missing[0] == Missing("face", reason)


def test_a_missing_file_is_a_missing_feature(tmp_path: Path) -> None:
    root = published(tmp_path)
    (root / "HL-UTT" / "sample_00000023.npy").unlink()
    features = PublishedFolders(root)["sample_00000023"]
    assert features.audio is None
    assert features.missing[0] == Missing("audio", "HL-UTT/sample_00000023.npy does not exist")
    with pytest.raises(InputError, match=r"no features of 'other': mae_340_UTT/other.npy does not exist; maeV"):
        PublishedFolders(root)["other"]


def test_double_and_half_precision_become_single(tmp_path: Path) -> None:
    for dtype in (np.float16, np.float64):
        np.save(tmp_path / "x.npy", np.arange(4, dtype=dtype))
        vector = read_vector(tmp_path / "x.npy", 4)
        assert vector.dtype == np.float32
        assert vector.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            np.zeros((120, 1024), np.float32),
            r"x.npy has shape \(120, 1024\), expected .1024,. or \(1, 1024\).*FRA",
        ),
        (np.zeros(768, np.float32), r"x.npy has shape \(768,\), expected \(1024,\)"),
        (np.zeros((1, 1, 1024), np.float32), r"has shape \(1, 1, 1024\)"),
        (np.float32(3), r"has shape \(\), expected"),
        (np.zeros(0, np.float32), r"has shape \(0,\), expected"),
        (np.zeros(1024, np.int64), "must hold floating-point numbers, got int64"),
        (np.array([{"a": 1}], object), r"x.npy is not a .npy file of numbers"),
        (np.full(1024, np.nan, np.float32), "values that are not finite"),
    ],
)
def test_every_fault_names_the_file_and_what_was_expected(tmp_path: Path, value: np.ndarray, message: str) -> None:
    np.save(tmp_path / "x.npy", value)
    with pytest.raises(InputError, match=message):
        read_vector(tmp_path / "x.npy", 1024)


def test_files_that_are_no_npy_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"y.npy: no such file"):
        read_vector(tmp_path / "y.npy")
    (tmp_path / "x.npy").write_text("1 2 3")
    with pytest.raises(InputError, match=r"x.npy is not a .npy file of numbers"):
        read_vector(tmp_path / "x.npy")
    (tmp_path / "x.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"x.npy is not a .npy file of numbers"):
        read_vector(tmp_path / "x.npy")
    with (tmp_path / "x.npy").open("wb") as file:
        np.savez(file, a=np.zeros(1024))
    with pytest.raises(InputError, match="NpzFile"):
        read_vector(tmp_path / "x.npy")


def test_each_modality_can_have_its_own_size(tmp_path: Path) -> None:
    root = published(tmp_path)
    np.save(root / "HL-UTT" / "sample_00000023.npy", np.ones(768, np.float32))
    with pytest.raises(InputError, match=r"HL-UTT/sample_00000023.npy has shape \(768,\), expected \(1024,\)"):
        PublishedFolders(root)["sample_00000023"]
    sizes = {"face": 1024, "temporal": 1024, "audio": 768}
    audio = PublishedFolders(root, size=sizes)["sample_00000023"].audio
    assert audio is not None
    assert len(audio) == 768


def test_features_are_opened_by_what_a_folder_holds(tmp_path: Path) -> None:
    root = published(tmp_path / "published")
    assert isinstance(open_features(root), PublishedFolders)
    with pytest.raises(InputError, match=r"expected \(512,\)"):
        open_features(root, size=512)["sample_00000023"]
    with FeatureStore(tmp_path / "store", writable=True, recipe=RECIPE) as store:
        store.add("a", Path("a.mp4"), "1", features())
    opened = open_features(tmp_path / "store")
    assert isinstance(opened, FeatureStore)
    assert "a" in opened
    with pytest.raises(InputError, match=r"holds no features: expected index.parquet, or some of the folders mae_340"):
        open_features(tmp_path)


def test_folders_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mae_340_UTT"):
        PublishedFolders(tmp_path)
    with pytest.raises(InputError, match="layout 'DFEW' is not known"):
        FolderWriter(tmp_path, RECIPE, layout="DFEW")


# --- written --------------------------------------------------------------------------------------------------------


def features(scale: float = 1.0) -> ClipFeatures:
    return ClipFeatures(*(np.float32(scale) * VECTORS[m] for m in MODALITIES), None, 12, 0.4, "the first")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path, RECIPE, layout="MER2024")
    writer.add("day1/talk", Path("v/day1/talk.mp4"), "abc", features())
    assert np.load(tmp_path / "maeVideo_399_23_UTT" / "day1" / "talk.npy").shape == (1024,)
    read = PublishedFolders(tmp_path)["day1/talk"]
    assert all(np.array_equal(read.vectors()[m], VECTORS[m]) for m in MODALITIES)
    row = json.loads((tmp_path / "features.jsonl").read_text())
    assert row == {
        "name": "day1/talk", "path": "v/day1/talk.mp4", "sha256": "abc", "num_faces": 12, "frame_seconds": 0.4,
        "frame_why": "the first", "missing": [], "given": [],
    }  # fmt: skip


def test_a_missing_feature_has_no_file_and_an_old_one_is_removed(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path, RECIPE)
    writer.add("a", Path("a.mp4"), "1", features())
    gone = ClipFeatures(None, None, VECTORS["audio"], missing=(Missing("face", "none"), Missing("temporal", "none")))
    writer.add("a", Path("a.mp4"), "2", gone)
    assert [path.name for path in tmp_path.rglob("*.npy")] == ["a.npy"]
    again = FolderWriter(tmp_path, RECIPE)
    assert again.holds("a", "2")
    assert not again.holds("a", "1")
    assert json.loads((tmp_path / "features.jsonl").read_text().splitlines()[-1])["missing"][0]["reason"] == "none"


def test_a_removed_file_is_made_again(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path, RECIPE)
    writer.add("a", Path("a.mp4"), "1", features())
    assert writer.holds("a", "1")
    (tmp_path / "HL-UTT" / "a.npy").unlink()
    assert not writer.holds("a", "1")
    assert not writer.holds("b", "1")


def test_a_line_that_a_killed_run_left_unfinished_is_not_believed(tmp_path: Path) -> None:
    FolderWriter(tmp_path, RECIPE).add("a", Path("a.mp4"), "1", features())
    ledger = tmp_path / "features.jsonl"
    ledger.write_text(ledger.read_text() + '{"name": "b", "sha256": "2", "mis')
    writer = FolderWriter(tmp_path, RECIPE)
    assert writer.holds("a", "1")
    assert not writer.holds("b", "2")
    writer.add("b", Path("b.mp4"), "2", features())
    assert FolderWriter(tmp_path, RECIPE).holds("b", "2")


def test_one_folder_holds_one_recipe(tmp_path: Path) -> None:
    FolderWriter(tmp_path, RECIPE)
    with pytest.raises(InputError, match="made in another way"):
        FolderWriter(tmp_path, {"recipes": "those"})
