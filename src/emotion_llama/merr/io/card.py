"""The data-set card: README.md with the front matter that Hugging Face reads, written from what was exported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from emotion_llama import __version__
from emotion_llama.merr.statistics import by_size

# Field, annotator, model, SHA-256 of the prompt's text ("" without one), whether the label was shown.
Maker: TypeAlias = tuple[str, str, str, str, bool]
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_URL = re.compile(r"https?://[^\s'\"]+")
_PATH = re.compile(r"(?<![\w.:/])(?:~|[A-Za-z]:)?/(?:[^\s'\"/]+/)+([^\s'\"/]*)")
_LANGUAGE_NAMES = {"en": "English", "zh": "Chinese"}


def card_text(
    *,
    name: str,
    languages: Sequence[str],
    licence: str | None,
    splits: Mapping[str, tuple[int, int, int]],
    features: Sequence[Mapping[str, Any]],
    labels: Mapping[str, int],
    fine: int,
    makers: Mapping[Maker, int],
    left_out: Mapping[str, int],
    recipe: str,
) -> str:
    """Front matter and prose; nothing in it depends on when or where it was written.

    Args:
        name: of the data set.
        languages: of its descriptions.
        licence: None leaves it open.
        splits: rows, bytes of the files, and bytes of the table in memory, of each split.
        features: the columns, as the front matter lists them.
        labels: label -> samples.
        fine: samples with a fine description.
        makers: who made a field -> of how many samples.
        left_out: reason -> clips.
        recipe: text of the build's recipe; "" without one.
    """
    rows = sum(count for count, _, _ in splits.values())
    spoken = " and ".join(_LANGUAGE_NAMES.get(code, code) for code in languages)
    split_rows = ((split, f"{count:,}", f"{size:,}") for split, (count, size, _) in splits.items())
    maker_rows = (
        (field, _cell(annotator), _cell(model), prompt[:12] or "-", "yes" if shown else "no", f"{count:,}")
        for (field, annotator, model, prompt, shown), count in sorted(makers.items())
    )
    lost = _table(("clips", "why"), ((f"{count:,}", _cell(why)) for why, count in by_size(left_out).items()))
    sections = [
        f"---\n{_front_matter(name, languages, licence, splits, features, rows)}---\n",
        f"# {name}\n\n{_OPENING.format(rows=rows, languages=spoken, fine=fine, version=__version__)}",
        f"## Splits\n\n{_table(('split', 'samples', 'bytes'), split_rows)}\n\n{_SPLITS}",
        f"## Labels\n\n{_table(('label', 'samples'), ((k, f'{n:,}') for k, n in by_size(labels).items()))}\n",
        f"## How it was made\n\n{_MADE_BEFORE}{_table(_MAKER_COLUMNS, maker_rows)}\n\n{_MADE_AFTER}",
        "## What was left out\n\n" + (f"{lost}\n" if left_out else "Nothing: every clip of the build is here.\n"),
        f"## Columns\n\n{_COLUMNS}",
        f"## Limits\n\n{_LIMITS}",
        f"## Before you use or share it\n\n{_ETHICS}",
    ]
    if recipe:
        sections.append(f"## Recipe\n\n```yaml\n{without_places(recipe).rstrip()}\n```\n")
    return "\n".join(sections)


def without_places(text: str) -> str:
    """The text without addresses of servers and without folders: of a path its last part stays."""
    return _PATH.sub(lambda found: found[1] or "(folder)", _URL.sub("(server)", text))


def _front_matter(
    name: str,
    languages: Sequence[str],
    licence: str | None,
    splits: Mapping[str, tuple[int, int, int]],
    features: Sequence[Mapping[str, Any]],
    rows: int,
) -> str:
    import yaml

    head: dict[str, Any] = {} if licence is None else {"license": licence}
    head |= {
        "pretty_name": name,
        "language": list(languages),
        "task_categories": ["video-classification", "video-text-to-text"],
        "tags": ["emotion", "multimodal", "MERR", "facial-action-units", "prosody"],
        "size_categories": [next((size for limit, size in _SIZES if rows < limit), "n>1M")],
        "configs": [
            {"config_name": "default", "data_files": [{"split": s, "path": f"data/{s}-*"} for s in splits]},
        ],
        "dataset_info": {
            "features": [dict(feature) for feature in features],
            "splits": [{"name": s, "num_bytes": raw, "num_examples": count} for s, (count, _, raw) in splits.items()],
            "download_size": sum(size for _, size, _ in splits.values()),
            "dataset_size": sum(raw for _, _, raw in splits.values()),
        },
    }
    text: str = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=100)
    opening = "" if licence else "# license: not set yet; name the one under which you may share these clips\n"
    return opening + text


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"|{'|'.join(cells)}|" if cells[0] == "---" else f"| {' | '.join(cells)} |" for cells in lines)


def _cell(text: str) -> str:
    return without_places(" ".join(text.split())).replace("|", "\\|")


_MAKER_COLUMNS = ("field", "made by", "model or method", "prompt (SHA-256)", "saw the label", "samples")
_OPENING = """\
Emotion descriptions of {rows:,} video clips in the manner of MERR (Emotion-LLaMA, NeurIPS 2024), in {languages}. \
Each row is a clip with its emotion label, what its face, voice and words show, and a short description; {fine:,} of \
them also have a longer one that reasons from these clues to the label (`in_fine`).

Built with emotion-llama {version}.
"""
_SPLITS = "Clips of one source video or one person, where the build knew them, never stand in two splits.\n"
_MADE_BEFORE = "Every field of every row says in `provenance` who made it. In sum:\n\n"
_MADE_AFTER = """\
Labels that the rules gave are pseudo labels: they follow from facial action units and have not been seen by people. \
Labels that came with the clips are marked `given` or `imported`.
"""
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
