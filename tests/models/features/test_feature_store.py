"""The store: what goes in comes out bit for bit, in any order of runs, killed or not."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.models.features import feature_store
from emotion_llama.models.features.feature_store import FeatureStore
from emotion_llama.results import Missing

RECIPE = {"recipes": {"audio": "a"}, "about": {"model": "here"}}


def features(seed: int, *, whole: bool = True) -> ClipFeatures:
    random = np.random.default_rng(seed)
    face, temporal, audio = random.standard_normal((3, 24)).astype(np.float32)
    image = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    if whole:
        return ClipFeatures(face, temporal, audio, image, 30 + seed, 0.25, "the strongest")
    gone = tuple(Missing(what, "no face was found in 6 frames") for what in ("face", "temporal"))
    return ClipFeatures(None, None, audio, image, 0, 0.0, "the first", gone, ("audio",))


def same(a: ClipFeatures, b: ClipFeatures) -> bool:
    ours, theirs = a.arrays(), b.arrays()
    rest = [(x.num_faces, x.frame_seconds, x.frame_why, x.missing, x.given) for x in (a, b)]
    return list(ours) == list(theirs) and rest[0] == rest[1] and all(np.array_equal(ours[k], theirs[k]) for k in ours)


def fill(folder: Path, names: list[str], first_seed: int = 0) -> None:
    with FeatureStore(folder, writable=True, recipe=RECIPE) as store:
        for seed, name in enumerate(names, first_seed):
            store.add(name, Path(f"{name}.mp4"), f"sha-{seed}", features(seed, whole=seed != 1))


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    fill(tmp_path, ["b", "a", "day1/c"])
    store = FeatureStore(tmp_path)
    assert store.names == ("a", "b", "day1/c")
    assert len(store) == 3
    assert "day1/c" in store
    assert "c" not in store
    assert all(same(store[name], features(seed, whole=seed != 1)) for seed, name in enumerate(["b", "a", "day1/c"]))
    assert store["a"].face is None
    assert store.holds("b", "sha-0")
    assert not store.holds("b", "sha-1")


def test_the_index_is_a_table_that_anybody_can_read(tmp_path: Path) -> None:
    fill(tmp_path, ["x", "y"])
    table = pq.read_table(tmp_path / "index.parquet").to_pylist()
    assert [row["name"] for row in table] == ["x", "y"]
    assert table[0]["face_shape"] == [24]
    assert table[0]["global_image_shape"] == [8, 8, 3]
    assert table[1]["face_shape"] is None
    assert table[1]["missing"][0] == {"what": "face", "reason": "no face was found in 6 frames"}
    assert {row["shard"] for row in table} == {"shard-00000.safetensors"}
    assert json.loads((tmp_path / "recipe.json").read_text()) == RECIPE
    assert not list((tmp_path / "pending").glob("*.safetensors"))


def test_a_second_run_adds_and_replaces(tmp_path: Path) -> None:
    fill(tmp_path, ["x", "y"])
    fill(tmp_path, ["y", "z"], first_seed=5)
    store = FeatureStore(tmp_path)
    assert store.names == ("x", "y", "z")
    assert same(store["x"], features(0))
    assert same(store["y"], features(5))
    rows = {row["name"]: row["shard"] for row in pq.read_table(tmp_path / "index.parquet").to_pylist()}
    assert rows == {name: f"shard-0000{int(name != 'x')}.safetensors" for name in "xyz"}


def test_a_clip_is_read_back_before_its_shard_is_written_and_after_it_is_replaced(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, writable=True, recipe=RECIPE) as store:
        for seed in (0, 3):
            store.add("x", Path("x.mp4"), "s", features(seed))
            assert same(store["x"], features(seed))
        store.compact()
        assert same(store["x"], features(3))


def test_shards_are_closed_when_they_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_store, "SHARD_BYTES", 2_000)  # each clip's file takes some 1,000 bytes
    fill(tmp_path, [f"c{i}" for i in range(7)])
    shards = sorted(path.name for path in tmp_path.glob("shard-*"))
    assert len(shards) >= 3
    store = FeatureStore(tmp_path)
    assert all(same(store[f"c{i}"], features(i, whole=i != 1)) for i in range(7))


KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from emotion_llama.models.features.feature_store import FeatureStore
from emotion_llama.models.clips import ClipFeatures
store = FeatureStore(sys.argv[1], writable=True, recipe={"recipes": {"audio": "a"}})
for i in range(3):
    store.add(f"c{i}", Path("x.mp4"), f"sha-{i}", ClipFeatures(np.full(24, i, np.float32), None, None))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_loses_no_clip_that_was_added(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    before = FeatureStore(tmp_path)["c1"].face  # nothing was compacted yet
    assert before is not None
    assert before.tolist() == [1.0] * 24
    with FeatureStore(tmp_path, writable=True, recipe=RECIPE) as store:  # the lock of the dead is gone
        assert store.holds("c2", "sha-2")
        store.add("c3", Path("x.mp4"), "sha-3", features(3))
    assert not list((tmp_path / "pending").glob("*.safetensors"))
    store = FeatureStore(tmp_path)
    assert store.names == ("c0", "c1", "c2", "c3")
    assert store["c2"].vectors()["face"].tolist() == [2.0] * 24
    assert same(store["c3"], features(3))


def test_a_run_killed_between_shard_and_index_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shard is there and the index is not: its number is taken again, and nothing is lost."""
    fill(tmp_path, ["old"])
    with monkeypatch.context() as patched:
        patched.setattr(FeatureStore, "_write_index", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        store = FeatureStore(tmp_path, writable=True, recipe=RECIPE)
        store.add("new", Path("n.mp4"), "s", features(7))
        with pytest.raises(KeyboardInterrupt):
            store.compact()
        assert store._lock is not None
        store._lock.close()
    assert (tmp_path / "shard-00001.safetensors").exists()
    fill(tmp_path, ["newer"], first_seed=8)
    store = FeatureStore(tmp_path)
    assert store.names == ("new", "newer", "old")
    assert same(store["new"], features(7))
    assert same(store["newer"], features(8))


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, writable=True, recipe=RECIPE), pytest.raises(InputError, match="another process is"):
        FeatureStore(tmp_path, writable=True, recipe=RECIPE)
    FeatureStore(tmp_path, writable=True, recipe=RECIPE).close()


def test_without_file_locks_the_store_works_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    fill(tmp_path, ["x"])
    assert FeatureStore(tmp_path).names == ("x",)


def test_one_folder_holds_one_recipe(tmp_path: Path) -> None:
    fill(tmp_path, ["x"])
    FeatureStore(tmp_path, writable=True, recipe={**RECIPE, "about": {"model": "there"}}).close()
    with pytest.raises(InputError, match=r"made in another way \(frame_policy, recipes differ; see recipe.json"):
        FeatureStore(tmp_path, writable=True, recipe={"recipes": {"audio": "b"}, "frame_policy": "peak"})
    FeatureStore(tmp_path, writable=True, recipe=RECIPE).close()  # and the refused one let go of the lock


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no feature store: it has no index.parquet"):
        FeatureStore(tmp_path)
    with pytest.raises(InputError, match="needs a recipe"):
        FeatureStore(tmp_path, writable=True)
    fill(tmp_path, ["x"])
    store = FeatureStore(tmp_path)
    with pytest.raises(InputError, match="has no features of 'z' among its 1 clips"):
        store["z"]
    with pytest.raises(InputError, match="open for reading; open it with writable=True"):
        store.add("z", Path("z.mp4"), "s", features(0))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/pending cannot be made"):
        FeatureStore(tmp_path / "file", writable=True, recipe=RECIPE)
    with (
        FeatureStore(tmp_path, writable=True, recipe=RECIPE) as writable,
        pytest.raises(InputError, match=r"'../z' cannot name a clip's features: expected a relative path"),
    ):
        writable.add("../z", Path("z.mp4"), "s", features(0))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    fill(tmp_path, ["x"])
    (tmp_path / "shard-00000.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match=r"shard-00000.safetensors cannot be read .*; copy the store again"):
        FeatureStore(tmp_path)["x"]
    (tmp_path / "index.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match=r"index.parquet is not the index of a feature store"):
        FeatureStore(tmp_path)
    (tmp_path / "index.parquet").unlink()
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(InputError, match=r"recipe.json is not JSON"):
        FeatureStore(tmp_path, writable=True, recipe=RECIPE)
    (tmp_path / "recipe.json").write_text("[]")
    with pytest.raises(InputError, match=r"must hold a JSON object, got list"):
        FeatureStore(tmp_path, writable=True, recipe=RECIPE)


@pytest.mark.parametrize("package", ["safetensors", "pyarrow"])
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else object())
    with pytest.raises(MissingDependency, match=rf"needs {package}, .*pip install 'emotion-llama\[model\]'"):
        FeatureStore(tmp_path)


@pytest.mark.parametrize("name", ["", "/etc/x", "a/../b", "./a", "a//b", "a/", "..", "a\0b"])
def test_names_stay_inside_the_folder(name: str) -> None:
    from emotion_llama.models.features.feature_store import check_name

    with pytest.raises(InputError, match="cannot name a clip's features"):
        check_name(name)
    assert check_name("day1/sample.00000023") == "day1/sample.00000023"


def test_a_folder_without_a_recipe_is_said_to_be_none(tmp_path: Path) -> None:
    from emotion_llama.models.features.feature_store import read_recipe

    with pytest.raises(InputError, match=r"is no feature folder of this package: recipe.json is missing"):
        read_recipe(tmp_path)
