"""Our model as a predictor, at toy size with random weights: what it is given, what it answers, where it does not."""

import builtins
import json
import math
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from emotion_llama import predictors
from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.labels import DFEW7, MER6, MERR9
from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
from emotion_llama.models.clips import ClipInputs
from emotion_llama.predictors import Predictor, Sample, Task, load_predictor, shipped_folder
from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor
from emotion_llama.predictors.evidence import EvidencePredictor
from emotion_llama.predictors.model_prompts import label_instruction, readable, shortened
from emotion_llama.prompts.tokenise import load_tokenizer
from emotion_llama.records import Clip, Transcript, TranscriptLine, VideoInfo
from emotion_llama.results import Evidence, Missing, Prediction

torch.set_num_threads(1)
GOLDEN = Path(__file__).parents[1] / "golden"
CLIP = Clip(Path("clip.mp4"), "0" * 64, 1.0, VideoInfo(8, 8, 25.0, False, 0, "h264", "yuv420p"), None)
FRAME = np.random.default_rng(1).integers(0, 255, (20, 30, 3), np.uint8)
FACES = np.random.default_rng(2).integers(0, 255, (3, 112, 112, 3), np.uint8)
SOUND = np.random.default_rng(3).normal(0, 0.1, 16_000).astype(np.float32)
EVERYTHING = ClipInputs(FRAME, FACES, SOUND, clip=CLIP)
WORDS = Evidence(transcript=Transcript((TranscriptLine("Oh no."),), "given"))


def make_folder(folder: Path, **changes: object) -> Path:
    torch.manual_seed(5)
    config = EmotionLlamaConfig.preset("toy", **changes)
    model = EmotionLlamaForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:  # as initialised, nothing that goes in would move the output
                parameter.mul_(8 if name.startswith("language_model") else 4)
    model.save_pretrained(folder)
    EmotionLlamaProcessor.of_config(config, load_tokenizer(GOLDEN / "llama")).save_pretrained(folder)
    return folder


def predict(predictor: Predictor, evidence: Evidence, inputs: ClipInputs | None = None) -> Prediction:
    return predictor.predict([Sample(evidence, inputs)])[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("models") / "toy-7")


@pytest.fixture(scope="module")
def predictor(folder: Path) -> EmotionLlamaPredictor:
    return EmotionLlamaPredictor.load(folder, max_new_tokens=6, device="cpu")


def test_a_folder_is_a_predictor(folder: Path) -> None:
    found = load_predictor(str(folder), max_new_tokens=2, device="cpu")
    assert isinstance(found, EmotionLlamaPredictor)
    assert isinstance(found, Predictor)
    assert isinstance(EvidencePredictor(), Predictor)
    assert (found.name, found.frame_policy, EvidencePredictor().frame_policy) == ("toy-7", "first", None)
    with pytest.raises(
        InputError, match=r"no predictor '/no/such' \(there are: rules, nano\); a model is named by its f"
    ):
        load_predictor("/no/such")
    with pytest.raises(InputError, match="takes no option 'folder'"):
        load_predictor(str(folder), folder="x")
    with pytest.raises(InputError, match="takes no option 'tabel' \\(it takes: device, dtype, label_space"):
        load_predictor(str(folder), tabel="x")


def test_probabilities_are_those_of_full_passes(predictor: EmotionLlamaPredictor) -> None:
    """One pass per label over prompt, label and end token gives the same as the shared cache."""
    prediction = predict(predictor, WORDS, EVERYTHING)
    assert prediction.probabilities is not None
    assert tuple(prediction.probabilities) == MERR9.labels
    clip, sums = predictor.extractor.extract(EVERYTHING), []
    for label in MERR9.labels:
        batch = predictor.processor(clip, task="emotion", words="Oh no.", answers=label)
        with torch.no_grad():
            loss = predictor.model(**batch).loss
        sums.append(-float(loss) * int((batch["labels"] != -100).sum()))
    weights = [math.exp(value - max(sums)) for value in sums]
    for label, weight in zip(MERR9.labels, weights):
        assert prediction.probabilities[label] == pytest.approx(weight / sum(weights), rel=1e-3, abs=1e-6)
    assert prediction.label == max(zip(weights, MERR9.labels))[1]
    assert (prediction.model, prediction.problem) == ("toy-7", None)


def test_reasons_are_what_the_model_generates(predictor: EmotionLlamaPredictor) -> None:
    prediction = predict(predictor, WORDS, EVERYTHING)
    clip = predictor.extractor.extract(EVERYTHING)
    batch = predictor.processor(clip, task="reason", words="Oh no.")
    text = predictor.processor.decode_answers(predictor.model.generate(**batch, max_new_tokens=6, do_sample=False))[0]
    assert prediction.raw_text == text
    assert prediction.reasoning.lower().startswith(text.lower())
    assert predict(predictor, WORDS, EVERYTHING) == prediction  # nothing is drawn


def test_the_frame_is_encoded_once_for_both_questions(
    predictor: EmotionLlamaPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    monkeypatch.setattr(predictor.model.vision_tower, "forward", _counted(predictor.model.vision_tower.forward, passes))
    predict(predictor, WORDS, EVERYTHING)
    assert passes == [(1, 3, 56, 56)]


def _counted(forward: Callable[..., object], passes: list[tuple[int, ...]]) -> Callable[..., object]:
    def counting(pixel_values: torch.Tensor, *rest: object, **options: object) -> object:
        passes.append(tuple(pixel_values.shape))
        return forward(pixel_values, *rest, **options)

    return counting


def test_every_modality_counts(predictor: EmotionLlamaPredictor) -> None:
    seen = [
        EVERYTHING,
        ClipInputs(None, FACES, SOUND, (Missing("frame", "no video"),)),
        ClipInputs(FRAME, None, SOUND, (Missing("faces", "nobody"),)),
        ClipInputs(FRAME, FACES, None, (Missing("sound", "silent file"),)),
    ]
    answers = [predict(predictor, WORDS, inputs) for inputs in seen] + [predict(predictor, Evidence(), EVERYTHING)]
    assert len({answer.probability for answer in answers}) == 5
    assert "Predicted without" not in answers[0].reasoning
    assert "Predicted without global_image (no video)." in answers[1].reasoning
    assert "Predicted without face (nobody), temporal (nobody)." in answers[2].reasoning
    assert "Predicted without audio (silent file)." in answers[3].reasoning


def test_words_alone_are_read_and_nothing_at_all_is_a_problem(predictor: EmotionLlamaPredictor) -> None:
    reasons = (Missing("faces", "nobody"), Missing("frame", "no video"), Missing("sound", "no sound"))
    nothing = ClipInputs(None, None, None, reasons)
    assert predict(predictor, WORDS, nothing).label in MERR9.labels
    answer = predict(predictor, Evidence(), nothing)
    assert (answer.label, answer.probabilities) == (None, None)
    assert answer.problem == (
        "there is nothing to see, hear or read: no faces (nobody); no frame (no video); no sound (no sound)"
    )


def test_measurements_alone_are_refused(predictor: EmotionLlamaPredictor) -> None:
    with pytest.raises(InputError, match="predictor 'toy-7' needs the clip's frames and sound, got measurements alone"):
        predict(predictor, WORDS)


def test_sound_too_long_for_the_recipe_is_a_problem(predictor: EmotionLlamaPredictor) -> None:
    long = np.zeros(16_000 * 181, np.float32)
    answer = predict(predictor, WORDS, ClipInputs(FRAME, None, long, (Missing("faces", "nobody"),)))
    assert answer.label is None
    assert answer.problem is not None
    assert "takes up to 180 s, got 181 s" in answer.problem


def test_a_room_without_anybody_is_declined(predictor: EmotionLlamaPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model used to give an empty room with a humming fridge a feeling."""
    monkeypatch.setattr(predictor.extractor, "extract", lambda inputs: pytest.fail("encoded"))
    room = ClipInputs(FRAME, None, SOUND, (Missing("faces", "nobody"),))
    answer = predict(predictor, Evidence(missing=(Missing("peak_frame", "nobody"),)), room)
    assert (answer.label, answer.probabilities) == (None, None)
    assert answer.problem == "nothing was measured to tell a feeling from: no face, no voice, no words"


def test_nano_is_the_folder_in_the_package(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(predictors._SHIPPED, "nano", folder)
    nano = load_predictor("nano", device="cpu", max_new_tokens=2)
    assert isinstance(nano, EmotionLlamaPredictor)
    assert shipped_folder("nano") == folder
    monkeypatch.setitem(predictors._SHIPPED, "nano", tmp_path)
    with pytest.raises(InputError, match=r"model 'nano' is not in this copy of the package: .* holds no model; name"):
        load_predictor("nano")
    with pytest.raises(InputError, match=r"no model 'rules' comes with the package \(there are: nano\)"):
        shipped_folder("rules")


def test_temperature_flattens_and_label_space_restricts(folder: Path, predictor: EmotionLlamaPredictor) -> None:
    sharp = predict(predictor, WORDS, EVERYTHING)
    flat = predict(
        EmotionLlamaPredictor.load(folder, temperature=1e6, reason_task=None, device="cpu"), WORDS, EVERYTHING
    )
    assert sharp.probabilities is not None
    assert flat.probabilities is not None
    assert flat.label == sharp.label
    assert max(flat.probabilities.values()) == pytest.approx(1 / 9, rel=1e-3)
    assert max(sharp.probabilities.values()) > 0.12
    assert (flat.raw_text, flat.reasoning) == ("", "")
    six = predict(
        EmotionLlamaPredictor.load(folder, label_space=MER6, reason_task=None, device="cpu"), WORDS, EVERYTHING
    )
    assert six.probabilities is not None
    kept = sum(sharp.probabilities[label] for label in MER6.labels)
    for label in MER6.labels:  # the same prompt: the nine's probabilities, given that it is one of the six
        assert six.probabilities[label] == pytest.approx(sharp.probabilities[label] / kept, rel=1e-4)


def test_instructions_of_label_spaces() -> None:
    assert label_instruction(MER6) == label_instruction(MERR9)
    assert label_instruction(DFEW7).endswith("represents: happy, sad, neutral, angry, surprise, disgust, fear.")


def test_layout_evidence_tells_the_cues(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = EmotionLlamaPredictor.load(folder, layout="evidence", reason_task=None, device="cpu")
    told = []
    batch_of = type(predictor.processor).__call__

    def listen(self: object, clip: object, **options: object) -> object:
        told.append(options["cues"])
        return batch_of(self, clip, **options)

    monkeypatch.setattr(type(predictor.processor), "__call__", listen)
    predict(predictor, Evidence(missing=(Missing("peak_frame", "nobody"),)), EVERYTHING)
    missing = "Face: not measured (nobody). Voice: not measured (not given). Words: not measured (not given)."
    assert told == [[f"Measured cues. {missing}"]]


def test_long_talk_keeps_beginning_and_end() -> None:
    talk = " ".join(f"w{i}" for i in range(1000))
    assert shortened(talk).split() == [f"w{i}" for i in range(200)] + ["..."] + [f"w{i}" for i in range(800, 1000)]


def test_weights_that_cannot_reason_are_not_asked(folder: Path, tmp_path: Path) -> None:
    copytree(folder, tmp_path, dirs_exist_ok=True)
    record = {"format": "emotion-llama-conversion-1", "weights": "checkpoint_best.pth", "abilities": ["classify"]}
    (tmp_path / "conversion.json").write_text(json.dumps(record))
    answer = predict(EmotionLlamaPredictor.load(tmp_path, device="cpu"), WORDS, EVERYTHING)
    assert answer.label in MERR9.labels
    assert answer.raw_text == ""
    assert answer.reasoning.startswith("No reasons: checkpoint_best.pth was tuned for classification only, so an")


def test_half_precision_gives_nearly_the_same(folder: Path, predictor: EmotionLlamaPredictor) -> None:
    half = predict(
        EmotionLlamaPredictor.load(folder, dtype="bfloat16", reason_task=None, device="cpu"), WORDS, EVERYTHING
    )
    whole = predict(predictor, WORDS, EVERYTHING)
    assert half.probabilities is not None
    assert whole.probabilities is not None
    for label in MERR9.labels:
        assert half.probabilities[label] == pytest.approx(whole.probabilities[label], abs=0.1)


def test_wrong_folders_and_options(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=r"holds no model: config.json is missing; `emotion-llama convert`"):
        EmotionLlamaPredictor.load(tmp_path)
    with pytest.raises(InputError, match="temperature is 0, expected a number above 0"):
        EmotionLlamaPredictor.load(folder, temperature=0)
    with pytest.raises(InputError, match="no prompt layout 'x'"):
        EmotionLlamaPredictor.load(folder, layout="x")
    with pytest.raises(InputError, match="no task 'x'"):
        EmotionLlamaPredictor.load(folder, reason_task="x")


def test_without_torch_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def refuse(name: str, *rest: object, **options: object) -> object:
        if name == "torch":
            raise ImportError(name)
        return imported(name, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependency, match=r"pip install 'emotion-llama\[model\]'"):
        EmotionLlamaPredictor.load(folder)


def test_gpu_is_taken_where_there_is_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = SimpleNamespace(device=None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    original = EmotionLlamaForConditionalGeneration.to

    def to(self: object, device: str) -> object:
        asked.device = device
        return original(self, "cpu")

    monkeypatch.setattr(EmotionLlamaForConditionalGeneration, "to", to)
    EmotionLlamaPredictor.load(folder)
    assert asked.device == "cuda"


def test_weights_that_are_no_numbers_are_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EmotionLlamaPredictor.load(folder, reason_task=None, device="cpu")
    torch.nn.init.constant_(broken.model.multi_modal_projector.patches.bias, float("nan"))
    with pytest.raises(
        BackendError, match=r"toy-7: the model's label scores are not finite numbers; .* torch\.float32"
    ):
        predict(broken, WORDS, EVERYTHING)


def test_a_device_that_is_not_here_is_refused(folder: Path) -> None:
    """torch without CUDA ended in an AssertionError."""
    with pytest.raises(InputError, match="device 'cuda:9' is not here"):
        EmotionLlamaPredictor.load(folder, device="cuda:9")


def test_settings_change_with_what_answers_depend_on(
    folder: Path, predictor: EmotionLlamaPredictor, tmp_path: Path
) -> None:
    """A resumed run used to take results of another layout, label space or model of the same name for its own."""
    from emotion_llama.labels import MER6
    from emotion_llama.models.folders import folder_fingerprint

    assert predictor.settings["layout"] == "train"
    assert predictor.settings["label_space"] == "merr9"
    other = EmotionLlamaPredictor.load(folder, label_space=MER6, layout="released", max_new_tokens=6, device="cpu")
    changed = {name for name, value in other.settings.items() if value != predictor.settings[name]}
    assert changed == {"label_space", "layout"}
    (tmp_path / "config.json").write_text("{}")
    before = folder_fingerprint(tmp_path)
    assert folder_fingerprint(tmp_path) == before
    (tmp_path / "config.json").write_text("[]")
    assert folder_fingerprint(tmp_path) != before
    assert EvidencePredictor("mer-factory").settings != EvidencePredictor().settings


# --- other tasks ----------------------------------------------------------------------------------------------------


def test_a_task_with_labels_and_text_takes_both_from_one_prompt(predictor: EmotionLlamaPredictor) -> None:
    sample = predictor.encode(Sample(WORDS, EVERYTHING))
    assert isinstance(sample, Sample)
    labels = ("happy", "sad", "angry")
    (both,) = predictor.predict([sample], Task("emotion", labels, max_new_tokens=4))
    (scored,) = predictor.predict([sample], Task("emotion", labels, max_new_tokens=0))
    (text,) = predictor.predict([sample], Task("emotion", max_new_tokens=4))
    assert both.probabilities == pytest.approx(dict(scored.probabilities or {}), rel=1e-4)
    assert (both.raw_text, scored.raw_text) == (text.raw_text, "")
    assert (text.label, text.probabilities, text.problem) == (None, None, None)
    assert text.tokens_out is not None
    assert text.is_cut_off == (text.tokens_out == 4 and both.is_cut_off)


def test_memory_that_does_not_suffice_is_tried_in_halves(
    predictor: EmotionLlamaPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clip that never fits costs one answer."""
    generate, asked = predictor.model.generate, []

    def refuse(**batch: object) -> object:
        rows = len(batch["input_ids"])  # type: ignore[arg-type]
        asked.append(rows)
        if rows > 1 or len(asked) == 3:
            raise torch.OutOfMemoryError("no memory")
        return generate(**batch)

    monkeypatch.setattr(predictor.model, "generate", refuse)
    found = predictor.predict([Sample(WORDS, EVERYTHING)] * 2, Task("reason", max_new_tokens=2))
    assert asked == [2, 1, 1]
    assert [one.problem for one in found] == [None, "the model has no memory left for this clip"]


def test_lines_that_a_model_cannot_read_are_left_out() -> None:
    lines = (TranscriptLine("This is what I wanted to say."), TranscriptLine("我很生气。"))
    mixed = Sample(Evidence(transcript=Transcript(lines, "a.srt")))
    assert readable(mixed, None) == (mixed, ())
    kept, (why,) = readable(mixed, ["en"])
    assert kept.text == lines[0].text
    assert why == Missing("words", "not read: 1 of 2 lines are Chinese, and this model reads English alone")
    assert readable(kept, ["en"]) == (kept, ())
    # A sample of another process has its words as one text.
    alone, missing = readable(Sample(Evidence(), transcript="我很生气。"), ["en"])
    assert (alone.text, len(missing)) == (None, 1)


def test_words_alone_that_cannot_be_read_are_a_problem(tmp_path: Path) -> None:
    one = EmotionLlamaPredictor.load(make_folder(tmp_path / "toy", languages=["en"]), max_new_tokens=6, device="cpu")
    chinese = Evidence(transcript=Transcript((TranscriptLine("我很生气。"),), "given"))
    answer = predict(one, chinese, ClipInputs(None, None, None, (Missing("sound", "no sound"),)))
    assert answer.label is None
    assert "no words (not read: 1 of 1 lines are Chinese" in (answer.problem or "")
