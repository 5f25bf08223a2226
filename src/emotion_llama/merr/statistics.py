"""What a build holds, counted in one pass over its samples; what is missing is counted with its reason."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from emotion_llama.merr.quality.measures import MODALITIES, PRESENT, modality_label
from emotion_llama.merr.quality.texts import ngrams, tokens
from emotion_llama.merr.records import (
    DESCRIPTIONS,
    SPLITS,
    FieldKey,
    Sample,
    is_coarse,
    is_fine,
    label_of,
    part,
    peak_units,
    place_of,
    text_of,
    text_part,
)
from emotion_llama.merr.stage import INGEST
from emotion_llama.merr.stages import STAGE_NAMES
from emotion_llama.merr.status import reason_group

Statistics: TypeAlias = dict[str, Any]  # JSON values of any depth; `Collector.result` says which
Key: TypeAlias = str | tuple[str, ...]  # names a table of counts or a list of numbers

# Phases in the order of a build; what else stands in a ledger comes after them, by name.
PHASES = (INGEST, *STAGE_NAMES)
UNKNOWN = "not known"


def by_size(counter: Mapping[str, int]) -> dict[str, int]:
    """Counts by falling size, equal ones by name: the same on every run."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def spread(numbers: Sequence[float]) -> dict[str, float] | None:
    """`count`, `mean`, `least`, `low` (10th percentile), `median`, `high` (90th), `most`; None of no numbers."""
    if not numbers:
        return None
    low, median, high = (float(v) for v in np.percentile(numbers, (10, 50, 90)))
    return {
        "count": len(numbers), "mean": float(np.mean(numbers)), "least": float(min(numbers)), "low": low,
        "median": median, "high": high, "most": float(max(numbers)),
    }  # fmt: skip


def reason_kind(reason: str) -> str:
    """A reason whose numbers and quoted names are made alike, so that it can be counted."""
    named = re.sub(r"(?<!\w)'[^']*'|\"[^\"]*\"", "…", reason)
    return re.sub(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", "N", named)


class Collector:
    """Counts samples one by one, for callers that read the samples once and do more with them."""

    def __init__(self) -> None:
        self._totals: Counter[str] = Counter()
        self._counts: defaultdict[Key, Counter[str]] = defaultdict(Counter)  # ("units", "AU12") -> label -> samples
        self._numbers: defaultdict[Key, list[float]] = defaultdict(list)  # ("length", "audio_tone", "en") -> words
        self._seconds: defaultdict[str, float] = defaultdict(float)  # of work, by stage
        self._present: Counter[FieldKey] = Counter()
        self._words: defaultdict[FieldKey, set[str]] = defaultdict(set)
        self._word_pairs: defaultdict[FieldKey, set[tuple[str, ...]]] = defaultdict(set)
        self._pairs: Counter[tuple[str, ...]] = Counter()  # first, its label, second, its label
        self._makers: dict[tuple[Any, ...], dict[str, Any]] = {}  # who -> costs
        self._groups: dict[str, defaultdict[str, set[str]]]  # kind -> person or source -> its splits
        self._groups = {"person": defaultdict(set), "source": defaultdict(set)}

    def add(self, sample: Sample) -> None:
        """Count one sample: in its phases, and everywhere else if it belongs to the coarse set."""
        self._totals["clips"] += 1
        for stage, run in sample.runs.items():
            fine = run.status == "dropped" and run.scope == "fine"
            self._counts["status", stage]["dropped_fine" if fine else run.status] += 1
            self._seconds[stage] += run.seconds
            if run.reason is not None:
                self._counts["reasons", stage][reason_kind(reason_group(run.reason))] += 1
        if is_coarse(sample):
            self._totals["coarse"] += 1
            self._totals["fine"] += is_fine(sample)
            self._add_label(sample)
            self._add_measured(sample)
            self._add_fields(sample)
            self._add_split(sample)
            self._add_agreements(sample)

    def _add_label(self, sample: Sample) -> None:
        label, value = label_of(sample), sample.value("label")
        if label is None:
            self._totals["unlabelled"] += 1
            return
        strength, split = part(value, "strength"), sample.value("split")
        self._counts["coarse"][label] += 1
        self._counts["fine"][label] += is_fine(sample)
        self._counts["given"][label] += part(value, "source") == "given"
        self._counts["strengths", label][strength if isinstance(strength, str) else UNKNOWN] += 1
        if isinstance(split, str):
            self._counts["label splits", label][split] += 1

    def _add_measured(self, sample: Sample) -> None:
        if sample.clip.duration_seconds is not None:
            self._numbers["durations"].append(sample.clip.duration_seconds)
        units = peak_units(sample)
        self._totals["peaks"] += units is not None
        for unit, intensity in (units or {}).items():
            if intensity >= PRESENT:
                self._numbers["unit", unit].append(intensity)
                self._counts["units"][unit] += 1
                self._counts["units", unit][label_of(sample) or UNKNOWN] += 1
        words = part(sample.value("tone"), "words")
        if isinstance(words, Mapping):
            self._totals["tones"] += 1
            self._counts["tone words"].update(str(word) for word in words)
        subtitle = sample.value("subtitle")
        if text_of(subtitle) is not None:
            self._counts["subtitle sources"][text_part(subtitle, "source") or UNKNOWN] += 1
            self._counts["subtitle languages"][text_part(subtitle, "language") or UNKNOWN] += 1

    def _add_fields(self, sample: Sample) -> None:
        for key, found in sample.fields.items():
            self._present[key] += found.value is not None
            if found.why_missing is not None:
                self._counts["missing", key[0], key[1]][reason_kind(found.why_missing)] += 1
            p = found.provenance
            who = (*key, p.annotator, p.model, p.prompt_sha256, p.label_shown)
            cost = self._makers.setdefault(
                who, {"made": 0, "missing": 0, "tokens_in": None, "tokens_out": None, "seconds": 0.0}
            )
            cost["missing" if found.value is None else "made"] += 1
            for name, number in (("tokens_in", p.tokens_in), ("tokens_out", p.tokens_out)):
                if number is not None:  # None where nobody counted, which is not 0
                    cost[name] = (cost[name] or 0) + number
            cost["seconds"] += p.seconds
            text = text_of(found.value) if key[0] in DESCRIPTIONS else None
            if text is not None:
                words = tokens(text)
                self._numbers["length", key[0], key[1]].append(len(words))
                self._words[key].update(words)
                self._word_pairs[key].update(ngrams(words, 2))

    def _add_split(self, sample: Sample) -> None:
        split, clip = sample.value("split"), sample.clip
        name = split if isinstance(split, str) else UNKNOWN
        self._counts["splits"][name] += 1
        self._counts["split fine"][name] += is_fine(sample)
        self._counts["split labels", name][label_of(sample) or UNKNOWN] += 1
        self._numbers["split seconds", name].append(clip.duration_seconds or 0.0)
        self._totals["ungrouped"] += isinstance(split, str) and clip.person is None and clip.source is None
        for kind, group in (("person", clip.person), ("source", clip.source)):
            if group is not None:
                self._groups[kind][group].add(name)

    def _add_agreements(self, sample: Sample) -> None:
        conflicts = sample.value("conflicts")
        if isinstance(conflicts, list) and conflicts:
            self._totals["with_conflict"] += 1
            names = ("first", "first_label", "second", "second_label")
            self._pairs.update(tuple(str(part(c, n)) for n in names) for c in conflicts)
        label = label_of(sample)
        for modality in MODALITIES if label is not None else ():
            own, why_not = modality_label(sample, modality)
            if why_not is not None:
                self._counts["not read", modality][reason_kind(why_not)] += 1
            else:
                vote = "silent" if own is None else "agrees" if own == label else "disagrees"
                self._counts["votes", modality][vote] += 1

    def result(self) -> Statistics:
        """The figures of all samples so far, also of those that were dropped or failed.

        Returns:
            JSON values. `clips` counts everything that was found; all else but `phases` is over the coarse set.

            - `clips`, `coarse`, `fine`, `unlabelled`, `persons`, `sources`; `seconds` of all clips together.
            - `phases`: what became of the clips of each `stage`: `entered`, `done`, `dropped` (from the data set),
              `dropped_fine` (from its fine part only), `failed`, `reasons` (numbers and names made alike), `seconds`.
            - `labels`: samples by `label`: `coarse`, `fine`, `given` (it came with the clip), `strengths`, `splits`.
            - `units` at the `peaks` peak frames: `present` (0.8 and more), `mean_intensity` there, `by_label`.
            - `durations` (see `spread`, or None) of `duration_seconds`; `tone_words` of the `tones` voices;
              `subtitle_sources`, `subtitle_languages`.
            - `texts`: each description in one language: `length` in words (Chinese: characters), `tokens`, and
              `distinct_1`, `distinct_2` (Li et al., NAACL 2016), which fall with the number of tokens.
            - `coverage`: each field: `present`, `missing` by reason, and `not_made`, of which no stage said anything.
            - `agreements`: samples where a `modality` `agrees` with the label, `disagrees`, or is `silent` (speaks for
              none); `not_read` by reason: nothing was measured, or asking would be circular.
            - `conflicts`: pairs of modalities that speak for different labels, with `count`; `with_conflict` samples.
            - `makers`: who made a field, how often, at which cost; tokens are None where nothing counted them.
            - `splits`: `coarse`, `fine`, `persons`, `sources`, `seconds`, `labels` of each split.
            - `shared_persons`, `shared_sources`: those in more than one split, which should be none. `ungrouped`: those
              with a split of which neither person nor source is known, so that each was split by itself.
        """
        totals, counts = self._totals, self._counts
        durations, groups = self._numbers["durations"], self._groups
        shared = {kind: tuple(sorted(g for g, s in found.items() if len(s) > 1)) for kind, found in groups.items()}
        return {
            **{name: totals[name] for name in ("clips", "coarse", "fine")},
            "seconds": sum(durations),
            "phases": self._phases(),
            "labels": self._labels(),
            "unlabelled": totals["unlabelled"],
            "units": [
                {"unit": unit, "present": count, "mean_intensity": float(np.mean(self._numbers["unit", unit])),
                 "by_label": by_size(counts["units", unit])}
                for unit, count in by_size(counts["units"]).items()
            ],
            "peaks": totals["peaks"],
            "durations": spread(durations),
            "duration_seconds": sorted(durations),
            "tone_words": by_size(counts["tone words"]),
            "tones": totals["tones"],
            "subtitle_sources": by_size(counts["subtitle sources"]),
            "subtitle_languages": by_size(counts["subtitle languages"]),
            "texts": self._texts(),
            "coverage": self._coverage(),
            "agreements": self._agreements(),
            "conflicts": [
                {"first": pair[0], "first_label": pair[1], "second": pair[2], "second_label": pair[3], "count": count}
                for pair, count in sorted(self._pairs.items(), key=lambda item: (-item[1], item[0]))
            ],
            "with_conflict": totals["with_conflict"],
            "makers": self._made_by(),
            "splits": self._splits(),
            "persons": len(groups["person"]), "sources": len(groups["source"]),
            "shared_persons": shared["person"], "shared_sources": shared["source"],
            "ungrouped": totals["ungrouped"],
        }  # fmt: skip

    def _phases(self) -> list[Statistics]:
        return [
            {"stage": stage, "entered": status.total(),
             **{name: status[name] for name in ("done", "dropped", "dropped_fine", "failed")},
             "reasons": by_size(self._counts["reasons", stage]), "seconds": self._seconds[stage]}
            for stage in _ordered(self._seconds, PHASES)
            for status in [self._counts["status", stage]]
        ]  # fmt: skip

    def _labels(self) -> list[Statistics]:
        counts = self._counts
        return [
            {"label": label, "coarse": count, "fine": counts["fine"][label], "given": counts["given"][label],
             "strengths": by_size(counts["strengths", label]), "splits": by_size(counts["label splits", label])}
            for label, count in by_size(counts["coarse"]).items()
        ]  # fmt: skip

    def _texts(self) -> list[Statistics]:
        found = []
        for key in sorted(self._words, key=lambda key: (DESCRIPTIONS.index(key[0]), key[1])):
            lengths, words, pairs = self._numbers["length", key[0], key[1]], self._words[key], self._word_pairs[key]
            total, all_pairs = sum(lengths), sum(max(0, n - 1) for n in lengths)
            found.append({
                "name": key[0], "language": key[1], "length": spread(lengths), "tokens": total,
                "distinct_1": len(words) / total if total else None,
                "distinct_2": len(pairs) / all_pairs if all_pairs else None,
            })  # fmt: skip
        return found

    def _coverage(self) -> list[Statistics]:
        found = []
        for key in sorted(self._present, key=lambda key: (place_of(key[0]), key)):
            present, missing = self._present[key], self._counts["missing", key[0], key[1]]
            found.append({
                "name": key[0], "language": key[1], "present": present, "missing": by_size(missing),
                "not_made": self._totals["coarse"] - present - missing.total(),
            })  # fmt: skip
        return found

    def _agreements(self) -> list[Statistics]:
        return [
            {"modality": modality, **{vote: self._counts["votes", modality][vote] for vote in
                                      ("agrees", "disagrees", "silent")},
             "not_read": by_size(self._counts["not read", modality])}
            for modality in MODALITIES
        ]  # fmt: skip

    def _made_by(self) -> list[Statistics]:
        names = ("name", "language", "annotator", "model", "prompt_sha256", "label_shown")
        ordered = sorted(self._makers.items(), key=lambda item: (place_of(item[0][0]), str(item[0])))
        return [{**dict(zip(names, who)), **cost} for who, cost in ordered]

    def _splits(self) -> list[Statistics]:
        counts, groups = self._counts, self._groups
        return [
            {"split": name, "coarse": counts["splits"][name], "fine": counts["split fine"][name],
             "persons": sum(name in found for found in groups["person"].values()),
             "sources": sum(name in found for found in groups["source"].values()),
             "seconds": sum(self._numbers["split seconds", name]), "labels": by_size(counts["split labels", name])}
            for name in _ordered(counts["splits"], SPLITS)
        ]  # fmt: skip


def _ordered(names: Iterable[str], order: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))
