"""How our model is asked, and what is said of its answer: prompts, reasons, and whether the clip is out of domain.

A clip is out of domain by its encoders' vectors. For each of face, temporal and audio, `familiar.safetensors` in the
model's folder holds the mean and the spread of the vectors of its training clips, and the largest Mahalanobis distance
of validation clips (of people who are not in the training set). A clip that lies farther is out of domain: its
prediction is a guess, and says so. The measure is common for classifiers (Lee et al., NeurIPS 2018).

Legend: N clips, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emotion_llama.errors import InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.media.language import NAMES, line_languages
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.predictors.base import Sample
from emotion_llama.prompts.answer_parser import parse_tolerant
from emotion_llama.prompts.cues import cue_text
from emotion_llama.prompts.layouts import Layout
from emotion_llama.prompts.tasks import emotion_instruction, pick_instruction
from emotion_llama.records import Float, Transcript, TranscriptLine
from emotion_llama.results import Missing, OutOfDomain

if TYPE_CHECKING:
    from emotion_llama.prompts.builder import Turn

# A long talk would push the instruction out of the model's context; its beginning and its end are kept.
MAX_WORDS = 400

FILE = "familiar.safetensors"
# Encoder -> what it encodes, as people read it.
SUBJECTS: Mapping[str, str] = {"face": "the face", "temporal": "the face's movement", "audio": "the voice"}
SHRINKAGE = 1e-3  # of the mean variance, added to each: directions that hardly vary would decide all. Own.
# Of one encoder's vectors of the training clips: mean [D], whitening [D, D], and the largest distance in domain.
Domain = tuple[Float, Float, float]


def prompt_batch(
    model: Any,
    processor: Any,
    layout: Layout,
    samples: Sequence[Sample],
    task: str,
    instruction: str | None,
    history: Sequence[Turn] = (),
) -> Any:
    """The model's inputs for one question about each of B samples, filled on the left; nothing is encoded again."""
    features = [sample.features or ClipFeatures() for sample in samples]
    batch = processor(
        features, task=task, instruction=instruction, layout=layout.name,
        words=[None if sample.text is None else shortened(sample.text) for sample in samples],
        cues=[_cues(sample) if layout.has_cues else None for sample in samples],
        history=[list(history)] * len(samples) if history else None,
    ).to(model.device)  # fmt: skip
    visions = [one.vision for one in features]
    known = [vision for vision in visions if vision is not None]
    if known and len(known) == sum(one.global_image is not None for one in features):
        import torch

        del batch["pixel_values"]
        # Rows of clips without a picture are never read; NaN would show if one were.
        empty = torch.full_like(known[0], torch.nan)
        batch["vision_features"] = torch.cat([empty if vision is None else vision for vision in visions])
    return batch


def _cues(sample: Sample) -> str | None:
    return sample.cues if sample.cues is not None or sample.evidence is None else cue_text(sample.evidence)


def readable(sample: Sample, languages: Sequence[str] | None) -> tuple[Sample, tuple[Missing, ...]]:
    """The sample without the words that a model cannot read, and why they are missing.

    Args:
        sample: with words, or without.
        languages: that the model reads; None is any.
    """
    evidence, text = sample.evidence, (sample.text or "").strip()
    if languages is None or not text:
        return sample, ()
    if sample.transcript is not None or evidence is None or evidence.transcript is None:
        words = Transcript((TranscriptLine(text),), "given")
    else:
        words = evidence.transcript
    decided = line_languages([line.text for line in words.lines], words.language)
    tags = [line.language or found for line, found in zip(words.lines, decided)]
    kept = tuple(line for line, tag in zip(words.lines, tags) if tag is None or tag in languages)
    if len(kept) == len(words.lines):
        return sample, ()
    others = " and ".join(sorted({NAMES.get(tag, tag) for tag in tags if tag is not None and tag not in languages}))
    known = " and ".join(NAMES.get(tag, tag) for tag in languages)
    why = Missing("words", f"not read: {len(words.lines) - len(kept)} of {len(words.lines)} lines are {others}, "
                  f"and this model reads {known} alone")  # fmt: skip
    left = replace(words, lines=kept)
    if evidence is not None:
        # No reason here: the prompt then says "not given", which a model knows from its training.
        evidence = replace(evidence, transcript=left if kept else None)
    given = None if sample.transcript is None or not kept else left.text
    return replace(sample, evidence=evidence, transcript=given), (why,)


def label_instruction(space: LabelSpace) -> str:
    """The published instruction where its nine labels hold all of the space's, else the same with the space's own."""
    if set(space.labels) <= set(MERR9.labels):
        return pick_instruction("emotion")
    return emotion_instruction(space.labels)


def reasons(
    label: str, text: str, space: LabelSpace, *, missing: Sequence[Missing] = (), why_none: str | None = None
) -> str:
    """The generated reasons, and what has to be known about them.

    Args:
        label: the predicted label. Where the reasons name another, that is said first.
        text: as generated; "" where there is none.
        space: of the label.
        missing: what the model did not have of the clip.
        why_none: why it was not asked for reasons.
    """
    named = parse_tolerant(text, space, model="").label if text else None
    sentences = []
    if named is not None and named != label:
        sentences.append(f"The model contradicts itself: {label} is the likeliest label, its reasons name {named}.")
    sentences += [as_sentence(text)] if text else []
    if why_none is not None:
        sentences.append(f"No reasons: {why_none}.")
    if missing:
        lacking = ", ".join(f"{one.what} ({one.reason})" for one in missing)
        sentences.append(f"Predicted without {lacking}.")
    return " ".join(sentences)


def as_sentence(text: str) -> str:
    """Published weights write without capitals and full stops; the first letter and the last mark are put back."""
    whole = text[0].upper() + text[1:]
    return whole if whole.endswith((".", "!", "?")) else f"{whole}."


def shortened(words: str) -> str:
    """At most `MAX_WORDS` words: the beginning and the end of a long talk."""
    spoken = words.split()
    if len(spoken) <= MAX_WORDS:
        return " ".join(spoken)
    half = MAX_WORDS // 2
    return " ".join([*spoken[:half], "...", *spoken[-half:]])


# --- out of domain ----------------------------------------------------------------------------------------------------


def distances(domain: Domain, vectors: Float) -> npt.NDArray[np.float64]:
    """[N] Mahalanobis distances of vectors [N, D]."""
    mean, whitening, _ = domain
    centred = np.asarray(vectors, np.float64) - mean
    found: npt.NDArray[np.float64] = np.linalg.norm(centred @ np.asarray(whitening, np.float64), axis=1)
    return found


def fit_domain(known: Float, others: Float) -> Domain:
    """The domain of training vectors [N, D]; of validation vectors [N, D] the farthest is still in domain."""
    mean = known.mean(axis=0)
    covariance = np.cov(known.astype(np.float64).T)
    covariance += SHRINKAGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    found = mean.astype(np.float32), whitening.astype(np.float32), 0.0
    return *found[:2], float(distances(found, others).max())


def save_domains(domains: Mapping[str, Domain], folder: Path) -> None:
    """Write the file into a model's folder."""
    from safetensors.numpy import save_file

    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for name, (mean, whitening, farthest) in domains.items():
        arrays[f"{name}.mean"] = np.asarray(mean, np.float32)
        arrays[f"{name}.whitening"] = np.ascontiguousarray(whitening, np.float32)
        arrays[f"{name}.farthest"] = np.array([farthest], np.float32)
    save_file(arrays, str(folder / FILE))
    (folder / FILE).chmod(0o644)


def load_domains(folder: Path) -> dict[str, Domain]:
    """What the folder holds; empty for a model without a record of its domain.

    Raises:
        InputError: the file is not of this kind.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(str(path))
        return {
            name: (arrays[f"{name}.mean"], arrays[f"{name}.whitening"], float(arrays[f"{name}.farthest"][0]))
            for name in SUBJECTS
            if f"{name}.mean" in arrays
        }  # fmt: skip
    except (SafetensorError, KeyError, IndexError, OSError) as error:
        raise InputError(
            f"{path} cannot be read ({error!r}); delete it: predictions then do not say what is out of domain"
        ) from error


def outside_domain(domains: Mapping[str, Domain], vectors: Mapping[str, Float]) -> tuple[OutOfDomain, ...]:
    """What of a clip is out of domain, by its encoders' vectors [D]."""
    found = []
    for name, domain in domains.items():
        score = float(distances(domain, vectors[name][None])[0]) if name in vectors else 0.0
        if score > domain[2]:
            found.append(OutOfDomain(SUBJECTS[name], score, domain[2]))
    return tuple(found)
