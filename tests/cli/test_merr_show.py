"""`emotion-llama merr stats` and `merr show`, as a user types them, on a build made by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import make_samples

from emotion_llama.cli.main import main
from emotion_llama.errors import InputError
from emotion_llama.merr.overview import find_clip
from emotion_llama.merr.recipe import Recipe
from emotion_llama.merr.stage import StageOutput
from emotion_llama.merr.store import Store

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ten samples of `samples.py` in a store, each field as if its stage had made it."""
    import cv2

    from emotion_llama.merr.records import FIELDS

    out = tmp_path_factory.mktemp("builds") / "merr"
    png = bytes(cv2.imencode(".png", np.full((48, 64, 3), 200, np.uint8))[1].tobytes())
    samples = make_samples()
    with Store.create(out) as store:
        store.put_recipe(Recipe())
        store.put_clips([sample.clip for sample in samples])
        for sample in samples:
            for stage, run in sample.runs.items():
                fields = tuple(f for f in sample.fields.values() if FIELDS[f.name] == stage)
                files = {"peak_frame.png": png} if stage == "peak" else {}
                store.record(run, None if run.status == "failed" else StageOutput(fields, files))
    return out


def test_the_store_gives_back_what_was_put_in(folder: Path) -> None:
    with Store.open(folder, read_only=True) as store:
        assert {s.clip.clip_id: len(s.fields) for s in store.samples()} == {
            s.clip.clip_id: len(s.fields) for s in make_samples()
        }
        assert (store.count("coarse"), store.count("fine")) == (7, 6)


def test_stats_print_a_table_of_80_columns(folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["merr", "stats", str(folder)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.startswith("merr\n7 samples, 6 with a fine description, of 10 clips; 23.00")
    assert max(len(line) for line in printed.out.splitlines()) <= 80
    assert "Beside published data sets" in printed.out


def test_stats_as_json_are_one_document(folder: Path, capsys: Captured) -> None:
    assert main(["merr", "stats", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert sorted(document) == ["comparison", "name", "quality", "recipe", "reviews", "statistics"]
    assert document["statistics"]["coarse"] == 7
    assert document["statistics"]["phases"][0]["reasons"]["the file is cut off"] == 1
    assert {m["name"]: m["value"] for m in document["quality"]}["label_early"] == 0
    assert document["recipe"]["languages"] == ["en"]


def test_stats_write_a_page_with_pictures(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    page = tmp_path / "deep" / "merr.html"
    assert main(["merr", "stats", str(folder), "--html", str(page)]) == 0
    assert capsys.readouterr().out == f"wrote {page}\n"  # nothing at all was printed once
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == 7
    assert "my_merr" not in text
    assert "7 samples" in text


def test_no_colour_where_it_is_not_wanted(folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Escape codes came whatever NO_COLOR said."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for verb in (["stats", str(folder)], ["show", str(folder), "a_happy"], ["status", str(folder)]):
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert main(["merr", *verb]) == 0
        assert "\x1b[1m" in capsys.readouterr().out
        monkeypatch.setenv("NO_COLOR", "1")
        assert main(["merr", *verb]) == 0
        assert "\x1b" not in capsys.readouterr().out


def test_page_and_json_together(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    page = tmp_path / "merr.html"
    assert main(["merr", "stats", str(folder), "--html", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "merr"
    assert page.stat().st_size > 10_000


def test_show_prints_a_clip(folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["merr", "show", str(folder), "e_silent"]) == 0
    printed = capsys.readouterr().out
    assert "missing: the clip has no sound" in printed
    assert "artifacts/" in printed
    assert max(len(line) for line in printed.splitlines()) <= 80


def test_the_page_of_a_clip_without_a_label_says_so(folder: Path, tmp_path: Path) -> None:
    """A clip that no rule could label was called "label by rules"."""
    assert main(["merr", "show", str(folder), "i_broken", "--html", str(tmp_path / "i.html")]) == 0
    page = (tmp_path / "i.html").read_text(encoding="utf-8")
    assert "no label" in page
    assert "label by rules" not in page


def test_show_lists_the_clips_and_where_each_stands(folder: Path, capsys: Captured) -> None:
    """Which clips had failed stood nowhere but in the ledger: a build counts reasons, and `show` wanted an id."""
    assert main(["merr", "show", str(folder)]) == 0
    lines = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert len(lines) == 10
    assert lines["a_happy"] == "fine, happy"
    assert lines["i_broken"] == "failed at ingest: the file is cut off"
    assert lines["h_weak"].startswith("dropped at pseudo_label: no strong expression")
    assert (
        sum(line.startswith("fine") for line in lines.values())
        + sum(line.startswith(("coarse", "dropped from the fine set")) for line in lines.values())
        == 7
    )
    assert main(["merr", "show", str(folder), "--json"]) == 1
    assert "--html and --json are of one clip; give its id, or use merr stats" in capsys.readouterr().err


def test_show_says_why_a_clip_is_not_in_it(folder: Path, capsys: Captured) -> None:
    assert main(["merr", "show", str(folder), "h_weak"]) == 0
    assert "dropped at pseudo_label: no strong expression" in capsys.readouterr().out
    assert main(["merr", "show", str(folder), "i_broken"]) == 0
    assert "failed at ingest: the file is cut off" in capsys.readouterr().out


def test_show_as_json_and_as_a_page(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["merr", "show", str(folder), "a_h", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["clip"]["clip_id"] == "a_happy"
    (label,) = [f for f in document["fields"] if f["name"] == "label"]
    assert label["value"]["label"] == "happy"
    assert {run["stage"] for run in document["runs"]} >= {"ingest", "splits"}
    page = tmp_path / "one.html"
    assert main(["merr", "show", str(folder), "a_happy", "--html", str(page)]) == 0
    assert capsys.readouterr().out == f"wrote {page}\n"
    assert "data:image/jpeg;base64," in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "BUILD", "a_hapy"], "has no clip 'a_hapy'; did you mean a_happy"),
        (["show", "BUILD", "zzz"], "has no clip 'zzz'; its 10 clips begin with a_happy, b_happy, c_sad"),
        (["show", "BUILD", ""], "'' begins 10 clips: a_happy, b_happy, c_sad, d_angry, e_silent...; give more"),
        (["stats", "BUILD/none"], "none"),
        (["stats", "BUILD", "--html", "BUILD"], "is a folder; give a file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(arguments: list[str], complaint: str, folder: Path, capsys: Captured) -> None:
    assert main(["merr", *(a.replace("BUILD", str(folder)) for a in arguments)]) == 1
    printed = capsys.readouterr()
    assert complaint in printed.err
    assert printed.out == ""
    assert printed.err.count("\n") == 1


def test_a_whole_id_wins_over_longer_ones(tmp_path: Path) -> None:
    from samples import make_clip_row

    with Store.create(tmp_path / "b") as store:
        store.put_clips([make_clip_row("anna"), make_clip_row("anna_2")])
        assert find_clip(store, "anna") == "anna"
        assert find_clip(store, "anna_") == "anna_2"


def test_a_clip_is_found_by_its_file_and_one_set_aside_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People have paths, not ids, at hand; a clip that was set aside was said never to have been there."""
    from samples import make_clip_row

    with Store.create(tmp_path / "b") as store:
        rows = [replace(make_clip_row(name), path=str(tmp_path / f"{name}.mp4")) for name in ("anna", "ben")]
        store.put_clips(rows)
        monkeypatch.chdir(tmp_path)
        assert find_clip(store, "anna.mp4") == "anna"
        assert find_clip(store, str(tmp_path / "ben.mp4")) == "ben"
        store.set_aside(["ben"], "no longer among the inputs")
        for wanted in ("ben", "ben.mp4"):
            with pytest.raises(InputError, match="was set aside, no longer among the inputs; build with it among"):
                find_clip(store, wanted)
