"""The reader that is a model: a folder with Emotion-LLaMA's weights looks, listens and answers.

The label is not parsed out of a generated text: every label of the space is scored by its likelihood after the
`[emotion]` prompt, which gives probabilities and cannot miss. The reasons are generated after a `[reason]` prompt and
do not decide; where they name another label, the answer says so. Published weights that were tuned on labels until
they forgot to reason are not asked for reasons; the answer says that instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from emotion_llama.answers import parse_tolerant
from emotion_llama.checkpoints.known_files import warn_if_classifier
from emotion_llama.checkpoints.manifest import read_card
from emotion_llama.data.loaded_model import LoadedModel
from emotion_llama.errors import BackendError, InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.prompts.cues import cue_text
from emotion_llama.prompts.layouts import layout_named
from emotion_llama.prompts.tasks import emotion_instruction, pick_instruction, task_named
from emotion_llama.prompts.tokenise import encode
from emotion_llama.records import Evidence, Missing, Prediction

if TYPE_CHECKING:
    from emotion_llama.data.clip_inputs import ClipInputs
    from emotion_llama.data.features import ClipFeatures
    from emotion_llama.models.clip_media import ClipMedia
    from emotion_llama.models.inputs import FramePolicy

# A long talk would push the instruction out of the model's context; its beginning and its end are kept.
MOST_WORDS = 400
SMALL_FILE_BYTES = 1 << 20  # configuration, tokenizer, conversion.json with the hashes of what it wrote


class EmotionLlamaReader:
    """Reads pictures, sound, words and, in layout "evidence", the measured cues of one person in one segment.

    Args:
        folder: a model, as `emotion-llama convert` writes it.
        label_space: labels to choose from.
        layout: prompt layout; None is the one the weights were trained with.
        reason_task: task of the generated reasons, or None for labels only.
        max_new_tokens: longest reasons.
        temperature: divides the label scores; 1 is uncalibrated, fit it on labelled clips.
        device: "cpu", "cuda", "cuda:1"; None takes a GPU where there is one.
        dtype: of the language model, a torch dtype's name; "auto" as in `LoadedModel`.

    Raises:
        InputError: the folder holds no model, or a name is unknown.
        MissingDependency: torch or transformers is not installed.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        label_space: LabelSpace = MERR9,
        layout: str | None = None,
        reason_task: str | None = "reason",
        max_new_tokens: int = 200,
        temperature: float = 1.0,
        device: str | None = None,
        dtype: str = "auto",
    ) -> None:
        if not temperature > 0:
            raise InputError(f"temperature is {temperature}, expected a number above 0")
        self.label_space = label_space
        self.layout = None if layout is None else layout_named(layout).name
        self.reason_task = None if reason_task is None else task_named(reason_task).name
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature
        # Why no reasons are generated though they were asked for; None where they are.
        self.why_no_reasons = (
            None if self.reason_task is None else warn_if_classifier(self.reason_task, read_card(Path(folder)))
        )
        loaded = LoadedModel(folder, device=device, dtype=dtype)
        self.name, self.device = loaded.name, loaded.device
        self.model, self.processor, self._extractor = loaded.model, loaded.processor, loaded.extractor
        self._files_sha256 = folder_fingerprint(Path(folder))

    @property
    def frame_policy(self) -> FramePolicy:
        """The frame that the weights were trained on."""
        policy: FramePolicy = self.processor.frame_policy
        return policy

    @property
    def settings(self) -> Mapping[str, object]:
        """Prompt, labels, decoding and weights; not the device, which changes no answer on purpose."""
        return {
            "layout": self.layout or self.processor.prompt_layout,
            "label_space": self.label_space.name,
            "reason_task": self.reason_task,
            "max_new_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "dtype": str(self.model.dtype),
            "files_sha256": self._files_sha256,
        }

    def read(self, evidence: Evidence, inputs: ClipInputs | None = None) -> Prediction:
        """The answer for one person in one segment; a `problem` where nothing can be seen, heard or read.

        Raises:
            InputError: no `inputs`: the measurements alone are not what this model reads.
            BackendError: the model gives values that are not finite numbers, or memory does not suffice.
        """
        if inputs is None:
            raise InputError(f"reader {self.name!r} needs the clip's pictures and sound, got measurements alone")
        words = None if evidence.transcript is None else shortened(evidence.transcript.text)
        if inputs.frame is None and inputs.sound is None and not inputs.num_faces and not words:
            why = "; ".join(f"no {missing.what} ({missing.reason})" for missing in inputs.missing)
            return self._no_answer(f"there is nothing to see, hear or read: {why}")
        try:
            features = self._extractor.extract(inputs)
        except InputError as error:  # the sound is too long for the recipe: the message says what to do
            return self._no_answer(str(error))
        return self._answer(features, words, evidence)

    def _no_answer(self, problem: str) -> Prediction:
        return Prediction(None, None, "", "", self.name, problem=problem)

    def _answer(self, features: ClipFeatures, words: str | None, evidence: Evidence) -> Prediction:
        import torch

        from emotion_llama.models.clip_media import ClipMedia

        with torch.inference_mode():
            case = self._case(ClipMedia.of_features(features), words, evidence)
            probabilities = self._score(case)
            is_asked = self.reason_task is not None and self.why_no_reasons is None
            text = self._reasons(case) if is_asked else ""
        label = max(probabilities, key=lambda name: probabilities[name])
        reasoning = self._told(label, text, features.missing)
        return Prediction(label, probabilities, reasoning, text, self.name)

    def _case(self, clip: ClipMedia, words: str | None, evidence: Evidence) -> _Case:
        layout = self.layout or self.processor.prompt_layout
        cues = cue_text(evidence) if layout_named(layout).has_cues else None
        if clip.image is None:
            return _Case(clip, layout, words, cues, None)
        import torch

        from emotion_llama.models.inputs import global_pixel_values

        pixels = global_pixel_values(clip.image, self.processor.image_size)
        # The global encoder is the dearest part of a short prompt; both questions share what it saw.
        values = torch.from_numpy(pixels)[None].to(self.device)
        return _Case(clip, layout, words, cues, self.model.get_vision_features(values))

    def _score(self, case: _Case) -> dict[str, float]:
        from emotion_llama.models.scoring import score_labels

        tokenizer = self.processor.tokenizer
        labels = [[*encode(label, tokenizer), tokenizer.eos_token_id] for label in self.label_space.labels]
        batch = self._batch(case, "emotion", label_instruction(self.label_space))
        scores = score_labels(self.model, batch, labels, temperature=self.temperature)
        values = scores.probabilities[0].double()
        if not values.isfinite().all():
            raise BackendError(
                f"{self.name}: the model's label scores are not finite numbers; its weights are damaged, or too large "
                f"for {self.model.dtype}: convert again, or load with dtype='float32'"
            )
        return dict(zip(self.label_space.labels, (values / values.sum()).tolist()))

    def _reasons(self, case: _Case) -> str:
        assert self.reason_task is not None
        batch = self._batch(case, self.reason_task, pick_instruction(self.reason_task))
        generated = self.model.generate(**batch, max_new_tokens=self.max_new_tokens, do_sample=False)
        answer: str = self.processor.decode_answers(generated)[0]
        return answer

    def _batch(self, case: _Case, task: str, instruction: str) -> Any:
        batch = self.processor(
            case.clip, task=task, instruction=instruction, words=case.words, cues=case.cues, layout=case.layout
        ).to(self.device)  # fmt: skip
        if case.vision is not None:
            del batch["pixel_values"]
            batch["vision_features"] = case.vision
        return batch

    def _told(self, label: str, text: str, missing: tuple[Missing, ...]) -> str:
        named = parse_tolerant(text, self.label_space, model=self.name).label if text else None
        sentences = [as_sentence(text)] if text else []
        if self.why_no_reasons is not None:
            sentences.append(f"No reasons: {self.why_no_reasons}.")
        if named is not None and named != label:
            sentences.append(f"These reasons name {named}; the label is the likeliest of the label space, {label}.")
        if missing:
            lacking = ", ".join(f"{one.what} ({one.reason})" for one in missing)
            sentences.append(f"Read without {lacking}.")
        return " ".join(sentences)


class _Case(NamedTuple):
    """What both questions about a clip have in common; `vision` is [1, 1 + N, D] of the global encoder."""

    clip: ClipMedia
    layout: str
    words: str | None
    cues: str | None
    vision: Any


def folder_fingerprint(folder: Path) -> str:
    """A SHA-256 that changes with a model's folder: small files by content, weights by size and time of writing."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        about = path.stat()
        is_small = about.st_size < SMALL_FILE_BYTES
        content = hashlib.sha256(path.read_bytes()).hexdigest() if is_small else str(about.st_mtime_ns)
        digest.update(f"{path.name} {about.st_size} {content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def label_instruction(space: LabelSpace) -> str:
    """The published instruction where its nine labels hold all of the space's, else the same with the space's own."""
    if set(space.labels) <= set(MERR9.labels):
        return pick_instruction("emotion")
    return emotion_instruction(space.labels)


def shortened(words: str) -> str:
    """At most `MOST_WORDS` words: the beginning and the end of a long talk."""
    spoken = words.split()
    if len(spoken) <= MOST_WORDS:
        return " ".join(spoken)
    half = MOST_WORDS // 2
    return " ".join([*spoken[:half], "...", *spoken[-half:]])


def as_sentence(text: str) -> str:
    """Published weights write without capitals and full stops; the first letter and the last mark are put back."""
    whole = text[0].upper() + text[1:]
    return whole if whole.endswith((".", "!", "?")) else f"{whole}."
