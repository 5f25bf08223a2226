"""The clues of a clip, each word for word as it was given, with what it speaks for by the rules' tables.

A clue is a phrase of the face, a word of the tone or a sentence of what is said. Phrases and words that the package's
own wordings can give are known by their text; a description in other words counts as one clue, with the weight of the
measurements of its modality. Nothing is named here that was not given.

Whether a description names only what was given is decided by the lexicon of cues (`find_problems`): a cue that it does
not know is not judged, and a cue in other words than the clue's counts as the same where it knows both. What stands in
quotation marks is what the person says and no claim about face or voice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

from emotion_llama.chat.questions import Facts
from emotion_llama.face.label_units import PRESENT
from emotion_llama.records import AU_NAMES, PeakFrame, Transcript, TranscriptLine
from emotion_llama.results import Evidence
from emotion_llama.rules.face_cues import Face, rule_values, saturating
from emotion_llama.rules.phrases import Phrases, phrase_index
from emotion_llama.rules.rule_tables import AGAINST_NEUTRAL, CALM, FaceTable
from emotion_llama.rules.tone_text import tone_index
from emotion_llama.rules.voice_cues import (
    ORDINARY,
    TONE_WORD_DEVIATION,
    TONE_WORDS,
    UNUSUAL,
    VOICE_RULES,
    read_voice,
    voice_figures,
)
from emotion_llama.rules.wording import Wording, wording
from emotion_llama.rules.words import NEGATED, read_words

_QUOTED = re.compile('["\u201c\u300c\u300e]([^"\u201c\u201d\u300c\u300d\u300e\u300f]*)["\u201d\u300d\u300f]')


class Problem(NamedTuple):
    """What is wrong: `kind` is "cue" or "quote", `words` those of the text, `cue` the concept."""

    kind: str
    words: str
    cue: str = ""


def cues_in(text: str, words: Wording) -> dict[str, str]:
    """Concept -> the words that name it, in the order of the lexicon; what the text denies is left out."""
    found = {}
    for cue, pattern in words.cues.items():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            if not re.search(words.negations, text[: match.start()], re.IGNORECASE):
                found[cue] = match.group(0)
                break
    return found


def quotations(text: str) -> list[str]:
    """What a text quotes."""
    return [quoted.strip() for quoted in _QUOTED.findall(text) if quoted.strip()]


def without_quotations(text: str) -> str:
    """The text without what it quotes."""
    return _QUOTED.sub(" ", text)


def find_problems(text: str, given: Iterable[str], subtitle: str, language: str) -> list[Problem]:
    """Cues and quotations of `text` that are not among the descriptions `given`, or not in the `subtitle`.

    Args:
        text: the description to be judged.
        given: descriptions that it was written from.
        subtitle: what was said; empty when nothing is known of it.
        language: of text and descriptions.
    """
    words, given = wording(language), list(given)
    known = {cue for clue in given for cue in cues_in(clue, words)}
    named = cues_in(without_quotations(text), words)
    problems = [Problem("cue", found, cue) for cue, found in named.items() if cue not in known]
    sources = [_plain(source) for source in (subtitle, *given)]
    said = (quoted for quoted in quotations(text) if not any(_plain(quoted) in source for source in sources))
    return problems + [Problem("quote", quoted) for quoted in said]


def _plain(text: str) -> str:
    """Letters and digits alone, in lower case: case, blanks and marks do not tell a quotation from another."""
    return "".join(c for c in text.lower() if c.isalnum())


Source = Literal["face", "voice", "words"]
MODALITIES: Mapping[Source, str] = {"face": "visual_expression", "voice": "audio_tone", "words": "subtitle"}
# A clue in words of one's own is quoted up to here.
MAX_CHARACTERS = 160
NAMED = 1.5  # log-odds of a feeling named outright: what the English lexicon gives "angry" or "scared"
MAX_PHRASE = 60
CLEAR = 1.6  # intensity of a phrase in other words, where nothing was measured: MER-Factory's "moderate"
# Concepts of the lexicon -> units that show them.
CUE_UNITS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "eyebrows raised": ("AU01", "AU02"), "eyebrows lowered": ("AU04",), "eyes widened": ("AU05",),
        "cheeks raised": ("AU06",), "eyes narrowed": ("AU07",), "nose wrinkled": ("AU09",),
        "upper lip raised": ("AU10",), "mouth corners up": ("AU12",), "mouth corners tightened": ("AU14",),
        "mouth corners down": ("AU15",), "chin pushed up": ("AU17",), "lips stretched": ("AU20",),
        "lips tightened": ("AU23",), "mouth open": ("AU25", "AU26"), "eyes closed": ("AU45",),
    }
)  # fmt: skip
_BETWEEN_PHRASES = re.compile(r"[,;，；、\n]+")


class Clue(NamedTuple):
    """One clue.

    Attributes:
        source: of which modality.
        text: as it stands in the description, or a sentence of the subtitle.
        weights: label -> log-odds; empty when the tables know nothing of it.
        is_described: a description in words that are not the package's own.
    """

    source: Source
    text: str
    weights: Mapping[str, float]
    is_described: bool = False


def find_clues(facts: Facts, language: str, table: FaceTable, own: Phrases | None = None) -> tuple[Clue, ...]:
    """All clues among the descriptions given, in their order: face, voice, words."""
    words = wording(language)
    found = []
    for source, name in MODALITIES.items():
        text = facts.clues.get(name, "").strip()
        if not text:
            continue
        if source == "face":
            found += _face(text, facts, words, table, own)
        elif source == "voice":
            found += _voice(text, facts.evidence, words)
        else:
            found += _words(text, facts.evidence)
    return tuple(found)


def peak_units(facts: Facts) -> Mapping[str, float]:
    """Intensities at the peak frame, from the facts or the evidence's own peak; empty when no face was read."""
    peak = facts.evidence.peak_frame
    return facts.peak_units or ({} if peak is None else peak.units)


def is_face_read(facts: Facts) -> bool:
    """Whether a face was measured, moving or not."""
    units = facts.evidence.action_units
    is_seen = units is not None and bool(units.valid.any())
    return bool(facts.peak_units) or facts.evidence.peak_frame is not None or is_seen


def gesture_weights(
    gestures: Sequence[tuple[str, ...]], units: Mapping[str, float], table: FaceTable
) -> list[dict[str, float]]:
    """Label -> log-odds of each gesture (a group of units) of one moment.

    A rule that holds shares its weight among the gestures by the units of it that each has; a unit outside of every
    rule that holds weighs by itself.
    """
    weights: list[dict[str, float]] = [{} for _ in gestures]
    face = Face(tuple(units), np.array([list(units.values())], dtype=np.float64).reshape(1, -1), np.ones(1), None)
    used: set[str] = set()
    for rule in table.rules:
        value = float(rule_values(face, rule)[0])
        shown = {name for name in rule.units if units.get(name, 0.0) >= PRESENT}
        if value <= 0 or not shown:
            continue
        used |= set(rule.units)
        for weight, group in zip(weights, gestures):
            _add(weight, rule.label, value * len(shown & set(group)) / len(shown))
    for weight, group in zip(weights, gestures):
        for name in group:
            level = float(saturating(np.array(units.get(name, 0.0))))
            if name not in used and level >= 0.5:
                for label, lone in table.lone_units.get(name, {}).items():
                    _add(weight, label, lone * level)
        if weight:
            weight["neutral"] = -AGAINST_NEUTRAL * max(weight.values())
    return weights


def _add(weights: dict[str, float], label: str, value: float) -> None:
    if value:
        weights[label] = weights.get(label, 0.0) + value


def _face(text: str, facts: Facts, words: Wording, table: FaceTable, own: Phrases | None) -> list[Clue]:
    measured = peak_units(facts)
    parts = [part.strip(f" {words.sentence_ends}") for part in _BETWEEN_PHRASES.split(text)]
    parts = [part for part in parts if part]
    if not _is_list(text, parts, words):
        return [Clue("face", _shortened(text, words), _total_of(measured, table), True)]
    index = phrase_index(words.language, own)
    # Without measurements, what no phrase names counts as at rest.
    units = dict(measured) or dict.fromkeys(AU_NAMES, 0.0)
    groups = []
    for part in parts:
        group, least = index[part] if part in index else (_units_named(part, measured, words), CLEAR)
        groups.append(group)
        for name in group:  # a phrase says how strong it is, where no measurement does
            units[name] = max(units.get(name, 0.0), least) if part in index or not measured else units[name]
    weighed = gesture_weights(groups, units, table)
    resting = {phrase: {"neutral": CALM} for phrase in words.at_rest}
    return [Clue("face", part, resting.get(part, weights)) for part, weights in zip(parts, weighed)]


def _is_list(text: str, parts: Sequence[str], words: Wording) -> bool:
    """Phrases, not prose: short, and without a sentence that ends before the last one."""
    ends = re.escape(words.sentence_ends)
    return not re.search(rf"[{ends}](?!\d)\s*\S", text.strip()) and all(len(part) <= MAX_PHRASE for part in parts)


def _units_named(phrase: str, measured: Mapping[str, float], words: Wording) -> tuple[str, ...]:
    """Units that a phrase in other words names, those alone that were measured where anything was."""
    named = dict.fromkeys(name for cue in cues_in(phrase, words) for name in CUE_UNITS.get(cue, ()))
    return tuple(name for name in named if not measured or measured.get(name, 0.0) >= PRESENT)


def _total_of(units: Mapping[str, float], table: FaceTable) -> dict[str, float]:
    """What all units of the moment speak for together; nothing where none was measured."""
    present = tuple(name for name, x in units.items() if x >= PRESENT)
    return gesture_weights([present], units, table)[0] if present else {"neutral": CALM} if units else {}


def _voice(text: str, evidence: Evidence, words: Wording) -> list[Clue]:
    index = tone_index(words.language)
    rules = {rule.scale.figure: rule for rule in VOICE_RULES}
    found: list[tuple[int, Clue]] = []
    left = text
    for wording_of, word in sorted(index.items(), key=lambda item: -len(item[0])):  # "fast" is no clue in "faster"
        edge = r"\b" if wording_of.isascii() else ""
        match = re.search(f"{edge}{re.escape(wording_of)}{edge}", left)
        if match is None:
            continue
        left = left[: match.start()] + " " * len(wording_of) + left[match.end() :]
        weights: dict[str, float] = {}
        if word in TONE_WORDS:
            figure, direction = TONE_WORDS[word]
            rule = rules[figure]
            table = {**(rule.above if direction > 0 else rule.below), "neutral": -UNUSUAL}
            weights = {label: TONE_WORD_DEVIATION * weight for label, weight in table.items()}
        elif word in ("even", "moderate"):
            weights = {"neutral": ORDINARY / 2}
        found.append((match.start(), Clue("voice", wording_of, weights)))
    if found:
        return [clue for _, clue in sorted(found, key=lambda item: item[0])]
    totals: dict[str, float] = {}
    for cue in read_voice(voice_figures(evidence), evidence.tone, evidence.usual).cues:
        for label, weight in cue.weights.items():
            _add(totals, label, weight)
    return [Clue("voice", _shortened(text, words), totals, True)]


def _words(text: str, evidence: Evidence) -> list[Clue]:
    """One clue a sentence that the lexicon reads; the whole, unweighed, where it reads none."""
    language = None if evidence.transcript is None else evidence.transcript.language
    clues = []
    for sentence in re.findall(r"[^.!?。！？…]+[.!?。！？…]*", text):
        quoted = sentence.strip().rstrip(".。 ")
        reading = read_words(Transcript((TranscriptLine(sentence.strip()),), "subtitle", language))
        totals = {} if reading.hits else _names_of_feelings(sentence)
        for hit in reading.hits:
            for label, weight in hit.weights.items():
                _add(totals, label, weight)
        if totals and quoted:
            clues.append(Clue("words", quoted, totals))
    return clues or [Clue("words", _cut(text.rstrip(".。 ")), {})]


def _names_of_feelings(sentence: str) -> dict[str, float]:
    """Label -> log-odds of a Chinese sentence that names a feeling by a word of the descriptions."""
    if not re.search("[\u4e00-\u9fff]", sentence):
        return {}
    words = wording("zh")
    weights: dict[str, float] = {}
    for label, names in words.label_words.items():
        for match in re.finditer("|".join(map(re.escape, names)), sentence):
            is_denied = re.search(words.negations, sentence[: match.start()]) is not None
            _add(weights, label, NAMED * (NEGATED if is_denied else 1.0))
    return weights


def _shortened(text: str, words: Wording) -> str:
    """First sentence of a description, cut at a word where it is long."""
    ends = re.escape(words.sentence_ends)
    first = re.split(rf"(?<=[{ends}])(?!\d)", text.strip())[0].strip(f" {words.sentence_ends}")
    return _cut(first)


def _cut(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return text
    cut = text[:MAX_CHARACTERS]
    return cut[: cut.rfind(" ")] if " " in cut[MAX_CHARACTERS // 2 :] else cut


def evidence_of(facts: Facts) -> Evidence:
    """The evidence, with a peak frame and words from the facts where it has none of its own."""
    evidence = facts.evidence
    peak, transcript = evidence.peak_frame, evidence.transcript
    if peak is None and facts.peak_units:
        peak = PeakFrame(0, 0.0, 0.0, "all", None, facts.peak_units, "given")
    if transcript is None and facts.clues.get("subtitle"):
        transcript = Transcript((TranscriptLine(facts.clues["subtitle"]),), "subtitle")
    return Evidence(
        evidence.action_units, peak, evidence.prosody, evidence.tone, transcript, evidence.missing, evidence.usual
    )
