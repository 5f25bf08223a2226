"""A chat model of the transformers library, loaded from a folder or an id: conversations in, whole replies out.

Image-text-to-text, audio-text and text models alike, through the Auto classes: which of them, and what the model takes,
is read from its configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

from emotion_llama.chat.asking import Asked
from emotion_llama.chat.configs import TransformersConfig
from emotion_llama.errors import AnnotationError, BackendError, InputError, MissingDependency
from emotion_llama.media.image_bytes import read_png
from emotion_llama.media.picture import shrunk
from emotion_llama.media.sound_bytes import read_wav

# Parts of a configuration that say what a model takes besides text.
_VISION = frozenset({"vision_config", "vision_tower", "mm_vision_tower", "visual"})
_AUDIO = frozenset({"audio_config", "audio_encoder_config", "speech_config"})


class Generated(NamedTuple):
    """One reply: its text, whether the model ended it itself, and tokens."""

    text: str
    is_whole: bool
    tokens_in: int
    tokens_out: int


class Conversation(NamedTuple):
    """A question, and what was wrong with the last reply to it."""

    asked: Asked
    problem: str | None = None


def is_folder(model: str) -> bool:
    """Whether a model is named by its folder.

    Raises:
        InputError: it reads like a folder, and there is none, or it holds no model.
    """
    place = Path(model).expanduser()
    if place.is_dir():
        if not (place / "config.json").is_file():
            raise InputError(f"{place} holds no model: config.json is missing")
        return True
    if model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model:
        raise InputError(f"there is no folder {model}; expected a model's folder, or an id such as name/model")
    return False


def modalities_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What a model takes, by the parts of its configuration (the content of config.json)."""
    names = set(_keys(config))
    return (
        "text",
        *(("image",) if names & _VISION else ()),
        *(("audio",) if names & _AUDIO else ()),
    )


def read_modalities(config: TransformersConfig) -> tuple[str, ...]:
    """What the model takes: as the options say, else as its folder's configuration does; without transformers.

    Raises:
        InputError: the folder holds no model, or an id comes without modalities.
    """
    if config.modalities is not None:
        is_folder(config.model)
        return config.modalities
    if not is_folder(config.model):
        raise InputError(
            f"say what {config.model!r} takes, such as modalities: [text, image]: an id is not looked up before it is "
            "asked; of a folder it is read"
        )
    path = Path(config.model).expanduser() / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object")
    return modalities_of(found)


class LocalModel:
    """Model and processor, in memory.

    Raises:
        InputError: the folder or id holds no model of a kind that chats, or there is no such device.
        MissingDependency: torch, transformers or what the model's processor needs is not installed.
    """

    def __init__(self, config: TransformersConfig) -> None:
        torch, transformers = need("torch"), need("transformers")
        self._torch = torch
        self.config = config
        self.modalities = read_modalities(config)
        is_text = set(self.modalities) == {"text"}
        place = str(Path(config.model).expanduser()) if is_folder(config.model) else config.model
        where: dict[str, Any] = {"local_files_only": True} if is_folder(config.model) else {"revision": config.revision}
        reader = transformers.AutoTokenizer if is_text else transformers.AutoProcessor
        kind = transformers.AutoModelForCausalLM if is_text else transformers.AutoModelForMultimodalLM
        try:
            self.processor: Any = reader.from_pretrained(place, **where)
            self.model: Any = kind.from_pretrained(place, **where, **self._options(torch))
        except (ImportError, OSError, ValueError, KeyError) as error:
            if "torchvision" in str(error):  # processors that can read videos, such as Qwen2-VL's
                install = "pip install torchvision (of the same release as your torch)"
                raise MissingDependency("torchvision", f"the model {config.model}", install) from error
            raise InputError(f"the model {config.model!r} cannot be loaded: {_first_line(error)}") from error
        if config.device != "auto" and config.bits is None:
            self.model.to(self._device(torch))
        self.model.eval()
        self.tokenizer: Any = getattr(self.processor, "tokenizer", self.processor)
        self.tokenizer.padding_side = "left"  # so that every row's reply begins at the same column
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        if getattr(self.processor, "chat_template", None) is None and self.tokenizer.chat_template is None:
            raise InputError(f"the model {config.model!r} has no chat template; expected one that follows instructions")
        self._has_system = True

    def generate(self, conversations: Sequence[Conversation]) -> list[Generated | AnnotationError]:
        """Greedy replies to conversations of one task, all at once where memory suffices.

        Raises:
            BackendError: the model fails on a single conversation in a way that says nothing of the conversation.
        """
        torch = self._torch
        try:
            return list(self._replies(conversations))
        except AnnotationError as error:  # the bytes of a picture or a sound are none
            if len(conversations) == 1:
                return [error]
            problem = error.message
        except torch.OutOfMemoryError:
            problem = "the model has no memory left for this question; choose a smaller model, or bits: 4"
        except ValueError as error:  # too long, or something the processor cannot take
            problem = f"the model cannot take this question: {_first_line(error)}"
        except RuntimeError as error:
            raise BackendError(f"the model {self.config.model!r} failed: {_first_line(error)}") from error
        if len(conversations) == 1:
            return [AnnotationError("cannot", problem)]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = len(conversations) // 2
        return [*self.generate(conversations[:half]), *self.generate(conversations[half:])]

    def _options(self, torch: Any) -> dict[str, Any]:
        c = self.config
        options: dict[str, Any] = {"dtype": c.dtype if c.dtype == "auto" else getattr(torch, c.dtype)}
        if c.bits is not None:
            from emotion_llama.models.pretrained import quantization_config

            options["quantization_config"] = quantization_config(c.bits)
            options["device_map"] = "auto" if c.device == "auto" else {"": self._device(torch)}
        elif c.device == "auto":
            options["device_map"] = "auto"
        return options

    def _device(self, torch: Any) -> str:
        from emotion_llama.models.features.encoders import check_device

        device = self.config.device or ("cuda" if torch.cuda.is_available() else "cpu")
        check_device(device)
        return str(device)

    def _replies(self, conversations: Sequence[Conversation]) -> Iterator[Generated]:
        inputs = self._inputs(conversations).to(self.model.device)
        for name, value in inputs.items():
            if value.is_floating_point():
                inputs[name] = value.to(self.model.dtype)
        length = inputs["input_ids"].shape[1]
        self._check_length(length)
        with self._torch.inference_mode():
            made = self.model.generate(
                **inputs, max_new_tokens=self.config.max_new_tokens, do_sample=False, num_beams=1,
                pad_token_id=self.tokenizer.pad_token_id,
            )  # fmt: skip
        ends = self._end_tokens()
        for row, mask in zip(made[:, length:].tolist(), inputs["attention_mask"]):
            end = next((i for i, token in enumerate(row) if token in ends), None)
            tokens = row if end is None else row[:end]
            text = self.tokenizer.decode(tokens, skip_special_tokens=True)
            yield Generated(text, end is not None, int(mask.sum()), len(tokens) + (end is not None))

    def _inputs(self, conversations: Sequence[Conversation]) -> Any:
        from jinja2.exceptions import TemplateError

        try:
            return self._templated(conversations)
        except TemplateError:
            if not self._has_system:
                raise ValueError("the chat template takes no conversation of this form") from None
            self._has_system = False  # templates such as Gemma's refuse a system message
            return self._inputs(conversations)

    def _templated(self, conversations: Sequence[Conversation]) -> Any:
        messages = [self._messages(one) for one in conversations]
        template = self.processor.apply_chat_template
        options: dict[str, Any] = {
            "tokenize": True, "return_dict": True, "return_tensors": "pt", "add_generation_prompt": True,
            **self.config.template_options,
        }  # fmt: skip
        if "sanitize_control_tokens" in signature(template).parameters:
            # What people say in a clip must not be read as the template's own marks.
            options["sanitize_control_tokens"] = True
        if self.processor is self.tokenizer:
            return template(messages, padding=True, **options)
        return template(messages, processor_kwargs={"padding": True}, **options)

    def _messages(self, one: Conversation) -> list[dict[str, Any]]:
        asked = one.asked
        texts = [asked.user] if one.problem is None else [asked.user, asked.again(one.problem)]
        if asked.system is not None and not self._has_system:
            texts.insert(0, asked.system)
        system = [asked.system] if asked.system is not None and self._has_system else []
        if self.processor is self.tokenizer:  # templates of text models take texts, not parts
            head = [{"role": "system", "content": text} for text in system]
            return [*head, {"role": "user", "content": "\n\n".join(texts)}]
        parts: list[dict[str, Any]] = []
        for picture_png in asked.pictures:
            from PIL import Image

            parts.append({"type": "image", "image": Image.fromarray(self._picture(picture_png))})
        if asked.sound_wav is not None:
            parts.append({"type": "audio", "audio": read_wav(asked.sound_wav, self._sample_rate_hz())})
        parts.append({"type": "text", "text": "\n\n".join(texts)})
        return [
            *({"role": "system", "content": [{"type": "text", "text": text}]} for text in system),
            {"role": "user", "content": parts},
        ]

    def _picture(self, data: bytes) -> Any:
        return shrunk(read_png(data), self.config.image_max_side)

    def _sample_rate_hz(self) -> int:
        names = ("feature_extractor", "audio_processor")
        extractor = next((part for name in names if (part := getattr(self.processor, name, None)) is not None), None)
        return int(getattr(extractor, "sampling_rate", 16_000))

    def _check_length(self, length: int) -> None:
        most = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if isinstance(most, int) and length + self.config.max_new_tokens > most:
            raise ValueError(f"{length} tokens and {self.config.max_new_tokens} of the reply exceed its {most}")

    def _end_tokens(self) -> frozenset[int]:
        found = self.model.generation_config.eos_token_id
        listed = found if isinstance(found, list) else [found]
        return frozenset(token for token in [*listed, self.tokenizer.eos_token_id] if isinstance(token, int))


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if inner is not None:
                yield str(key)
                yield from _keys(inner)


def need(package: str) -> Any:
    """The package, imported.

    Raises:
        MissingDependency: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError as error:
        raise MissingDependency(package, "a local model", "pip install 'emotion-llama[model]'") from error


def _first_line(error: Exception) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= 200 else f"{line[:200]}..."
