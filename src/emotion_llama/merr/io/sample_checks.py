"""Checks of samples, one by one and as a set. Pure: no file is opened here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from emotion_llama.chat.questions import LANGUAGES
from emotion_llama.labels import MERR9
from emotion_llama.merr.io.content import Problems
from emotion_llama.merr.io.published import error_like
from emotion_llama.merr.recipe import ConsistencyPart, Recipe
from emotion_llama.merr.records import BY_LANGUAGE, FIELDS, Json, Sample
from emotion_llama.merr.stages.consistency import check_text
from emotion_llama.merr.values import is_coarse, is_fine, label_of, part, subtitle_text, text_of

_TEXTS = ("visual_objective", "audio_tone", "coarse_caption", "fine_caption", "visual_expression")
# Fields that a phase may leave out without a reason though it is done.
_OPTIONAL = frozenset({"conflicts", "clues", "consistency", "published", "features", "scene"})


class SampleChecks:
    """Sees every sample of a build once; `finish` then adds what only the whole set shows.

    Attributes:
        problems: found so far.
        stated, real: frame counts of clips, for the comparison.
    """

    def __init__(self, recipe: Recipe | None, stages: Sequence[str]) -> None:
        """`recipe` is the build's, None without one; `stages` are its phases in force."""
        self.problems = Problems()
        self.stated: dict[str, int] = {}
        self.real: dict[str, int] = {}
        self._space = recipe.space if recipe else MERR9
        self._languages: Sequence[str] = recipe.languages if recipe else ()
        self._label_last = recipe.consistency.require_label_last if recipe else True
        self._stages = stages
        self._by_hash: defaultdict[str, list[str]] = defaultdict(list)
        self._by_folded: defaultdict[str, list[str]] = defaultdict(list)
        self._splits: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)

    def add(self, sample: Sample) -> None:
        """Check one sample, dropped or not."""
        clip = sample.clip
        self._by_folded[clip.clip_id.casefold()].append(clip.clip_id)
        if clip.stated_frame_count is not None:
            self.stated[clip.clip_id] = clip.stated_frame_count
        if clip.frame_count is not None:
            self.real[clip.clip_id] = clip.frame_count
        if any(run.status == "dropped" and run.scope != "fine" for run in sample.runs.values()):
            return
        if clip.sha256 is not None:
            self._by_hash[clip.sha256].append(clip.clip_id)
        for problem in self._of_fields(sample):
            self.problems.add(problem, clip.clip_id)
        label = label_of(sample)
        if label is not None and label not in self._space.labels:
            self.problems.add(f"a label is none of {self._space.name}", f"{clip.clip_id}: {label!r}")
        for problem, what in (*self._of_texts(sample), *_of_peaks(sample)):
            self.problems.add(problem, f"{clip.clip_id}: {what}")
        split = sample.value("split")
        for kind, name in (("person", clip.person), ("source", clip.source)):
            if name is not None and isinstance(split, str):
                self._splits[kind, name][split] = clip.clip_id

    def finish(self) -> None:
        """Add problems between samples."""
        for hash_, ids in sorted(self._by_hash.items()):
            if len(ids) > 1:
                self.problems.add("clips with the same media file (by hash)", f"{', '.join(ids[:3])}: {hash_[:12]}")
        for ids in self._by_folded.values():
            if len(ids) > 1:
                kind = "ids that differ in capitals only (one file name on Windows and macOS)"
                self.problems.add(kind, ", ".join(ids[:3]))
        for (kind, name), splits in sorted(self._splits.items()):
            if len(splits) > 1:
                where = ", ".join(f"{clip} in {split}" for split, clip in sorted(splits.items()))
                self.problems.add(f"a {kind} stands in several splits", f"{name}: {where}")

    def _of_fields(self, sample: Sample) -> Iterator[str]:
        """Fields that a phase left without a value and without a reason, and what every sample of a set needs."""
        for name, stage in FIELDS.items():
            run = sample.runs.get(stage)
            if stage not in self._stages or run is None or run.status != "done" or name in _OPTIONAL:
                continue
            for language in self._languages if name in BY_LANGUAGE else ("",):
                if (name, language) not in sample.fields:
                    yield f"{_shown(name, language)}: neither a value nor a reason, though {stage} is done"
        if not is_coarse(sample):
            return
        if label_of(sample) is None:
            yield "a sample of the coarse set has no label"
        for language in self._languages:
            if text_of(sample.value("coarse_caption", language)) is None:
                yield f"a sample of the coarse set has no coarse caption ({language})"
            if is_fine(sample) and text_of(sample.value("fine_caption", language)) is None:
                yield f"a sample of the fine set has no fine caption ({language})"
        if "splits" in self._stages and not isinstance(sample.value("split"), str):
            yield "a sample of the coarse set has no split"

    def _of_texts(self, sample: Sample) -> Iterator[tuple[str, str]]:
        label, words = label_of(sample), subtitle_text(sample.value("subtitle"))
        for (name, language), found in sorted(sample.fields.items()):
            if name not in _TEXTS or found.value is None:
                continue
            text, shown = text_of(found.value), _shown(name, language)
            if text is None or not text.strip():
                yield f"{shown} is empty", repr(found.value)
            elif error_like(text):
                yield f"{shown} is the text of an error or a refusal", repr(text[:60])
            elif self._label_last and name == "fine_caption" and label and language in LANGUAGES and is_fine(sample):
                clues = {"subtitle": words} if words else {}
                if not check_text(text, label, clues, language, ConsistencyPart()).label_at_end:
                    yield f"{shown} names the label before its last sentence", f"{label!r} in {text[:60]!r}"


def _of_peaks(sample: Sample) -> Iterator[tuple[str, str]]:
    count = sample.clip.frame_count if sample.clip.frame_count is not None else sample.clip.stated_frame_count
    for name, value in (
        ("peak", part(sample.value("peak"), "frame_index")),
        ("peak_index", _whole_number(part(sample.value("published"), "peak_index"))),
    ):
        if isinstance(value, int) and (value < 0 or (count is not None and value >= count)):
            yield f"{name} lies outside the clip", f"frame {value} of {count}"


def _whole_number(value: Json) -> int | None:
    """Of an imported file, which writes numbers as texts."""
    text = str(value).strip() if isinstance(value, (str, int)) else ""
    return int(text) if text.lstrip("-").isdecimal() else None


def _shown(name: str, language: str) -> str:
    return f"{name} ({language})" if language else name
