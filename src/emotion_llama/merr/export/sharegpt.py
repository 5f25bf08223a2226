"""ShareGPT for LLaMA-Factory: conversations, the media they speak of, and the entry that registers them.

Source: LLaMA-Factory's data/README.md and its demo files for videos and sounds: `messages` with role and content, the
columns videos, audios and images, as many paths as there are <video>, <audio> and <image> in the texts.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from emotion_llama.errors import InputError
from emotion_llama.merr.export.choice import Written
from emotion_llama.merr.export.selection import Selection
from emotion_llama.merr.records import Json, Sample
from emotion_llama.merr.values import label_of, subtitle_text, text_of
from emotion_llama.prompts.tasks import pick_instruction

INFO = "dataset_info.json"
_TAGS = {"video": "videos", "audio": "audios", "image": "images"}
_TAG = re.compile(r"<(?:video|audio|image)>")
# Which task asks for what: the published data set class asks `reason` for the coarse caption, `reason_v2` for the fine.
_TASKS = {"coarse": ("emotion", "reason"), "fine": ("reason_v2",)}
_ROLES = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def write_sharegpt(half: Path, selection: Selection, target: Path) -> Written:
    """Write one file a set and split (`merr_fine_train.json`), and dataset_info.json with an entry for each.

    Media are named, not copied: the clip as the build found it, and what the build made of it (sound, and the peak
    frame with media other than "none") relative to `target`, where `half` will end up.
    """
    writers: dict[str, _Writer] = {}
    left_out: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    try:
        for taken in selection:
            for which in ("coarse", "fine"):
                if not getattr(taken, which):
                    continue
                name = f"{selection.choice.name}_{which}_{taken.split}"
                entries = [_conversation(taken.sample, task, selection, target) for task in _TASKS[which]]
                left_out.update(
                    f"{task}: {entry}" for task, entry in zip(_TASKS[which], entries) if isinstance(entry, str)
                )
                talks = [entry for entry in entries if not isinstance(entry, str)]
                if talks and name not in writers:
                    writers[name] = _Writer(half, name, lines=selection.choice.lines)
                for entry in talks:
                    writers[name].add(entry)
                samples[which] += bool(talks)
    finally:
        for writer in writers.values():
            writer.close()
    info = {name: writer.info() for name, writer in sorted(writers.items())}
    (half / INFO).write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8", newline="\n")
    left_out.update(selection.left_out)
    files: dict[str, int | None] = {writer.file: writer.count for _, writer in sorted(writers.items())}
    return Written({**files, INFO: None}, dict(samples), dict(left_out), _notes(writers, selection))


def _conversation(sample: Sample, task: str, selection: Selection, target: Path) -> dict[str, Json] | str:
    """One entry, or why there is none."""
    caption = "coarse_caption" if task == "reason" else "fine_caption"
    answer = label_of(sample) if task == "emotion" else text_of(sample.value(caption, selection.language))
    if answer is None:
        return "no label" if task == "emotion" else f"no {caption}"
    media = _media(sample, selection, target)
    if not media:
        return "no media file is known"
    clip_id = sample.clip.clip_id
    words = " ".join((subtitle_text(sample.value("subtitle")) or "").split())
    line = f"The person in video says: {words}. " if words else ""
    asked = line + pick_instruction(task, seed=clip_id)
    if _TAG.search(asked) or _TAG.search(answer):
        return "its texts hold a <video>, <audio> or <image> of their own"
    tags = "".join(f"<{tag}>" for tag in _TAGS if tag in media)
    messages: list[Json] = [{"role": "user", "content": tags + asked}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **{column: [media[t]] if t in media else [] for t, column in _TAGS.items()}}


def _media(sample: Sample, selection: Selection, target: Path) -> dict[str, str]:
    """Tag -> path of what the conversation speaks of."""
    clip, found = sample.clip, {}
    if clip.path is not None and clip.frame_count != 0 and clip.width is not None:
        found["video"] = clip.path
    made = {"audio": "sound"} if selection.choice.media == "none" else {"audio": "sound", "image": "peak_frame"}
    for tag, artifact in made.items():
        if artifact in sample.artifacts:
            path = os.path.relpath(selection.build.folder / sample.artifacts[artifact], target)
            found[tag] = Path(path).as_posix()
    return found


class _Writer:
    """One file of conversations: a JSON list, or one object a line."""

    def __init__(self, half: Path, name: str, *, lines: bool) -> None:
        self.file = f"{name}.{'jsonl' if lines else 'json'}"
        self.count = 0
        self._lines = lines
        self._out: IO[str] = (half / self.file).open("w", encoding="utf-8", newline="\n")

    def add(self, entry: dict[str, Json]) -> None:
        text = json.dumps(entry, ensure_ascii=False, indent=None if self._lines else 1)
        self._out.write(text if self._lines else (",\n" if self.count else "[\n") + text)
        self._out.write("\n" if self._lines else "")
        self.count += 1

    def close(self) -> None:
        if not self._lines:
            self._out.write("\n]\n" if self.count else "[]\n")
        self._out.close()

    def info(self) -> dict[str, Json]:
        """The entry of dataset_info.json."""
        columns: dict[str, Json] = {"messages": "messages", **{column: column for column in _TAGS.values()}}
        return {"file_name": self.file, "formatting": "sharegpt", "columns": columns, "tags": dict(_ROLES)}


def _notes(writers: dict[str, _Writer], selection: Selection) -> tuple[str, ...]:
    if not writers:
        return ()
    first = min(writers, key=lambda name: (not name.endswith("_train"), name))
    return (
        f"to train with LLaMA-Factory: dataset_dir: this folder, dataset: {first}; media_dir: this folder",
        *(() if selection.language == "en" else ("the questions are the published English ones",)),
    )


def check_tags(entry: dict[str, Json]) -> None:
    """Compare the tags in an entry's texts with its media.

    Raises:
        InputError: there are more or fewer of one than of the other.
    """
    messages = entry.get("messages")
    text = "".join(str(m["content"]) for m in _objects(messages))
    for tag, column in _TAGS.items():
        media = entry.get(column)
        paths = len(media) if isinstance(media, list) else 0
        if text.count(f"<{tag}>") != paths:
            raise InputError(f"{paths} {column} came, but the texts hold {text.count(f'<{tag}>')} <{tag}>")


def _objects(messages: Json) -> Iterator[dict[str, Json]]:
    return (m for m in messages if isinstance(m, dict)) if isinstance(messages, list) else iter(())
