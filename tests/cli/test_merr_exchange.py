"""`merr export`, `import` and `validate` as a user runs them: exit codes, output at 80 columns, complaints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emotion_llama.cli.main import main

ROWS = "\n".join(f"sample_{i} {30 + 11 * i} happy -10" for i in range(6)) + "\n"
FINE = {
    f"sample_{i}": {"caption": "A smile.", "smp_reason_caption": "The cheeks are raised. The person is happy."}
    for i in range(6)
}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "MERR"
    folder.mkdir()
    (folder / "MERR_fine_grained.txt").write_text(ROWS + "sample_9 40 disgust -10\n")
    (folder / "MERR_fine_grained.json").write_text(json.dumps(FINE))
    return folder


@pytest.fixture
def build(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["merr", "import", str(published), "--into", str(tmp_path / "b"), "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    return tmp_path / "b"


def test_import_prints_what_it_took(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merr", "import", str(published), "--into", str(tmp_path / "b")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "MERR_fine_grained.txt: 7 rows" in out
    assert "6 new clips, 0 that it had" in " ".join(out.split())
    assert "       6  fine_caption (en)" in out
    assert "       1  unknown label 'disgust' (labels of merr9: neutral," in out
    assert "frame counts: none to compare (the media are not known)" in out
    assert max(len(line) for line in out.splitlines() if str(tmp_path) not in line) < 80


def test_import_as_json(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merr", "import", str(published), "--into", str(tmp_path / "b"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["new_clips"], document["fields"]["label"], document["problems"][0]["count"]) == (6, 6, 1)
    assert document["problems"][0]["examples"] == ["MERR_fine_grained.txt, line 7"]


def test_wrong_path_leaves_no_build_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merr", "import", str(tmp_path / "x.txt"), "--into", str(tmp_path / "b")]) == 1
    assert "x.txt does not exist" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("kind", ["merr", "parquet", "csv"])
def test_export_then_validate(build: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merr", "export", str(build), "--format", kind]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "samples: 6 coarse, 6 fine" in out
    assert main(["merr", "validate", str(build)]) == 0
    assert capsys.readouterr().out.endswith("note: clips without media (imported): 6\nno problems\n")
    assert main(["merr", "validate", str(build / "export" / kind), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"] is True


def test_export_options(build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["merr", "export", str(build), "--format", "parquet", "--scope", "fine", "--to", str(out), "--json"]
    assert main([*arguments, "--license", "cc-by-4.0", "--name", "mine", "--language", "en"]) == 0
    tally = json.loads(capsys.readouterr().out)
    assert (tally["folder"], tally["samples"], tally["notes"]) == (str(out), {"fine": 6}, [])
    assert "license: cc-by-4.0" in (out / "README.md").read_text()
    assert main(arguments) == 1
    assert "holds an export already; give another folder, or --force to replace it" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


def test_nothing_to_talk_about_is_one_line(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merr", "export", str(build), "--format", "sharegpt"]) == 1
    err = capsys.readouterr().err
    assert "nothing is left to export" in err
    assert "6 emotion: no media file is known" in err
    assert err.count("\n") == 1


def test_validate_finds_and_exits_with_1(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["merr", "export", str(build), "--format", "merr", "-q"])
    path = build / "export/merr/transcription_en_all.csv"
    path.write_text(path.read_text().replace("sample_3, \n", ""))
    assert main(["merr", "validate", str(build)]) == 1
    out = capsys.readouterr().out
    assert "a name of the list is not in transcription_en_all.csv (the published" in out
    assert "MERR_fine_grained.txt: sample_3" in out
    assert max(len(line) for line in out.splitlines() if str(build) not in line) < 80


def test_validate_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merr", "validate", str(tmp_path)]) == 1
    assert "is neither a build" in capsys.readouterr().err


def test_labels_of_another_release_end_with_1(build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    from emotion_llama.merr.store import Store

    with Store.open(build) as store:
        store.put_clips([replace(row, frame_count=500) for row in store.clips()])
    lists = tmp_path / "relative_test3_NCEV.txt"
    lists.write_text(ROWS)
    assert main(["merr", "import", str(lists), "--into", str(build)]) == 1
    assert "these ids are likely of ANOTHER RELEASE than the videos" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["export", "import", "validate"])
def test_help_fits_80_columns(verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["merr", verb, "--help"])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "examples:" in out
