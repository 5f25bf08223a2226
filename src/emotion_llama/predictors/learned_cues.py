"""Learned cues of words, voice and face: trained classifiers of emotions beside the rules, each one bounded cue.

A model's labels are read as ours by the field's synonyms. What it says moves a label by half its log-odds, or, where
its authors published how often it is right, by what that leaves of them; and never by as much as decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from emotion_llama.chat.local_transformers import is_folder
from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.labels import LabelSpace
from emotion_llama.media.language import NAMES, line_languages
from emotion_llama.models.folders import folder_fingerprint
from emotion_llama.predictors.base import Sample
from emotion_llama.records import Float, Transcript
from emotion_llama.results import Cue, Evidence

if TYPE_CHECKING:
    from emotion_llama.models.clips import ClipInputs

# Log-odds are half of what the model says, and stay below what words need to decide by themselves (`verdict.WORDS`):
# how often it is right on these recordings is not known, and classifiers are too sure of what is unlike their own.
TRUST, MAX_WEIGHT = 0.5, 0.95
AGAINST_NEUTRAL = 0.35  # as of the lexicon's entries
MAX_TOKENS = 512
MAX_FACES = 16  # crops that a face model is shown, evenly spread over the segment
WINDOW_SECONDS = 15.0  # of sound that a voice model hears at a time
_RATE = 16_000
_FLOOR = 1e-3  # of a probability, before its logarithm
_SHOWN = 3  # likeliest labels that are shown
_UNUSED = {"wav2vec2.masked_spec_embed", "hubert.masked_spec_embed", "wavlm.masked_spec_embed"}  # but in training
_ABBREVIATIONS = {"neu": "neutral", "hap": "happy", "ang": "angry"}  # IEMOCAP's
# The classes of HSEmotion's networks by their number, in the order of AffectNet (hsemotion-onnx, Apache-2.0).
_AFFECTNET8 = ("Anger", "Contempt", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise")
_AFFECTNET7 = tuple(name for name in _AFFECTNET8 if name != "Contempt")
_MEAN, _SCALE = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # ImageNet's, of RGB in 0..1


Kind = Literal["face", "voice", "words"]
KINDS: tuple[Kind, ...] = ("face", "voice", "words")


class KnownModel(NamedTuple):
    """A published model that can be a cue; none of them was run here.

    Attributes:
        kind: "words", "voice" or "face".
        accuracy: share of right answers, as its authors published it; None where we do not know it.
        measured_on: what that share is of.
    """

    name: str
    kind: Kind
    licence: str
    trained_on: str
    languages: str
    classes: int
    accuracy: float | None
    measured_on: str
    source: str


_SUPERB = "Yang et al., SUPERB, Interspeech 2021"
_HSEMOTION = "github.com/av-savchenko/face-emotion-recognition, README"
KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel("enet_b0_8_best_afew.onnx", "face", "Apache-2.0", "AffectNet", "-", 8, 0.6095, "AffectNet", _HSEMOTION),
    KnownModel("enet_b0_8_best_vgaf.onnx", "face", "Apache-2.0", "AffectNet", "-", 8, 0.6132, "AffectNet", _HSEMOTION),
    KnownModel("enet_b0_8_va_mtl.onnx", "face", "Apache-2.0", "AffectNet", "-", 8, 0.6193, "AffectNet", _HSEMOTION),
    KnownModel("enet_b2_8.onnx", "face", "Apache-2.0", "AffectNet", "-", 8, 0.6303, "AffectNet", _HSEMOTION),
    KnownModel("enet_b2_7.onnx", "face", "Apache-2.0", "AffectNet", "-", 7, 0.6591, "AffectNet", _HSEMOTION),
    KnownModel("wav2vec2-base-superb-er", "voice", "Apache-2.0", "IEMOCAP", "en", 4, None, "-", _SUPERB),
    KnownModel("hubert-base-superb-er", "voice", "Apache-2.0", "IEMOCAP", "en", 4, None, "-", _SUPERB),
    KnownModel("hubert-large-superb-er", "voice", "Apache-2.0", "IEMOCAP", "en", 4, None, "-", _SUPERB),
    KnownModel(
        "emotion-english-distilroberta-base", "words", "not stated", "six sets of English texts", "en", 7, None,
        "-", "its model card (j-hartmann)",
    ),
)  # fmt: skip


class LearnedCue:
    """One trained classifier whose labels are emotions; loaded with the first sample.

    Args:
        kind: "words", "voice" or "face".
        place: the folder of a transformers model for text, audio or image classification; for faces also an .onnx file
            as HSEmotion publishes them (input [1, 3, S, S], AffectNet's 7 or 8 classes, valence and arousal after them
            or not).
        space: labels to choose from.

    Raises:
        InputError: no model of this kind, or fewer than two of its labels mean one of the space.
        MissingDependency: what runs it is not installed.
    """

    def __init__(self, kind: Kind, place: str | Path, space: LabelSpace) -> None:
        self.kind, self.path = kind, Path(place).expanduser()
        self._option = f"--cues {kind}={place}"
        self.languages: tuple[str, ...] = ()
        self._loaded: tuple[Any, Any] | None = None
        if kind == "face" and self.path.suffix == ".onnx" and self.path.is_file():
            self._classify = self._onnx_faces
            self.name = self.path.name
            self._loaded = self._open_onnx()
            self.labels = self._loaded[1][0]
            self._fingerprint = sha256(self.path.read_bytes()).hexdigest()
        else:
            if not self.path.is_dir() or not is_folder(str(self.path)):
                also = ", or an .onnx file" if kind == "face" else ""
                task = {"words": "a text", "voice": "an audio", "face": "an image"}[kind]
                raise InputError(f"{self._option}: no such folder; expected {task}-classification model's{also}")
            for package in ("torch", "transformers"):
                self._import(package)
            self._classify = {"words": self._words, "voice": self._voice, "face": self._faces}[kind]
            self.name, self.languages = _name(self.path.resolve()), _languages(self.path)
            self.labels = _labels(self.path)
            self._fingerprint = folder_fingerprint(self.path)
        found = {name: space.find(_ABBREVIATIONS.get(name.lower(), name.replace("_", " "))) for name in self.labels}
        self.means = {name: label for name, label in found.items() if label is not None}
        if len(set(self.means.values())) < 2:
            raise InputError(
                f"{self._option}: its labels ({', '.join(self.labels)}) name fewer than two of {space.name} "
                f"({', '.join(space.labels)}); name them in id2label of its config.json"
            )
        self.unmapped = tuple(name for name in self.labels if name not in self.means)
        self.known = next((one for one in KNOWN_MODELS if (one.name, one.kind) == (self.name, kind)), None)

    @property
    def settings(self) -> Mapping[str, object]:
        """The model, what its labels mean here, and which of them mean nothing."""
        return {
            "model": self.name,
            "files_sha256": self._fingerprint,
            "labels": dict(self.means),
            "unmapped": list(self.unmapped),
            "languages": list(self.languages),
        }

    def cues(self, sample: Sample) -> tuple[tuple[Cue, ...], str | None]:
        """What the sample's words, voice or face speak for, one cue; or none, and why.

        Raises:
            BackendError: the model cannot be loaded, or fails.
        """
        try:
            said = self._classify(sample)
        except (RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
            raise BackendError(f"{self.name} failed: {error}") from error
        if said is None or isinstance(said, str):
            return (), said
        shares = dict.fromkeys(self.means.values(), 0.0)
        for name, label in self.means.items():
            shares[label] += said[name]
        ranked = sorted(said.items(), key=lambda item: -item[1])[:_SHOWN]
        shown = ", ".join(f"{name} {share:.2f}" for name, share in ranked)
        if sum(shares.values()) / len(shares) <= _FLOOR or ranked[0][0] in self.unmapped:
            return (), f"{self.name} says {shown}, which means none of the labels here"
        weights = self._weights(shares)
        strongest = max((weight for label, weight in weights.items() if label != "neutral"), default=0.0)
        neutral = weights.get("neutral", 0.0) - AGAINST_NEUTRAL * max(strongest, 0.0)
        weights["neutral"] = max(neutral, -MAX_WEIGHT)
        return (Cue(self.kind, f"{self.name} says {shown}", weights, self._origin(), f"what {self.name} says"),), None

    def _weights(self, shares: Mapping[str, float]) -> dict[str, float]:
        """Log-odds of each label against an even guess.

        A model that is right in a share a of its k classes leaves q a + (1 - q) (1 - a) / (k - 1) of a stated
        probability q, where the mistakes are spread evenly: no confusion of single classes is published.
        """
        trust = TRUST
        if self.known is not None and self.known.accuracy is not None:
            right, wrong = self.known.accuracy, (1 - self.known.accuracy) / (self.known.classes - 1)
            shares = {label: share * right + (1 - share) * wrong for label, share in shares.items()}
            trust = 1.0
        even = sum(shares.values()) / len(shares)
        log_odds = {label: trust * np.log(max(share, _FLOOR) / even) for label, share in shares.items()}
        return {label: float(np.clip(weight, -MAX_WEIGHT, MAX_WEIGHT)) for label, weight in log_odds.items()}

    def _origin(self) -> str:
        languages = f"for {', '.join(self.languages)}" if self.languages else "its languages are not stated"
        about = "" if self.kind == "face" else f" ({languages})"
        worth = "how often it is right was not measured here"
        if self.known is not None and self.known.accuracy is not None:
            published = f"{100 * self.known.accuracy:.0f} % of {self.known.classes} classes on {self.known.measured_on}"
            worth = f"right in {published} by {self.known.source}; here that was not measured"
        unmapped = f"; not used: {', '.join(self.unmapped)}" if self.unmapped else ""
        return f"{self.kind} classifier {self.name}{about}, {worth}{unmapped}"

    # --- what a model says: label -> probability; None where something is missing and said elsewhere; or why not ------

    def _words(self, sample: Sample) -> dict[str, float] | str | None:
        transcript = None if sample.evidence is None else sample.evidence.transcript
        lines = [] if transcript is None else [line for line in transcript.lines if line.text.strip()]
        if transcript is None or not lines:
            return None
        decided = line_languages([line.text for line in lines], transcript.language)
        languages = [line.language or found for line, found in zip(lines, decided)]
        read = [
            line.text for line, tag in zip(lines, languages) if not self.languages or tag in (None, *self.languages)
        ]
        return (
            self._text(" ".join(read)) if read else self._other_language({tag for tag in languages if tag is not None})
        )

    def _text(self, text: str) -> dict[str, float]:
        tokenizer, model = self._model("AutoTokenizer", "AutoModelForSequenceClassification")
        return self._said(model, tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"))

    def _voice(self, sample: Sample) -> dict[str, float] | str | None:
        evidence = sample.evidence or Evidence()
        if why := evidence.why_missing("prosody") or evidence.why_missing("tone"):
            return f"{self.name} was not asked: {why}"
        if (why := _why_missing(sample.inputs, "sound")) is not None:
            return f"{self.name} was not asked: {why}"
        assert sample.inputs is not None
        spoken = _spoken_languages(evidence.transcript)
        if self.languages and spoken and not spoken & set(self.languages):
            return self._other_language(spoken)
        extractor, model = self._model("AutoFeatureExtractor", "AutoModelForAudioClassification")
        if extractor.sampling_rate != _RATE:
            return f"{self.name} takes sound of {extractor.sampling_rate} Hz; only models for {_RATE} Hz can be used"
        samples = np.asarray(sample.inputs.samples)
        parts = np.array_split(samples, max(1, round(len(samples) / (WINDOW_SECONDS * _RATE))))
        return self._mean([
            self._said(model, extractor(part, sampling_rate=_RATE, return_tensors="pt")) for part in parts
        ])  # fmt: skip

    def _faces(self, sample: Sample) -> dict[str, float] | str | None:
        if (why := _why_missing(sample.inputs, "faces")) is not None:
            return f"{self.name} was not asked: {why}"
        assert sample.inputs is not None
        processor, model = self._model("AutoImageProcessor", "AutoModelForImageClassification")
        return self._mean([
            self._said(model, processor(images=crop, return_tensors="pt")) for crop in _spread(sample.inputs)
        ])  # fmt: skip

    def _onnx_faces(self, sample: Sample) -> dict[str, float] | str | None:
        import cv2

        if (why := _why_missing(sample.inputs, "faces")) is not None:
            return f"{self.name} was not asked: {why}"
        assert sample.inputs is not None
        assert self._loaded is not None
        session, (labels, name, size) = self._loaded
        found = []
        for crop in _spread(sample.inputs):
            picture = (cv2.resize(crop, (size, size)) / 255 - _MEAN) / _SCALE
            logits = session.run(None, {name: picture.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
            found.append(dict(zip(labels, _softmax(logits[: len(labels)].astype(np.float64)))))
        return self._mean(found)

    def _open_onnx(self) -> tuple[Any, Any]:
        onnxruntime = self._import("onnxruntime")
        try:
            session = onnxruntime.InferenceSession(str(self.path), providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001  onnxruntime has no error of its own for a file that is none
            raise InputError(f"{self._option}: this is no ONNX network ({str(error)[:200]})") from None
        given, made = session.get_inputs()[0], session.get_outputs()[0]
        labels = {7: _AFFECTNET7, 8: _AFFECTNET8, 9: _AFFECTNET7, 10: _AFFECTNET8}.get(made.shape[-1])
        if labels is None or len(given.shape) != 4 or given.shape[1] != 3:
            raise InputError(
                f"{self._option}: expected pictures [1, 3, S, S] in and 7 or 8 classes out (9 or 10 with valence and "
                f"arousal), got {list(given.shape)}, {list(made.shape)}; for other classes give a folder with id2label"
            )
        side = given.shape[2] if isinstance(given.shape[2], int) else 260 if "_b2_" in self.path.name else 224
        return session, (labels, given.name, side)

    def _model(self, processor: str, model: str) -> tuple[Any, Any]:
        """What prepares the input, and the model, loaded once."""
        if self._loaded is None:
            transformers = self._import("transformers")
            try:
                prepare = getattr(transformers, processor).from_pretrained(self.path, local_files_only=True)
                loaded, about = getattr(transformers, model).from_pretrained(
                    self.path, local_files_only=True, output_loading_info=True
                )
            except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
                raise BackendError(f"{self.path} cannot be loaded as a {self.kind} classifier: {error}") from error
            # Some published folders name their last layers in their own way: random ones would take their place.
            if missing := sorted({*about["missing_keys"]} - _UNUSED):
                raise BackendError(
                    f"{self.path} lacks {len(missing)} weights of {type(loaded).__name__} ({', '.join(missing[:3])}), "
                    "which would be random; take a folder whose weights fit the class that transformers loads"
                )
            self._loaded = prepare, loaded.eval()
        return self._loaded

    def _said(self, model: Any, given: Mapping[str, Any]) -> dict[str, float]:
        """The model's own labels -> their probabilities; of a model with several labels at once, scaled to 1."""
        import torch

        with torch.inference_mode():
            logits = model(**given).logits[0].float().cpu().numpy().astype(np.float64)
        several = model.config.problem_type == "multi_label_classification"
        scores = 1 / (1 + np.exp(-logits)) if several else _softmax(logits)
        return dict(zip(self.labels, (scores / scores.sum()).tolist(), strict=True))

    def _mean(self, found: list[dict[str, float]]) -> dict[str, float]:
        return {name: float(np.mean([one[name] for one in found])) for name in self.labels}

    def _other_language(self, tags: set[str]) -> str:
        verb = "reads" if self.kind == "words" else "hears"
        return (
            f"{self.name} {verb} {', '.join(self.languages)} and not {', '.join(sorted(NAMES.get(t, t) for t in tags))}"
        )

    def _import(self, package: str) -> Any:
        try:
            return import_module(package)
        except ImportError:
            command = "pip install onnxruntime" if package == "onnxruntime" else 'pip install "emotion-llama[model]"'
            raise MissingDependency(package, f"--cues {self.kind}=...", command) from None


def _softmax(logits: Float) -> Float:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def _why_missing(inputs: ClipInputs | None, what: str) -> str | None:
    """Why there are no "faces" or no "sound"; None where there are."""
    if inputs is None:
        return "neither pictures nor sound were given"
    return inputs.why_missing(what) if (inputs.faces if what == "faces" else inputs.samples) is None else None


def _spread(inputs: ClipInputs) -> list[Any]:
    """Some of the face's crops [S, S, 3] uint8, evenly spread in time."""
    wanted = set(np.linspace(0, inputs.num_faces - 1, min(MAX_FACES, inputs.num_faces)).round().astype(int).tolist())
    crops, row = [], 0
    for chunk in inputs.face_chunks():
        crops += [crop for i, crop in enumerate(chunk, row) if i in wanted]
        row += len(chunk)
    return crops


def _spoken_languages(transcript: Transcript | None) -> set[str]:
    return set() if transcript is None else {line.language for line in transcript.lines if line.language is not None}


def _labels(folder: Path) -> tuple[str, ...]:
    """The labels by their index."""
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["id2label"]
        labels = tuple(str(found[str(i)]) for i in range(len(found)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected id2label with a name for each class ({error!r})") from None
    if len(set(labels)) < len(labels):
        raise InputError(f"{path}: id2label names one label twice ({', '.join(labels)})")
    return labels


def _name(folder: Path) -> str:
    """The folder's name; in the hub's cache, where folders are named by revision, the model's."""
    return folder.parents[1].name.rpartition("--")[2] if folder.parent.name == "snapshots" else folder.name


def _languages(folder: Path) -> tuple[str, ...]:
    """Codes of the languages that the model card names; empty where it names none, or says "multilingual"."""
    import yaml

    path = folder / "README.md"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    head = re.match(r"---\n(.*?)\n---", text, re.S)
    try:
        card = yaml.safe_load(head.group(1)) if head else {}
    except yaml.YAMLError:
        return ()
    given = card.get("language") if isinstance(card, dict) else None
    tags = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    codes = tuple(str(tag).lower().partition("-")[0] for tag in tags)
    return () if "multilingual" in codes else codes
