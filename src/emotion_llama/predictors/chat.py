"""Any chat model as a predictor: the question, frames and sound of the clip in one message; labels by likelihood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.chat.asking import one_object, visible
from emotion_llama.chat.model import ChatModel, load_chat
from emotion_llama.chat.records import ChatRequest
from emotion_llama.errors import AnnotationError, EmotionLlamaError, InputError, MediaError
from emotion_llama.labels import MERR9, LabelSpace
from emotion_llama.media.encoded import write_png, write_wav
from emotion_llama.predictors.base import Sample, Task, TextStream
from emotion_llama.prompts.answer_parser import parse_tolerant
from emotion_llama.prompts.cues import cue_text
from emotion_llama.prompts.prompt_files import checked_folder, load_prompt
from emotion_llama.prompts.tasks import pick_instruction
from emotion_llama.records import Clip, UInt8
from emotion_llama.results import Prediction
from emotion_llama.rules.tone_text import has_evidence

if TYPE_CHECKING:
    from emotion_llama.models.inputs import FramePolicy
    from emotion_llama.prompts.builder import Turn

PROBABILITIES = ("auto", "likelihood", "stated", "none")
DEFAULT_FRAMES = 8  # our choice: about two a second of the benchmarks' clips
SAMPLE_RATE_HZ = 16_000
NOTHING = "there is nothing to see, hear or read"


class ChatPredictor:
    """Asks a chat model about each sample, once; nothing is asked again because of what it answers.

    Where `Sample.inputs` has a frame, that one is sent; otherwise `num_frames` frames of the clip's file. Measured cues
    go along in words, so that a model of text alone knows of face and voice as well.

    Args:
        chat: the model.
        name: as predictions record it.
        label_space: labels to choose from, where the task names none.
        num_frames: frames of each clip; 0 sends none.
        max_side: of a frame, in pixels.
        prompts: folder with label.txt and free.txt in place of the package's.
        cues: whether the measured cues are sent.
        probabilities: of the labels: "likelihood" (the log-probabilities of the labels' tokens), "stated" (the model is
            asked for them), "none", or "auto": likelihood where the model gives it, else stated. `Task`s with labels
            ask for no stated ones unless that is chosen, since the reply's text is what is scored.

    Raises:
        InputError: the folder of prompts, or one of them, or an option cannot be used.
    """

    def __init__(
        self,
        chat: ChatModel,
        name: str,
        *,
        label_space: LabelSpace = MERR9,
        num_frames: int = DEFAULT_FRAMES,
        max_side: int = 512,
        prompts: str | Path | None = None,
        cues: bool = True,
        probabilities: str = "auto",
    ) -> None:
        if probabilities not in PROBABILITIES:
            raise InputError(f"no probabilities {probabilities!r} (there are: {', '.join(PROBABILITIES)})")
        self.chat, self.name, self.label_space, self.has_cues = chat, name, label_space, cues
        self._num_frames, self._max_side, self._probabilities = num_frames, max_side, probabilities
        folder = checked_folder(prompts)
        self._prompts = {name: load_prompt("evaluation", name, folder) for name in ("label", "stated", "free")}

    @classmethod
    def load(cls, spec: str, *, label_space: LabelSpace = MERR9, **options: Any) -> ChatPredictor:
        """The predictor of a name.

        Args:
            spec: "openai:MODEL@URL", or "transformers:FOLDER" (or an id).
            label_space: as of the class.
            options: `frames`, `prompts`, `cues`, `probabilities`, and those of the chat model's configuration
                (`chat.config`).

        Raises:
            InputError: the name or an option cannot be used.
        """
        rest = dict(options)
        num_frames, prompts = int(rest.pop("frames", DEFAULT_FRAMES)), rest.pop("prompts", None)
        cues, probabilities = bool(rest.pop("cues", True)), str(rest.pop("probabilities", "auto"))
        place = Path(spec.partition(":")[2]).expanduser()
        model = spec.removeprefix("openai:").rpartition("@")[0] or spec.partition(":")[2] or spec
        return cls(
            # Once asked, once answered: what a model says is what is scored.
            load_chat(spec, {"max_repeats": 0, **rest}),
            place.resolve().name if spec.startswith("transformers:") and place.is_dir() else model,
            label_space=label_space,
            num_frames=num_frames,
            max_side=int(rest.get("image_max_side", 512)),
            prompts=prompts,
            cues=cues,
            probabilities=probabilities,
        )

    @property
    def frame_policy(self) -> FramePolicy:
        """The frame of strongest expression."""
        return "peak"

    @property
    def settings(self) -> Mapping[str, object]:
        """Model and decoding, prompts, labels, and what of a clip is sent."""
        return {
            "chat": dict(self.chat.settings),
            "frames": self._num_frames,
            "cues": self.has_cues,
            "max_side": self._max_side,
            "probabilities": self._probabilities,
            "prompts": {name: prompt.sha256 for name, prompt in self._prompts.items()},
            "label_space": self.label_space.name,
        }

    @property
    def sends_to(self) -> str | None:
        """The host that clips go to; None where they stay on this machine."""
        return self.chat.sends_to

    def probe(self) -> str:
        """What the model can do, in a line, found out before clips are measured; errors as `ChatModel.probe`."""
        return self.chat.probe()

    def encode(self, sample: Sample) -> Sample:
        """The sample itself: there is nothing to encode."""
        return sample

    def predict(self, samples: Sequence[Sample], task: Task | None = None) -> list[Prediction]:
        """A prediction for each sample; those that can be asked are asked at once.

        Without a task, the label is the most probable one and the reasons are a reply of their own; without
        probabilities the label is parsed from a reply, and one that cannot be parsed is a `problem`. A reply that is no
        answer is the `raw_text` beside its problem.
        """
        if task is not None:
            return self._task(samples, task)
        space = self.label_space
        found = self._labels(samples, Task("emotion", space.labels))
        named = [row for row, one in enumerate(found) if one.label is not None]
        why = self._ask([samples[row] for row in named], Task("reason"))
        texts = {row: one.raw_text for row, one in zip(named, why, strict=True)}
        return [
            replace(one, reasoning=texts[row])
            if row in texts
            else Prediction(None, None, "", one.raw_text, self.name, problem=one.problem or _no_label(space))
            for row, one in enumerate(found)
        ]

    def stream(self, sample: Sample, messages: Sequence[Turn], *, task: str = "free", **decoding: object) -> TextStream:
        """The answer, at once; decoding is that of the model's configuration.

        Raises:
            BackendError: the model gave no answer.
        """
        *history, last = messages
        turns = "".join(f"Question: {turn.text.strip()}\nAnswer: {turn.answer or ''}\n" for turn in history)
        asked = Task(task, instruction=turns + (last.text or pick_instruction(task)))
        (found,) = self._ask([sample], asked)
        if found.problem is not None:
            kind, _, message = found.problem.partition(": ")
            raise AnnotationError(kind, message or kind)
        return TextStream([found.raw_text])

    # --- labels -----------------------------------------------------------------------------------------------------

    def _labels(self, samples: Sequence[Sample], task: Task) -> list[Prediction]:
        """Labels by likelihood, else as the model states or names them; no text of reasons."""
        found = self._likelihoods(samples, task)
        asked = [row for row, one in enumerate(found) if one is None]
        prompt = "label" if self._probabilities in ("none", "likelihood") else "stated"
        replies = iter(self._ask([samples[row] for row in asked], task, prompt))
        return [next(replies) if one is None else one for one in found]

    def _task(self, samples: Sequence[Sample], task: Task) -> list[Prediction]:
        """Replies to a task; with labels, their probabilities beside the text."""
        if not task.labels:
            return self._ask(samples, task)
        if not task.max_new_tokens:
            return self._labels(samples, task)
        replies = self._ask(samples, task)
        answered = [row for row, one in enumerate(replies) if one.problem is None]
        some = [samples[row] for row in answered]
        if self._probabilities == "stated":
            shares: Sequence[Prediction | None] = self._ask(some, task, "stated")
        else:
            shares = self._likelihoods(some, task)
        for row, one in zip(answered, shares, strict=True):
            if one is not None and one.probabilities is not None:
                replies[row] = replace(
                    replies[row], label=one.label, probabilities=one.probabilities,
                    probabilities_from=one.probabilities_from,
                )  # fmt: skip
        return replies

    def _likelihoods(self, samples: Sequence[Sample], task: Task) -> list[Prediction | None]:
        """Labels with their likelihoods; None where the model gives none, or they are not wanted."""
        found: list[Prediction | None] = [None] * len(samples)
        if self._probabilities in ("none", "stated"):
            return found
        problems, requests = self._requests(samples, task, "label")
        for row, outcome in zip(requests, self.chat.score(list(requests.values()), task.labels), strict=True):
            if not isinstance(outcome, AnnotationError):
                probabilities, how = outcome
                found[row] = self._ranked(probabilities, how, "")
            elif outcome.kind != "cannot":
                found[row] = self._problem(str(outcome), outcome.reply)
        return [problems.get(row, one) for row, one in enumerate(found)]

    def _ranked(self, probabilities: Mapping[str, float], how: str, text: str) -> Prediction:
        label = max(probabilities, key=lambda name: probabilities[name])
        return Prediction(label, probabilities, "", text, self.name, probabilities_from=how)

    # --- asking -----------------------------------------------------------------------------------------------------

    def _requests(
        self, samples: Sequence[Sample], task: Task, prompt: str
    ) -> tuple[dict[int, Prediction], dict[int, ChatRequest]]:
        """By row: why a sample cannot be asked about, else its request."""
        found: dict[int, Prediction] = {}
        requests: dict[int, ChatRequest] = {}
        for row, sample in enumerate(samples):
            try:
                request = self._request(sample, task, prompt)
            except EmotionLlamaError as error:
                problem = f"the clip cannot be read: {error.problem}" if isinstance(error, MediaError) else str(error)
                found[row] = self._problem(problem)
                continue
            if request is None:
                found[row] = self._problem(NOTHING)
            else:
                requests[row] = request
        return found, requests

    def _ask(self, samples: Sequence[Sample], task: Task, prompt: str | None = None) -> list[Prediction]:
        prompt = prompt or ("label" if task.labels else "free")
        found, requests = self._requests(samples, task, prompt)
        space = LabelSpace("asked", task.labels) if task.labels else None
        for row, outcome in zip(requests, self.chat.ask(list(requests.values())), strict=True):
            if isinstance(outcome, AnnotationError):
                found[row] = self._problem(str(outcome), outcome.reply)
                continue
            text = str(outcome.values["text"])
            stated = stated_shares(text, space) if space is not None and prompt == "stated" else None
            if stated is not None:
                made = self._ranked(stated, "stated", text)
            else:
                label = None if space is None else parse_tolerant(text, space).label
                made = Prediction(label, None, "", text, self.name)
            found[row] = replace(made, tokens_in=outcome.tokens_in, tokens_out=outcome.tokens_out)
        return [found[row] for row in range(len(samples))]

    def _request(self, sample: Sample, task: Task, name: str) -> ChatRequest | None:
        """The request; None where there is nothing to ask about."""
        pictures, sound = self._media(sample)
        words = " ".join((sample.text or "").split())
        evidence = sample.evidence if self.has_cues else None
        is_measured = evidence is not None and has_evidence(evidence)
        if not pictures and sound is None and not words and not is_measured:
            return None
        lines = f"The person in the clip says: {words}\n" if words else ""
        cues = sample.cues or ("" if evidence is None else cue_text(evidence, held=True))
        if self.has_cues and cues:
            lines += f"{cues}\n"
        prompt = self._prompts[name]
        instruction = pick_instruction(task.name) if task.instruction is None else task.instruction
        system, user = prompt.filled({"words": lines, "instruction": instruction, "labels": ", ".join(task.labels)})
        schema = ("stated", stated_schema(task.labels)) if name == "stated" else None
        return ChatRequest(user, system, prompt.sha256, pictures, sound, schema=schema)

    def _media(self, sample: Sample) -> tuple[tuple[bytes, ...], bytes | None]:
        """PNG pictures in time order and a WAV file, as far as the model takes them and the clip has them."""
        inputs, takes = sample.inputs, self.chat.modalities
        if inputs is None:
            return (), None
        pictures: tuple[bytes, ...] = ()
        if "image" in takes and self._num_frames:
            if inputs.image is not None:
                pictures = (write_png(_scaled(inputs.image, self._max_side)),)
            elif inputs.clip is not None and inputs.clip.video is not None:
                pictures = clip_pictures(inputs.clip, self._num_frames, self._max_side)
        if "audio" not in takes:
            return pictures, None
        if inputs.samples is not None:
            return pictures, write_wav(inputs.samples)
        # Where a reason is given, the file's sound is not this sample's.
        is_whole = inputs.clip is not None and not any(one.what == "sound" for one in inputs.missing)
        return pictures, clip_sound(inputs.clip) if inputs.clip is not None and is_whole else None

    def _problem(self, problem: str, reply: str = "") -> Prediction:
        return Prediction(None, None, "", reply, self.name, problem=problem)


def stated_schema(labels: Sequence[str]) -> dict[str, Any]:
    """JSON schema of a probability for each label."""
    number = {"type": "number", "minimum": 0, "maximum": 1}
    properties = dict.fromkeys(labels, number)
    return {"type": "object", "properties": properties, "required": list(labels), "additionalProperties": False}


def stated_shares(reply: str, space: LabelSpace) -> dict[str, float] | None:
    """The probabilities that a reply states, scaled to sum to 1; None where it is no such object."""
    try:
        given = one_object(visible(reply))
    except AnnotationError:
        return None
    shares = dict.fromkeys(space.labels, 0.0)
    for name, value in given.items() if isinstance(given, dict) else ():
        label = space.find(str(name))
        if label is None or isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
            return None
        shares[label] += float(value)
    total = sum(shares.values())
    return {label: share / total for label, share in shares.items()} if total > 0 else None


def _no_label(space: LabelSpace) -> str:
    return f"the answer names none of the labels of {space.name}, or does not decide"


def clip_pictures(clip: Clip, num_frames: int, max_side: int) -> tuple[bytes, ...]:
    """PNG pictures from the middles of `num_frames` equal parts of a clip.

    Raises:
        MediaError: the file cannot be read.
    """
    from emotion_llama.media.frames import frame_at
    from emotion_llama.media.reader import opened

    times = middles(clip.duration_seconds, num_frames)
    with opened(clip) as file:
        frames = (frame_at(file, seconds, max_side=max_side, warn=lambda line: None) for seconds in times)
        return tuple(write_png(frame.images[0]) for frame in frames)


def middles(duration_seconds: float, count: int) -> Sequence[float]:
    """Middles of `count` equal parts of a clip, in seconds."""
    return [duration_seconds * (2 * i + 1) / (2 * count) for i in range(count)]


def clip_sound(clip: Clip) -> bytes | None:
    """The clip's sound as a WAV file; None where it has none."""
    from emotion_llama.media.audio import read_audio

    if clip.audio is None:
        return None
    samples = read_audio(clip, warn=lambda line: None).samples
    return write_wav(samples) if len(samples) else None


def _scaled(image: UInt8, max_side: int) -> UInt8:
    from emotion_llama.media.picture import shrunk

    return shrunk(image, max_side)
