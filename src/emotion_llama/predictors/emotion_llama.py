"""The reader that is a model: a folder with Emotion-LLaMA's weights looks, listens and answers.

The label is not parsed out of a generated text: every label of the space is scored by its likelihood after the
`[emotion]` prompt, which gives probabilities and cannot miss. The reasons are generated after a `[reason]` prompt and
do not decide; where they name another label, the answer says so. Published weights that were tuned on labels until
they forgot to reason are not asked for reasons; the answer says that instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.chat.threads import SMALL_PARAMETERS, limited_threads, threads_for
from emotion_llama.chat.writing import Writer
from emotion_llama.errors import BackendError, InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.models.features.loaded_model import LoadedModel
from emotion_llama.models.known_files import folder_fingerprint, read_card, warn_if_classifier
from emotion_llama.predictors.familiarity import load as load_familiar
from emotion_llama.predictors.familiarity import unfamiliar
from emotion_llama.predictors.model_texts import label_instruction, told_reasons
from emotion_llama.predictors.prepared import Encoded, Prepared, prompt_batch
from emotion_llama.prompts.cues import cue_text
from emotion_llama.prompts.layouts import layout_named
from emotion_llama.prompts.tasks import pick_instruction, task_named
from emotion_llama.prompts.tokenise import encode
from emotion_llama.records import Evidence, Prediction
from emotion_llama.rules.measured import has_evidence

if TYPE_CHECKING:
    from emotion_llama.models.clip_inputs import ClipInputs
    from emotion_llama.models.inputs import FramePolicy
    from emotion_llama.predictors.seen import SeenArrays
    from emotion_llama.prompts.builder import Turn

# A long talk would push the instruction out of the model's context; its beginning and its end are kept.
MOST_WORDS = 400


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
        self._card = read_card(Path(folder))
        # Why no reasons are generated though they were asked for; None where they are.
        self.why_no_reasons = None if self.reason_task is None else warn_if_classifier(self.reason_task, self._card)
        loaded = LoadedModel(folder, device=device, dtype=dtype)
        self.name, self.device = loaded.name, loaded.device
        self.model, self.processor, self._extractor = loaded.model, loaded.processor, loaded.extractor
        self._files_sha256 = folder_fingerprint(Path(folder))
        self._familiar = load_familiar(Path(folder))
        size = sum(parameter.numel() for parameter in self.model.parameters())
        self._is_small = size < SMALL_PARAMETERS
        self._threads = threads_for(size, self.device)

    @property
    def frame_policy(self) -> FramePolicy:
        """The frame that the weights were trained on."""
        policy: FramePolicy = self.processor.frame_policy
        return policy

    @property
    def settings(self) -> Mapping[str, object]:
        """Prompt, labels, decoding and weights; not the device, which changes no answer on purpose."""
        return {
            "layout": self._layout,
            "label_space": self.label_space.name,
            "reason_task": self.reason_task,
            "max_new_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "dtype": str(self.model.dtype),
            "files_sha256": self._files_sha256,
        }

    # --- one person in one segment ----------------------------------------------------------------------------------

    def read(self, evidence: Evidence, inputs: ClipInputs | None = None) -> Prediction:
        """The answer for one person in one segment; a `problem` where nothing was measured.

        Raises:
            InputError: no `inputs`: the measurements alone are not what this model reads.
            BackendError: the model gives values that are not finite numbers, or memory does not suffice.
        """
        prepared = self.prepare(evidence, inputs)
        return prepared if isinstance(prepared, Prediction) else self.answer([prepared])[0]

    def prepare(self, evidence: Evidence, inputs: ClipInputs | None = None) -> Prepared | Prediction:
        """What the encoders see, ready for questions; or an answer with a `problem`, which is final.

        Nothing is asked where neither a face, a voice nor words were measured: whatever the model said of an empty
        room would be made up.

        Raises:
            InputError, BackendError: as `read`.
        """
        if inputs is None:
            raise InputError(f"reader {self.name!r} needs the clip's pictures and sound, got measurements alone")
        words = None if evidence.transcript is None else evidence.transcript.text
        return self._prepare(inputs, words, lambda: cue_text(evidence), has_evidence(evidence))

    def prepare_arrays(self, seen: SeenArrays, encoded: Encoded | None = None) -> Prepared | Prediction:
        """As `prepare`, of arrays alone.

        Args:
            seen: what was seen, heard and measured.
            encoded: what this reader's encoders made of the same arrays before; nothing is encoded then.

        Raises:
            BackendError: as `read`.
        """
        return self._prepare(seen.inputs(), seen.words, lambda: seen.cues, seen.has_evidence, encoded)

    def _prepare(
        self,
        inputs: ClipInputs,
        said: str | None,
        cues: Callable[[], str],
        is_measured: bool,
        encoded: Encoded | None = None,
    ) -> Prepared | Prediction:
        words = None if said is None else shortened(said)
        if inputs.frame is None and inputs.sound is None and not inputs.num_faces and not words:
            why = "; ".join(f"no {missing.what} ({missing.reason})" for missing in inputs.missing)
            return self._no_answer(f"there is nothing to see, hear or read: {why}")
        if not (is_measured or inputs.num_faces):
            return self._no_answer("nothing was measured to tell a feeling from: no face, no voice, no words")
        if encoded is None:
            try:
                encoded = self._encode(inputs)
            except InputError as error:  # the sound is too long for the recipe: the message says what to do
                return self._no_answer(str(error))
        return Prepared(encoded, words, cues() if layout_named(self._layout).has_cues else None)

    def _no_answer(self, problem: str) -> Prediction:
        return Prediction(None, None, "", "", self.name, problem=problem)

    def _encode(self, inputs: ClipInputs) -> Encoded:
        import torch

        from emotion_llama.models.clip_media import ClipMedia
        from emotion_llama.models.inputs import global_pixel_values

        with limited_threads(self._threads), torch.inference_mode():
            features = self._extractor.extract(inputs)
            clip = ClipMedia.of_features(features)
            unlike = unfamiliar(self._familiar, dict(features.vectors().items()))
            if clip.image is None:
                return Encoded(clip, None, features.missing, unlike)
            pixels = global_pixel_values(clip.image, self.processor.image_size)
            values = torch.from_numpy(pixels)[None].to(self.device)
            return Encoded(clip, self.model.get_vision_features(values), features.missing, unlike)

    # --- answers ----------------------------------------------------------------------------------------------------

    def answer(self, cases: Sequence[Prepared]) -> list[Prediction]:
        """An answer for each case: all labels scored together, all reasons generated together.

        In float32 they are what `read` gives one by one, up to the rounding of sums of other lengths; in half
        precision that rounding can change a word of the reasons.

        Raises:
            BackendError: the model gives values that are not finite numbers.
        """
        if not cases:
            return []
        import torch

        with limited_threads(self._threads), torch.inference_mode():
            scored = self._score(cases)
            is_asked = self.reason_task is not None and self.why_no_reasons is None
            texts = self._reasons(cases) if is_asked else [""] * len(cases)
        answers = []
        for case, probabilities, text in zip(cases, scored, texts, strict=True):
            label = max(probabilities, key=lambda name: probabilities[name])
            reasoning = told_reasons(
                label, text, self.label_space, missing=case.encoded.missing, why_none=self.why_no_reasons,
                unlike=case.encoded.unlike,
            )  # fmt: skip
            answers.append(Prediction(label, probabilities, reasoning, text, self.name))
        return answers

    def ask(
        self,
        prepared: Prepared,
        *,
        task: str | None = None,
        instruction: str = "",
        history: Sequence[Turn] = (),
        temperature: float = 0.0,
        top_p: float = 1.0,
        max_new_tokens: int = 200,
        seed: int | None = None,
    ) -> Writer:
        """The answer to a question, piece by piece, as it is written; nothing is encoded again.

        Args:
            prepared: the clip.
            task: a name of `prompts.TASKS`; None is free text.
            instruction: what is asked; "" takes the task's own.
            history: earlier turns of the chat.
            temperature: 0 takes the likeliest token each time; above it tokens are drawn.
            top_p: tokens are drawn among the likeliest that make up this share.
            max_new_tokens: longest answer.
            seed: the same for the same drawing; None draws anew.

        Raises:
            InputError: the task is unknown, free text without an instruction, a chat that is too long, or a task that
                these weights were not trained for.
        """
        chosen = task_named("free" if task is None else task).name
        if why := warn_if_classifier(chosen, self._card):
            raise InputError(why)
        batch = prompt_batch(
            self.processor, [prepared], self._layout, self.device,
            task=chosen, instruction=instruction or None, history=history,
        )  # fmt: skip
        return Writer(
            self.model, batch, lambda ids: str(self.processor.decode_answers([ids])[0]), temperature=temperature,
            top_p=top_p, max_new_tokens=max_new_tokens, seed=seed, open_tokens=self._open_tokens, threads=self._threads,
        )  # fmt: skip

    @cached_property
    def _open_tokens(self) -> frozenset[int]:
        """LLaMA's tokens <0x00> to <0xFF>, which other tokenizers do not have, and those that answers do not show."""
        tokenizer = self.processor.tokenizer
        vocabulary = tokenizer.get_vocab()
        single = {vocabulary[name] for byte in range(256) if (name := f"<0x{byte:02X}>") in vocabulary}
        hidden = range(len(tokenizer), int(self.model.config.text_config.vocab_size))
        return frozenset({*single, *tokenizer.all_special_ids, *hidden})

    @property
    def _layout(self) -> str:
        return self.layout or str(self.processor.prompt_layout)

    def _score(self, cases: Sequence[Prepared]) -> list[dict[str, float]]:
        from emotion_llama.models.scoring import score_labels

        tokenizer = self.processor.tokenizer
        labels = [[*encode(label, tokenizer), tokenizer.eos_token_id] for label in self.label_space.labels]
        batch = prompt_batch(
            self.processor, cases, self._layout, self.device,
            task="emotion", instruction=label_instruction(self.label_space),
        )  # fmt: skip
        # Each clip's labels share a copy of its prompt's cache; a large model has room for those of few clips.
        per_pass = len(labels) * (len(cases) if self._is_small else 1)
        scores = score_labels(self.model, batch, labels, temperature=self.temperature, answers_per_pass=per_pass)
        values = scores.probabilities.double()
        if not values.isfinite().all():
            raise BackendError(
                f"{self.name}: the model's label scores are not finite numbers; its weights are damaged, or too large "
                f"for {self.model.dtype}: convert again, or load with dtype='float32'"
            )
        return [dict(zip(self.label_space.labels, (row / row.sum()).tolist())) for row in values]

    def _reasons(self, cases: Sequence[Prepared]) -> list[str]:
        assert self.reason_task is not None
        batch = prompt_batch(
            self.processor, cases, self._layout, self.device,
            task=self.reason_task, instruction=pick_instruction(self.reason_task),
        )  # fmt: skip
        # A folder that training wrote may say that no cache is used, which training wants.
        generated = self.model.generate(**batch, max_new_tokens=self.max_new_tokens, do_sample=False, use_cache=True)
        return list(self.processor.decode_answers(generated))


def shortened(words: str) -> str:
    """At most `MOST_WORDS` words: the beginning and the end of a long talk."""
    spoken = words.split()
    if len(spoken) <= MOST_WORDS:
        return " ".join(spoken)
    half = MOST_WORDS // 2
    return " ".join([*spoken[:half], "...", *spoken[-half:]])
