"""Trained classifiers as cues of words, voice and face: tiny models of fixed and of random weights, and no models."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.labels import MERR9
from emotion_llama.media.writing import write_clip
from emotion_llama.models.clips import ClipInputs
from emotion_llama.predictors import load_predictor
from emotion_llama.predictors.base import Sample
from emotion_llama.predictors.learned_cues import KNOWN_MODELS, MAX_FACES, MAX_WEIGHT, LearnedCue
from emotion_llama.records import Transcript, TranscriptLine
from emotion_llama.results import Evidence, Missing
from emotion_llama.rules.rule_tables import DECIDING_CAPS, SOURCE_CAPS
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
    cues, why = LearnedCue("words", folder, MERR9).cues(Sample(Evidence(transcript=words)))
    assert (len(cues), why) == (1, None) or (cues == () and "none of the labels" in (why or ""))
    assert all(abs(weight) < 0.3 for cue in cues for weight in cue.weights.values())
    assert "its languages are not stated" in "".join(cue.origin for cue in cues) or not cues


def test_several_labels_at_once_are_scaled(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "many", (9.0, 9.0, -9.0, -9.0), problem_type="multi_label_classification")
    (cue,) = predicted(folder, said("the office")).cues
    assert cue.text.startswith("many says anger 0.50, joy 0.50")


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
    with pytest.raises(InputError, match="gesture"):
        load_predictor("rules", cues={"gesture": str(tmp_path)})
    (tmp_path / "net.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match="no ONNX network"):
        load_predictor("rules", cues={"face": str(tmp_path / "net.onnx")})
    with pytest.raises(InputError, match="7 or 8 classes"):
        load_predictor("rules", cues={"face": str(onnx_file(tmp_path / "five.onnx", classes=5))})
    with pytest.raises(InputError, match="id2label"):
        load_predictor("rules", cues={"words": str(tiny(tmp_path / "plain", labels=("LABEL_0", "LABEL_1")))})
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text(json.dumps({"id2label": {"0": "joy", "2": "anger"}}))
    with pytest.raises(InputError, match="id2label"):
        load_predictor("rules", cues={"words": str(tmp_path / "bare")})


def test_a_folder_without_its_last_layer_is_no_classifier(tmp_path: Path) -> None:
    """As published folders whose last layers are named in their own way: transformers would make them up."""
    from safetensors.torch import load_file, save_file

    weights = tiny(tmp_path / "model") / "model.safetensors"
    state = {name.replace("classifier.", "head."): value for name, value in load_file(weights).items()}
    save_file(state, weights, metadata={"format": "pt"})
    with pytest.raises(BackendError, match=r"classifier\.weight"):
        predicted(tmp_path / "model", said("the office"))


def test_a_snapshot_of_the_hub_has_the_name_of_its_model(tmp_path: Path) -> None:
    name = "emotion-english-distilroberta-base"
    snapshots = tmp_path / f"models--j-hartmann--{name}" / "snapshots"
    snapshots.mkdir(parents=True)
    cue = LearnedCue("words", tiny(snapshots / "0e1cd914e3d46199ed785853e12b57304e04178b"), MERR9)
    assert (cue.name, cue.known is not None) == (name, True)


def test_without_torch_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"pip install .*model"):
        load_predictor("rules", cues={"words": str(folder)})


# --- faces and voices ---------------------------------------------------------------------------------------------


def _field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer: a number, or bytes with their length before them."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def onnx_file(path: Path, classes: int = 8, side: int = 24, red: int = 4, blue: int = 6) -> Path:
    """A network that takes a red picture for class `red` and a blue one for class `blue`, by the channels' means."""
    weight = np.zeros((3, classes), np.float32)
    if classes > 6:
        weight[0, red], weight[2, blue] = 3.0, 3.0

    def tensor(name: str, values: np.ndarray) -> bytes:
        dims = b"".join(_field(1, n) for n in values.shape)
        return dims + _field(2, 1) + _field(8, name) + _field(9, values.tobytes())

    def shaped(name: str, *shape: int) -> bytes:
        dims = b"".join(_field(1, _field(1, n)) for n in shape)
        return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))

    def node(kind: str, out: str, *given: str) -> bytes:
        return b"".join(_field(1, one) for one in given) + _field(2, out) + _field(4, kind)

    graph = _field(1, node("GlobalAveragePool", "pooled", "input")) + _field(1, node("Flatten", "flat", "pooled"))
    graph += _field(1, node("MatMul", "output", "flat", "weight")) + _field(2, "tiny")
    graph += _field(5, tensor("weight", weight)) + _field(11, shaped("input", 1, 3, side, side))
    graph += _field(12, shaped("output", 1, classes))
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(2, 13)))
    return path


def crops(colour: tuple[int, int, int], count: int = 40) -> ClipInputs:
    return ClipInputs(faces=np.full((count, 12, 12, 3), colour, np.uint8))


def only(kind: str, place: Path, sample: Sample):
    return LearnedCue(kind, place, MERR9).cues(sample)


@pytest.mark.parametrize("classes", [7, 8, 9, 10])
def test_a_face_network_sees_the_crops_as_it_was_trained_to(tmp_path: Path, classes: int) -> None:
    """Red before blue, scaled and shifted as ImageNet; valence and arousal after the classes are no classes."""
    happy, sad = (4, 6) if classes in (8, 10) else (3, 5)
    network = onnx_file(tmp_path / "net.onnx", classes, red=happy, blue=sad)
    (red,), _ = only("face", network, Sample(inputs=crops((255, 0, 0))))
    (blue,), _ = only("face", network, Sample(inputs=crops((0, 0, 255))))
    assert (red.source, max(red.weights, key=red.weights.get)) == ("face", "happy")
    assert max(blue.weights, key=blue.weights.get) == "sad"
    assert "Disgust" in red.origin  # it means none of MERR's nine labels
    logit = 3 * (1 - 0.485) / 0.229  # of a red picture; the other channels' weights are nought there
    others = (7 if classes in (8, 10) else 6) + np.exp(3 * (0 - 0.406) / 0.225) - 1
    assert float(red.text.split("Happiness ")[1][:4]) == pytest.approx(
        np.exp(logit) / (np.exp(logit) + others), abs=0.01
    )


def test_crops_are_decoded_once_and_a_few_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    cue = LearnedCue("face", onnx_file(tmp_path / "net.onnx"), MERR9)
    session, about = cue._loaded

    class Counting:
        def run(self, names: object, given: dict) -> object:
            shown.append(1)
            return session.run(names, given)

    cue._loaded = Counting(), about
    cue.cues(Sample(inputs=crops((255, 0, 0), 100)))
    assert len(shown) == MAX_FACES


def test_what_its_authors_published_bounds_what_it_says(tmp_path: Path) -> None:
    """A network that is right in 61 % of eight classes and says happy with certainty is not certain here."""
    known = next(one for one in KNOWN_MODELS if one.name == "enet_b0_8_best_afew.onnx")
    (cue,), _ = only("face", onnx_file(tmp_path / known.name), Sample(inputs=crops((255, 0, 0))))
    wrong = (1 - known.accuracy) / 7
    even = (known.accuracy + 6 * wrong) / 7  # disgust is none of MERR's labels
    assert cue.weights["happy"] == pytest.approx(min(MAX_WEIGHT, np.log(known.accuracy / even)), abs=0.02)
    assert cue.weights["sad"] == pytest.approx(max(-MAX_WEIGHT, np.log(wrong / even)), abs=0.05)
    assert "61 % of 8 classes on AffectNet" in cue.origin
    assert cue.weights["neutral"] == -MAX_WEIGHT  # what speaks against neutral besides does not pass the bound


def voice_model(folder: Path, bias: tuple[float, ...], card: str = "en") -> Path:
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

    labels = ("neu", "hap", "ang", "sad")
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8),
        conv_stride=(10, 8), conv_kernel=(10, 8), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        classifier_proj_size=8, id2label=dict(enumerate(labels)), label2id={name: i for i, name in enumerate(labels)},
    )  # fmt: skip
    model = Wav2Vec2ForSequenceClassification(config)
    torch.nn.init.zeros_(model.classifier.weight)
    model.classifier.bias.data = torch.tensor(bias)
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=16_000).save_pretrained(folder)
    (folder / "README.md").write_text(f"---\nlanguage: {card}\n---\n")
    return folder


def test_a_voice_model_hears_the_sound_and_decides_nothing_alone(tmp_path: Path, make_voice) -> None:
    folder = voice_model(tmp_path / "voice", (0.0, 0.0, 9.0, 0.0))
    sound = ClipInputs(samples=np.zeros(40 * 16_000, np.float32))
    (found,) = load_predictor("rules", cues={"voice": str(folder)}).predict([
        Sample(Evidence(prosody=make_voice()), sound)
    ])  # fmt: skip
    (cue,) = [one for one in found.cues if "voice says" in one.text]
    assert cue.text.startswith("voice says ang 1.00")
    assert found.label is None
    assert abs(sum(one.weights.get("angry", 0.0) for one in found.cues)) <= DECIDING_CAPS["voice"]


@pytest.mark.parametrize(
    ("evidence", "inputs", "reason"),
    [
        (
            Evidence(missing=(Missing("prosody", "nobody spoke"),)),
            ClipInputs(samples=np.zeros(1, np.float32)),
            "nobody",
        ),
        (Evidence(), ClipInputs(missing=(Missing("sound", "the file has no sound"),)), "the file has no sound"),
        (Evidence(), None, "neither pictures nor sound"),
        (
            Evidence(transcript=said("你好", "zh")),
            ClipInputs(samples=np.zeros(9, np.float32)),
            "hears en and not Chinese",
        ),
    ],
)
def test_a_voice_model_is_left_out_with_the_reason(
    tmp_path: Path, evidence: Evidence, inputs: ClipInputs | None, reason: str
) -> None:
    cues, why = only("voice", voice_model(tmp_path / "voice", (0.0,) * 4), Sample(evidence, inputs))
    assert cues == ()
    assert reason in why


def test_an_image_classifier_of_transformers(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    names = ("anger", "happy", "sad")
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=24, patch_size=12,
        id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)},
    )  # fmt: skip
    model = ViTForImageClassification(config)
    torch.nn.init.zeros_(model.classifier.weight)
    model.classifier.bias.data = torch.tensor([0.0, 0.0, 9.0])
    model.save_pretrained(tmp_path / "vit")
    ViTImageProcessor(size={"height": 24, "width": 24}).save_pretrained(tmp_path / "vit")
    (cue,), _ = only("face", tmp_path / "vit", Sample(inputs=crops((9, 9, 9))))
    assert max(cue.weights, key=cue.weights.get) == "sad"


def test_a_clip_with_face_voice_and_words_models(tmp_path: Path) -> None:
    """From the file: crops without the mask, the sound, the subtitle; each says its own in the prediction."""
    from emotion_llama import Analyzer

    places = {
        "face": str(onnx_file(tmp_path / "net.onnx")),
        "voice": str(voice_model(tmp_path / "voice", (0.0, 9.0, 0.0, 0.0))),
        "words": str(tiny(tmp_path / "words", (0.0, 9.0, 0.0, 0.0), card="en")),
    }
    clip = Path(__file__).parents[2] / "examples" / "clips" / "astronaut.mp4"
    with Analyzer.load("rules", predictor_options={"cues": places}) as analyzer:
        prediction = analyzer.analyze(clip).people[0].segments[0].prediction
    said = {cue.source for cue in prediction.cues if " says " in cue.text}
    assert said == {"face", "voice", "words"}
    assert prediction.label == "happy"
    with Analyzer.load("rules", predictor_options={"cues": {"face": places["face"]}}) as analyzer:
        silent = analyzer.analyze(write_clip(tmp_path / "grey.mp4", np.full((10, 64, 64, 3), 128, np.uint8), fps=10))
    assert "no face was found" in silent.people[0].segments[0].prediction.problem
