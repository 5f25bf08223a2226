"""How good a build is, measured without references; and what face, voice and words of a sample each speak for.

A text is compared only with what its writer did not make it from: where `rules` wrote a description from the measured
units, its agreement with these units is theirs by construction and is not computed. What is missing is not counted, and
every measure says on how much it rests. There is no sum of all measures: they have no common unit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np

from emotion_llama.chat.questions import LANGUAGES
from emotion_llama.labels import MERR9
from emotion_llama.merr.quality.texts import (
    ideograph_share,
    near_duplicates,
    repeated_share,
    tokens,
    tone_mentions,
    unit_mentions,
)
from emotion_llama.merr.recipe import ConsistencyPart
from emotion_llama.merr.records import (
    DESCRIPTIONS,
    FieldKey,
    Json,
    Sample,
    by_rules,
    descriptions,
    is_coarse,
    label_of,
    part,
    peak_units,
    text_of,
    text_part,
)
from emotion_llama.merr.stages.consistency import check_text
from emotion_llama.records import PeakFrame, Prosody, Tone, Transcript, TranscriptLine
from emotion_llama.results import Evidence
from emotion_llama.rules.reasoning import holds_label
from emotion_llama.rules.wording import wording
from emotion_llama.speech.tone import SCALES, judge

CIRCULAR = "written by rules from these measurements: agreement would be circular"
PRESENT = 0.8  # intensity from which a unit counts as present: MER-Factory's threshold
UNNAMED = frozenset({"AU45"})  # nobody describes a blink as an expression: not asked for
FACE_TEXTS = ("visual_expression", "visual_objective")
UNIMODAL = (*FACE_TEXTS, "audio_tone")
MIN_VOICES = 10  # measured voices from which a rank among them says something; own choice
MIN_ZH, MAX_EN = 0.5, 0.1  # share of ideographs among a text's letters: Chinese from, English up to; own choice
LOOPS = 0.3  # share of repeated 4-grams from which a text runs in a loop; own choice

Modality = Literal["face", "voice", "words"]
MODALITIES: tuple[Modality, ...] = ("face", "voice", "words")
FROM_FACE = "the label was read from the face by rules: asking the face again would be circular"

Face = tuple[list[frozenset[str]], frozenset[str]]  # units that a text names, units present at its sample's peak


@dataclass(frozen=True)
class Measure:
    """One figure about a build."""

    name: str  # short name
    title: str  # for a reader
    value: float | None  # None where nothing could be compared
    rests_on: int  # how many of `unit` were compared
    unit: str  # "samples", "mentions", "texts", "units"
    better: str  # "higher", "lower", or "neither"
    says: str  # how it is computed
    # what the same figure is when each text stands beside another sample's measurement; None where that has no meaning
    chance: float | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)  # why samples were not compared, counted


# Name, title, what is compared, which way is better, the group whose left-out samples it names, and how it is computed.
# Each is the mean of what was seen under its name.
_FACES = "over texts about the face that no rules wrote, at intensities of 0.8 and more"
_MEASURES: tuple[tuple[str, str, str, str, str, str], ...] = (
    ("label_accuracy", "Rules' labels against given ones", "samples", "higher", "given",
     "share of samples, among those with a given label, for which the rules on the face say the same"),
    ("label_recall", "The same, mean over the given labels", "samples", "higher", "given",
     "mean of that share over the given labels (unweighted average recall)"),
    ("units_named_rightly", "Named movements that were measured", "mentions", "higher", "face",
     f"share of the face movements named in a text that the peak frame shows, {_FACES}"),
    ("units_named", "Measured movements that are named", "units", "higher", "face",
     f"share of the units present at the peak frame that the text names, {_FACES}"),
    ("tone_rank", "Voices rank as their descriptions call them", "mentions", "higher", "voice",
     "mean rank (0 to 1, in the word's direction) of the voice among all of the set, for each word on pitch, range, "
     "level, tempo, pauses or tremor in a text that no rules wrote; 0.5 is no relation"),
    ("tone_words_hold", "Words on voices that are out of the ordinary", "mentions", "higher", "voice",
     "share with the right direction, of these words where the measured figure is beyond a bound of the tone table"),
    ("grounded", "Fine descriptions grounded in their clues", "texts", "higher", "grounded",
     "mean share of the cues that a fine description names which stand among the clues it was given"),
    ("label_named", "Fine descriptions that come to the label", "texts", "higher", "label",
     "share of fine descriptions that name the label, itself or in another plain word for it"),
    ("label_early", "Fine descriptions that name it too early", "texts", "lower", "label",
     "share of fine descriptions that name the label before their last sentence"),
    ("label_in_clues", "Descriptions of one modality that name the label", "texts", "lower", "label",
     "share of expression, objective and tone descriptions that name the sample's label"),
    ("language", "Descriptions in their language", "texts", "higher", "",
     f"Chinese: at least {MIN_ZH:.0%} of the letters are Chinese characters; English: at most {MAX_EN:.0%}"),
    ("loops", "Descriptions that repeat themselves", "texts", "lower", "",
     f"share of texts of which {LOOPS:.0%} or more of the 4-grams stand in them twice"),
)  # fmt: skip


class Assessor:
    """All measures together, for callers that read the samples once and do more with them."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, list[float]] = defaultdict(list)  # measure -> one value for each thing compared
        self._left_out: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._by_given: defaultdict[str, list[bool]] = defaultdict(list)  # given label -> the rules say the same
        self._faces: list[Face] = []
        self._voices: defaultdict[str, list[float]] = defaultdict(list)  # figure -> all measured ones
        self._tones: list[tuple[str, int, float]] = []  # figure, direction of the text's word, measured value
        self._long_texts: defaultdict[FieldKey, list[str]] = defaultdict(list)

    def add(self, sample: Sample) -> None:
        """Count one sample; those outside the coarse set are passed over."""
        if is_coarse(sample):
            self._add_given_label(sample)
            self._add_face(sample)
            self._add_voice(sample)
            self._add_grounds(sample)
            self._add_leaks(sample)
            self._add_texts(sample)

    def measures(self) -> tuple[Measure, ...]:
        """All measures so far."""
        half = len(self._faces) // 2  # neighbours by name may be cuts of one video
        others = self._faces[half:] + self._faces[:half]
        shifted = [(named, present) for (named, _), (_, present) in zip(self._faces, others)]
        hits = [hit for those in self._by_given.values() for hit in those]
        ranks = [self._rank(*tone) for tone in self._tones if len(self._voices[tone[0]]) >= MIN_VOICES]
        seen: dict[str, Sequence[float]] = {
            **self._seen, "label_accuracy": hits, "label_recall": hits, "tone_rank": ranks,
            "units_named_rightly": _named_rightly(self._faces), "units_named": _present_named(self._faces),
        }  # fmt: skip
        values = {"label_recall": _mean([_mean(those) or 0.0 for those in self._by_given.values()])}
        chances = {"label_recall": 1 / len(self._by_given) if hits else None, "tone_rank": 0.5 if ranks else None}
        if len(self._faces) > 1:
            chances |= {"units_named_rightly": _mean(_named_rightly(shifted))}
            chances |= {"units_named": _mean(_present_named(shifted))}
        found = [
            Measure(
                name, title, values.get(name, _mean(seen.get(name, ()))), len(seen.get(name, ())), unit, better, says,
                chances.get(name), dict(self._left_out[group]),
            )
            for name, title, unit, better, group, says in _MEASURES
        ]  # fmt: skip
        return (*found, *self._duplicates())

    def _duplicates(self) -> Iterator[Measure]:
        for (name, language), texts in sorted(self._long_texts.items()):
            twins = sum(first != row for row, first in enumerate(near_duplicates(texts)))
            title = f"{name.replace('_', ' ').capitalize()} that nearly repeats another ({language})"
            says = "Jaccard similarity of 3-token shingles of 0.9 and more with an earlier text"
            share = twins / len(texts)
            yield Measure(f"duplicates_{name}_{language}", title, share, len(texts), "texts", "lower", says)

    def _add_given_label(self, sample: Sample) -> None:
        """The rules' label against the label that came with the clip, where both are known."""
        given, value = sample.clip.given_label, sample.value("label")
        said = label_of(sample) if part(value, "source") == "rules" else part(value, "by_rules")
        if given is None:
            self._left_out["given"]["no label was given"] += 1
        elif part(value, "source") == "rules" or isinstance(said, str):
            label = MERR9.find(given) or given.strip().lower()
            self._by_given[label].append(label == said)
        else:
            self._left_out["given"]["the rules gave no label of their own"] += 1

    def _add_face(self, sample: Sample) -> None:
        """Units named in texts about the face, beside those measured at the peak frame; all languages alike."""
        units = peak_units(sample)
        for _, text, provenance in descriptions(sample, FACE_TEXTS):
            if by_rules(provenance):
                self._left_out["face"][CIRCULAR] += 1
            elif units is None:
                self._left_out["face"]["no face was measured"] += 1
            else:
                present = frozenset(u for u, x in units.items() if x >= PRESENT) - UNNAMED
                self._faces.append((unit_mentions(text), present))

    def _add_voice(self, sample: Sample) -> None:
        """Words for figures of the voice, beside these figures; every measured voice is ranked among."""
        prosody = as_prosody(sample.value("prosody"))
        for scale in SCALES if prosody is not None else ():
            value = getattr(prosody, scale.figure)
            if value is not None:
                self._voices[scale.figure].append(float(value))
        for _, text, provenance in descriptions(sample, ("audio_tone",)):
            if by_rules(provenance):
                self._left_out["voice"][CIRCULAR] += 1
            elif prosody is None:
                self._left_out["voice"]["no voice was measured"] += 1
            else:
                self._compare_voice(tone_mentions(text), prosody)

    def _compare_voice(self, mentions: Sequence[tuple[str, Literal[-1, 1]]], prosody: Prosody) -> None:
        for figure, direction in mentions:
            value = getattr(prosody, figure)
            if value is None:
                self._left_out["voice"]["the figure that a word speaks of could not be measured"] += 1
                continue
            self._tones.append((figure, direction, float(value)))
            judgement = judge(next(s for s in SCALES if s.figure == figure), prosody)
            if judgement is not None and judgement.direction != 0:
                self._seen["tone_words_hold"].append(judgement.direction == direction)

    def _rank(self, figure: str, direction: int, value: float) -> float:
        """Share of voices that lie further from what the word says, ties half; the voice itself left out."""
        others = np.asarray(self._voices[figure])
        below, equal = float((others < value).sum()), float((others == value).sum()) - 1
        rank = (below + equal / 2) / (len(others) - 1)
        return rank if direction > 0 else 1 - rank

    def _add_grounds(self, sample: Sample) -> None:
        """Of fine descriptions that a model wrote, the share of cues that were given: the consistency stage's."""
        for (_, language), _, provenance in descriptions(sample, ("fine_caption",)):
            share = part(sample.value("consistency", language), "grounded_share")
            if by_rules(provenance):
                self._left_out["grounded"][CIRCULAR] += 1
            elif not isinstance(share, (int, float)):
                self._left_out["grounded"]["names no cue, or was not checked"] += 1
            else:
                self._seen["grounded"].append(float(share))

    def _add_leaks(self, sample: Sample) -> None:
        """Descriptions that name the label too early, or at all where they must not; in all languages."""
        label = label_of(sample)
        if label is None:
            self._left_out["label"]["no label"] += 1
            return
        clues = {"subtitle": text_of(sample.value("subtitle")) or ""}
        for (name, language), text, _ in descriptions(sample, ("fine_caption", *UNIMODAL)):
            if language not in LANGUAGES:
                continue
            if name in UNIMODAL:
                self._seen["label_in_clues"].append(holds_label(text, label, wording(language)))
                continue
            found = check_text(text, label, clues, language, ConsistencyPart())
            self._seen["label_named"].append(found["names_label"])
            self._seen["label_early"].append(not found["label_at_end"])

    def _add_texts(self, sample: Sample) -> None:
        """Descriptions in the script of their language, and those that repeat themselves or another sample's."""
        for key, text, _ in descriptions(sample, DESCRIPTIONS):
            script, repeats = ideograph_share(text), repeated_share(tokens(text))
            if script is not None and key[1] in ("en", "zh"):
                self._seen["language"].append(script >= MIN_ZH if key[1] == "zh" else script <= MAX_EN)
            if repeats is not None:
                self._seen["loops"].append(repeats >= LOOPS)
            if key[0] in ("visual_objective", "fine_caption"):
                self._long_texts[key].append(text)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _named_rightly(faces: Sequence[Face]) -> list[bool]:
    return [bool(units & present) for named, present in faces for units in named]


def _present_named(faces: Sequence[Face]) -> list[bool]:
    return [any(unit in units for units in named) for named, present in faces for unit in present]


# --- what one modality speaks for


def modality_label(sample: Sample, modality: Modality) -> tuple[str | None, str | None]:
    """The label that one modality speaks for, by the rules alone, or why it cannot be asked.

    The label is the one that the modality's cues move most, at least by the rules' floor for evidence. The face is not
    asked where rules took the label from it.

    Returns:
        (label, None); (None, None) where it speaks for none; (None, reason) where nothing was measured, or asking
        would be circular.
    """
    if modality == "face" and part(sample.value("label"), "source") == "rules":
        return None, FROM_FACE
    evidence = _evidence(sample, modality)
    return (None, evidence) if isinstance(evidence, str) else (_strongest(evidence), None)


def as_prosody(value: Json) -> Prosody | None:
    """The stored figures as `Prosody`; None where they are missing or of another shape."""
    names = {f.name for f in fields(Prosody)}
    if not isinstance(value, Mapping) or not names <= set(value):
        return None
    return Prosody(**{name: value[name] for name in names})  # type: ignore[arg-type]


def _strongest(evidence: Evidence) -> str | None:
    from emotion_llama.rules.rule_tables import EVIDENCE_FLOOR
    from emotion_llama.rules.scoring import source_sums

    moved: dict[str, float] = {}
    for sums in source_sums(evidence).values():
        for label, weight in sums.items():
            moved[label] = moved.get(label, 0.0) + weight
    strongest = max(moved, key=lambda name: moved[name], default=None)
    return strongest if strongest is not None and moved[strongest] >= EVIDENCE_FLOOR else None


def _evidence(sample: Sample, modality: Modality) -> Evidence | str:
    if modality == "face":
        units = peak_units(sample)
        if units is None:
            return sample.why_missing("peak") or "it has no figures"
        return Evidence(peak_frame=PeakFrame(0, 0.0, sum(units.values()), "all", None, units, ""))
    if modality == "voice":
        prosody, tone = as_prosody(sample.value("prosody")), sample.value("tone")
        if isinstance(tone, dict):
            words = tone.get("words")
            found = {str(k): str(v) for k, v in words.items()} if isinstance(words, dict) else {}
            return Evidence(prosody=prosody, tone=Tone(str(tone.get("phrase", "")), found))
        return (
            (sample.why_missing("prosody") or "it has no figures")
            if prosody is None
            else Evidence(prosody=prosody, tone=Tone("", {}))
        )
    subtitle = sample.value("subtitle")
    said, language = text_of(subtitle), text_part(subtitle, "language")
    if said is None:
        return sample.why_missing("subtitle") or "nothing is said"
    if language not in (None, "en"):
        return f"the words are {language}; the lexicon is English"
    return Evidence(transcript=Transcript((TranscriptLine(said),), "given", language))
