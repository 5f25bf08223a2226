"""A learned cue of the words: any text-classification folder of transformers, its labels by the field's synonyms."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emotion_llama.chat.local_transformers import is_folder
from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.labels import LabelSpace
from emotion_llama.media.language import NAMES, line_languages
from emotion_llama.models.folders import folder_fingerprint
from emotion_llama.records import Transcript
from emotion_llama.results import Cue

# Log-odds are half of what the model says, and stay below what words need to decide by themselves (`verdict.WORDS`):
# how often it is right on speech is not known, and classifiers are too sure of texts that are unlike their own.
TRUST, MAX_WEIGHT = 0.5, 0.95
AGAINST_NEUTRAL = 0.35  # as of the lexicon's entries
MAX_TOKENS = 512
_FLOOR = 1e-3  # of a probability, before its logarithm
_SHOWN = 3  # likeliest labels that are shown


class TextEmotion:
    """A text classifier whose labels are emotions, as one more cue of the words; loaded with the first text.

    Args:
        folder: of a transformers model for sequence classification, with its tokenizer.
        space: labels to choose from.

    Raises:
        InputError: no model of this kind, or none of its labels means one of the space.
        MissingDependency: torch or transformers is not installed.
    """

    def __init__(self, folder: str | Path, space: LabelSpace) -> None:
        path = Path(folder).expanduser()
        if not path.is_dir() or not is_folder(str(path)):
            raise InputError(f"--cues words={folder}: there is no such folder; expected a text-classification model's")
        for package in ("torch", "transformers"):
            _import(package)
        self.path, self.name = path, path.resolve().name
        self.labels = _labels(path)
        self.means = {name: label for name in self.labels if (label := space.find(name.replace("_", " "))) is not None}
        if len(set(self.means.values())) < 2:
            raise InputError(
                f"--cues words={folder}: its labels ({', '.join(self.labels)}) name fewer than two of {space.name} "
                f"({', '.join(space.labels)}); name them in id2label of its config.json"
            )
        self.unmapped = tuple(name for name in self.labels if name not in self.means)
        self.languages = _languages(path)
        self._loaded: tuple[Any, Any] | None = None

    @property
    def settings(self) -> Mapping[str, object]:
        """The model, what its labels mean here, and which of them mean nothing."""
        return {
            "model": self.name,
            "files_sha256": folder_fingerprint(self.path),
            "labels": dict(self.means),
            "unmapped": list(self.unmapped),
            "languages": list(self.languages),
        }

    def cues(self, transcript: Transcript | None) -> tuple[tuple[Cue, ...], str | None]:
        """What the words speak for, one cue; or none, and why.

        Raises:
            BackendError: the model cannot be loaded, or fails on the text.
        """
        lines = [] if transcript is None else [line for line in transcript.lines if line.text.strip()]
        if transcript is None or not lines:
            return (), None  # why there are no words is said elsewhere
        decided = line_languages([line.text for line in lines], transcript.language)
        languages = [line.language or found for line, found in zip(lines, decided)]
        taken = [
            line.text for line, tag in zip(lines, languages) if not self.languages or tag in (None, *self.languages)
        ]
        if not taken:
            came = ", ".join(sorted({NAMES.get(tag, tag) for tag in languages if tag is not None}))
            return (), f"{self.name} reads {', '.join(self.languages)} and not {came}"
        said = self.classify(" ".join(taken))
        shares = dict.fromkeys(self.means.values(), 0.0)
        for name, label in self.means.items():
            shares[label] += said[name]
        even = sum(shares.values()) / len(shares)
        ranked = sorted(said.items(), key=lambda item: -item[1])[:_SHOWN]
        shown = ", ".join(f"{name} {share:.2f}" for name, share in ranked)
        if even <= _FLOOR or ranked[0][0] in self.unmapped:
            return (), f"{self.name} says {shown}, which means none of the labels here"
        weights = {label: _weight(share, even) for label, share in shares.items()}
        strongest = max((weight for label, weight in weights.items() if label != "neutral"), default=0.0)
        weights["neutral"] = weights.get("neutral", 0.0) - AGAINST_NEUTRAL * max(strongest, 0.0)
        return (Cue("words", f"{self.name} says {shown}", weights, self._origin(), f"what {self.name} says"),), None

    def classify(self, text: str) -> dict[str, float]:
        """The model's own labels -> their probabilities; of a model with several labels at once, scaled to 1."""
        import torch

        tokenizer, model = self._loaded = self._loaded or self._load()
        try:
            encoded = tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
            with torch.inference_mode():
                logits = model(**encoded).logits[0].float().cpu().numpy().astype(np.float64)
        except (RuntimeError, ValueError, IndexError, KeyError) as error:
            raise BackendError(f"{self.name} failed on a text: {error}") from error
        several = model.config.problem_type == "multi_label_classification"
        scores = 1 / (1 + np.exp(-logits)) if several else np.exp(logits - logits.max())
        return dict(zip(self.labels, (scores / scores.sum()).tolist(), strict=True))

    def _load(self) -> tuple[Any, Any]:
        transformers = _import("transformers")
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.path, local_files_only=True)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(self.path, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise BackendError(f"{self.path} cannot be loaded as a text-classification model: {error}") from error
        return tokenizer, model.eval()

    def _origin(self) -> str:
        languages = f"for {', '.join(self.languages)}" if self.languages else "its languages are not stated"
        unmapped = f"; not used: {', '.join(self.unmapped)}" if self.unmapped else ""
        return f"text classifier {self.name} ({languages}), how often it is right was not measured here{unmapped}"


def _weight(share: float, even: float) -> float:
    weight = TRUST * np.log(max(share, _FLOOR) / even)
    return float(np.clip(weight, -MAX_WEIGHT, MAX_WEIGHT))


def _import(package: str) -> Any:
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError:
        raise MissingDependency(package, "--cues words=DIR", 'pip install "emotion-llama[model]"') from None


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


def _languages(folder: Path) -> tuple[str, ...]:
    """Codes of the languages that the model card names; empty where it names none, or says "multilingual"."""
    import yaml

    path = folder / "README.md"
    head = (
        re.match(r"---\n(.*?)\n---", path.read_text(encoding="utf-8", errors="replace"), re.S)
        if path.is_file()
        else None
    )
    try:
        card = yaml.safe_load(head.group(1)) if head else {}
    except yaml.YAMLError:
        return ()
    given = card.get("language") if isinstance(card, dict) else None
    tags = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    codes = tuple(str(tag).lower().partition("-")[0] for tag in tags)
    return () if "multilingual" in codes else codes
