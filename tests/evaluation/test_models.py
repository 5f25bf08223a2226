"""Systems: what each is asked, what it answers, and how a case without an answer shows."""

import base64
import io
import json
import re
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch

from emotion_llama.errors import BackendError, InputError
from emotion_llama.evaluation.models import load_model, model_kind, predictor
from emotion_llama.evaluation.models.pipeline import PipelineModel
from emotion_llama.evaluation.models.predictions import PredictionFile, write_predictions
from emotion_llama.evaluation.models.predictor import own_model
from emotion_llama.evaluation.records import EvalSample, Model, Output, Truth, is_passing
from emotion_llama.labels import MER6, MERR9
from emotion_llama.media.probe import probe
from emotion_llama.media.writing import write_clip
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.models.features.feature_store import FeatureStore
from emotion_llama.predictors import Sample
from emotion_llama.predictors.base import Task
from emotion_llama.predictors.chat import clip_pictures, clip_sound, middles
from emotion_llama.prompts.cues import cue_text
from merr_synth.render.face import ANNA, DrawnFace, Placement, render

torch.set_num_threads(1)
GOLDEN = Path(__file__).parents[1] / "golden"
LABELS = Task("emotion", labels=MER6.labels, max_new_tokens=6)


def case(name: str, media: Path | None = None, words: str | None = None) -> EvalSample:
    return EvalSample(name, Truth(label="happy"), media, words)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """talk.mp4 with a drawn face and a tone, mute.mp4 without sound, broken.mp4."""
    folder = tmp_path_factory.mktemp("clips")
    images = [
        render((160, 120), [DrawnFace(ANNA, Placement((80.0 + i, 60.0), 60.0))]).image for i in range(6)
    ]  # fmt: skip
    tone = (0.3 * np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000)).astype(np.float32)
    write_clip(folder / "talk.mp4", images, fps=6, audio=tone, sample_rate_hz=16_000)
    write_clip(folder / "mute.mp4", images, fps=6)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


# --- files of predictions -------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    shares = {"happy": 0.1 + 0.2, "sad": 1 - (0.1 + 0.2)}
    replies = [
        Output("a", "she is happy"),
        Output("b", ""),
        Output("c", None, shares),
        Output("d", "", shares),
        Output("e", 'two\nlines, a comma and a "quote"', shares),
        Output("f", problem="the clip cannot be read: no video"),
        Output("g", " happy "),
    ]
    file = PredictionFile(write_predictions(tmp_path / "predictions.csv", replies))
    assert isinstance(file, Model)
    assert list(file.answer([case(r.sample_id) for r in replies], LABELS)) == replies
    (missing,) = file.answer([case("z")], LABELS)
    assert missing == Output("z", problem="the file has no prediction for this clip; expected the name 'z'")


def test_tables_of_others(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,label\nx,happy\ny,\n")
    (tmp_path / "b.csv").write_text("name,p_happy,p_sad\nx,0.75,0.25\n")
    (tmp_path / "c.jsonl").write_text(
        '{"name": "x", "answer": "glad", "probabilities": {"happy": 1.0}}\n\n{"name": "y", "problem": "no face"}\n'
    )
    (tmp_path / "d.csv").write_text('name,probabilities\nx,"{""sad"": 1.0}"\n')
    read = lambda name: list(load_model(str(tmp_path / name)).answer([case("x"), case("y")], LABELS))  # noqa: E731
    assert read("a.csv") == [
        Output("x", "happy"), Output("y", problem="the file's row has neither answer nor label nor probabilities")
    ]  # fmt: skip
    assert read("b.csv")[0] == Output("x", None, {"happy": 0.75, "sad": 0.25})
    assert read("c.jsonl") == [Output("x", "glad", {"happy": 1.0}), Output("y", problem="no face")]
    assert read("d.csv")[0].probabilities == {"sad": 1.0}


def test_names_are_matched_as_a_person_would(tmp_path: Path) -> None:
    """A table of DFEW with names 1000 and 1000.mp4 was scored as empty: its ids are 01000."""
    (tmp_path / "p.csv").write_text("name,answer\n1000,happy\nClips/Talk.MP4,sad\n00007.avi,angry\nclip.v2,fear\n")
    file = PredictionFile(tmp_path / "p.csv")
    asked = ["01000", "talk", "7", "clip.v2.mp4", "clip", "001"]
    outputs = list(file.answer([case(name) for name in asked], LABELS))
    assert [output.text for output in outputs] == ["happy", "sad", "angry", "fear", None, None]
    assert [output.sample_id for output in outputs] == asked
    assert (outputs[-1].problem or "").endswith("expected the name '001'")
    (tmp_path / "q.csv").write_text("name,answer\n1000,happy\n1000.mp4,sad\nx,fear\n")
    several = PredictionFile(tmp_path / "q.csv")
    assert next(several.answer([case("1000")], LABELS)).text == "happy"  # its very id
    with pytest.raises(InputError, match=r"'1000' and '1000\.mp4' could both be '01000'"):
        list(several.answer([case("01000")], LABELS))
    with pytest.raises(InputError, match="'x' could be 'x' and 'X'"):
        list(several.answer([case("x"), case("X")], LABELS))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "clip,answer\nx,happy\n", "unknown columns 'clip'; expected name and answer"),
        ("a.csv", "name,answer,score\nx,happy,1\n", "unknown columns 'score'"),
        ("a.csv", "name,answer\nx,happy\nx,sad\n", "line 3: 'x' is there twice"),
        ("a.csv", "name,answer\nx\n", "line 2: 1 cells came, 2"),
        ("a.csv", "name,answer\n,happy\n", "line 2: there is no name"),
        ("a.csv", "name,p_happy\nx,much\n", "no probability .*'much'"),
        ("a.csv", "name,p_happy,p_sad\nx,0.5,0.2\n", "probabilities of 0 and more that sum to 1"),
        ("a.csv", "name,answer,generated\nx,happy,yes\n", "generated is 'yes', expected 1 or 0"),
        ("a.csv", "name,answer\n", "holds no predictions"),
        ("a.jsonl", "[1]\n", "line 1: expected a JSON object"),
        ("a.jsonl", "{\n", "line 1: no JSON"),
        ("a.jsonl", '{"name": "x", "text": "happy"}\n', "unknown key 'text'"),
        ("a.jsonl", '{"name": "x", "answer": 3}\n', "the answer is 3, expected a text"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        PredictionFile(tmp_path / name)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        PredictionFile(tmp_path / "a.csv")
    with pytest.raises(InputError, match="cannot be read"):
        PredictionFile(tmp_path / "a.jsonl")


# --- by name --------------------------------------------------------------------------------------------------------


def test_names(tmp_path: Path) -> None:
    assert model_kind("rules") == "rules"
    assert model_kind("openai:m@http://localhost/v1") == "openai"
    assert model_kind("pipeline:audio-classification@x") == "pipeline"
    assert model_kind(str(tmp_path / "p.jsonl")) == "predictions"
    for name, kind in (("emotion_llama", "own"), ("llava", "transformers")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": name}))
        assert model_kind(str(tmp_path / name)) == kind
    with pytest.raises(InputError, match="'nothing'"):
        load_model("nothing")
    (tmp_path / "llava" / "config.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        load_model(str(tmp_path / "llava"))
    with pytest.raises(InputError, match="expected openai:MODEL@URL, such as"):
        load_model("openai:http://localhost/v1")
    with pytest.raises(InputError, match="expected pipeline:TASK@FOLDER"):
        load_model("pipeline:audio-classification")
    (tmp_path / "p.csv").write_text("name,answer\nx,happy\n")
    with pytest.raises(InputError, match="'layout'"):
        load_model(str(tmp_path / "p.csv"), layout="train")


# --- readers --------------------------------------------------------------------------------------------------------


def test_the_rules_answer_raw_clips(clips: Path) -> None:
    (clips / "talk.srt").write_text("1\n00:00:00,000 --> 00:00:00,900\nI hate this, it is disgusting!\n")
    rules = load_model("rules")
    assert isinstance(rules, Model)
    asked = [case("talk", clips / "talk.mp4", "I am so happy!"), case("b", clips / "broken.mp4"), case("none")]
    talk, broken, none = rules.answer(asked, LABELS)
    assert talk.text == "happy"
    assert talk.probabilities is not None
    assert list(talk.probabilities) == list(MER6.labels)
    assert sum(talk.probabilities.values()) == pytest.approx(1.0)
    assert broken.problem is not None
    assert broken.problem.startswith("the clip cannot be read: ")
    assert str(clips) not in broken.problem  # reasons are counted: they must not differ from clip to clip
    assert none.problem == "the clip is not there"
    (free,) = rules.answer(asked[:1], Task("reason"))
    assert free.probabilities is None
    assert "happy" in (free.text or "")
    # Words beside the clip are not the benchmark's, and are not told.
    (silent,) = rules.answer([case("talk", clips / "talk.mp4")], Task("reason"))
    assert "disgust" not in (silent.text or silent.problem or "")
    assert silent.text is not None or silent.problem == "the cues are too weak to tell"
    (clips / "talk.srt").unlink()


def test_reasons_of_the_rules_are_counted_and_not_told_apart_by_figures(tmp_path: Path) -> None:
    """ "the cues ... move no label by more than 0.26 log-odds" came in fifteen rows of a report, once each."""
    room = write_clip(tmp_path / "room.mp4", [np.full((90, 120, 3), 120, np.uint8)] * 5, fps=5)
    rules = load_model("rules")
    (reply,) = rules.answer([case("r", room, "The bank opens at nine.")], LABELS)
    assert reply.problem == "no evidence"
    rules.close()  # type: ignore[attr-defined]


# --- our model ------------------------------------------------------------------------------------------------------


def make_folder(folder: Path) -> Path:
    from emotion_llama.models import EmotionLlamaConfig, EmotionLlamaForConditionalGeneration, EmotionLlamaProcessor
    from emotion_llama.prompts.tokenise import load_tokenizer

    torch.manual_seed(5)
    config = EmotionLlamaConfig.preset("toy")
    model = EmotionLlamaForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:  # as initialised, nothing that goes in would move the output
                parameter.mul_(8 if name.startswith("language_model") else 4)
    model.save_pretrained(folder)
    EmotionLlamaProcessor.of_config(config, load_tokenizer(GOLDEN / "llama")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("models") / "toy-7")


@pytest.fixture(scope="module")
def features(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips; c3 has sound only, and c4 has nothing at all."""
    from emotion_llama.models import EmotionLlamaConfig

    config = EmotionLlamaConfig.from_pretrained(folder)
    sizes = [config.face_config.hidden_size, config.temporal_config.hidden_size, config.audio_config.hidden_size]
    random = np.random.default_rng(1)
    place = tmp_path_factory.mktemp("features")
    with FeatureStore(place, writable=True, recipe={"made": "here"}) as store:
        for number in range(4):
            vectors = [random.normal(size=size).astype(np.float32) for size in sizes]
            image = random.integers(0, 255, (56, 56, 3), np.uint8)
            made = ClipFeatures(*vectors, image) if number < 3 else ClipFeatures(None, None, vectors[2])
            store.add(f"c{number}", Path("x"), "0" * 64, made)
        store.add("c4", Path("x"), "0" * 64, ClipFeatures(None, None, None))
    return place


def test_a_batch_is_what_single_clips_give(folder: Path, features: Path) -> None:
    """Answers as `generate` gives them one by one, probabilities as `score_labels` does."""
    from emotion_llama.models.features.loaded_model import LoadedModel
    from emotion_llama.models.scoring import score_labels
    from emotion_llama.prompts.tokenise import encode

    system = own_model(folder, features=features, device="cpu", batch_size=3)
    assert isinstance(system, Model)
    cases = [case("c0", words="Oh no."), case("c1"), case("c2", words="Well."), case("c3")]
    replies = list(system.answer(cases, LABELS))
    loaded = LoadedModel(folder, device="cpu")
    store, tokenizer = FeatureStore(features), loaded.processor.tokenizer
    answers = [[*encode(label, tokenizer), tokenizer.eos_token_id] for label in MER6.labels]
    for one, reply in zip(cases, replies):
        batch = loaded.processor(store[one.sample_id], task="emotion", words=one.transcript)
        alone = loaded.model.generate(**batch, do_sample=False, max_new_tokens=6)
        assert reply.text == loaded.processor.decode_answers(alone)[0]
        scores = score_labels(loaded.model, batch, answers).probabilities[0].tolist()
        assert list((reply.probabilities or {}).values()) == pytest.approx(scores, abs=1e-4)
        assert reply.tokens_in == batch["input_ids"].shape[1]
        assert 1 <= (reply.tokens_out or 0) <= 6


def test_the_frame_is_encoded_once_for_answer_and_likelihood(
    folder: Path, features: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = own_model(folder, features=features, device="cpu", batch_size=8)
    seen = []
    tower = system.predictor.model.vision_tower
    forward = tower.forward
    monkeypatch.setattr(tower, "forward", lambda x, *rest, **kw: seen.append(len(x)) or forward(x, *rest, **kw))
    list(system.answer([case("c0"), case("c1")], LABELS))
    assert seen == [2]


def test_clips_without_anything_are_problems(folder: Path, features: Path, clips: Path) -> None:
    system = own_model(folder, features=features, device="cpu", batch_size=4)
    asked = [case("c4"), case("c4", words="Oh no."), case("c9"), case("c9", clips / "broken.mp4"), case("c0")]
    empty, worded, unknown, broken, whole = system.answer(asked, LABELS)
    assert empty.problem == "there is nothing to see, hear or read"
    assert worded.text is not None
    assert unknown.problem == "there are no features of this clip, and no clip"
    assert (broken.problem or "").startswith("the clip cannot be read: ")
    assert whole.text is not None


def test_layouts_and_free_answers(folder: Path, features: Path) -> None:
    trained = own_model(folder, features=features, device="cpu", layout="train")
    released = own_model(folder, features=features, device="cpu", layout="released")
    assert (trained.name, released.name) == ("toy-7 [train]", "toy-7 [released]")
    assert trained.settings["layout"] == "train"
    assert {k for k in trained.settings if trained.settings[k] != released.settings[k]} == {"layout"}
    (free,) = trained.answer([case("c0")], Task("reason", max_new_tokens=5))
    assert free.probabilities is None
    assert free.text is not None
    lengths = [next(iter(s.answer([case("c0")], LABELS))).tokens_in for s in (trained, released)]
    assert lengths[0] != lengths[1]  # the released one begins twice and reads "<FeatureHere>" as words


def test_features_are_made_once_and_kept(folder: Path, clips: Path, tmp_path: Path) -> None:
    asked = [case("t", clips / "talk.mp4"), case("m", clips / "mute.mp4")]
    first = own_model(folder, device="cpu", keep=tmp_path / "kept")
    replies = list(first.answer(asked, LABELS))
    assert [reply.problem for reply in replies] == [None, None]
    first.close()
    assert FeatureStore(tmp_path / "kept").names == ("m", "t")
    again = own_model(folder, device="cpu", keep=tmp_path / "kept")

    def never(*given: object) -> None:
        raise AssertionError("features are there")

    again.predictor.extractor.extract = never  # type: ignore[method-assign,assignment]
    assert [reply.text for reply in again.answer(asked, LABELS)] == [reply.text for reply in replies]
    again.close()


def test_measured_cues_are_told_in_their_layout(folder: Path, clips: Path, features: Path) -> None:
    system = own_model(folder, device="cpu", layout="evidence")
    (reply,) = system.answer([case("t", clips / "talk.mp4", "Hello.")], LABELS)
    plain = own_model(folder, device="cpu", layout="train")
    (without,) = plain.answer([case("t", clips / "talk.mp4", "Hello.")], LABELS)
    assert (reply.tokens_in or 0) > (without.tokens_in or 0)
    system.close()
    stored = own_model(folder, device="cpu", layout="evidence", features=features)
    with pytest.raises(InputError, match=r"'evidence' .* c0"):
        list(stored.answer([case("c0")], LABELS))


def test_a_clip_without_words_tells_that_none_are_given(folder: Path, clips: Path) -> None:
    system = own_model(folder, device="cpu", layout="evidence")
    made = system._sample_of(case("t", clips / "talk.mp4"))
    assert isinstance(made, Sample)
    assert made.evidence is not None
    assert "Words: not measured (not given)." in cue_text(made.evidence)
    system.close()


def test_where_nothing_was_measured_no_feeling_is_told(folder: Path, tmp_path: Path) -> None:
    """An empty room has a frame to look at; a model that is told of measured cues is not asked about it."""
    room = np.full((90, 120, 3), 120, np.uint8)
    clip = write_clip(tmp_path / "room.mp4", [room] * 5, fps=5)
    told, looking = (own_model(folder, device="cpu", layout=name) for name in ("evidence", "train"))
    assert next(told.answer([case("r", clip)], LABELS)).problem == "nothing was measured to tell a feeling from"
    assert next(told.answer([case("r", clip, "Go away!")], LABELS)).text is not None
    assert next(looking.answer([case("r", clip)], LABELS)).text is not None
    told.close()
    looking.close()


def test_a_clip_that_cannot_be_measured_is_a_problem(folder: Path, clips: Path, features: Path) -> None:
    """Its features are stored from elsewhere; the run goes on without it."""
    system = own_model(folder, device="cpu", layout="evidence", features=features)
    broken, whole = system.answer([case("c0", clips / "broken.mp4"), case("c1", clips / "talk.mp4")], LABELS)
    assert (broken.problem or "").startswith("the clip cannot be read: ")
    assert whole.text is not None
    system.close()


def test_the_model_of_the_package_by_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_kind("nano") == "own"
    monkeypatch.setattr(predictor, "shipped_folder", lambda name: {"nano": folder}[name])
    assert load_model("nano", layout="train").name == "toy-7 [train]"


def test_damaged_weights_stop_the_run(folder: Path, features: Path) -> None:
    system = own_model(folder, device="cpu", features=features)
    with torch.no_grad():
        system.predictor.model.language_model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(BackendError, match="label scores are not finite numbers"):
        list(system.answer([case("c0")], LABELS))


def test_options_of_our_model(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batch_size"):
        load_model(str(folder), batch_size=0)
    with pytest.raises(InputError, match="'quick'"):
        load_model(str(folder), quick=True)
    other = tmp_path / "other"
    copytree(folder, other)
    (other / "generation_config.json").write_text("{}")
    ours, theirs = (load_model(str(one), device="cpu").settings for one in (folder, other))
    assert ours["files_sha256"] != theirs["files_sha256"]


# --- chat models ----------------------------------------------------------------------------------------------------

Told = Callable[[int, dict[str, Any]], tuple[int, str]]  # number and body of a request -> status and text


@contextmanager
def server(told: Told) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A chat server on loopback: its address, and the bodies that it was sent."""
    seen: list[dict[str, Any]] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                number = len(seen)
                seen.append(body)
            status, text = told(number, body)
            message = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "model": "m-1",
                       "usage": {"prompt_tokens": 7, "completion_tokens": 3}}  # fmt: skip
            data = json.dumps(message if status == 200 else {"error": {"message": text}}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}/v1", seen
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def test_a_served_model_gets_frames_sound_and_labels(clips: Path) -> None:
    def told(number: int, body: dict[str, Any]) -> tuple[int, str]:
        return (200, "happy") if "Oh no" in json.dumps(body) else (200, "")

    with server(told) as (url, seen):
        system = load_model(f"openai:vlm@{url}", frames=3, modalities=["text", "image", "audio"], concurrency=1)
        asked = [
            case("t", clips / "talk.mp4", "Oh no."), case("e", clips / "mute.mp4"), case("b", clips / "broken.mp4"),
            case("n"),
        ]  # fmt: skip
        good, empty, broken, none = system.answer(asked, LABELS)
    assert (good.text, good.tokens_in, good.tokens_out) == ("happy", 7, 3)
    assert empty.problem == "empty: the reply holds no text"
    assert (broken.problem or "").startswith("the clip cannot be read")
    assert none.problem == "the clip is not there"
    seen = [one for one in seen if one["max_tokens"] > 1]  # without those that ask for log-probabilities
    assert len(seen) == 2  # an empty answer is an answer that was not given: nobody asks again
    parts = next(body for body in seen if "Oh no" in json.dumps(body))["messages"][1]["content"]
    assert [part["type"] for part in parts] == ["image_url"] * 3 + ["input_audio", "text"]
    assert "The person in the clip says: Oh no." in parts[-1]["text"]
    assert f"one of these words and nothing else: {', '.join(MER6.labels)}." in parts[-1]["text"]
    sound = wave.open(io.BytesIO(base64.b64decode(parts[3]["input_audio"]["data"])))  # noqa: SIM115
    assert (sound.getframerate(), sound.getnchannels()) == (16_000, 1)
    assert "response_format" not in seen[0]
    assert system.name == "vlm"
    assert system.settings["frames"] == 3


def test_a_server_that_fails_is_a_problem_that_may_pass(clips: Path) -> None:
    with server(lambda number, body: (503, "busy")) as (url, seen):
        system = load_model(f"openai:vlm@{url}", max_attempts=2, max_wait_seconds=0.05)
        (reply,) = system.answer([case("t", clips / "mute.mp4")], LABELS)
    assert (reply.problem or "").startswith("overloaded: HTTP status 503")
    assert is_passing(reply.problem)
    assert not is_passing("empty: the reply holds no text")
    assert len(seen) == 2


def test_a_text_model_is_given_the_measured_cues(clips: Path) -> None:
    """It got the transcript only, and answered "neutral" to each of 20 clips."""
    with server(lambda number, body: (200, "Happy.")) as (url, seen):
        model = load_model(f"openai:llm@{url}", modalities=["text"])
        (reply,) = model.answer([case("t", clips / "mute.mp4")], Task("emotion", MER6.labels))
        model.close()
    assert reply.text == "Happy."
    assert re.search(r"Measured cues\. Face: held .* cheek raiser", seen[0]["messages"][-1]["content"])


def test_prompts_of_ones_own(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "free.txt").write_text("[user]\n{words}Describe. {instruction}\n")
    with server(lambda number, body: (200, "she smiles")) as (url, seen):
        system = load_model(f"openai:vlm@{url}", prompts=str(tmp_path), cues=False, frames=1)
        (reply,) = system.answer([case("t", clips / "mute.mp4")], Task("free", (), "What is felt?"))
    assert reply.text == "she smiles"
    assert seen[0]["messages"][0]["content"][-1]["text"] == "Describe. What is felt?"
    (tmp_path / "label.txt").write_text("[user]\n{words}{instruction}\n")
    with pytest.raises(InputError, match=r"the field \{labels\} is needed and does not occur"):
        load_model("openai:vlm@http://localhost/v1", prompts=str(tmp_path))
    with pytest.raises(InputError, match="is no folder"):
        load_model("openai:vlm@http://localhost/v1", prompts=str(tmp_path / "none"))


def test_a_local_chat_model_answers_in_batches(clips: Path, tmp_path: Path) -> None:
    from tiny_models import picture_model

    picture_model(tmp_path / "vlm")
    system = load_model(str(tmp_path / "vlm"), frames=2, device="cpu", dtype="float32", max_new_tokens=4)
    asked = [case("t", clips / "talk.mp4"), case("m", clips / "mute.mp4", "Oh."), case("b", clips / "broken.mp4")]
    replies = list(system.answer(asked, LABELS))
    # Random weights hardly ever end a reply within four tokens: cut off is told, not scored.
    assert [(r.text is None) == (r.problem is not None) for r in replies] == [True] * 3
    assert "cannot be read" in (replies[2].problem or "")
    assert system.settings["chat"]["modalities"] == ["text", "image"]  # type: ignore[index]


def test_a_classifier_of_sound(clips: Path, tmp_path: Path) -> None:
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

    torch.manual_seed(1)
    names = ["anger", "happiness", "boredom"]
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8),
        conv_stride=(5, 4), conv_kernel=(10, 4), num_feat_extract_layers=2, num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2, id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
    )  # fmt: skip
    Wav2Vec2ForSequenceClassification(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    system = load_model(f"pipeline:audio-classification@{tmp_path}", device="cpu")
    talk, mute, none = system.answer([case("t", clips / "talk.mp4"), case("m", clips / "mute.mp4"), case("n")], LABELS)
    assert talk.text is None
    shares = talk.probabilities or {}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert {label for label, p in shares.items() if p > 0} == {"angry", "happy"}  # boredom is none of the six
    assert (mute.problem, none.problem) == ("the clip has no sound", "the clip is not there")
    with pytest.raises(InputError, match="answers questions for labels only"):
        list(system.answer([case("t")], Task("reason")))
    with pytest.raises(InputError, match="none of them is one of doubt, contempt"):
        list(system.answer([case("t", clips / "talk.mp4")], Task("emotion", labels=("doubt", "contempt"))))
    with pytest.raises(InputError, match="no pipeline task 'sing'"):
        PipelineModel("sing", str(tmp_path))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="cannot be loaded"):
        PipelineModel("text-classification", str(tmp_path / "none"))


# --- parts of a clip ------------------------------------------------------------------------------------------------


def test_frames_are_from_the_middles_of_equal_parts(clips: Path) -> None:
    assert middles(8.0, 4) == [1.0, 3.0, 5.0, 7.0]
    talk, mute = (probe(clips / name, warn=lambda line: None) for name in ("talk.mp4", "mute.mp4"))
    pictures, sound_wav = clip_pictures(talk, 2, 80), clip_sound(talk)
    from emotion_llama.media.encoded import read_png, read_wav

    assert [read_png(picture).shape for picture in pictures] == [(60, 80, 3)] * 2
    assert sound_wav is not None
    samples = read_wav(sound_wav, 16_000)
    assert len(samples) == pytest.approx(16_000, abs=200)
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.05)
    assert clip_sound(mute) is None
    assert MERR9.labels[0] == "neutral"


def test_a_batch_too_large_for_memory_is_halved(folder: Path, features: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import emotion_llama.models.scoring as scoring

    whole, sizes = scoring.generate_and_score, []

    def small(model: Any, inputs: Any, labels: Any, **options: Any) -> Any:
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 1 or len(sizes) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(model, inputs, labels, **options)

    monkeypatch.setattr(scoring, "generate_and_score", small)
    system = own_model(folder, features=features, device="cpu")
    first, second = system.answer([case("c0"), case("c1")], LABELS)
    assert sizes == [2, 1, 1]
    assert first.text is not None
    assert second.problem == "the model has no memory left for this clip"
