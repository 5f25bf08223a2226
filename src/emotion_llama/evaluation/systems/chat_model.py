"""Chat models as systems: the benchmark's question, frames and sound as parts of one message."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emotion_llama.chat.questions import Answer
from emotion_llama.errors import AnnotationError, EmotionLlamaError
from emotion_llama.evaluation.chat import Chat, FreeAsked, chat_modalities, chat_settings, checked_folder, free_question
from emotion_llama.evaluation.prompt_files import load_prompt
from emotion_llama.evaluation.records import EvalPrompt, EvalSample, Output
from emotion_llama.evaluation.systems.clip_parts import ClipParts, clip_parts
from emotion_llama.evaluation.systems.problems import NO_CLIP, NOTHING, problem_of
from emotion_llama.prompts.tasks import pick_instruction

DEFAULT_FRAMES = 8  # our choice: about two a second of the benchmarks' clips


class ChatSystem:
    """Asks a chat model about each clip, once; nothing is asked again because of what it answers.

    Args:
        name: as reports print it.
        chat: the model.
        num_frames: pictures of each clip; 0 sends none.
        max_side: of a picture, in pixels.
        prompts: folder with label.txt and free.txt in place of the package's.
        batch_size: cases that are asked at once.
    """

    def __init__(
        self,
        name: str,
        chat: Chat,
        *,
        num_frames: int = DEFAULT_FRAMES,
        max_side: int = 512,
        prompts: str | Path | None = None,
        batch_size: int = 8,
    ) -> None:
        self.name, self.batch_size = name, batch_size
        self._chat, self._frames, self._max_side = chat, num_frames, max_side
        folder = checked_folder(prompts)
        self._prompts = {name: load_prompt("evaluation", name, folder) for name in ("label", "free")}

    @property
    def settings(self) -> Mapping[str, object]:
        """Model and decoding, prompts, and what of a clip is sent."""
        return {
            "system": "chat",
            "chat": chat_settings(self._chat),
            "frames": self._frames,
            "max_side": self._max_side,
            "prompts": {name: prompt.sha256 for name, prompt in self._prompts.items()},
        }

    @property
    def sends_to(self) -> str | None:
        """The host that clips go to; None where they stay on this machine."""
        host: str | None = getattr(self._chat, "sends_to", None)
        return host

    def answer(self, cases: Sequence[EvalSample], ask: EvalPrompt) -> Iterator[Output]:
        """A reply for each case; those that can be asked are asked at once."""
        start = time.perf_counter()
        asked = [self._asked_or_problem(case, ask) for case in cases]
        able = [one for one in asked if isinstance(one, FreeAsked)]
        # A batch of a local model holds conversations of one form.
        forms = dict.fromkeys((len(one.pictures), one.sound_wav is not None) for one in able)
        outcomes: dict[int, Answer | AnnotationError] = {}
        for form in forms:
            alike = [one for one in able if (len(one.pictures), one.sound_wav is not None) == form]
            outcomes |= {id(one): outcome for one, outcome in zip(alike, self._chat.put(alike))}
        each = (time.perf_counter() - start) / max(len(cases), 1)
        for case, one in zip(cases, asked):
            yield _reply(case, one if isinstance(one, str) else outcomes[id(one)], each)

    def close(self) -> None:
        """Give connections back."""
        close = getattr(self._chat, "close", None)
        if close is not None:
            close()

    def _asked_or_problem(self, case: EvalSample, ask: EvalPrompt) -> FreeAsked | str:
        modalities = chat_modalities(self._chat)
        if case.media is None:
            return NO_CLIP
        try:
            parts = clip_parts(
                case.media,
                num_frames=self._frames if "image" in modalities else 0,
                max_side=self._max_side,
                with_sound="audio" in modalities,
            )
        except EmotionLlamaError as error:
            return problem_of(error)
        if not parts.pictures_png and parts.sound_wav is None and not case.transcript:
            return NOTHING
        return self._question(case, ask, parts)

    def _question(self, case: EvalSample, ask: EvalPrompt, parts: ClipParts) -> FreeAsked:
        prompt = self._prompts["label" if ask.labels else "free"]
        words = " ".join((case.transcript or "").split())
        system, user = prompt.filled(
            {
                "words": f"The person in the clip says: {words}\n" if words else "",
                "instruction": pick_instruction(ask.task) if ask.instruction is None else ask.instruction,
                "labels": ", ".join(ask.labels),
            }
        )
        return free_question(
            system, user, prompt.sha256, pictures_png=parts.pictures_png, sound_wav=parts.sound_wav, read=_plain
        )


def _plain(text: str) -> dict[str, object]:
    if not text.strip():
        raise AnnotationError("empty", "the reply holds no text")
    return {"text": text}


def _reply(case: EvalSample, outcome: str | Answer | AnnotationError, seconds: float) -> Output:
    if isinstance(outcome, str):
        return Output(case.sample_id, problem=outcome)
    if isinstance(outcome, AnnotationError):
        return Output(case.sample_id, problem=problem_of(outcome), seconds=seconds)
    text = str(outcome.values["text"])
    return Output(
        case.sample_id, text, seconds=outcome.seconds, tokens_in=outcome.tokens_in, tokens_out=outcome.tokens_out
    )


def chat_system(spec: str, name: str, options: Mapping[str, Any], **fixed: Any) -> ChatSystem:
    """A chat system of a name and options: `frames`, `prompts` and those of the chat model's configuration."""
    from emotion_llama.evaluation.chat import load_chat

    rest = dict(options)
    own = {"num_frames": int(rest.pop("frames", DEFAULT_FRAMES)), "prompts": rest.pop("prompts", None)}
    side = int(rest.get("image_max_side", 512))
    # Once asked, once answered: what a model says is what is scored.
    chat = load_chat(spec, {"max_repeats": 0, **fixed, **rest})
    batch = getattr(chat, "batch_size", 1)
    concurrency = getattr(getattr(chat, "config", None), "concurrency", None)
    return ChatSystem(name, chat, max_side=side, batch_size=int(concurrency or batch), **own)
