"""Reviews in the ledger: recorded, never changed, the newest of a reviewer counts."""

import sqlite3
import threading
from pathlib import Path

import pytest
from samples import MODEL, RULES, make_clip_row, make_field, make_fields

from emotion_llama.errors import InputError
from emotion_llama.merr.records import FIELDS, Field, Json, StageRun
from emotion_llama.merr.review.decisions import (
    Outdated,
    Review,
    history,
    newest_reviews,
    put_review,
    reviewers,
    seen_of,
    state_of,
)
from emotion_llama.merr.stage import StageOutput
from emotion_llama.merr.store import Store


def put_sample(store: Store, clip_id: str, label: str = "happy", *changed: Field) -> None:
    store.put_clips([make_clip_row(clip_id)])
    made = make_fields(label) | {(f.name, f.language): f for f in changed}
    for stage in dict.fromkeys(FIELDS[name] for name, _ in made):
        fields = tuple(f for f in made.values() if FIELDS[f.name] == stage)
        store.record(StageRun(clip_id, stage, "done", "f" * 64, "0" * 64), StageOutput(fields))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "build")
    put_sample(store, "a")
    put_sample(store, "b", "sad")
    return store


def test_a_review_comes_back_as_it_was_recorded(store: Store) -> None:
    fixes: dict[str, Json] = {"label": "surprise", "fine_caption_en": " Brows up: this is surprise. "}
    put = put_review(store, Review("a", "  Anna   B ", "fix", 4, "brows, not the mouth", fixes))
    assert history(store, "a") == [put]
    assert (put.reviewer, put.decision, put.stars, put.comment) == ("Anna B", "fix", 4, "brows, not the mouth")
    assert dict(put.fixes) == {"label": "surprise", "fine_caption_en": "Brows up: this is surprise."}
    assert put.seen == seen_of(store.sample("a"))
    assert put.reviewed_at.endswith("+00:00")
    assert put.number == 1


def test_what_annotators_wrote_is_not_touched(store: Store) -> None:
    before = store.sample("a")
    put_review(store, Review("a", "anna", "fix", fixes={"label": "surprise"}))
    assert store.sample("a") == before


def test_the_newest_review_of_each_reviewer_counts_and_the_history_stays(store: Store) -> None:
    put_review(store, Review("a", "anna", "reject"))
    put_review(store, Review("a", "ben", "accept"))
    put_review(store, Review("b", "anna", "accept"))
    put_review(store, Review("a", "anna", "accept", 5))
    newest = newest_reviews(store)
    assert {clip: [(r.reviewer, r.decision, r.stars) for r in found] for clip, found in newest.items()} == {
        "a": [("ben", "accept", None), ("anna", "accept", 5)],
        "b": [("anna", "accept", None)],
    }
    assert [(r.reviewer, r.decision) for r in history(store, "a")] == [
        ("anna", "reject"), ("ben", "accept"), ("anna", "accept"),
    ]  # fmt: skip
    assert list(newest_reviews(store, ["b", "never heard of"])) == ["b"]
    assert reviewers(store) == ["anna", "ben"]


def test_a_withdrawn_review_is_none(store: Store) -> None:
    put_review(store, Review("a", "anna", "reject"))
    put_review(store, Review("a", "anna", "withdraw"))
    assert newest_reviews(store) == {}
    assert [r.decision for r in history(store, "a")] == ["reject", "withdraw"]


def test_a_fix_that_changes_nothing_is_none(store: Store) -> None:
    same: dict[str, Json] = {
        "label": "happy", "fine_caption_en": str(store.sample("a").value("fine_caption", "en")),
        "subtitle": "I did not think of that.", "visual_expression_en": ["corners of the mouth clearly pulled up", " "],
        "clues_en": {"supporting": ["corners of the mouth clearly pulled up"], "misleading": ["a moderate voice"]},
    }  # fmt: skip
    with pytest.raises(InputError, match="'fix' came without a changed field"):
        put_review(store, Review("a", "anna", "fix", fixes=same))
    kept = put_review(store, Review("a", "anna", "fix", fixes={**same, "audio_tone_en": "a bright voice"}))
    assert dict(kept.fixes) == {"audio_tone_en": "a bright voice"}


def test_an_emptied_text_is_taken_away(store: Store) -> None:
    fixes: dict[str, Json] = {"subtitle": "  ", "visual_expression_en": [""], "audio_tone_en": None}
    assert dict(put_review(store, Review("a", "anna", "fix", fixes=fixes)).fixes) == {
        "subtitle": None, "visual_expression_en": None, "audio_tone_en": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fixes", "message"),
    [
        ({"label": "bliss"}, "'bliss' is not a label of merr9"),
        ({"label": None}, "a label is one of neutral, .* got None"),
        ({"split": "test"}, r"a has no field 'split' that a reviewer can fix \(it has: audio_tone_en, clues_en"),
        ({"fine_caption_zh": "x"}, "a has no field 'fine_caption_zh'"),
        ({"subtitle": 3}, "subtitle is a text of at most 8000 characters, got 3"),
        ({"subtitle": "x" * 8001}, r"got 'xxx.*\.\.\."),
        ({"visual_expression_en": "smile"}, "visual_expression_en is a list of at most 60 texts, got 'smile'"),
        ({"visual_expression_en": [["smile"]]}, "visual_expression_en is a text of at most"),
        ({"clues_en": ["smile"]}, "clues_en is an object with 'supporting' and 'misleading'"),
    ],
)
def test_a_fix_that_is_none_is_refused(store: Store, fixes: dict[str, Json], message: str) -> None:
    with pytest.raises(InputError, match=message):
        put_review(store, Review("a", "anna", "fix", fixes=fixes))
    assert history(store, "a") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reviewer": " "}, "a reviewer's name is 1 to 60 printable characters, got ' '"),
        ({"reviewer": "a\x00b"}, "printable characters"),
        ({"reviewer": "x" * 61}, "1 to 60"),
        ({"decision": "maybe"}, "decision is one of accept, fix, reject, withdraw; got 'maybe'"),
        ({"stars": 6}, "stars are 1 to 5, or none; got 6"),
        ({"stars": 0}, "stars are 1 to 5"),
        ({"comment": "x" * 4001}, "a comment has at most 4000 characters, got 4001"),
        (
            {"decision": "reject", "fixes": {"label": "sad"}},
            "fixed fields go with .* not with 'reject'",
        ),
    ],
)
def test_a_draft_that_is_none_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Review(**{"clip_id": "a", "reviewer": "anna", "decision": "accept", **change})  # type: ignore[arg-type]


def test_an_unknown_clip_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="has no clip 'zzz'"):
        put_review(store, Review("zzz", "anna", "accept"))


def test_a_sample_that_changed_while_it_was_looked_at_is_refused(store: Store) -> None:
    shown = state_of(store.sample("a"))
    put_sample(store, "a", "happy", make_field("fine_caption", "Written anew. This is happy.", MODEL, "en"))
    with pytest.raises(Outdated, match=r"^a "):
        put_review(store, Review("a", "anna", "accept"), state=shown)
    assert put_review(store, Review("a", "anna", "accept"), state=state_of(store.sample("a"))).number == 1


def test_a_review_holds_until_something_that_it_saw_changes(store: Store) -> None:
    review = put_review(store, Review("a", "anna", "accept"))
    assert review.holds_for(store.sample("a"))
    # Another language, another split and other measurements are nothing that it saw.
    put_sample(store, "a", "happy", make_field("split", "test"), make_field("fine_caption", "他很高兴。", MODEL, "zh"),
               make_field("people", {"count": 2, "main_share": 0.5}, RULES))  # fmt: skip
    assert review.holds_for(store.sample("a"))
    put_sample(store, "a", "happy", make_field("subtitle", {"text": "Ah.", "source": "asr", "language": "en"}))
    assert not review.holds_for(store.sample("a"))
    put_sample(store, "a")
    store.put_clips([make_clip_row("a", sha256="9" * 64)])
    assert not review.holds_for(store.sample("a"))


def test_reviews_outlive_their_clip(store: Store) -> None:
    put_review(store, Review("a", "anna", "accept"))
    store.remove(["a"])
    put_sample(store, "a")
    assert [r.reviewer for r in newest_reviews(store)["a"]] == ["anna"]


def test_two_reviewers_write_at_once(store: Store) -> None:
    def write(name: str) -> None:
        with Store.open(store.folder) as own:
            for _ in range(20):
                put_review(own, Review("a", name, "accept"))

    threads = [threading.Thread(target=write, args=(name,)) for name in ("anna", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.number for r in history(store, "a")) == list(range(1, 41))


def test_the_store_refuses_stars_and_decisions_that_are_none(store: Store) -> None:
    # What writes past this program meets the table's own checks.
    row = "INSERT INTO reviews (clip_id, reviewer, decision, stars, comment, fixes, seen, reviewed_at) VALUES "
    connection = sqlite3.connect(store.folder / "merr.sqlite")
    for values in ("('a','x','accept',9,'','{}','{}','')", "('a','x','perhaps',1,'','{}','{}','')"):
        with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
            connection.execute(row + values)
    connection.close()


def test_reviews_are_records_that_cannot_be_changed(store: Store) -> None:
    review = put_review(store, Review("a", "anna", "fix", fixes={"label": "sad"}))
    assert isinstance(review, Review)
    with pytest.raises(TypeError, match="does not support item assignment"):
        review.fixes["label"] = "happy"  # type: ignore[index]
