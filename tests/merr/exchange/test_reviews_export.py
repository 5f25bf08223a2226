"""Exports and statistics honour what reviewers decided: what they reject stays out, what they fix is used."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.cli.main import main
from emotion_llama.errors import InputError
from emotion_llama.merr.io.export import export_build
from emotion_llama.merr.io.imports import import_files
from emotion_llama.merr.io.rows import Choice
from emotion_llama.merr.overview import look_over, overview_document
from emotion_llama.merr.records import Json
from emotion_llama.merr.review.decisions import Review, put_review
from emotion_llama.merr.store import Store
from emotion_llama.report.dataset_page import render_dataset_page
from emotion_llama.report.dataset_text import render_dataset_text

Make = Callable[..., Store]
FIXES: dict[str, Json] = {"label": "sad", "fine_caption_en": "Tears. The person is sad.", "subtitle": "Not a nice day"}


@pytest.fixture
def store(make_build: Make, spec: Any) -> Store:
    """Five samples: a accepted, b rejected, c fixed by anna, d in dispute, e not reviewed."""
    store = make_build(*(spec(name, split="train") for name in "abcde"))
    put_review(store, Review("a", "anna", "accept", 5))
    put_review(store, Review("b", "anna", "reject", 1, "nobody is in view"))
    put_review(store, Review("c", "anna", "fix", 3, fixes=FIXES))
    put_review(store, Review("d", "anna", "accept"))
    put_review(store, Review("d", "ben", "reject"))
    return store


def fine(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((folder / "MERR_fine_grained.json").read_text())
    return found


def test_decisions_are_honoured_and_counted(store: Store) -> None:
    tally = export_build(store, None, "merr")
    found = fine(tally.folder)
    assert list(found) == ["a", "c", "e"]
    assert (found["c"]["pseu_emotion"], found["c"]["smp_reason_caption"]) == ("sad", "Tears. The person is sad.")
    assert (found["c"]["text"], found["a"]["text"]) == ("Not a nice day", "What a nice day")
    assert "c 75 sad -10" in (tally.folder / "MERR_fine_grained.txt").read_text().splitlines()
    assert tally.left_out == {
        "rejected by reviewers": 1,
        "reviewers disagree: as many reject it as keep it": 1,
    }
    assert (
        "samples reviewed: 4 of 5; left out for it: 2; with fixed fields: 1 (fine_caption_en 1, label 1, subtitle 1)"
        in (tally.notes)
    )
    assert "samples on which reviewers disagree, left out: 1" in tally.text()
    manifest = json.loads((tally.folder / "export.json").read_text())
    assert manifest["reviews"] == {
        "reviewed": 4, "left_out": 2, "fixed_fields": {"fine_caption_en": 1, "label": 1, "subtitle": 1},
    }  # fmt: skip


def test_decisions_can_be_ignored(store: Store, tmp_path: Path) -> None:
    tally = export_build(store, tmp_path / "as-built", "merr", Choice(reviews="ignore"))
    assert {name: one["pseu_emotion"] for name, one in fine(tally.folder).items()} == dict.fromkeys("abcde", "happy")
    assert (tally.left_out, [n for n in tally.notes if "review" in n]) == ({}, [])
    assert json.loads((tally.folder / "export.json").read_text())["reviews"] == "ignored"
    with pytest.raises(InputError, match=r"reviews.*'perhaps'"):
        Choice(reviews="perhaps")  # type: ignore[arg-type]


def test_a_changed_label_leaves_the_old_labels_description_out(store: Store) -> None:
    put_review(store, Review("c", "anna", "fix", fixes={"label": "sad"}))
    tally = export_build(store, None, "merr")
    assert list(fine(tally.folder)) == ["a", "e"]
    assert tally.samples == {"coarse": 3, "fine": 2}


def test_a_rejected_test_sample_is_not_counted_in_an_export_of_the_training_split(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a", split="train"), spec("b", split="test"))
    put_review(store, Review("b", "anna", "reject"))
    assert export_build(store, None, "merr", Choice(splits=("train",))).left_out == {"not in the split train": 1}


def test_the_csv_says_who_fixed_what_and_brings_it_back(store: Store, tmp_path: Path) -> None:
    folder = export_build(store, None, "csv").folder
    with (folder / "samples.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["clip_id"]: row for row in csv.DictReader(file)}
    made = json.loads(rows["c"]["provenance"])
    assert (made["label"]["annotator"], made["label"]["model"]) == ("reviewer", "anna")
    assert made["coarse_caption_en"]["annotator"] == "rules"
    with Store.create(tmp_path / "back") as back:
        import_files([folder / "samples.csv"], back)
        sample = back.sample("c")
        assert sample.fields["fine_caption", "en"].provenance.model == "anna"
        assert sample.value("label")["label"] == "sad"  # type: ignore[index, call-overload]
        assert [clip.clip_id for clip in back.clips()] == ["a", "c", "e"]


def test_the_card_names_what_was_rejected_and_who_fixed(store: Store) -> None:
    folder = export_build(store, None, "parquet").folder
    card = (folder / "README.md").read_text()
    assert "| 1 | rejected by reviewers |" in card
    assert "| label | reviewer | anna | - | no | 1 |" in card


def test_a_build_of_which_everything_is_rejected_exports_nothing(make_build: Make, spec: Any) -> None:
    store = make_build(spec("a"))
    put_review(store, Review("a", "anna", "reject"))
    with pytest.raises(InputError, match=r"nothing is left to export from .*: 1 rejected by reviewers"):
        export_build(store, None, "merr")


def test_reviews_that_are_out_of_date_are_told_and_not_used(store: Store, spec: Any) -> None:
    from emotion_llama.merr.records import Field, Provenance, StageRun
    from emotion_llama.merr.stage import StageOutput, output_sha256

    anew = Field("fine_caption", "Written anew. Happy.", Provenance("openai", "other"), "en")
    output = StageOutput((anew,))
    store.record(StageRun("b", "fine_caption", "done", "other print", output_sha256(output)), output)
    tally = export_build(store, None, "merr")
    assert "b" in fine(tally.folder)
    assert "reviews of an earlier state of their sample, not used: 1" in tally.notes


def test_the_command_line_honours_or_ignores(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merr", "export", str(store.folder), "--to", str(tmp_path / "one")]) == 0
    assert "left out: 1: rejected by reviewers" in capsys.readouterr().out
    assert main(["merr", "export", str(store.folder), "--to", str(tmp_path / "two"), "--reviews", "ignore"]) == 0
    assert "reject" not in capsys.readouterr().out
    assert (len(fine(tmp_path / "one")), len(fine(tmp_path / "two"))) == (3, 5)


def test_stats_tell_of_reviewers_and_their_agreement(store: Store) -> None:
    put_review(store, Review("a", "ben", "accept"))
    overview = look_over(store)
    text = render_dataset_text(overview)
    lines = [line.split() for line in text.splitlines()]
    assert ["anna", "4", "2", "1", "1", "3"] in lines
    assert ["ben", "2", "1", "0", "1", "–"] in lines
    # Both reviewed a and d: accept-accept, accept-reject; anna never rejects, so kappa is 0; one label, so no kappa.
    assert ["anna,", "ben", "2", "50", "%", "0.000", "100", "%", "–"] in [
        x.replace("\u00a0", " ").split() for x in text.splitlines()
    ]
    assert "samples reviewed: 4 of 5" in text
    page = render_dataset_page(overview)
    assert "What reviewers decided" in page
    rows = [
        re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    ]
    anna, ben = (next(row for row in rows if row[:1] == [name] and len(row) == 7) for name in ("anna", "ben"))
    assert anna[1:] == ["4", "2", "1", "1", "3", "3"]  # five, one and three stars: three in the mean
    assert ben[1:6] == ["2", "1", "0", "1", "0"]
    document = overview_document(overview)
    assert document["reviews"]["pairs"][0]["decisions"] == {"compared": 2, "equal": 0.5, "kappa": 0.0}
    json.dumps(document)


def test_stats_of_a_build_without_reviews_say_nothing_of_them(make_build: Make, spec: Any) -> None:
    overview = look_over(make_build(spec("a")))
    assert (overview.reviews, overview_document(overview)["reviews"]) == (None, None)
    assert "Reviews" not in render_dataset_text(overview)
    assert "Nobody has reviewed a sample." in render_dataset_page(overview)
