"""One model of the transformers library in this process: image-text-to-text, audio-text and text models alike.

Which Auto class loads it, and what it takes, is read from its configuration. Decoding is greedy. In float32 a batch
gives what single requests give; in half precision a reply can differ where two tokens are almost equally likely.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

from emotion_llama.chat.config import TransformersConfig
from emotion_llama.chat.label_scores import Scored, log_likelihoods, shares
from emotion_llama.chat.model_parts import load_processor, model_class
from emotion_llama.chat.records import ChatRequest, RawReply
from emotion_llama.errors import AnnotationError, BackendError, InputError, MissingDependency
from emotion_llama.media.encoded import read_png, read_wav
from emotion_llama.media.picture import shrunk
from emotion_llama.models.folders import folder_fingerprint, read_json_object

T = TypeVar("T")
# Parts of a configuration that say what a model takes besides text.
_VISION = frozenset({"vision_config", "vision_tower", "mm_vision_tower", "visual"})
_ENCODERS = frozenset(
    {"bert", "clip", "deberta-v2", "data2vec-audio", "dinov2", "hubert", "roberta", "siglip", "videomae", "vit"}
    | {"vit_mae", "wav2vec2", "wavlm"}
)
_AUDIO = frozenset({"audio_config", "audio_encoder_config", "speech_config"})


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
    found = is_folder(config.model)
    about = read_json_object(Path(config.model).expanduser() / "config.json") if found else {}
    check_chats(config.model, about)
    if config.modalities is not None:
        return config.modalities
    if not found:
        raise InputError(
            f"say what {config.model!r} takes, such as modalities: [text, image]: an id is not looked up before it is "
            "asked; of a folder it is read"
        )
    return modalities_of(about)


def check_chats(model: str, config: Mapping[str, Any]) -> None:
    """InputError where a model's configuration says that it writes no text."""
    kind, names = str(config.get("model_type", "")), " ".join(map(str, config.get("architectures") or ()))
    if kind == "emotion_llama":
        raise InputError(f"{model} holds an Emotion-LLaMA model; name it by its folder alone: --model {model}")
    if kind in _ENCODERS or "Classification" in names:
        what = "a classifier" if "Classification" in names else "an encoder"
        raise InputError(
            f"{model} holds {what} ({kind}), which writes no text; expected a model that chats (a classifier of "
            "emotions can be a cue of the rules: --cues)"
        )


class LocalModel:
    """The backend of `ChatModel` for a folder or an id of the hub; loaded with the first request.

    Raises:
        InputError: the folder holds no model, or an id comes without modalities.
    """

    def __init__(self, config: TransformersConfig) -> None:
        self.config = config
        self.batch_size = config.batch_size
        self.modalities = read_modalities(config)
        place = Path(config.model).expanduser()
        # The folder's own name, or the id with its revision.
        self.name = config.model if config.revision is None else f"{config.model}@{config.revision}"
        self._files_sha256 = None
        if is_folder(config.model):
            self.name, self._files_sha256 = place.resolve().name, folder_fingerprint(place)
        self._loaded: _Loaded | None = None

    @property
    def settings(self) -> Mapping[str, object]:
        """Model and its files, and decoding; not the device, and not the batch size."""
        c = self.config
        return {
            "annotator": "transformers",
            "model": self.name,
            "files_sha256": self._files_sha256,
            "modalities": list(self.modalities),
            "dtype": c.dtype,
            "bits": c.bits,
            "max_new_tokens": c.max_new_tokens,
            "image_max_side": c.image_max_side,
            "template_options": c.template_options,
        }

    def check_installed(self) -> None:
        """Raises MissingDependency where torch or transformers is not installed; the model is not loaded."""
        need("torch")
        need("transformers")

    def send(self, sent: Sequence[tuple[ChatRequest, str | None]]) -> list[RawReply | AnnotationError]:
        """A reply, or why there is none, for each request and what was wrong with its last reply.

        Raises:
            InputError: no model of a kind that chats, or there is no such device.
            MissingDependency: torch, transformers or what the model's processor needs is not installed.
            BackendError: the model fails on a single request in a way that says nothing of the request.
        """
        loaded = self.load()
        by_form: dict[tuple[int, bool], list[int]] = {}
        for row, (request, _) in enumerate(sent):
            by_form.setdefault(request.media, []).append(row)
        found: dict[int, RawReply | AnnotationError] = {}
        for rows in by_form.values():
            for begin in range(0, len(rows), self.batch_size):
                some = rows[begin : begin + self.batch_size]
                start = time.monotonic()
                replies = loaded.generate([sent[row] for row in some])
                seconds = time.monotonic() - start
                for row, reply in zip(some, replies, strict=True):
                    found[row] = reply if isinstance(reply, AnnotationError) else self._reply(*reply, seconds)
        return [found[row] for row in range(len(sent))]

    def score(self, requests: Sequence[ChatRequest], labels: Sequence[str]) -> list[Scored | AnnotationError]:
        """The labels' shares as the reply to each request, by the model's own log-probabilities; errors as `send`."""
        loaded = self.load()
        return [loaded.score(request, labels) for request in requests]

    def load(self) -> _Loaded:
        """The model in memory; errors as `send`."""
        self._loaded = self._loaded or _Loaded(self.config, self.modalities)
        return self._loaded

    def close(self) -> None:
        """Let the model go."""
        self._loaded = None

    def _reply(
        self, text: str, is_whole: bool, tokens_in: int, tokens_out: int, seconds: float
    ) -> RawReply | AnnotationError:
        if not is_whole:
            problem = "the reply is longer than max_new_tokens allows and was cut off"
            return AnnotationError("malformed", problem, 1, tokens_in, tokens_out)
        return RawReply(text, self.name, tokens_in, tokens_out, seconds)


# A generated text, whether the model ended it itself, and tokens of prompt and text.
_Generated = tuple[str, bool, int, int]


class _Loaded:
    """Model and processor, in memory; errors as `LocalModel.send`."""

    def __init__(self, config: TransformersConfig, modalities: tuple[str, ...]) -> None:
        torch, transformers = need("torch"), need("transformers")
        from safetensors import SafetensorError

        self._torch = torch
        self.config = config
        is_text = set(modalities) == {"text"}
        place = str(Path(config.model).expanduser()) if is_folder(config.model) else config.model
        where: dict[str, Any] = {"local_files_only": True} if is_folder(config.model) else {"revision": config.revision}
        try:
            self.processor: Any = load_processor(transformers, place, where, is_text=is_text)
            kind = model_class(transformers, place, where, is_text=is_text)
            self.model: Any = kind.from_pretrained(place, **where, **self._options(torch))
        except (ImportError, OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
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

    def generate(self, sent: Sequence[tuple[ChatRequest, str | None]]) -> list[_Generated | AnnotationError]:
        """Greedy replies to requests of one form, all at once where memory suffices."""
        found = self._tried(lambda: list(self._replies(sent)))
        if not isinstance(found, AnnotationError):
            return [*found]
        if len(sent) == 1:
            return [found]
        if self._torch.cuda.is_available():
            self._torch.cuda.empty_cache()
        half = len(sent) // 2
        return [*self.generate(sent[:half]), *self.generate(sent[half:])]

    def score(self, request: ChatRequest, labels: Sequence[str]) -> Scored | AnnotationError:
        """Shares of the labels as the reply: one pass over the prompt, one over all labels behind it."""
        return self._tried(lambda: (shares(self._scores(request, labels)), "likelihood"))

    def _tried(self, work: Callable[[], T]) -> T | AnnotationError:
        try:
            return work()
        except AnnotationError as error:  # the bytes of a picture or a sound are none
            return error
        except self._torch.OutOfMemoryError:
            problem = "the model has no memory left for this question; choose a smaller model, or bits: 4"
        except ValueError as error:  # too long, or something the processor cannot take
            problem = f"the model cannot take this question: {_first_line(error)}"
        except RuntimeError as error:
            raise BackendError(f"the model {self.config.model!r} failed: {_first_line(error)}") from error
        return AnnotationError("cannot", problem)

    def _scores(self, request: ChatRequest, labels: Sequence[str]) -> dict[str, float]:
        inputs = self._prepared([(request, None)])
        self._check_length(inputs["input_ids"].shape[1])
        tokens = [self.tokenizer(label, add_special_tokens=False)["input_ids"] for label in labels]
        with self._torch.inference_mode():
            return dict(zip(labels, log_likelihoods(self.model, inputs, tokens), strict=True))

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
        from emotion_llama.models.features.extractor import check_device

        device = self.config.device or ("cuda" if torch.cuda.is_available() else "cpu")
        check_device(device)
        return str(device)

    def _replies(self, sent: Sequence[tuple[ChatRequest, str | None]]) -> Iterator[_Generated]:
        inputs = self._prepared(sent)
        length = inputs["input_ids"].shape[1]
        self._check_length(length)
        ends = self._end_tokens()
        with self._torch.inference_mode():
            made = self.model.generate(
                **inputs, max_new_tokens=self.config.max_new_tokens, do_sample=False, num_beams=1,
                pad_token_id=self.tokenizer.pad_token_id, eos_token_id=sorted(ends) or None,
            )  # fmt: skip
        if isinstance(made, tuple):  # of models that speak: the text's tokens, then the waveform
            made = made[0]
        for row, mask in zip(made[:, length:].tolist(), inputs["attention_mask"]):
            end = next((i for i, token in enumerate(row) if token in ends), None)
            tokens = row if end is None else row[:end]
            text = self.tokenizer.decode(tokens, skip_special_tokens=True)
            yield text, end is not None, int(mask.sum()), len(tokens) + (end is not None)

    def _prepared(self, sent: Sequence[tuple[ChatRequest, str | None]]) -> Any:
        """The inputs on the model's device, in its precision."""
        inputs = self._inputs(sent).to(self.model.device)
        for name, value in inputs.items():
            if value.is_floating_point():
                inputs[name] = value.to(self.model.dtype)
        return inputs

    def _inputs(self, sent: Sequence[tuple[ChatRequest, str | None]]) -> Any:
        from jinja2.exceptions import TemplateError

        try:
            return self._templated(sent)
        except TemplateError:
            if not self._has_system:
                raise ValueError("the chat template takes no conversation of this form") from None
            self._has_system = False  # templates such as Gemma's refuse a system message
            return self._inputs(sent)

    def _templated(self, sent: Sequence[tuple[ChatRequest, str | None]]) -> Any:
        messages = [self._messages(*one) for one in sent]
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

    def _messages(self, asked: ChatRequest, problem: str | None) -> list[dict[str, Any]]:
        texts = [asked.user] if problem is None else [asked.user, asked.again(problem)]
        if asked.system is not None and not self._has_system:
            texts.insert(0, asked.system)
        system = [asked.system] if asked.system is not None and self._has_system else []
        if self.processor is self.tokenizer:  # templates of text models take texts, not parts
            head = [{"role": "system", "content": text} for text in system]
            return [*head, {"role": "user", "content": "\n\n".join(texts)}]
        parts: list[dict[str, Any]] = []
        for picture_png in asked.pictures_png:
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
