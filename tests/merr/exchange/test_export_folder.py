"""An export's folder: complete or not there, and nobody else's files lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.errors import BackendError, InputError
from emotion_llama.media.probe import file_sha256
from emotion_llama.merr.io.export import changed_files, export_build, new_export, read_manifest, write_manifest
from emotion_llama.merr.io.rows import Choice
from emotion_llama.merr.store import Store

Make = Callable[..., Store]


def test_manifest_names_every_file_with_its_hash(make_build: Make, spec: Any) -> None:
    folder = export_build(make_build(spec("a")), None, "merr").folder
    manifest = read_manifest(folder)
    assert manifest is not None
    assert set(manifest["files"]) == {p.name for p in folder.iterdir()} - {"export.json"}
    assert manifest["files"]["MERR_fine_grained.txt"]["bytes"] == len("a 75 happy -10\n")
    assert manifest["samples"] == {"coarse": 1, "fine": 1}
    assert changed_files(folder, manifest) == []


def test_own_export_is_replaced_and_old_files_go(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a", split="train"))
    folder = export_build(store, None, "merr").folder
    (folder / "mine.txt").write_text("keep")
    export_build(store, None, "merr", Choice(scope="coarse"))
    assert sorted(p.name for p in folder.iterdir()) == [
        "MERR_coarse_grained.json", "MERR_coarse_grained.txt", "MERR_coarse_grained_train.txt", "export.json",
        "mine.txt", "transcription_en_all.csv",
    ]  # fmt: skip


def test_changed_files_are_not_lost(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a"))
    folder = export_build(store, None, "parquet").folder
    readme = folder / "README.md"
    readme.write_text(readme.read_text() + "my words")
    with pytest.raises(InputError, match=r"README.md was changed since it was exported; keep a copy and give --force"):
        export_build(store, None, "parquet")
    assert readme.read_text().endswith("my words")
    export_build(store, None, "parquet", force=True)
    assert not readme.read_text().endswith("my words")


def test_other_folders_are_not_overwritten(make_build: Make, spec: Any, tmp_path: Path) -> None:
    one, two = make_build(spec("a"), folder="one"), make_build(spec("b"), folder="two")
    export_build(one, tmp_path / "out", "merr")
    with pytest.raises(InputError, match="--force"):
        export_build(two, tmp_path / "out", "merr")
    assert (tmp_path / "out/MERR_fine_grained.txt").read_text() == "a 75 happy -10\n"
    export_build(two, tmp_path / "out", "merr", force=True)
    assert (tmp_path / "out/MERR_fine_grained.txt").read_text() == "b 75 happy -10\n"


def test_published_files_of_somebody_are_not_overwritten(make_build: Make, spec: Any, tmp_path: Path) -> None:
    (tmp_path / "MERR").mkdir()
    (tmp_path / "MERR/MERR_fine_grained.txt").write_text("theirs")
    with pytest.raises(InputError, match=r"holds MERR_fine_grained.txt, and no complete export"):
        export_build(make_build(spec("a")), tmp_path / "MERR", "merr")


def test_target_that_is_a_file(make_build: Make, spec: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(InputError, match="f is a file; give a folder"):
        export_build(make_build(spec("a")), tmp_path / "f", "merr")
    with pytest.raises(InputError, match="cannot be written"):
        export_build(make_build(spec("a"), folder="two"), tmp_path / "f/below", "merr")


def test_unknown_format_and_choices(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a"))
    with pytest.raises(InputError, match=r"no export format 'xml' \(there are: merr, parquet, sharegpt, csv\)"):
        export_build(store, None, "xml")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"scope.*'all'"):
        Choice(scope="all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"split.*'dev'"):
        Choice(splits=("dev",))
    with pytest.raises(InputError, match=r"a data set's name is letters, digits, - and _, got '\.\./x'"):
        Choice(name="../x")


def test_half_written_files_leave_nothing(tmp_path: Path) -> None:
    def fill_the_disk() -> None:
        with new_export(tmp_path / "o", own=True, force=False) as half:
            (half / "a").write_text("x")
            raise OSError(28, "No space left on device")

    with pytest.raises(BackendError, match=r"the export into .* failed \(No space left on device\)"):
        fill_the_disk()
    assert list((tmp_path / "o").iterdir()) == []


def test_death_while_files_are_put_in_place_is_not_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old manifest goes before the first file is touched, so that no mixture of two exports looks complete."""
    target, replaced = tmp_path / "o", Path.replace

    def export(text: str) -> None:
        with new_export(target, own=True, force=False) as half:
            for name in ("a", "b"):
                (half / name).write_text(text)
            write_manifest(half, {})

    def dies(self: Path, other: Path) -> Path:
        if self.name == "b":
            raise KeyboardInterrupt
        return replaced(self, other)

    export("old")
    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        export("new")
    assert ((target / "a").read_text(), (target / "b").read_text()) == ("new", "old")
    assert read_manifest(target) is None


def test_export_after_one_that_was_killed(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a"))
    folder = export_build(store, None, "csv").folder
    (folder / "export.json").unlink()
    (folder / ".export-1.tmp").mkdir()
    (folder / ".export-2.tmp").mkdir()
    os.utime(folder / ".export-1.tmp", (0, 0))
    export_build(store, None, "csv")
    # The leftover of long ago is gone; the other may be of an export that is at work.
    assert sorted(p.name for p in folder.iterdir()) == [".export-2.tmp", "export.json", "samples.csv"]


def test_damaged_manifest(tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text("{")
    with pytest.raises(InputError, match=r"export.json is no manifest of an export"):
        read_manifest(tmp_path)
    with pytest.raises(InputError, match="is no manifest"), new_export(tmp_path, own=True, force=False):
        pass
    with new_export(tmp_path, own=True, force=True) as half:
        write_manifest(half, {"format": "x"})
    assert read_manifest(tmp_path) == {"format": "x", "files": {}}


def test_manifest_cannot_make_an_export_delete_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    target = tmp_path / "o"
    target.mkdir()
    known = {"bytes": 1, "sha256": file_sha256(tmp_path / "precious")}
    (target / "export.json").write_text(json.dumps({"files": {"../precious": known}}))
    with new_export(target, own=True, force=False) as half:
        write_manifest(half, {})
    assert (tmp_path / "precious").exists()
