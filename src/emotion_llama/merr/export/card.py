"""The data-set card: README.md with the front matter that Hugging Face reads, written from what was exported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from emotion_llama import __version__

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_URL = re.compile(r"https?://[^\s'\"]+")
_PATH = re.compile(r"(?<![\w.:/])(?:~|[A-Za-z]:)?/(?:[^\s'\"/]+/)+([^\s'\"/]*)")
_LANGUAGE_NAMES = {"en": "English", "zh": "Chinese"}


class SplitSize(NamedTuple):
    """One split: its rows, the bytes of its files, and of its table in memory."""

    name: str
    rows: int
    file_bytes: int
    raw_bytes: int


class MadeBy(NamedTuple):
    """Who made a field of how many samples; `prompt` is the SHA-256 of the prompt's text, "" without one."""

    field: str
    annotator: str
    model: str
    prompt: str
    label_shown: bool
    samples: int


@dataclass(frozen=True)
class Card:
    """What the card tells."""

    name: str
    languages: tuple[str, ...]
    licence: str | None
    splits: tuple[SplitSize, ...]
    features: Sequence[Mapping[str, Any]]
    labels: Mapping[str, int]
    fine: int
    makers: tuple[MadeBy, ...]
    left_out: Mapping[str, int]
    recipe: str


def write_card(path: Path, card: Card) -> None:
    """Write the card as UTF-8."""
    path.write_text(card_text(card), encoding="utf-8", newline="\n")


def card_text(card: Card) -> str:
    """Front matter and prose; nothing in it depends on when or where it was written."""
    rows = sum(split.rows for split in card.splits)
    sections = [
        f"---\n{_front_matter(card, rows)}---\n",
        f"# {card.name}\n\n{_opening(card, rows)}",
        f"## Splits\n\n{_splits(card)}",
        f"## Labels\n\n{_labels(card)}",
        f"## How it was made\n\n{_made(card)}",
        f"## What was left out\n\n{_left_out(card)}",
        f"## Columns\n\n{_COLUMNS}",
        f"## Limits\n\n{_LIMITS}",
        f"## Before you use or share it\n\n{_ETHICS}",
    ]
    if card.recipe:
        sections.append(f"## Recipe\n\n```yaml\n{without_places(card.recipe).rstrip()}\n```\n")
    return "\n".join(sections)


def without_places(text: str) -> str:
    """The text without addresses of servers and without folders: of a path its last part stays."""
    return _PATH.sub(lambda found: found[1] or "(folder)", _URL.sub("(server)", text))


def _front_matter(card: Card, rows: int) -> str:
    import yaml

    head: dict[str, Any] = {} if card.licence is None else {"license": card.licence}
    head |= {
        "pretty_name": card.name,
        "language": list(card.languages),
        "task_categories": ["video-classification", "video-text-to-text"],
        "tags": ["emotion", "multimodal", "MERR", "facial-action-units", "prosody"],
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": s.name, "path": f"data/{s.name}-*"} for s in card.splits],
            }
        ],
        "dataset_info": {
            "features": [dict(feature) for feature in card.features],
            "splits": [{"name": s.name, "num_bytes": s.raw_bytes, "num_examples": s.rows} for s in card.splits],
            "download_size": sum(s.file_bytes for s in card.splits),
            "dataset_size": sum(s.raw_bytes for s in card.splits),
        },
    }
    text: str = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=100)
    opening = "" if card.licence else "# license: not set yet; name the one under which you may share these clips\n"
    return opening + text


def _opening(card: Card, rows: int) -> str:
    languages = " and ".join(_LANGUAGE_NAMES.get(code, code) for code in card.languages)
    return (
        f"Emotion descriptions of {rows:,} video clips in the manner of MERR (Emotion-LLaMA, NeurIPS 2024), in "
        f"{languages}. Each row is a clip with its emotion label, what its face, voice and words show, and a short "
        f"description; {card.fine:,} of them also have a longer one that reasons from these clues to the label "
        "(`in_fine`).\n\n"
        f"Built with emotion-llama {__version__}.\n"
    )


def _splits(card: Card) -> str:
    lines = [f"| {s.name} | {s.rows:,} | {s.file_bytes:,} |" for s in card.splits]
    return "\n".join(["| split | samples | bytes |", "|---|---|---|", *lines]) + (
        "\n\nClips of one source video or one person, where the build knew them, never stand in two splits.\n"
    )


def _labels(card: Card) -> str:
    ordered = sorted(card.labels.items(), key=lambda item: (-item[1], item[0]))
    return (
        "\n".join(["| label | samples |", "|---|---|", *(f"| {name} | {count:,} |" for name, count in ordered)]) + "\n"
    )


def _made(card: Card) -> str:
    lines = [
        f"| {m.field} | {_cell(m.annotator)} | {_cell(m.model)} | {m.prompt[:12] or '-'} | "
        f"{'yes' if m.label_shown else 'no'} | {m.samples:,} |"
        for m in card.makers
    ]
    return "\n".join(
        [
            "Every field of every row says in `provenance` who made it. In sum:\n",
            "| field | made by | model or method | prompt (SHA-256) | saw the label | samples |",
            "|---|---|---|---|---|---|",
            *lines,
        ]
    ) + (
        "\n\nLabels that the rules gave are pseudo labels: they follow from facial action units and have not been seen "
        "by people. Labels that came with the clips are marked `given` or `imported`.\n"
    )


def _left_out(card: Card) -> str:
    if not card.left_out:
        return "Nothing: every clip of the build is here.\n"
    ordered = sorted(card.left_out.items(), key=lambda item: (-item[1], item[0]))
    return "\n".join(["| clips | why |", "|---|---|", *(f"| {n:,} | {_cell(why)} |" for why, n in ordered)]) + "\n"


def _cell(text: str) -> str:
    return without_places(" ".join(text.split())).replace("|", "\\|")


_COLUMNS = """\
- `clip_id`, `label`, `in_fine`, `subtitle`, `subtitle_language`: the clip and its words.
- `coarse_caption_*`, `fine_caption_*`, `visual_expression_*`, `visual_objective_*`, `audio_tone_*`, `clues_*`: the
  descriptions, one column a language.
- `label_details`, `peak`, `tone`, `tone_words`, `prosody`, `conflicts`: what was measured. Intensities are 0..5, times
  are seconds, `peak.frame_index` counts pictures from 0.
- `media_file`, `media_sha256`, `frame_count`, `duration_seconds`, `fps`, `width`, `height`, `has_audio`, `source`,
  `person`: the media file; it is not part of this data set unless `peak_frame`, `face_crop` or `sound` are columns.
- `other_fields`, `why_missing`, `provenance`: JSON texts. A field that could not be made is null and says why.
"""
_LIMITS = """\
- Facial expressions, voices and words are what people show, not what they feel. A label says which emotion a clip
  shows by the rule named above, no more.
- Rules and models err more often on faces, voices and languages that they have seen little of. Nothing here has been
  balanced by age, sex, skin colour or culture unless the recipe says so.
- Descriptions by models may name what is not in the clip. The recipe's consistency filter drops what contradicts the
  measurements; it does not find everything.
"""
_ETHICS = """\
- The clips show people. Make sure that they, or the law, allow what you do with their faces and voices, and that the
  licence of the videos allows sharing what was made of them.
- Do not use this data to judge single people: at work, at school, at borders, in court, in insurance or in care.
"""
