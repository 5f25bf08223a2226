"""How well the model in training tells labels: likelihood over a label space, on clips it does not learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.calibration import calibration
from emotion_llama.evaluation.metrics.classification import score_labels as score_answers
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.predictors import Sample, Task
from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor
from emotion_llama.train.dataset import NO_CUES, MediaSource, PromptConfig
from emotion_llama.train.examples import Example


@dataclass(frozen=True)
class Told:
    """What the model told of one example: its probabilities over the label space."""

    name: str
    truth: str
    probabilities: Mapping[str, float]

    @property
    def label(self) -> str:
        """The likeliest label."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])


@dataclass(frozen=True)
class LabelQuestion:
    """How labels are asked for.

    Attributes:
        space: the labels.
        instruction: in the prompt.
        config: layout; its dropout is not used here.
        dropped: modalities (`dataset.DROPPABLE`) left out of every clip: tables by modality.
        batch_size: clips a pass.
    """

    instruction: str
    config: PromptConfig
    space: LabelSpace = MERR9
    dropped: frozenset[str] = frozenset()
    batch_size: int = 8


def tell_labels(
    model: Any, processor: Any, examples: Sequence[Example], media: MediaSource, question: LabelQuestion
) -> Iterator[Told]:
    """The model's probabilities for each example that has a true label, in order.

    Args:
        model: an EmotionLlamaForConditionalGeneration; its mode is put back afterwards.
        processor: its EmotionLlamaProcessor.
        examples: with `truths["label"]`.
        media: gives what is seen and heard.
        question: how to ask.

    Raises:
        InputError: an example's label is not in the label space.
    """
    labelled = [example for example in examples if "label" in example.truths]
    if strange := next((e for e in labelled if e.truths["label"] not in question.space.labels), None):
        raise InputError(f"{strange.name}: {strange.truths['label']!r} is no label of {question.space.name}")
    predictor = EmotionLlamaPredictor(model, processor, label_space=question.space, layout=question.config.layout)
    task = Task("emotion", question.space.labels, question.instruction, 0)
    was_training = model.training
    model.eval()
    try:
        for begin in range(0, len(labelled), question.batch_size):
            batch = labelled[begin : begin + question.batch_size]
            samples = [_sample(example, media(example) or ClipFeatures(), question) for example in batch]
            for example, made in zip(batch, predictor.answer(samples, task), strict=True):
                assert made.probabilities is not None
                # A plain dict: processes exchange these, and a read-only view cannot be pickled.
                yield Told(example.name, example.truths["label"], dict(made.probabilities))
    finally:
        model.train(was_training)


def label_metrics(told: Sequence[Told]) -> dict[str, float]:
    """`uar`, `accuracy`, `weighted_f1`, `macro_f1` and `ece`, for logs and for keeping the best.

    Raises:
        InputError: nothing was told.
    """
    if not told:
        raise InputError("no validation clip has a label; leave the label metrics out, or give labelled clips")
    scores = score_answers([one.truth for one in told], [one.label for one in told])
    fit = calibration([one.truth for one in told], [one.probabilities for one in told])
    names = ("uar", "accuracy", "weighted_f1", "macro_f1")
    return {name: float(scores[name]) for name in names} | ({} if fit is None else {"ece": fit["ece"]})


def _sample(example: Example, media: ClipFeatures, question: LabelQuestion) -> Sample:
    words = None if "words" in question.dropped else example.words
    cues = NO_CUES if "cues" in question.dropped else example.cues or NO_CUES
    return Sample(None, None, media.without(question.dropped), words, cues, example.name)
