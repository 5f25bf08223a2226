"""Label metrics of the model in training: likelihood over a label space, on clips that it does not learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics.classification import LABEL_METRICS, calibration, score_labels
from emotion_llama.labels import LabelSpace
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.predictors import Sample, Task
from emotion_llama.predictors.emotion_llama import EmotionLlamaPredictor
from emotion_llama.train.dataset import NO_CUES, MediaSource
from emotion_llama.train.examples import Example

# The true label of an example, and the model's probabilities over the label space. Plain types: processes exchange
# them, and a read-only view cannot be pickled.
LabelPrediction = tuple[str, dict[str, float]]


def predict_labels(
    model: Any,
    processor: Any,
    examples: Sequence[Example],
    media: MediaSource,
    *,
    instruction: str,
    space: LabelSpace,
    layout: str,
    batch_size: int = 8,
) -> Iterator[LabelPrediction]:
    """A prediction for each example that has a true label, in order.

    Args:
        model: an EmotionLlamaForConditionalGeneration; its mode is put back afterwards.
        processor: its EmotionLlamaProcessor.
        examples: with `truths["label"]`.
        media: features of an example.
        instruction: in the prompt.
        space: the labels.
        layout: of the prompt.
        batch_size: clips a pass.

    Raises:
        InputError: an example's label is not in the label space.
    """
    labelled = [example for example in examples if "label" in example.truths]
    if strange := next((e for e in labelled if e.truths["label"] not in space.labels), None):
        raise InputError(f"{strange.name}: {strange.truths['label']!r} is no label of {space.name}")
    predictor = EmotionLlamaPredictor(model, processor, label_space=space, layout=layout)
    task = Task("emotion", space.labels, instruction, 0)
    was_training = model.training
    model.eval()
    try:
        for begin in range(0, len(labelled), batch_size):
            batch = labelled[begin : begin + batch_size]
            samples = [
                Sample(None, None, media(one) or ClipFeatures(), one.words, one.cues or NO_CUES, one.name)
                for one in batch
            ]
            for example, made in zip(batch, predictor.answer(samples, task), strict=True):
                assert made.probabilities is not None
                yield example.truths["label"], dict(made.probabilities)
    finally:
        model.train(was_training)


def label_metrics(predicted: Sequence[tuple[str, Mapping[str, float]]]) -> dict[str, float]:
    """`uar`, `accuracy`, `weighted_f1`, `macro_f1` and `ece` of `predict_labels`' predictions.

    Raises:
        InputError: there are none.
    """
    if not predicted:
        raise InputError("no validation clip has a label; leave the label metrics out, or give labelled clips")
    truth, probabilities = [label for label, _ in predicted], [shares for _, shares in predicted]
    scores = score_labels(truth, [max(shares, key=lambda name: shares[name]) for shares in probabilities])
    fit = calibration(truth, probabilities)
    return {name: float(scores[name]) for name in LABEL_METRICS} | ({} if fit is None else {"ece": fit["ece"]})
