"""Texts of planned clips: the same for the same seed, and nothing in the answers that the prompt does not tell."""

from pathlib import Path

import numpy as np

from emotion_llama.labels import MERR9
from emotion_llama.records import AU_DESCRIPTIONS
from emotion_llama.results import Evidence
from emotion_llama.rules.clues import find_problems
from emotion_llama.rules.phrases import phrase_index
from emotion_llama.train.examples import read_examples
from merr_synth.nano.descriptions import NOTHING, describe
from merr_synth.nano.language.corpus import rows, write_corpus
from merr_synth.nano.language.measured_like import Measuring
from merr_synth.nano.language.recipe import CorpusPart
from merr_synth.nano.language.said import own_slots, telling_patterns, vary
from merr_synth.render.sentences import draw_sentence, grammar

PART = CorpusPart(num_train=120, num_validation=30, missing_share=0.3)


def test_the_same_seed_gives_the_same_files(measuring: Measuring, tmp_path: Path) -> None:
    assert write_corpus(PART, measuring, tmp_path / "a") == {"train": 120, "validation": 30}
    write_corpus(PART, measuring, tmp_path / "b")
    for name in ("train-fine.jsonl", "validation-coarse.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    other = list(rows(PART.model_copy(update={"seed": 1}), measuring, "validation", 30))
    assert [row["cues"] for _, row in other] != [row["cues"] for _, row in rows(PART, measuring, "validation", 30)]
    examples = read_examples([tmp_path / "a" / "train-fine.jsonl"], {"emotion", "reason"}, MERR9)
    assert len(examples) == 120


def test_every_cue_of_the_reasons_is_told_in_the_prompt(measuring: Measuring) -> None:
    index = phrase_index("en")
    named = 0
    for _, row in rows(PART, measuring, "train", 120):
        text, cues = row["description"], row.get("cues", "")
        for phrase, (units, least) in index.items():
            if f" {phrase}" in text.split("“")[0]:
                told = [unit for unit in units if AU_DESCRIPTIONS[unit] in cues]
                assert told or not units, f"{phrase!r} is not in {cues!r}"
                named += 1
                assert least >= 0.8
        assert not [p for p in find_problems(text, [text], row.get("subtitle", ""), "en") if p.kind == "quote"]
        if "label" in row:
            assert row["label"] in text.rsplit(".", 2)[-2]  # in the last sentence
    assert named > 50


def test_nothing_measured_is_nothing_told() -> None:
    assert describe(Evidence(), "sad") == (NOTHING, NOTHING)
    assert not any(label in NOTHING.lower().split() for label in MERR9.labels)


def test_other_splits_say_what_their_grammar_says(measuring: Measuring) -> None:
    for _, row in rows(PART, measuring, "validation", 30):
        assert row["group"].startswith("validation-person")
        assert row["name"].startswith("text-validation-")


def test_other_words_keep_their_label_and_never_come_from_other_splits() -> None:
    rng = np.random.default_rng(0)
    said = {vary("I miss my mother.", "sad", rng) for _ in range(300)}
    assert len(said) > 60
    assert "I miss my mother." in said
    assert vary("Here we are.", None, rng) == "Here we are."
    test_only = {draw_sentence("sad", "test", seed).text for seed in range(300)}
    assert not said & test_only
    for label, slots in own_slots().items():
        users = [
            key for key, texts in grammar().templates.items() if any("{" + s + "}" in t for t in texts for s in slots)
        ]
        assert {name for name, split in users if split == "train"} <= {label}


def test_the_lexicon_speaks_for_every_label_but_by_clear_patterns_alone() -> None:
    found = telling_patterns()
    assert set(found) == set(MERR9.labels)
    assert "furious" in found["angry"]
    assert all("*" not in text and "^" not in text for texts in found.values() for text in texts)
