"""Our own model as a predictor: everything that knows how it is asked, for analysis, evaluation, training and server.

Labels are not parsed out of a generated text: every label of the space is scored by its likelihood after the
`[emotion]` prompt. The reasons are generated after a `[reason]` prompt and do not decide; where they name another
label, the prediction says so. Published weights that were tuned on labels alone are not asked for reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.errors import BackendError, InputError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.models.checkpoints.published import warn_if_classifier
from emotion_llama.models.clips import ClipFeatures
from emotion_llama.models.features.loaded_model import LoadedModel
from emotion_llama.models.folders import folder_fingerprint, read_manifest
from emotion_llama.predictors.base import Sample, Task
from emotion_llama.predictors.model_prompts import (
    Domain,
    label_instruction,
    load_domains,
    outside_domain,
    prompt_batch,
    readable,
    reasons,
)
from emotion_llama.predictors.writer import SMALL_PARAMETERS, Writer, limited_threads, threads_for
from emotion_llama.prompts.layouts import layout_named
from emotion_llama.prompts.tasks import check_task, pick_instruction
from emotion_llama.prompts.tokenise import encode
from emotion_llama.results import OutOfDomain, Prediction
from emotion_llama.rules.tone_text import has_evidence

if TYPE_CHECKING:
    import torch

    from emotion_llama.models.clips import ClipInputs
    from emotion_llama.models.inputs import FramePolicy
    from emotion_llama.prompts.builder import Turn

NOTHING = "there is nothing to see, hear or read"


class EmotionLlamaPredictor:
    """Predicts from frames, sound, transcript and, in layout "evidence", the measured cues.

    Args:
        model: an EmotionLlamaForConditionalGeneration.
        processor: its EmotionLlamaProcessor.
        name: as predictions record it.
        extractor: computes the features of samples that have none; None: all samples have features.
        label_space: labels to choose from.
        layout: prompt layout; None is the one the weights were trained with.
        reason_task: task of the generated reasons, or None for labels only.
        max_new_tokens: longest reasons.
        temperature: divides the label scores; 1 is uncalibrated, fit it on labelled clips.

    Raises:
        InputError: a name is unknown, or the temperature is not above 0.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        name: str = "model",
        extractor: Any = None,
        label_space: LabelSpace = MERR9,
        layout: str | None = None,
        reason_task: str | None = "reason",
        max_new_tokens: int = 200,
        temperature: float = 1.0,
    ) -> None:
        if not temperature > 0:
            raise InputError(f"temperature is {temperature}, expected a number above 0")
        self.model, self.processor, self.name, self.extractor = model, processor, name, extractor
        self.label_space = label_space
        self.layout = layout_named(layout or processor.prompt_layout)
        self.reason_task = None if reason_task is None else check_task(reason_task)
        self.max_new_tokens, self.temperature = max_new_tokens, temperature
        size = sum(parameter.numel() for parameter in model.parameters())
        self._is_small = size < SMALL_PARAMETERS
        self._threads = threads_for(size, str(model.device))
        # Of a folder: the record of its conversion, the domain they were trained on, and a hash.
        self._manifest: Mapping[str, Any] | None = None
        self._domains: Mapping[str, Domain] = {}
        self._files_sha256 = ""

    @classmethod
    def load(
        cls, folder: str | Path, *, device: str | None = None, dtype: str = "auto", **options: Any
    ) -> EmotionLlamaPredictor:
        """The predictor of a model's folder, as `emotion-llama convert` or a training run writes it.

        Args:
            folder: of the model.
            device: "cpu", "cuda", "cuda:1"; None takes a GPU where there is one.
            dtype: of the language model, a torch dtype's name; "auto" as in `LoadedModel`.
            **options: of the class: `label_space`, `layout`, `reason_task`, `max_new_tokens`, `temperature`.

        Raises:
            InputError: the folder holds no model, or as the class.
            MissingDependency: torch or transformers is not installed.
        """
        if options.get("layout") is not None:  # a wrong name costs no loading
            layout_named(options["layout"])
        manifest = read_manifest(Path(folder))
        loaded = LoadedModel(folder, device=device, dtype=dtype)
        found = cls(loaded.model, loaded.processor, name=loaded.name, extractor=loaded.extractor, **options)
        found._manifest = manifest
        found._domains = load_domains(Path(folder))
        found._files_sha256 = folder_fingerprint(Path(folder))
        return found

    @property
    def frame_policy(self) -> FramePolicy:
        """The frame that the weights were trained on."""
        policy: FramePolicy = self.processor.frame_policy
        return policy

    @property
    def settings(self) -> Mapping[str, object]:
        """Prompt, labels, decoding and weights; not the device, which changes no answer on purpose."""
        return {
            "layout": self.layout.name,
            "label_space": self.label_space.name,
            "reason_task": self.reason_task,
            "max_new_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "dtype": str(self.model.dtype),
            "files_sha256": self._files_sha256,
        }

    @property
    def why_no_reasons(self) -> str | None:
        """Why no reasons are generated though they were asked for; None where they are."""
        return None if self.reason_task is None else self.why_not(self.reason_task)

    def why_not(self, task: str) -> str | None:
        """Why these weights cannot do a task of `prompts.TASKS`; None where they can, as far as is known."""
        trained = getattr(self.model.config, "trained_tasks", None)
        if trained and task not in trained:
            known = ", ".join(f"[{name}]" for name in trained)
            return f"these weights were not trained for the task [{task}]; they know {known}"
        return warn_if_classifier(task, self._manifest)

    # --- samples ----------------------------------------------------------------------------------------------------

    def encode(self, sample: Sample) -> Sample | Prediction:
        """The sample with its features; a prediction with a `problem` where nothing can be asked of it.

        Nothing is asked where neither a face, a voice nor words were measured: whatever the model said of an empty room
        would be made up.

        Raises:
            InputError: neither inputs nor features: the measurements alone are not what this model takes.
        """
        sample, unread = readable(sample, getattr(self.model.config, "languages", None))
        given: ClipInputs | ClipFeatures | None = sample.features or sample.inputs
        if given is None:
            raise InputError(f"predictor {self.name!r} needs the clip's frames and sound, got measurements alone")
        if not any(given.present) and not (sample.text or "").strip():
            why = "; ".join(f"no {one.what} ({one.reason})" for one in (*given.missing, *unread))
            return self._no_answer(f"{NOTHING}: {why}" if why else NOTHING)
        is_measured = sample.evidence is None or has_evidence(sample.evidence)
        if not (is_measured or given.num_faces):
            why = "".join(f" ({one.reason})" for one in unread)
            return self._no_answer(f"nothing was measured to tell a feeling from: no face, no voice, no words{why}")
        try:
            assert isinstance(given, ClipFeatures) or sample.inputs is not None
            features = given if isinstance(given, ClipFeatures) else self._features(given)
            if new := [one for one in unread if one not in features.missing]:  # it may be encoded already
                features = replace(features, missing=(*features.missing, *new))
            return replace(sample, features=features)
        except InputError as error:  # the sound is too long for the recipe: the message says what to do
            return self._no_answer(str(error))

    def _features(self, inputs: ClipInputs) -> ClipFeatures:
        import torch

        from emotion_llama.models.inputs import global_pixel_values

        with limited_threads(self._threads), torch.inference_mode():
            features: ClipFeatures = self.extractor.extract(inputs)
            vision = None
            if features.global_image is not None:
                pixels = global_pixel_values(features.global_image, self.processor.image_size)
                vision = self.model.get_image_features(
                    torch.from_numpy(pixels)[None].to(self.model.device)
                ).last_hidden_state
            return replace(features, vision=vision)

    def _no_answer(self, problem: str) -> Prediction:
        return Prediction(None, None, "", "", self.name, problem=problem)

    # --- predictions ------------------------------------------------------------------------------------------------

    def predict(self, samples: Sequence[Sample], task: Task | None = None) -> list[Prediction]:
        """A prediction for each sample: all labels are scored together, all texts generated together.

        In float32 they are those of one sample alone, up to the rounding of sums of other lengths; in half precision
        that rounding can change a word of a text. Where memory does not suffice for all, halves are tried.

        Args:
            samples: with inputs or features.
            task: None is a label of the label space and the reasons for it; a task with labels and a text takes both
                from one prompt.

        Raises:
            InputError: a sample has neither inputs nor features, or the task is unknown.
            BackendError: the model gives values that are not finite numbers, or fails.
        """
        found: dict[int, Prediction] = {}
        ready: list[tuple[int, Sample]] = []
        for row, sample in enumerate(samples):
            encoded = self.encode(sample)
            if isinstance(encoded, Prediction):
                found[row] = encoded
            else:
                ready.append((row, encoded))
        answers = self.answer([sample for _, sample in ready], task)
        found |= {row: answer for (row, _), answer in zip(ready, answers, strict=True)}
        return [found[row] for row in range(len(samples))]

    def answer(self, samples: Sequence[Sample], task: Task | None) -> list[Prediction]:
        """As `predict`, of samples that have features; whether there is anything to ask about is not checked."""
        if not samples:
            return []
        import torch

        try:
            with limited_threads(self._threads), torch.inference_mode():
                return self._label_and_reasons(samples) if task is None else self._task(samples, task)
        except torch.OutOfMemoryError:
            if len(samples) == 1:
                return [self._no_answer("the model has no memory left for this clip")]
        except RuntimeError as error:
            line = str(error).partition("\n")[0][:200]
            raise BackendError(f"the model {self.name!r} failed: {line}") from error
        torch.cuda.empty_cache()
        half = len(samples) // 2
        return [*self.answer(samples[:half], task), *self.answer(samples[half:], task)]

    def _label_and_reasons(self, samples: Sequence[Sample]) -> list[Prediction]:
        asked = Task("emotion", self.label_space.labels, label_instruction(self.label_space), 0)
        scored = self._probabilities(self.score(samples, asked), asked.labels)
        texts = [""] * len(samples)
        why_none = self.why_no_reasons
        if self.reason_task is not None and why_none is None:
            batch = self._batch(samples, self.reason_task, pick_instruction(self.reason_task))
            # A folder that training wrote may say that no cache is used, which training wants.
            made = self.model.generate(**batch, max_new_tokens=self.max_new_tokens, do_sample=False, use_cache=True)
            texts = list(self.processor.decode_answers(made))
        found = []
        for sample, probabilities, text in zip(samples, scored, texts, strict=True):
            label, missing = _likeliest(probabilities), () if sample.features is None else sample.features.missing
            reasoning = reasons(label, text, self.label_space, missing=missing, why_none=why_none)
            outside = self._outside(sample)
            found.append(Prediction(label, probabilities, reasoning, text, self.name, out_of_domain=outside))
        return found

    def _outside(self, sample: Sample) -> tuple[OutOfDomain, ...]:
        """What of a sample is unlike all that these weights learned from, as far as that is known."""
        if not self._domains or sample.features is None:
            return ()
        return outside_domain(self._domains, dict(sample.features.vectors().items()))

    def _task(self, samples: Sequence[Sample], task: Task) -> list[Prediction]:
        from emotion_llama.models.scoring import generate_and_score

        if not task.max_new_tokens:
            scored = self._probabilities(self.score(samples, task), task.labels)
            return [
                Prediction(_likeliest(one), one, "", "", self.name, out_of_domain=self._outside(sample))
                for sample, one in zip(samples, scored, strict=True)
            ]
        batch = self._batch(samples, task.name, task.instruction)
        shares: list[dict[str, float] | None] = [None] * len(samples)
        if task.labels:
            made, scores = generate_and_score(
                self.model, batch, self._label_tokens(task.labels), temperature=self.temperature,
                answers_per_pass=self._per_pass(samples, task.labels), max_new_tokens=task.max_new_tokens,
            )  # fmt: skip
            shares = [*self._probabilities(scores.log_likelihoods, task.labels)]
        else:
            made = self.model.generate(
                **batch, max_new_tokens=task.max_new_tokens, do_sample=False, num_beams=1, repetition_penalty=1.0,
                use_cache=True,
            )  # fmt: skip
        end = self.processor.tokenizer.eos_token_id
        found = []
        rows = zip(samples, made.tolist(), batch["attention_mask"], shares, strict=True)
        for sample, row, mask, probabilities in rows:
            is_whole = end in row
            count = row.index(end) if is_whole else len(row)
            text = str(self.processor.decode_answers([row[:count]])[0])
            label = None if probabilities is None else _likeliest(probabilities)
            found.append(
                Prediction(
                    label, probabilities, "", text, self.name, tokens_in=int(mask.sum()), tokens_out=count + is_whole,
                    is_cut_off=not is_whole, out_of_domain=self._outside(sample),
                )
            )  # fmt: skip
        return found

    def score(self, samples: Sequence[Sample], task: Task) -> torch.Tensor:
        """[B, L] log-likelihoods of the task's labels; samples have features and are not checked.

        Raises:
            BackendError: they are not finite numbers.
        """
        import torch

        from emotion_llama.models.scoring import score_labels

        with limited_threads(self._threads), torch.inference_mode():
            scores = score_labels(
                self.model, self._batch(samples, task.name, task.instruction), self._label_tokens(task.labels),
                answers_per_pass=self._per_pass(samples, task.labels),
            )  # fmt: skip
        return scores.log_likelihoods

    def _probabilities(self, log_likelihoods: torch.Tensor, labels: Sequence[str]) -> list[dict[str, float]]:
        import torch

        values = torch.softmax(log_likelihoods / self.temperature, dim=1).double()
        if not values.isfinite().all():
            raise BackendError(
                f"{self.name}: the model's label scores are not finite numbers; its weights are damaged, or too large "
                f"for {self.model.dtype}: convert again, or load with dtype='float32'"
            )
        return [dict(zip(labels, (row / row.sum()).tolist(), strict=True)) for row in values]

    def _label_tokens(self, labels: Sequence[str]) -> list[list[int]]:
        tokenizer = self.processor.tokenizer
        return [[*encode(label, tokenizer), tokenizer.eos_token_id] for label in labels]

    def _per_pass(self, samples: Sequence[Sample], labels: Sequence[str]) -> int:
        """Each clip's labels share a copy of its prompt's cache; a large model has room for those of few clips."""
        return len(labels) * (len(samples) if self._is_small else 1)

    # --- chat -------------------------------------------------------------------------------------------------------

    def stream(
        self,
        sample: Sample,
        messages: Sequence[Turn],
        *,
        task: str = "free",
        temperature: float = 0.0,
        top_p: float = 1.0,
        max_new_tokens: int = 200,
        seed: int | None = None,
    ) -> Writer:
        """See `Predictor.stream`; an iterator of pieces that counts its tokens and says why it ended.

        Raises:
            InputError: there is nothing to ask about, the task is unknown or not for these weights, free text without
                an instruction, or the chat is too long for the model.
        """
        chosen = check_task(task)
        if why := self.why_not(chosen):
            raise InputError(why)
        encoded = self.encode(sample)
        if isinstance(encoded, Prediction):
            raise InputError(f"there is nothing to ask about: {encoded.problem}")
        *history, last = messages
        batch = self._batch([encoded], chosen, last.text or None, history)
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

    # --- prompts ----------------------------------------------------------------------------------------------------

    def _batch(
        self, samples: Sequence[Sample], task: str, instruction: str | None, history: Sequence[Turn] = ()
    ) -> Any:
        return prompt_batch(self.model, self.processor, self.layout, samples, task, instruction, history)


def _likeliest(probabilities: Mapping[str, float]) -> str:
    return max(probabilities, key=lambda name: probabilities[name])
