"""A text classifier as a cue of the words: tiny models of fixed and of random weights, and folders that are none."""

import json
import sys
from pathlib import Path

import pytest

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.labels import MERR9
from emotion_llama.predictors import load_predictor
from emotion_llama.predictors.base import Sample
from emotion_llama.predictors.text_emotion import MAX_WEIGHT, TextEmotion
from emotion_llama.records import Transcript, TranscriptLine
from emotion_llama.results import Evidence
from emotion_llama.rules.rule_tables import SOURCE_CAPS
from emotion_llama.rules.verdict import WORDS

torch = pytest.importorskip("torch")
LABELS = ("anger", "joy", "sadness", "curiosity")
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "office", "closes", "at", "seven", ".")


def tiny(folder: Path, bias: tuple[float, ...] | None = None, card: str | None = None, **changes: object) -> Path:
    """A BERT of 16 dimensions; with a `bias` it says that of every text, else what its random weights make of it."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    labels = changes.pop("labels", LABELS)
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        id2label=dict(enumerate(labels)), label2id={name: i for i, name in enumerate(labels)}, **changes,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    if bias is not None:
        torch.nn.init.zeros_(model.classifier.weight)
        model.classifier.bias.data = torch.tensor(bias)
    model.save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    if card is not None:
        (folder / "README.md").write_text(f"---\nlanguage: {card}\n---\n# A model\n")
    return folder


def said(text: str, language: str | None = "en") -> Transcript:
    return Transcript((TranscriptLine(text, language=language),), "given")


def predicted(folder: Path, words: Transcript | None):
    (found,) = load_predictor("rules", cues={"words": str(folder)}).predict([Sample(Evidence(transcript=words))])
    return found


def test_what_it_says_is_one_bounded_cue_of_the_words(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "sure", (0.0, 9.0, 0.0, 0.0), card="en")
    found = predicted(folder, said("The office closes at seven."))
    (cue,) = found.cues
    assert cue.source == "words"
    assert cue.text.startswith("sure says joy 1.00, ")
    assert "not used: curiosity" in cue.origin
    assert cue.weights["happy"] == pytest.approx(0.5 * 1.0986, abs=0.01)  # half of log(0.9996 / (0.9999 / 3))
    assert cue.weights["angry"] == -MAX_WEIGHT
    assert max(map(abs, cue.weights.values())) <= MAX_WEIGHT < min(WORDS, SOURCE_CAPS["words"])
    shares = {label: share for label, share in found.probabilities.items() if label != "neutral"}
    assert max(shares, key=shares.__getitem__) == "happy"
    assert found.label is None  # a model of unknown worth does not decide by itself
    assert predicted(folder, said("I am happy.")).label == "happy"  # beside the lexicon it counts


def test_random_weights_move_next_to_nothing(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "random")
    words = said("The office closes at seven.")
    found = TextEmotion(folder, MERR9)
    shares = found.classify(words.text)
    assert sum(shares.values()) == pytest.approx(1.0)
    cues, why = found.cues(words)
    assert (len(cues), why) == (1, None) or (cues == () and "none of the labels" in (why or ""))
    assert all(abs(weight) < 0.3 for cue in cues for weight in cue.weights.values())
    assert "its languages are not stated" in "".join(cue.origin for cue in cues) or not cues


def test_several_labels_at_once_are_scaled(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "many", (9.0, 9.0, -9.0, -9.0), problem_type="multi_label_classification")
    shares = TextEmotion(folder, MERR9).classify("the office")
    assert shares["anger"] == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize(
    ("bias", "words", "reason"),
    [
        ((0.0, 9.0, 0.0, 0.0), said("我很生气", "zh"), "reads en and not Chinese"),
        ((0.0, 0.0, 0.0, 9.0), said("The office closes at seven."), "says curiosity 1.00"),
        ((0.0, 9.0, 0.0, 0.0), None, "not given"),
    ],
)
def test_left_out_with_the_reason(
    tmp_path: Path, bias: tuple[float, ...], words: Transcript | None, reason: str
) -> None:
    found = predicted(tiny(tmp_path / "model", bias, card="en"), words)
    assert not [cue for cue in found.cues if "model says" in cue.text]
    assert reason in (found.problem or found.reasoning)


def test_the_folder_and_its_labels_are_in_the_settings(tmp_path: Path) -> None:
    settings = load_predictor("rules", cues={"words": str(tiny(tmp_path / "model", card="[en, zh]"))}).settings
    about = settings["cues"]["words"]
    assert about["labels"] == {"anger": "angry", "joy": "happy", "sadness": "sad"}
    assert (about["unmapped"], about["languages"]) == (["curiosity"], ["en", "zh"])
    assert "cues" not in load_predictor("rules").settings


def test_folders_that_are_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_predictor("rules", cues={"words": str(tmp_path / "none")})
    with pytest.raises(InputError, match="face"):
        load_predictor("rules", cues={"face": str(tmp_path)})
    with pytest.raises(InputError, match="id2label"):
        load_predictor("rules", cues={"words": str(tiny(tmp_path / "plain", labels=("LABEL_0", "LABEL_1")))})
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text(json.dumps({"id2label": {"0": "joy", "2": "anger"}}))
    with pytest.raises(InputError, match="id2label"):
        load_predictor("rules", cues={"words": str(tmp_path / "bare")})


def test_without_torch_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"pip install .*model"):
        load_predictor("rules", cues={"words": str(folder)})
