"""The store: whole transactions, what readers see, files named by content, folders that are refused."""

import hashlib
import os
import sqlite3
import threading
from dataclasses import fields, replace
from pathlib import Path

import pytest

from emotion_llama.errors import BackendError, InputError
from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.records import ClipRow, Field, Provenance, StageRun
from emotion_llama.merr.stage import StageOutput, output_sha256
from emotion_llama.merr.store import CLIP_COLUMNS, LostArtifact, Store
from emotion_llama.merr.store import ledger as schema

MADE = Provenance("toy", "toy 1", "ab" * 32, True, 3, 4, "2026-01-01T00:00:00+00:00", 1.5)
CLIP = ClipRow(
    "clip1", "/videos/clip 1.mp4", "5a" * 32, 50, 2.0, 25.0, 320, 240, True, "film", "anna", "happy", "Hello!", "test",
    51, "clip1.srt", "en",
)  # fmt: skip


def run(clip_id: str = "clip1", stage: str = "peak", **changes: object) -> StageRun:
    made = StageRun(clip_id, stage, "done", "f" * 64, "0" * 64, seconds=0.25, finished_at="2026-01-01T00:00:00+00:00")
    return replace(made, **changes)  # type: ignore[arg-type]


def said(name: str, value: object, language: str = "") -> Field:
    return Field(name, value, MADE, language)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "build")
    store.put_clips([CLIP, ClipRow("clip2", None, None)])
    return store


def test_a_clip_comes_back_as_it_went_in(store: Store) -> None:
    assert store.clips() == [CLIP, ClipRow("clip2", None, None)]
    assert store.clip("clip1").has_audio is True  # and not 1


def test_the_schema_has_a_column_for_everything_that_a_clip_has(store: Store) -> None:
    columns = {row[1] for row in store.query("PRAGMA table_info(clips)")}
    assert columns == {f.name for f in fields(ClipRow)} | {"here", "why_left"}
    assert CLIP_COLUMNS[0] == "clip_id"


def test_a_result_is_read_back_with_its_fields_and_artifacts(store: Store) -> None:
    output = StageOutput(
        (said("label", {"label": "happy", "units": {"AU12": 2.5}}), Field("peak", None, MADE, "", "no face was read"),
         said("coarse_caption", "他很高兴。", "zh")),
        {"peak_frame.png": b"picture"},
    )  # fmt: skip
    store.record(run(), output)
    sample = store.sample("clip1")
    assert sample.fields == {(f.name, f.language): f for f in output.fields}
    assert sample.runs == {"peak": run()}
    name = hashlib.sha256(b"picture").hexdigest()
    assert sample.artifacts == {"peak_frame": f"artifacts/{name[:2]}/{name}.png"}
    assert store.artifact("clip1", "peak_frame") == b"picture"
    assert store.artifact("clip1", "face_crop") is None
    assert (store.folder / sample.artifacts["peak_frame"]).read_bytes() == b"picture"


def test_a_new_result_leaves_nothing_of_the_old_one(store: Store) -> None:
    store.record(run(), StageOutput((said("peak", 1), said("scene", 2)), {"a.bin": b"1"}))
    store.record(run(fingerprint="e" * 64), StageOutput((said("peak", 3),)))
    sample = store.sample("clip1")
    assert {name: f.value for (name, _), f in sample.fields.items()} == {"peak": 3}
    assert dict(sample.artifacts) == {}
    assert store.prune() == (1, 1)  # one file of one byte
    assert store.prune() == (0, 0)


def test_attempts_count_runs_of_one_fingerprint(store: Store) -> None:
    for expected in (1, 2, 3):
        store.record(run(status="failed", reason="busy", output_sha256=None), None)
        assert store.runs("peak")[0].attempts == expected
    store.record(run(fingerprint="e" * 64), StageOutput())
    assert store.runs("peak")[0].attempts == 1


def test_failures_are_remembered_when_they_are_made_good(store: Store) -> None:
    store.record(run(status="failed", reason="timeout: no answer", output_sha256=None, finished_at="a"), None)
    store.record(run(status="failed", reason="half \ud83d a character", output_sha256=None, finished_at="b"), None)
    assert [(f.reason, f.current) for f in store.failures()] == [
        ("timeout: no answer", False),
        ("half \\ud83d a character", True),
    ]
    store.record(run(finished_at="c"), StageOutput())
    assert [f.current for f in store.failures()] == [False, False]


def test_a_result_that_cannot_be_written_whole_is_not_written_at_all(store: Store) -> None:
    store.record(run(), StageOutput((said("peak", 1),)))
    twice = StageOutput((said("peak", 2), said("peak", 3)))
    with pytest.raises(BackendError, match="UNIQUE constraint failed"):
        store.record_many([(run("clip2"), StageOutput((said("peak", 9),))), (run(fingerprint="e" * 64), twice)])
    assert store.sample("clip1").value("peak") == 1
    assert store.runs() == [run()]


def test_a_run_of_a_clip_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(BackendError, match="FOREIGN KEY constraint failed"):
        store.record(run("nobody"), StageOutput())


def test_scopes(store: Store) -> None:
    """Coarse: has a coarse caption and is not dropped from all; fine: not dropped at all, and has a fine caption."""
    coarse = StageOutput((said("coarse_caption", "c", "en"),))
    fine = StageOutput((said("fine_caption", "f", "en"),))
    store.put_clips([ClipRow(name, None, None) for name in ("a", "b", "c", "d", "e", "f")])
    for name in "abcd":
        store.record(run(name, "coarse_caption"), coarse)
    for name in "acd":
        store.record(run(name, "fine_caption"), fine)
    store.record(run("c", "consistency", status="dropped", scope="fine", reason="r"), StageOutput(drop=("r", "fine")))
    store.record(run("d", "balance", status="dropped", scope="all", reason="r"), StageOutput(drop=("r", "all")))
    nothing = StageOutput((Field("coarse_caption", None, MADE, "en", "no label"),))
    store.record(run("e", "coarse_caption"), nothing)

    def ids(scope: str) -> str:
        return "".join(s.clip.clip_id for s in store.samples(scope) if len(s.clip.clip_id) == 1)  # type: ignore[arg-type]

    assert (ids("all"), ids("coarse"), ids("fine")) == ("abcdef", "abc", "a")
    assert (store.count(), store.count("coarse"), store.count("fine")) == (8, 3, 1)


def test_runs_that_are_set_aside_are_not_seen_and_come_back_whole(store: Store) -> None:
    store.record(run(), StageOutput((said("peak", 1),), {"a.bin": b"1"}))
    store.mark("peak", ["clip1"], current=False)
    sample = store.sample("clip1")
    assert (dict(sample.fields), dict(sample.runs), dict(sample.artifacts)) == ({}, {}, {})
    assert store.runs() == []
    assert store.artifact("clip1", "a") is None
    assert store.prune() == (0, 0)  # its files stay
    store.mark("peak", ["clip1"], current=True)
    assert store.sample("clip1").value("peak") == 1
    assert store.artifact("clip1", "a") == b"1"


def test_clips_that_are_set_aside_are_told_of_and_not_counted(store: Store) -> None:
    store.record(run("clip2"), StageOutput())
    store.set_aside(["clip2"], "no longer among the inputs")
    assert [clip.clip_id for clip in store.clips()] == ["clip1"]
    assert [clip.clip_id for clip in store.all_clips()] == ["clip1", "clip2"]
    assert store.count_set_aside() == {"no longer among the inputs": 1}
    assert store.runs() == []
    assert [sample.clip.clip_id for sample in store.samples()] == ["clip1"]
    store.put_clips([ClipRow("clip2", None, None)])
    assert len(store.runs()) == 1


def test_a_stage_is_given_what_it_needs_and_nothing_else(store: Store) -> None:
    store.record(run(stage="evidence"), StageOutput((said("tone", 1),), {"sound.wav": b"x"}))
    store.record(run(stage="peak"), StageOutput((said("peak", 2),), {"peak_frame.png": b"y"}))
    item = store.input_of(CLIP, ("evidence",), ("sound", "peak_frame"))
    assert set(item.fields) == {("tone", "")}
    assert item.artifacts == {"sound": b"x"}


@pytest.mark.parametrize("damage", ["gone", "other bytes", "cut"])
def test_a_lost_file_is_told_of_never_given(store: Store, damage: str) -> None:
    store.record(run(stage="evidence"), StageOutput((), {"sound.wav": b"12345"}))
    path = store.folder / store.sample("clip1").artifacts["sound"]
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"54321" if damage == "other bytes" else b"123")
    with pytest.raises(LostArtifact, match=r"clip1.*'sound'"):
        store.artifact("clip1", "sound")
    with pytest.raises(LostArtifact):
        store.input_of(CLIP, ("evidence",), ("sound",))
    lost = store.lost_artifacts()  # by name and length only
    assert [(e.clip_id, e.stage, e.name) for e in lost] == (
        [] if damage == "other bytes" else [("clip1", "evidence", "sound")]
    )


def test_a_forgotten_run_is_to_be_made_again_but_an_imported_one_loses_its_file_only(store: Store) -> None:
    made = StageOutput((said("tone", 1),), {"sound.wav": b"12345"})
    store.record(run(stage="evidence"), made)
    store.record(run("clip2", "evidence", fingerprint="imported:x.csv"), made)
    for clip_id in ("clip1", "clip2"):
        store.forget(LostArtifact(clip_id, "evidence", "sound", "0" * 64, ".wav"), "now")
    assert [r.clip_id for r in store.runs("evidence")] == ["clip2"]
    assert store.sample("clip2").value("tone") == 1
    assert dict(store.sample("clip2").artifacts) == {}
    assert [f.reason for f in store.failures()] == ["lost artifact: sound"] * 2


def test_equal_files_are_kept_once(store: Store) -> None:
    for clip_id in ("clip1", "clip2"):
        store.record(run(clip_id), StageOutput((), {"a.bin": b"same"}))
    assert len(list(store.folder.rglob("*.bin"))) == 1


def test_half_written_files_are_pruned(store: Store) -> None:
    store.record(run(), StageOutput((), {"a.bin": b"same"}))
    half = next(store.folder.rglob("*.bin")).with_name(".99-0.tmp")
    half.write_bytes(b"123")
    assert store.prune() == (1, 3)
    assert store.artifact("clip1", "a") == b"same"


def test_artifacts_that_cannot_be_written_stop_the_build_not_the_clip(store: Store) -> None:
    (store.folder / "artifacts").write_text("a file where a folder should be")
    with pytest.raises(BackendError, match=r"cannot be written .*run the same command again, nothing is lost"):
        store.record(run(), StageOutput((), {"a.bin": b"x"}))


# --- many at once


def test_a_reader_sees_one_moment_while_a_build_writes(store: Store) -> None:
    store.record(run(), StageOutput((said("peak", 1),)))
    with Store.open(store.folder, read_only=True) as reader, reader.snapshot():
        assert reader.sample("clip1").value("peak") == 1
        store.record(run(fingerprint="e" * 64), StageOutput((said("peak", 2),)))  # not held up by the reader
        assert reader.sample("clip1").value("peak") == 1
    with Store.open(store.folder, read_only=True) as reader:
        assert reader.sample("clip1").value("peak") == 2


def test_samples_are_of_one_moment(store: Store) -> None:
    many = [ClipRow(f"x{i:04}", None, None) for i in range(300)]  # more than are read at once
    store.put_clips(many)
    samples = store.samples()
    assert next(samples).clip.clip_id == "clip1"
    store.put_clips([ClipRow("zzz", None, None)])
    store.record(run("x0299"), StageOutput((said("peak", 1),)))
    rest = list(samples)
    assert [s.clip.clip_id for s in rest] == ["clip2", *(clip.clip_id for clip in many)]
    assert dict(rest[-1].fields) == {}


def test_a_reader_cannot_write(store: Store) -> None:
    with Store.open(store.folder, read_only=True) as reader, pytest.raises(BackendError, match="readonly database"):
        reader.set_aside(["a"], "gone")


def test_writers_wait_for_each_other(store: Store) -> None:
    def write(first: int) -> None:
        with Store.open(store.folder) as own:
            for i in range(first, first + 50):
                own.record(run("clip1", f"stage{i}"), StageOutput((said("x", i),)))

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.runs()) == 150


def test_a_ledger_that_stays_locked_is_told_of(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    with (
        Store.open(store.folder) as other,
        other.transaction(),
        Store.open(store.folder) as late,
        pytest.raises(BackendError, match="locked for 0 s"),
    ):
        late.set_aside(["a"], "gone")


def test_an_error_within_a_transaction_undoes_it(store: Store) -> None:
    def half() -> None:
        with store.transaction():
            store.set_aside(["clip1"], "gone")
            raise KeyError("half way")

    with pytest.raises(KeyError, match="half way"):
        half()
    assert store.count_set_aside() == {}


def test_a_full_disk_says_that_nothing_is_lost() -> None:
    refusal = schema._refusal(Path("m.sqlite"), sqlite3.OperationalError("database or disk is full"))
    assert "m.sqlite: the disk is full; make room and run the same command again, nothing is lost" in str(refusal)


# --- folders


def test_a_folder_without_a_ledger_is_no_build(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no build: it holds no merr.sqlite; make one with"):
        Store.open(tmp_path)


def test_a_folder_with_other_things_is_not_built_in(tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").touch()
    with pytest.raises(InputError, match=r"is no build and not empty \(holiday.mp4 is in it\)"):
        Store.create(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.mp4"]


def test_a_file_cannot_be_a_build(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file cannot be used as a build's folder"):
        Store.create(tmp_path / "file")


@pytest.mark.parametrize(("version", "todo"), [(4, "upgrade emotion-llama"), (2, "build again in another folder")])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_ledger_of_another_version_is_refused(store: Store, version: int, todo: str, read_only: bool) -> None:
    store.query(f"PRAGMA user_version={version}")
    with pytest.raises(InputError, match=f"ledger version {version}, .* version 3; {todo}"):
        Store.open(store.folder, read_only=read_only)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / schema.LEDGER_NAME
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(InputError, match=r"cannot be read as a build's ledger \(file is not a database\)"):
        Store.open(tmp_path)
    path.unlink()
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE songs (name)")
    foreign.close()
    with pytest.raises(InputError, match="is a SQLite file, but no ledger of a build"):
        Store.open(tmp_path)


def test_creation_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    (tmp_path / schema.LEDGER_NAME).touch()  # SQLite makes the file before its first transaction
    with Store.create(tmp_path) as store:
        assert store.clips() == []


def test_two_builds_may_create_the_folder_at_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def create() -> None:
        try:
            with Store.create(tmp_path / "build") as store:
                store.put_clips([CLIP])
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_build_on_a_disk_that_cannot_be_written_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.close()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with Store.open(store.folder, read_only=True) as reader:
        assert reader.clips()[0] == CLIP


# --- recipe


def test_the_recipe_is_kept_and_written_out(store: Store) -> None:
    assert store.recipe is None
    recipe = Recipe(languages=("en", "zh"), seed="other")
    store.put_recipe(recipe)
    assert store.recipe == recipe
    assert "seed: other" in (store.folder / "recipe.yaml").read_text()


def test_a_recipe_of_another_version_is_refused(store: Store) -> None:
    with store.transaction() as db:
        db.execute("INSERT INTO meta VALUES ('recipe', '{\"colour\": \"blue\"}')")
    with pytest.raises(InputError, match="recipe"):
        _ = store.recipe


def test_a_recipe_that_cannot_be_written_out(store: Store) -> None:
    (store.folder / "recipe.yaml").mkdir()
    with pytest.raises(BackendError, match=r"recipe.yaml cannot be written"):
        store.put_recipe(Recipe())


def test_phases_are_kept_in_their_order(store: Store) -> None:
    rows = [("z", (), "process", 1), ("a", ("z", "ingest"), "set", 2)]
    store.put_stages(rows)
    assert store.stages() == rows


def test_a_clip_that_is_not_there(store: Store) -> None:
    with pytest.raises(InputError, match="has no clip 'nobody'"):
        store.sample("nobody")


# --- hashes


def test_the_hash_of_an_output_leaves_times_out_and_nothing_else() -> None:
    output = StageOutput((said("a", 1), said("b", "x", "en")), {"f.png": b"1"}, ("r", "all"))
    later = replace(MADE, made_at="2030-01-01T00:00:00+00:00", seconds=99.0)
    same = StageOutput((Field("b", "x", later, "en"), Field("a", 1, later)), output.artifacts, output.drop)
    assert output_sha256(same) == output_sha256(output)
    others = [
        replace(output, fields=(said("a", 2), output.fields[1])),
        replace(output, fields=output.fields[:1]),
        replace(output, fields=(Field("a", 1, replace(MADE, model="toy 2")), output.fields[1])),
        replace(output, fields=(Field("a", 1, replace(MADE, label_shown=False)), output.fields[1])),
        replace(output, artifacts={"f.png": b"2"}),
        replace(output, artifacts={"g.png": b"1"}),
        replace(output, drop=None),
        replace(output, drop=("r", "fine")),
    ]
    assert len({output_sha256(other) for other in [output, *others]}) == 9


@pytest.mark.parametrize("value", [float("nan"), "\ud83d", {"a": [float("inf")]}])
def test_a_value_that_cannot_be_stored_has_no_hash(value: object) -> None:
    with pytest.raises(ValueError, match=r"Out of range float|surrogates not allowed"):
        output_sha256(StageOutput((said("a", value),)))


def test_a_field_that_is_there_twice_has_no_hash() -> None:
    with pytest.raises(ValueError, match="is there twice"):
        output_sha256(StageOutput((said("a", 1), said("a", 2))))


def test_nobody_ever_finds_half_a_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A build that was killed while it made its ledger left an empty file, which was then taken for a stranger's.
    with monkeypatch.context() as patch:
        patch.setattr(schema, "SCHEMA", schema.SCHEMA + "; CREATE TABLE clips (x)")  # fails after all the others
        with pytest.raises(InputError, match="cannot be written"):
            Store.create(tmp_path / "build")
    with pytest.raises(InputError, match="is no build: it holds no"):
        Store.open(tmp_path / "build", read_only=True)
    with Store.create(tmp_path / "build") as store:
        assert store.clips() == []
