"""The processor: clips and text in, one batch for the model out; the only place that expands placeholders.

Legend: B clips, L prompt positions, F face crops of all clips together, T crops for the temporal encoder, S
samples or pixels of a side, D features.
"""

# mypy: disable-error-code="no-untyped-call, override"
# (transformers is only partly typed.)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin

from emotion_llama.errors import InputError
from emotion_llama.models import inputs as recipes
from emotion_llama.models.clips import MODALITIES, ClipFeatures, ClipInputs
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.inputs import ClipRecipe, Float32, SoundRecipe
from emotion_llama.prompts import SLOTS, Turn, build_prompt, layout_named, prompt_from_text, target_text
from emotion_llama.prompts.layouts import Segment, SlotKind
from emotion_llama.prompts.tokenise import IGNORED, Tokens, load_tokenizer, tokenise
from emotion_llama.records import UInt8

Given = ClipInputs | ClipFeatures
# Names of the model's inputs -> arrays; only transformers' BatchFeature takes it.
ArrayMap = dict[str, npt.NDArray[Any]]

# What `from_pretrained` sets of the tokenizer, and what it takes to find files.
_TOKENIZER_OPTIONS = (
    "model_max_length", "truncation_side", "pad_token", "bos_token", "eos_token", "unk_token",
)  # fmt: skip
_HUB_OPTIONS = (
    "cache_dir", "force_download", "local_files_only", "token", "revision", "code_revision", "subfolder", "proxies",
    "trust_remote_code",
)  # fmt: skip


class EmotionLlamaProcessor(ProcessorMixin):
    """Tokenizer and recipes of one model, saved beside its weights.

    Args:
        tokenizer: the language model's.
        num_image_tokens: patch tokens of one frame.
        image_token_id: placeholder of a patch token; None takes the first id after the tokenizer's.
        feature_token_id: placeholder of a face, temporal, audio or global token; None takes the next id.
        image_size, face_size, clip_size: side of the pictures that global, face and temporal encoder take.
        clip_frames: how many pictures the temporal encoder takes.
        audio_recipe: a name of `inputs.SOUND_RECIPES`.
        prompt_layout: layout unless a call names another.
        frame_policy: the frame that a caller shall choose for the global encoder.
        target_rule: how answers are written for training, "published" or "plain".
        max_answer_tokens: cut of each answer, end token included (published: `max_txt_len` 1024).
        compat_zero_features: "upstream demo zeros": a missing face, clip or sound keeps its place in the prompt, and
            the model fills it with projected zeros.
        padding_side: of batches unless a call says another; None is "right" with answers and "left" without.

    Raises:
        InputError: a name is unknown, or a placeholder is an id of the tokenizer.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        num_image_tokens: int = 256,
        image_token_id: int | None = None,
        feature_token_id: int | None = None,
        image_size: int = recipes.EVA_PICTURE.size,
        face_size: int = recipes.FACE_PICTURE.size,
        clip_size: int = recipes.VIDEOMAE_CLIP.picture.size,
        audio_recipe: str = recipes.HUBERT_LAST.name,
        prompt_layout: str = "train",
        frame_policy: str = "first",
        target_rule: str = "published",
        max_answer_tokens: int = 1024,
        compat_zero_features: bool = False,
        clip_frames: int = 16,
        padding_side: Literal["left", "right"] | None = None,
    ) -> None:
        self.num_image_tokens = num_image_tokens
        self.image_token_id = len(tokenizer) if image_token_id is None else image_token_id
        self.feature_token_id = self.image_token_id + 1 if feature_token_id is None else feature_token_id
        self.image_size = image_size
        self.face_size = face_size
        self.clip_size = clip_size
        recipes.clip_recipe(clip_frames)  # refuses a number that cannot be
        self.clip_frames = clip_frames
        self.audio_recipe = recipes.sound_recipe(audio_recipe).name
        self.prompt_layout = layout_named(prompt_layout).name
        self.frame_policy = frame_policy
        self.target_rule = target_rule
        self.max_answer_tokens = max_answer_tokens
        self.compat_zero_features = compat_zero_features
        self.padding_side = padding_side
        if min(self.image_token_id, self.feature_token_id) < len(tokenizer):
            raise InputError(
                f"placeholder ids {self.image_token_id} and {self.feature_token_id} must lie after the tokenizer's "
                f"{len(tokenizer)} tokens, so that no word is taken for a placeholder"
            )
        super().__init__(tokenizer)

    @classmethod
    def of_config(
        cls, config: EmotionLlamaConfig, tokenizer: PreTrainedTokenizerBase, **changes: Any
    ) -> EmotionLlamaProcessor:
        """The processor that fits a model's config."""
        fitting: dict[str, Any] = {
            "num_image_tokens": config.num_image_tokens,
            "image_token_id": config.image_token_id,
            "feature_token_id": config.feature_token_id,
            "image_size": config.vision_config.image_size,
            "face_size": config.face_config.image_size,
            "clip_size": config.temporal_config.image_size,
            "clip_frames": config.temporal_config.num_frames,
            "audio_recipe": config.recipes["audio"],
            "prompt_layout": config.prompt_layout,
            "frame_policy": config.frame_policy,
            "compat_zero_features": config.compat_zero_features,
        }
        return cls(tokenizer, **{**fitting, **changes})

    @classmethod
    def from_pretrained(cls, folder: str | Path, **kwargs: Any) -> EmotionLlamaProcessor:
        """The processor of a folder; where it has no `processor_config.json`, the one that fits its `config.json`.

        Args:
            folder: of a model, or the name of a repository.
            kwargs: fields of the processor; of the tokenizer `model_max_length`, `truncation_side` and the special
                tokens (`pad_token`, ...), which have to be of its vocabulary; how files are found (`revision`, ...).

        Raises:
            InputError: an option is unknown or cannot be honoured, or the folder holds another kind of model.
        """
        kwargs = {name: value for name, value in kwargs.items() if not (name == "use_fast" and value)}
        fields = {name: kwargs[name] for name in kwargs if name in signature(cls.__init__).parameters}
        rest = {name: value for name, value in kwargs.items() if name not in fields}
        of_tokenizer = {name: rest.pop(name) for name in [*rest] if name in _TOKENIZER_OPTIONS}
        if unknown := [name for name in rest if name not in _HUB_OPTIONS and not name.startswith("_")]:
            known = sorted({*signature(cls.__init__).parameters, *_TOKENIZER_OPTIONS} - {"self", "tokenizer"})
            raise InputError(
                f"the processor cannot honour {unknown[0]}={rest[unknown[0]]!r} (it takes: {', '.join(known)})"
            )
        place = Path(folder) / rest.get("subfolder", "")
        processor: EmotionLlamaProcessor
        if (place / "config.json").is_file() and not (place / "processor_config.json").is_file():
            tokenizer = fields.pop("tokenizer", None) or load_tokenizer(place)
            processor = cls.of_config(EmotionLlamaConfig.from_pretrained(place), tokenizer, **fields)
        else:
            processor = super().from_pretrained(folder, **fields, **rest)
        for name, value in of_tokenizer.items():
            if name.endswith("_token") and value not in processor.tokenizer.get_vocab():
                raise InputError(f"{name} {value!r} is no token of the model's vocabulary; name one that is")
            setattr(processor.tokenizer, name, value)
        return processor

    @classmethod
    def _load_tokenizer_from_pretrained(
        cls, sub_processor_type: str, pretrained_model_name_or_path: str, subfolder: str = "", **kwargs: Any
    ) -> PreTrainedTokenizerBase:
        """Folders by our own loader, whatever version of transformers wrote them."""
        place = Path(pretrained_model_name_or_path) / subfolder
        if place.is_dir():
            return load_tokenizer(place)
        found = {name: value for name, value in kwargs.items() if name in _HUB_OPTIONS}
        tokenizer: PreTrainedTokenizerBase = super()._load_tokenizer_from_pretrained(
            sub_processor_type, pretrained_model_name_or_path, subfolder, **found
        )
        return tokenizer

    # --- prompts ----------------------------------------------------------------------------------------------------

    def slots_of(self, clip: Given) -> tuple[SlotKind, ...]:
        """The encoders whose tokens have a place in the clip's prompt."""
        image, face, temporal, audio = clip.present
        zeros = self.compat_zero_features
        there = (image, face or zeros, temporal or zeros, audio or zeros, image)
        return tuple(kind for kind, is_there in zip(SLOTS, there) if is_there)

    def tokens_of(self, prompt: Sequence[Segment]) -> Tokens:
        """Ids [L] with placeholders expanded, and labels [L]."""
        return tokenise(prompt, self.tokenizer, self._placeholders(), max_answer_tokens=self.max_answer_tokens)

    def _placeholders(self) -> Mapping[SlotKind, tuple[int, int]]:
        single = dict.fromkeys(SLOTS, (self.feature_token_id, 1))
        return {**single, "patches": (self.image_token_id, self.num_image_tokens)}

    # --- batches ----------------------------------------------------------------------------------------------------

    def __call__(
        self,
        clips: Given | Sequence[Given],
        *,
        task: str | Sequence[str] = "emotion",
        words: str | Sequence[str | None] | None = None,
        instruction: str | Sequence[str | None] | None = None,
        cues: str | Sequence[str | None] | None = None,
        history: Sequence[Sequence[Turn]] | None = None,
        text: str | Sequence[str] | None = None,
        layout: str | Sequence[str | None] | None = None,
        answers: str | Sequence[str] | None = None,
        padding_side: Literal["left", "right"] | None = None,
        return_tensors: str | None = "pt",
    ) -> BatchFeature:
        """A batch for `forward` and `generate`. What may be one value or one per clip is the same for all where one.

        Args:
            clips: inputs or features of each clip.
            task: a name of `prompts.TASKS`.
            words: the transcript; None leaves its line out.
            instruction: instead of the first of the task's pool.
            cues: measured cues as text, for layouts that have them.
            history: earlier turns of each clip's chat.
            text: ready prompts with `<VideoHere>` and `<FeatureHere>`, in place of task, words and instruction.
            layout: another layout than the processor's.
            answers: what training predicts; gives `labels`, -100 where nothing is predicted.
            padding_side: None is the processor's: "right" with answers and "left" without, as generation needs it.
            return_tensors: "pt", "np", or None for numpy arrays.

        Returns:
            input_ids, attention_mask [B, L], labels [B, L] with answers, modality_mask [B, 4], and of what any
            clip has: pixel_values [B, 3, S, S], face_pixel_values [F, 3, S, S] with face_counts [B], clip_pixel_values
            [B, 3, T, S, S], input_values [B, S] with input_lengths [B], face_features, temporal_features,
            audio_features [B, D]. Rows of clips that lack a modality are NaN.

        Raises:
            InputError: values do not fit the clips in number, or crops and features are mixed in one batch.
        """
        batch = [clips] if isinstance(clips, ClipInputs | ClipFeatures) else list(clips)
        if not batch:
            raise InputError("a batch needs a clip or more, got none")
        columns = {
            "task": task, "words": words, "instruction": instruction, "cues": cues, "text": text, "layout": layout,
            "answer": answers, "history": [()] * len(batch) if history is None else history,
        }  # fmt: skip
        each = {name: _per_clip(name, value, len(batch)) for name, value in columns.items()}
        prompts = [
            self._prompt(clip, {name: values[i] for name, values in each.items()}) for i, clip in enumerate(batch)
        ]
        side = padding_side or self.padding_side or ("left" if answers is None else "right")
        data = self._padded([self.tokens_of(prompt) for prompt in prompts], side, with_labels=answers is not None)
        data |= self._media(batch)
        return BatchFeature(data, tensor_type=return_tensors)

    def media_batch(self, clips: Sequence[Given], return_tensors: str = "pt") -> BatchFeature:
        """The encoders' inputs of a batch without a prompt, for the model's `encode`."""
        return BatchFeature(self._media(clips), tensor_type=return_tensors)

    def _media(self, clips: Sequence[Given]) -> ArrayMap:
        sound = recipes.sound_recipe(self.audio_recipe)
        seen = recipes.clip_recipe(self.clip_frames)
        return media_arrays(clips, self.image_size, self.face_size, self.clip_size, seen, sound)

    def decode_answers(self, sequences: Any) -> list[str]:
        """Answers from generated ids [B, L]: special tokens, placeholders and blanks around them taken off."""
        rows = [[int(token) for token in row] for row in sequences]
        kept = [[token for token in row if 0 <= token < len(self.tokenizer)] for row in rows]
        return [text.strip() for text in self.tokenizer.batch_decode(kept, skip_special_tokens=True)]

    @property
    def model_input_names(self) -> list[str]:
        """All that a batch may hold."""
        return [
            "input_ids", "attention_mask", "labels", "modality_mask", "pixel_values", "face_pixel_values",
            "face_counts", "clip_pixel_values", "input_values", "input_lengths", "face_features",
            "temporal_features", "audio_features",
        ]  # fmt: skip

    def _prompt(self, clip: Given, given: Mapping[str, Any]) -> tuple[Segment, ...]:
        """The prompt of one clip from its values of `__call__`."""
        layout, present = given["layout"] or self.prompt_layout, self.slots_of(clip)
        target = None if given["answer"] is None else target_text(given["answer"], self.target_rule)
        if given["text"] is not None:
            return prompt_from_text(given["text"], layout=layout, present=present, answer=target)
        return build_prompt(
            given["task"], words=given["words"], instruction=given["instruction"], cues=given["cues"], layout=layout,
            present=present, history=given["history"], answer=target,
        )  # fmt: skip

    def _padded(self, rows: Sequence[Tokens], side: str, *, with_labels: bool) -> ArrayMap:
        length = max(len(row.ids) for row in rows)
        pad = self.tokenizer.pad_token_id
        if pad is None:
            pad = self.tokenizer.eos_token_id or 0  # never attended to, and never a label
        ids = np.full((len(rows), length), pad, np.int64)
        mask = np.zeros((len(rows), length), np.int64)
        labels = np.full((len(rows), length), IGNORED, np.int64)
        for i, row in enumerate(rows):
            at = slice(length - len(row.ids), length) if side == "left" else slice(0, len(row.ids))
            ids[i, at], mask[i, at], labels[i, at] = row.ids, 1, row.labels
        return {"input_ids": ids, "attention_mask": mask} | ({"labels": labels} if with_labels else {})


def _per_clip(name: str, value: str | Sequence[Any] | None, count: int) -> Sequence[Any]:
    """One value for each clip; a text, or None, is for all."""
    if value is None or isinstance(value, str):
        return [value] * count
    if len(value) != count:
        raise InputError(f"{name} holds {len(value)} values for {count} clips; give one for each, or one for all")
    return value


# --- what encoders take, of a batch ----------------------------------------------------------------------------------


def media_arrays(
    clips: Sequence[Given], image_size: int, face_size: int, clip_size: int, seen: ClipRecipe, sound: SoundRecipe
) -> ArrayMap:
    """The encoders' inputs of a batch, and modality_mask [B, 4]; rows of clips that lack a modality are NaN.

    pixel_values [B, 3, S, S], face_pixel_values [F, 3, S, S] of all clips with face_counts [B], clip_pixel_values
    [B, 3, T, S, S] of the T crops that `seen` chooses, input_values [B, S] filled with zeros at the end with
    input_lengths [B], or face_features, temporal_features, audio_features [B, D]; what no clip has is not there.

    Raises:
        InputError: crops and features, or samples and features, are mixed; features differ in size.
    """
    data: ArrayMap = {"modality_mask": np.array([clip.present for clip in clips], np.bool_)}
    images = [clip.image if isinstance(clip, ClipInputs) else clip.global_image for clip in clips]
    pixels = [None if image is None else recipes.global_pixel_values(image, image_size) for image in images]
    data |= _stacked("pixel_values", pixels)
    features = [clip if isinstance(clip, ClipFeatures) else ClipFeatures() for clip in clips]
    for name in MODALITIES:
        data |= _stacked(f"{name}_features", [getattr(one, name) for one in features])
    inputs = [clip if isinstance(clip, ClipInputs) else ClipInputs() for clip in clips]
    if any(one.faces is not None for one in inputs):
        _unmixed("faces", data, ("face_features", "temporal_features"))
        data |= _faces([one.all_faces() for one in inputs], face_size, clip_size, seen)
    if any(one.samples is not None for one in inputs):
        _unmixed("samples", data, ("audio_features",))
        data |= _sounds([one.samples for one in inputs], sound)
    return data


def _faces(faces: Sequence[UInt8 | None], face_size: int, clip_size: int, seen: ClipRecipe) -> ArrayMap:
    crops = [recipes.face_pixel_values(one, face_size) for one in faces if one is not None]
    counts = np.array([0 if one is None else len(one) for one in faces], np.int64)
    clips = [None if one is None else _clip(one, clip_size, seen) for one in faces]
    data: ArrayMap = {"face_pixel_values": np.concatenate(crops), "face_counts": counts}
    return data | _stacked("clip_pixel_values", clips)


def _clip(faces: UInt8, clip_size: int, seen: ClipRecipe) -> Float32:
    return recipes.clip_pixel_values(faces[recipes.clip_frame_indices(len(faces), seen)], clip_size, seen)


def _sounds(sounds: Sequence[Float32 | None], recipe: SoundRecipe) -> ArrayMap:
    values = [np.zeros(0, np.float32) if one is None else recipes.sound_values(one, recipe) for one in sounds]
    lengths = np.array([len(one) for one in values], np.int64)
    rows = np.zeros((len(values), lengths.max()), np.float32)
    for row, one in zip(rows, values):
        row[: len(one)] = one
    return {"input_values": rows, "input_lengths": lengths}


def _stacked(name: str, rows: Sequence[npt.NDArray[Any] | None]) -> ArrayMap:
    there = [row for row in rows if row is not None]
    if not there:
        return {}
    shapes = {row.shape for row in there}
    if len(shapes) > 1:
        raise InputError(f"{name} differs in shape between clips: {', '.join(str(list(s)) for s in sorted(shapes))}")
    empty = np.full(there[0].shape, np.nan, np.float32)
    return {name: np.stack([empty if row is None else row.astype(np.float32) for row in rows])}


def _unmixed(raw: str, data: ArrayMap, features: Sequence[str]) -> None:
    mixed = [name for name in features if name in data]
    if mixed:
        raise InputError(f"some clips of the batch give {raw}, others {mixed[0]}; give the same for all")
