"""Codings of the same clips compared: human with human, and human with machine, which only the first can put in place.

Frame-wise figures sample time in the middle of equal steps. Intervals are percentile bootstraps over clips.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, product

import numpy as np

from emotion_llama.errors import InputError
from emotion_llama.evaluation.metrics import agreement as metrics
from emotion_llama.evaluation.metrics.agreement import HUMANS, OURS, Array, Codes, Figure, Pair, Score, Span
from emotion_llama.evaluation.metrics.classification import NO_ANSWER
from emotion_llama.evaluation.metrics.intervals import NUM_RESAMPLES
from emotion_llama.labels import LABEL_SPACES, SYNONYMS

MACHINE = "machine"
THRESHOLDS = (1, 2, 3)  # of 5, from which a unit counts as present; DISFA's protocol takes 2
STEP_SECONDS = 0.1
_ERRORS = ("onset, machine later", "onset error", "offset, machine later", "offset error")  # seconds
_GAP_SECONDS = 0.5  # a unit that was not measured for longer than this has no value
Item = dict[str, "Coding"]  # coder -> what was coded of one person in one clip
Table = Sequence[tuple[int, Item]]  # beside the row of the clip in all sums


@dataclass(frozen=True)
class Coding:
    """What one coder marked of one person in one clip.

    Attributes:
        coder: a name; `MACHINE` for what is compared with the humans.
        clip: its name, the same for all coders.
        person_id: None for the main person.
        labels: spans with their label.
        units: action unit -> spans with their intensity: 0..5, A..E, or something else where only presence was coded.
        peaks: times of the strongest expression.
        duration_seconds: of the clip, where it is known.
        is_main: whether codings without a person are of this one.
        known_labels: all that this coder could have said, where that is known.
        curves: times, and intensities frame by frame [N, units in the order of `units`], NaN where not measured.
    """

    coder: str
    clip: str
    person_id: int | None = None
    labels: tuple[Span, ...] = ()
    units: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    peaks: tuple[float, ...] = ()
    duration_seconds: float | None = None
    is_main: bool = False
    known_labels: tuple[str, ...] = ()
    curves: tuple[Array, Array] | None = None


@dataclass(frozen=True)
class Agreement:
    """All figures; `confusion` [L, L] counts samples, the humans' labels by row, the machine's by column."""

    coders: tuple[str, ...]
    clips: tuple[str, ...]
    step_seconds: float
    labels: tuple[str, ...]
    confusion: Array
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]

    def figure(self, section: str, name: str, between: str, of: str = "") -> Figure | None:
        """The one figure of these names; None where it was not made."""
        wanted = (section, of, name, between)
        return next((f for f in self.figures if (f.section, f.of, f.name, f.between) == wanted), None)


def agree(
    codings: Sequence[Coding], *, step_seconds: float = STEP_SECONDS, gaps: str | None = None,
    order: Sequence[str] = (), renamed: Mapping[str, str] | None = None, num_resamples: int = NUM_RESAMPLES,
) -> Agreement:  # fmt: skip
    """Compare codings; those of `MACHINE` with each human's, and the humans' with each other.

    Args:
        codings: at most one of each coder, clip and person.
        step_seconds: time between two samples.
        gaps: the label of time without one; None leaves that time out.
        order: labels from low to high, for weighted kappa; without it there is none of labels.
        renamed: a coder's label -> the label that it means.
        num_resamples: of the bootstrap; 0 for no intervals.

    Raises:
        InputError: two codings of the same, or no clip and person that two coders coded.
    """
    items, notes = _items(codings)
    coders = sorted({name for item in items.values() for name in item} - {MACHINE})
    groups = {HUMANS: list(combinations(coders, 2)), OURS: [(name, MACHINE) for name in coders]}
    clips = sorted({clip for clip, _ in items})
    rows = {clip: row for row, clip in enumerate(clips)}
    table = [(rows[clip], item) for (clip, _), item in items.items()]
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(clips), size=(num_resamples if len(clips) > 1 else 0, len(clips)))
    draws = np.array([np.bincount(one, minlength=len(clips)) for one in drawn], float).reshape(-1, len(clips))
    score = Score(groups, draws)
    names = _label_names(items.values(), renamed or {}, notes)
    labels = tuple(dict.fromkeys([*names.values(), *([] if gaps is None else [gaps])]))
    tracks = _label_tracks(table, labels, names, step_seconds, gaps, notes)
    figures, confusion = _label_figures(tracks, labels, order, score, notes)
    coded = {name: {u for _, item in table if name in item for u in item[name].units} for name in (*coders, MACHINE)}
    figures += _unit_figures(table, coded, step_seconds, score, notes)
    figures += _timing_figures(table, coded, names, score, notes)
    if not figures:
        raise InputError("the coders share no labels, no action units and no peaks: there is nothing to compare")
    return Agreement((*coders, MACHINE), tuple(clips), step_seconds, labels, confusion, tuple(figures), tuple(notes))


def _items(codings: Sequence[Coding]) -> tuple[dict[tuple[str, int | None], Item], list[str]]:
    """(clip, person) -> its codings, where there are two or more; and a line for each that stays alone."""
    found: dict[tuple[str, int | None], Item] = {}
    main = {one.clip: one.person_id for one in codings if one.coder == MACHINE and one.is_main}
    for one in codings:
        person = main.get(one.clip) if one.person_id is None else one.person_id
        item = found.setdefault((one.clip, person), {})
        if one.coder in item:
            raise InputError(f"{one.coder} codes {one.clip} twice; give each coder's files in a folder of its own")
        item[one.coder] = one
    alone: defaultdict[str, list[str]] = defaultdict(list)
    for (clip, person), item in sorted(found.items(), key=str):
        if len(item) == 1 or MACHINE not in item:
            who = f" (person {person})" if sum(clip == name for name, _ in found) > 1 else ""
            alone["clips that no human codes" if MACHINE in item else "clips that are not among our results"].append(
                f"{clip}{who}"
            )
    notes = [f"{what}: {len(names)} ({', '.join(names)})" for what, names in alone.items()]
    kept = {key: item for key, item in found.items() if len(item) > 1}
    for name in sorted({one.coder for one in codings} - {MACHINE}):
        missing = [clip for clip in dict.fromkeys(c for c, _ in kept) if not any(
            name in item for (c, _), item in kept.items() if c == clip)]  # fmt: skip
        notes += [f"clips that {name} does not code: {len(missing)} ({', '.join(missing)})"] if missing else []
    if not kept:
        clips = [", ".join(sorted({c.clip for c in codings if (c.coder == MACHINE) == ours})) for ours in (0, 1)]
        raise InputError(f"no clip is coded twice; the humans' are {clips[0]}, ours {clips[1]}: name files after clips")
    return kept, notes


# --- labels -----------------------------------------------------------------------------------------------------------


def _label_names(items: Iterable[Item], renamed: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """Every label as it was coded -> its name here, the machine's first; a line for each that is none."""
    codings = [one for item in items for one in item.values()]
    ours = [one for one in codings if one.coder == MACHINE]
    space = [name for one in ours for name in one.known_labels] or [n for s in LABEL_SPACES.values() for n in s.labels]
    said = [text for one in ours for *_, text in one.labels]
    space = list(
        dict.fromkeys(
            [*space, *(text for text in said if not {text.lower(), *SYNONYMS.get(text.lower(), ())} & {*space})]
        )
    )
    names: dict[str, str] = {}
    strange: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for one in codings:
        for start, end, text in one.labels:
            word = renamed.get(text, text)
            candidates = (word, word.lower(), *SYNONYMS.get(word.lower(), ()))
            names[text] = next((name for name in candidates if name in space), word.lower())
            if names[text] not in space:
                strange[text, one.coder].append(end - start)
    notes += [
        f'label "{text}" of {coder} is none of the machine\'s: episodes {len(times)}, {sum(times):.1f} s, each counted '
        "as disagreement (--map WORD=LABEL renames it)"
        for (text, coder), times in sorted(strange.items())
    ]
    places = [*(name for name in space if name != NO_ANSWER), *sorted(set(names.values()) - {*space}), NO_ANSWER]
    return dict(sorted(names.items(), key=lambda item: places.index(item[1])))


def _label_tracks(
    table: Table, labels: Sequence[str], names: Mapping[str, str], step: float, gaps: str | None, notes: list[str]
) -> list[tuple[int, dict[str, Codes]]]:
    """Of each clip (its row) and person: coder -> number of the label at each time; lines on time without a label."""
    coders = {name for _, item in table for name, one in item.items() if one.labels}
    found, without, whole, twice, silent = [], *(Counter[str]() for _ in range(4))
    for row, item in table:
        times, tracks = _times(item, step), dict[str, Codes]()
        for name in sorted(item.keys() & coders):
            codes = np.full(len(times), -1)
            for start, end, text in item[name].labels:
                here, code = (times >= start) & (times < end), labels.index(names[text])
                twice[name] += int((here & (codes >= 0) & (codes != code)).sum())
                codes[here & (codes < 0)] = code
            if gaps is not None:
                codes[codes < 0] = labels.index(gaps)
            whole[name] += len(times)
            without[name] += int((codes < 0).sum())
            silent[name] += int((codes == labels.index(NO_ANSWER)).sum()) if NO_ANSWER in labels else 0
            tracks[name] = codes
        found.append((row, tracks))
    for name in sorted(coders):
        lines = {
            f"no label for {without[name] * step:.1f} of {whole[name] * step:.1f} s, left out "
            "(--gaps LABEL counts it as that label)": without[name],
            f"two labels at once for {twice[name] * step:.1f} s: the first counts": twice[name],
            f"no answer for {silent[name] * step:.1f} of {whole[name] * step:.1f} s, counted as wrong": silent[name],
        }
        notes += [f"{name}: {line}" for line, count in lines.items() if count]
    return found


def _label_figures(
    tracks: Sequence[tuple[int, dict[str, Codes]]], labels: Sequence[str], order: Sequence[str], score: Score,
    notes: list[str],
) -> tuple[list[Figure], Array]:  # fmt: skip
    sums, names = _sums(score, len(labels), len(labels)), ("all humans", "all humans & machine")
    together = {("", name): np.zeros((score.num_clips, len(labels), len(labels))) for name in names}
    for row, codes in tracks:
        for one, other in sums:
            if one in codes and other in codes:
                sums[one, other][row] += metrics.confusion_counts(codes[one], codes[other], len(labels))
        humans = [some for name, some in codes.items() if name != MACHINE]
        for found, some in zip(together.values(), (humans, list(codes.values())), strict=True):
            if len(some) > 1:
                found[row] += metrics.coincidence_counts(np.array(some), len(labels))
    confusion = np.sum([found for pair, found in sums.items() if MACHINE in pair], axis=0)
    if not any(found.any() for found in sums.values()):
        return [], confusion.sum(axis=0)
    human = [found + found.swapaxes(1, 2) for pair, found in sums.items() if MACHINE not in pair]
    figures = score("labels", "Cohen's kappa", metrics.kappa, sums)
    figures += _ordered(order, labels, sums, score, notes) if order else []
    both = {pair: found + found.swapaxes(1, 2) for pair, found in sums.items()}
    figures += score("labels", "Krippendorff's alpha", metrics.alpha_nominal, both | together)
    for which, name in enumerate(("precision", "recall", "F1")):
        pooled = {("", OURS): confusion} | ({("", HUMANS): np.sum(human, axis=0)} if human and name == "F1" else {})
        figures += score("label", name, partial(_of_labels, which=which), pooled, labels, "macro")
    return figures, confusion.sum(axis=0)


def _of_labels(confusion: Array, which: int) -> Array:
    return metrics.precision_recall_f1(confusion)[which]


def _ordered(
    order: Sequence[str], labels: Sequence[str], sums: Mapping[Pair, Array], score: Score, notes: list[str]
) -> list[Figure]:
    """Weighted kappas over the labels that have an order."""
    if unknown := [name for name in order if name not in labels]:
        raise InputError(f"--order names {', '.join(unknown)}, which nobody coded (labels: {', '.join(labels)})")
    places = [labels.index(name) for name in order]
    if rest := [name for name in labels if name not in order]:
        notes.append(f"weighted kappa is over {', '.join(order)}; without an order, and left out: {', '.join(rest)}")
    kept = {pair: found[:, places][:, :, places] for pair, found in sums.items()}
    return [
        one
        for power, name in ((1, "linear"), (2, "quadratic"))
        for one in score("labels", f"kappa, {name}",
                         partial(metrics.kappa, weights=metrics.distances(len(order), power)), kept)
    ]  # fmt: skip


def _sums(score: Score, *shape: int) -> dict[Pair, Array]:
    return {pair: np.zeros((score.num_clips, *shape)) for pair in score.pairs}


def _times(item: Item, step: float) -> Array:
    """Middles of the steps from 0 to the end of the clip or, where nobody knows that, of the last episode."""
    ends = [one.duration_seconds or 0.0 for one in item.values()]
    if not any(ends):
        ends = [end for one in item.values() for spans in (one.labels, *one.units.values()) for _, end, _ in spans]
    return np.arange(step / 2, max(ends, default=0.0), step)


# --- action units -----------------------------------------------------------------------------------------------------


def _unit_figures(
    table: Table, coded: Mapping[str, set[str]], step: float, score: Score, notes: list[str]
) -> list[Figure]:
    """Intensities where both coders give them, and presence from each threshold on."""
    plain: defaultdict[str, set[str]] = defaultdict(set)  # coders who say no intensity
    for _, item in table:
        for name, one in item.items():
            for unit, spans in one.units.items():
                plain[unit] |= {name} if any(np.isinf(metrics.intensity_of(text)) for *_, text in spans) else set()
    units = sorted({unit for one, other in score.pairs for unit in coded[one] & coded[other]})
    notes += [f"{unit}: {', '.join(sorted(who))} code presence without intensity: no ICC, alpha, weighted kappa"
              for unit, who in plain.items() if who and unit in units]  # fmt: skip
    present = _sums(score, len(units), len(THRESHOLDS), 2, 2)
    iccs, intervals, degrees = (_sums(score, len(units), *shape) for shape in ((5,), (4,), (6, 6)))
    for row, item in table:
        times = _times(item, step)
        for pair, (i, unit) in product(score.pairs, enumerate(units)):
            if not item.keys() >= {*pair} or any(unit not in coded[name] for name in pair):
                continue
            both = np.array([_intensities(item[name], unit, times) for name in pair])
            for j, threshold in enumerate(THRESHOLDS):
                codes = np.where(np.isnan(both), -1, both >= threshold).astype(int)
                present[pair][row, i, j] += metrics.confusion_counts(codes[0], codes[1], 2)
            if not plain[unit] & {*pair}:
                rounded = np.where(np.isnan(both), -1, np.rint(both)).astype(int)
                iccs[pair][row, i] += metrics.icc_sums(both)
                intervals[pair][row, i] += metrics.interval_sums(both)
                degrees[pair][row, i] += metrics.confusion_counts(rounded[0], rounded[1], 6)
    of, found = (units, "mean unit"), list[Figure]()
    if units:
        found += score("unit", "ICC(2,1)", metrics.icc, iccs, *of)
        found += score("unit", "Krippendorff's alpha", metrics.alpha_interval, intervals, *of)
        squared = partial(metrics.kappa, weights=metrics.distances(6, 2))
        found += score("unit", "kappa, quadratic", squared, degrees, *of)
        for j, threshold in enumerate(THRESHOLDS):
            counts = {pair: some[:, :, j] for pair, some in present.items()}
            found += score("unit", f"F1 at {threshold}", _f1_of_presence, counts, *of)
    return found


def _f1_of_presence(confusion: Array) -> Array:
    return metrics.precision_recall_f1(confusion)[2][..., 1]


def _intensities(coding: Coding, unit: str, times: Array) -> Array:
    """At each time 0..5, NaN where it was not measured, infinite where it is present and nobody says how strong."""
    if coding.curves is not None:
        at, curves = coding.curves
        if unit not in coding.units or not len(at):
            return np.full(len(times), np.nan)
        place = np.searchsorted(at, times, side="right") - 1
        values = np.where(place >= 0, curves[place, list(coding.units).index(unit)], np.nan)
        return np.where(times - at[place] > _GAP_SECONDS, np.nan, values)
    values = np.zeros(len(times))
    for start, end, text in coding.units.get(unit, ()):
        values[(times >= start) & (times < end)] = metrics.intensity_of(text)
    return values


# --- times ------------------------------------------------------------------------------------------------------------


def _timing_figures(
    table: Table, coded: Mapping[str, set[str]], names: Mapping[str, str], score: Score, notes: list[str]
) -> list[Figure]:
    """Errors of onset and offset of the episodes that match, in seconds, and distances of peaks."""
    figures: list[Figure] = []
    for section in ("label episodes", "unit episodes"):
        sums = _sums(score, 7)
        for (row, item), pair in product(table, score.pairs):
            if item.keys() >= {*pair}:
                units = coded[pair[0]] & coded[pair[1]] if section == "unit episodes" else None
                sums[pair][row] += _timing(*(_episodes(item[name], names, units) for name in pair))
        sums = {pair: found for pair, found in sums.items() if found[:, 1].any() and found[:, 2].any()}
        for (one, other), found in sums.items():
            matched, of_one, of_other = found[:, :3].sum(axis=0).astype(int)
            if of_one != of_other or matched < of_one:
                notes.append(f"{section}: {one} {of_one}, {other} {of_other}, matched {matched}")
        figures += score(section, "F1 of episodes", lambda s: metrics.ratio(2 * s[..., 0], s[..., 1] + s[..., 2]), sums)
        ours = {pair: found for pair, found in sums.items() if MACHINE in pair}
        for place, name in enumerate(_ERRORS, 3):
            figures += score(section, name, partial(_per_match, place=place), ours if "machine" in name else sums)
    sums = _sums(score, 2)
    for row, item in table:
        for pair in score.pairs:
            if item.keys() >= {*pair} and all(item[name].peaks for name in pair):
                first, second = (np.array(item[name].peaks) for name in pair)
                nearest = np.abs(first[:, None] - second).min(axis=1)
                sums[pair][row] += len(nearest), nearest.sum()
    kept = {pair: found for pair, found in sums.items() if found.any()}
    return figures + score("peaks", "distance", lambda s: metrics.ratio(s[..., 1], s[..., 0]), kept)


def _episodes(coding: Coding, names: Mapping[str, str], units: set[str] | None) -> list[Span]:
    """Spans of labels, or of these units, those of one kind that touch as one; in order of time."""
    if units is None:
        spans = [(start, end, names[text]) for start, end, text in coding.labels]
    else:
        spans = [(start, end, unit) for unit in units for start, end, _ in coding.units.get(unit, ())]
    joined: list[Span] = []
    for start, end, text in sorted(spans, key=lambda span: (span[2], *span[:2])):
        if joined and joined[-1][2] == text and start <= joined[-1][1] + 1e-3:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]), text)
        else:
            joined.append((start, end, text))
    return sorted(joined)


def _timing(first: Sequence[Span], second: Sequence[Span]) -> Array:
    """Matched, all of the first, all of the second; sums of onset difference, its size, offset difference, its size."""
    pairs = metrics.matched_episodes(first, second)
    on = np.array([second[j][0] - first[i][0] for i, j in pairs])
    off = np.array([second[j][1] - first[i][1] for i, j in pairs])
    sums = (on.sum(), np.abs(on).sum(), off.sum(), np.abs(off).sum())
    return np.array([len(pairs), len(first), len(second), *sums], float)


def _per_match(sums: Array, place: int) -> Array:
    return metrics.ratio(sums[..., place], sums[..., 0])
