"""ShareGPT for LLaMA-Factory: conversations, the media they speak of, and the entry that registers them.

Source: LLaMA-Factory's data/README.md and its demo files for videos and sounds: `messages` with role and content, the
columns videos, audios and images, as many paths as there are <video>, <audio> and <image> in the texts.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from pathlib import Path

from emotion_llama.merr.io.rows import Row, Rows, Written, write_utf8
from emotion_llama.merr.records import Json, text_of
from emotion_llama.prompts.tasks import pick_instruction

INFO = "dataset_info.json"
MEDIA_COLUMNS = {"video": "videos", "audio": "audios", "image": "images"}
_TAG = re.compile(r"<(?:video|audio|image)>")
# Which task asks for what: the published data set class asks `reason` for the coarse caption, `reason_v2` for the fine.
_TASKS = {"coarse": ("emotion", "reason"), "fine": ("reason_v2",)}
_ROLES = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def write_sharegpt(half: Path, rows: Rows) -> Written:
    """Write one file a set and split (`merr_fine_train.json`), and dataset_info.json with an entry for each.

    Media are named, not copied: the clip as the build found it, and what the build made of it (sound, and the peak
    frame with media other than "none") relative to `rows.target`, where `half` will end up.
    """
    choice = rows.choice
    entries: defaultdict[str, list[str]] = defaultdict(list)  # file's name -> JSON of its conversations
    samples: Counter[str] = Counter()
    for row in rows:
        for which, tasks in _TASKS.items():
            found = [_conversation(row, task, rows) for task in tasks] if getattr(row, which) else []
            for task, entry in zip(tasks, found):
                if isinstance(entry, str):
                    rows.left_out[f"{task}: {entry}"] += 1
                else:
                    text = json.dumps(entry, ensure_ascii=False, indent=None if choice.lines else 1)
                    entries[f"{choice.name}_{which}_{row.split}"].append(text)
            if found:
                samples[which] += any(not isinstance(entry, str) for entry in found)
    columns = {"messages": "messages", **{column: column for column in MEDIA_COLUMNS.values()}}
    info, files = {}, dict[str, int | None]()
    for name, texts in sorted(entries.items()):
        file = f"{name}.{'jsonl' if choice.lines else 'json'}"
        content = "".join(f"{text}\n" for text in texts) if choice.lines else "[\n" + ",\n".join(texts) + "\n]\n"
        write_utf8(half / file, content)
        info[name] = {"file_name": file, "formatting": "sharegpt", "columns": columns, "tags": _ROLES}
        files[file] = len(texts)
    write_utf8(half / INFO, json.dumps(info, indent=2) + "\n")
    return {**files, INFO: None}, dict(samples), _notes(list(entries), rows.language)


def _conversation(row: Row, task: str, rows: Rows) -> dict[str, Json] | str:
    caption = "coarse_caption" if task == "reason" else "fine_caption"
    answer = row.label if task == "emotion" else text_of(row.sample.value(caption, rows.language))
    if answer is None:
        return "no label" if task == "emotion" else f"no {caption}"
    media = _media(row, rows)
    if not media:
        return "no media file is known"
    words = " ".join((row.subtitle or "").split())
    line = f"The person in video says: {words}. " if words else ""
    asked = line + pick_instruction(task, seed=row.clip_id)
    if _TAG.search(asked) or _TAG.search(answer):
        return "its texts hold a <video>, <audio> or <image> of their own"
    tags = "".join(f"<{tag}>" for tag in MEDIA_COLUMNS if tag in media)
    messages: list[Json] = [{"role": "user", "content": tags + asked}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **{column: [media[t]] if t in media else [] for t, column in MEDIA_COLUMNS.items()}}


def _media(row: Row, rows: Rows) -> dict[str, str]:
    clip, found = row.sample.clip, {}
    if clip.path is not None and clip.frame_count != 0 and clip.width is not None:
        found["video"] = clip.path
    made = {"audio": "sound"} if rows.choice.media == "none" else {"audio": "sound", "image": "peak_frame"}
    for tag, artifact in made.items():
        if artifact in row.sample.artifacts:
            path = os.path.relpath(rows.store.folder / row.sample.artifacts[artifact], rows.target)
            found[tag] = Path(path).as_posix()
    return found


def _notes(names: list[str], language: str) -> list[str]:
    if not names:
        return []
    first = min(names, key=lambda name: (not name.endswith("_train"), name))
    english = [] if language == "en" else ["the questions are the published English ones"]
    return [
        f"to train with LLaMA-Factory: dataset_dir: this folder, dataset: {first}; media_dir: this folder", *english,
    ]  # fmt: skip
