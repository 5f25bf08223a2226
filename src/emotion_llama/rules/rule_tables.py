"""The numbers of the rules: prior, limits, and which action units speak for which label, and how much.

The voice's are in `voice_cues`, the words' in `data/lexicon_en.csv` and `words`.

All weights are log-odds and all of them are chosen, not learned: the sources say *which* cue goes with which emotion
and in which direction, none of them says how many log-odds it is worth. That part is this project's own judgement, on
one scale: 0.3 a hint, 1 a clear cue, 3 a full prototype. Probabilities computed from them are not calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from emotion_llama.face.label_units import MER_FACTORY as FACTORY_UNITS
from emotion_llama.face.label_units import PRESENT
from emotion_llama.face.label_units import PUBLISHED as MERR_UNITS

# --- prior and limits -------------------------------------------------------------------------------------------------

# What is believed before any cue: neutral gets more than its share because "nothing strong happens" is the commonest
# state; the rest is shared evenly by the other labels.
NEUTRAL_PRIOR = 0.3

# No source may move a label by more than this: cues of one source are not independent of each other (the words of one
# sentence, the figures of one voice), and a plain sum would count them twice. Voice is the weakest for telling
# *which* emotion: its figures follow arousal (Banse & Scherer, JPSP 70(3), 1996: about half of 14 emotions recognised).
SOURCE_CAPS: Mapping[str, float] = MappingProxyType({"face": 3.6, "voice": 2.0, "words": 2.6})
# The same in a prediction. Alone, the voice was right on 4 of 16 clips of real people, where chance has 3.4.
DECIDING_CAPS: Mapping[str, float] = MappingProxyType({**SOURCE_CAPS, "voice": 0.3})

# Below this, the largest movement of any label is no evidence at all (a lone question mark moves "doubt" by 0.25).
EVIDENCE_FLOOR = 0.35

# A cue for an emotion is a cue against "nothing strong", at this share of its weight.
AGAINST_NEUTRAL = 0.5

# --- face -------------------------------------------------------------------------------------------------------------

# Intensities from which a unit counts as present, and an expression as slight, moderate, strong: MER-Factory's
# threshold of 0.8 and its two and three times.
DEGREES: tuple[tuple[str, float], ...] = (("strong", 2.4), ("moderate", 1.6), ("slight", PRESENT))

# How strong an expression is in a tenth of the time, and its mean over all of it. MERR takes the peak frame alone,
# which takes a twitch for a state.
STRENGTH_SHARE, DURATION_SHARE = 0.6, 0.4

# A face at rest, seen for the whole time and clearly: log-odds for neutral.
CALM = 1.8
MIN_CALM_SHARE = 0.5

# What is left of a unit's intensity in a frame where the person talks. Jaw and lips move to speak, AU10 is a speech
# artefact (the reason why MERR's authors took it off "happy").
SPEECH_SHARES: Mapping[str, float] = MappingProxyType({"AU25": 0.3, "AU26": 0.3, "AU10": 0.6, "AU17": 0.7, "AU20": 0.7})
# Units that a blink moves: not counted in a frame of a blink.
BLINK_UNITS = ("AU45", "AU05", "AU07")
# Units that say nothing of an expression: a face that only blinks or parts its lips is at rest.
REST_UNITS = ("AU45", "AU25")

EMFACS = "FACS and EMFACS (Ekman & Friesen)"
MERR = "MERR's documentation (Emotion-LLaMA)"
MER_FACTORY = "MER-Factory's table"
OWN = "this project's own rule"
STRENGTH = 3.0  # of a row of a published or given table, which names none: a full prototype


@dataclass(frozen=True)
class FaceRule:
    """Units that, together, speak for a label.

    The rule holds in a frame when at least `needs` of its measured units are present, one of `any_of` among them, and
    the mean intensity of all of them reaches `min_mean`. Its value there is `strength` times the mean over the units of
    a(x) = 1 - 2 ** (-x / 0.8), where x is the intensity: 1/2 at slight, 3/4 at moderate, 7/8 at strong. `against`
    takes off that many log-odds times a(x), never below zero.
    """

    label: str
    units: tuple[str, ...]
    strength: float
    origin: str
    needs: float = 0.5
    any_of: tuple[str, ...] = ()
    against: Mapping[str, float] = field(default_factory=dict)
    min_mean: float = 0.0


@dataclass(frozen=True)
class FaceTable:
    """A named set of rules.

    Attributes:
        rules: combinations; rules of one label add up.
        lone_units: what a present unit speaks for when no rule that holds contains it.
        rest: what a face at rest is: no unit present, or no rule held.
    """

    name: str
    rules: tuple[FaceRule, ...]
    lone_units: Mapping[str, Mapping[str, float]]
    rest: Literal["no unit", "no rule"]


PUBLISHED = FaceTable(
    "published",
    (
        # AU12 alone holds the rule at half strength: a polite smile. AU06 makes it the felt one (Ekman, Davidson &
        # Friesen, JPSP 58(2), 1990). AU14 is in MERR's filter for happy and in EMFACS's contempt: it takes little off.
        FaceRule("happy", MERR_UNITS["happy"], 3.0, f"6+12: {MERR}; {EMFACS}", any_of=("AU12",), against={"AU14": 0.3}),
        FaceRule("sad", MERR_UNITS["sad"], 3.0, f"1+4+15: {MERR}; {EMFACS}", against={"AU12": 1.0, "AU05": 0.6}),
        FaceRule(
            "surprise",
            MERR_UNITS["surprise"],
            2.2,
            f"5+26: {MERR}",
            any_of=("AU05",),
            against={"AU04": 0.8, "AU20": 0.6},
        ),
        FaceRule("surprise", ("AU01", "AU02"), 1.2, f"1+2 of 1+2+5+26: {EMFACS}", needs=1.0, against={"AU04": 0.8}),
        FaceRule(
            "angry",
            MERR_UNITS["angry"],
            3.2,
            f"4+5+7+23: {MERR}; {EMFACS}",
            any_of=("AU04", "AU23"),
            against={"AU12": 1.0, "AU01": 0.8},  # an anger with raised inner brows is distress or fear
        ),
        # Four of the seven are surprise too, so that one of the two units that surprise lacks is asked for.
        FaceRule(
            "fear",
            FACTORY_UNITS["fear"],
            3.6,
            f"1+2+4+5+7+20+26: {EMFACS}; {MER_FACTORY}",
            any_of=("AU04", "AU20"),
            against={"AU12": 1.0},
        ),
        # EMFACS asks for one side only (R12A+R14A); sidedness is not measured here, hence the small weight.
        FaceRule(
            "contempt",
            ("AU12", "AU14"),
            1.4,
            f"12+14: {EMFACS}, whose one-sidedness is not measured",
            any_of=("AU14",),
            against={"AU06": 0.8},
        ),
        # No published set can be measured whole: MER-Factory's 28+20 needs AU28, so that AU20 is joined to the brow of
        # distress (1+4).
        FaceRule(
            "worried",
            ("AU01", "AU04", "AU20"),
            2.6,
            f"1+4+20: {OWN} (AU20 from {MER_FACTORY})",
            any_of=("AU01", "AU20"),
            against={"AU12": 1.0, "AU15": 0.6, "AU05": 0.6},
        ),
        # Neither published table has doubt. 4+14+17 is the face of negation (Benitez-Quiroz, Wilbur & Martinez,
        # Cognition 150, 2016); a raised brow goes with uncertain answers (Swerts & Krahmer, J. Memory and Language
        # 53(1), 2005).
        FaceRule(
            "doubt",
            ("AU04", "AU14", "AU17"),
            2.2,
            f"4+14+17: {OWN}, after the 'not face'",
            needs=0.6,
            any_of=("AU04",),
            against={"AU15": 0.6},
        ),
        FaceRule(
            "doubt",
            ("AU02", "AU14", "AU17"),
            1.8,
            f"2 with 14 or 17: {OWN}",
            needs=0.6,
            any_of=("AU02",),
            against={"AU05": 0.8},
        ),
        FaceRule(
            "disgust",
            FACTORY_UNITS["disgust"],
            2.6,
            f"9+15: {EMFACS} (AU16 is not measured); {MER_FACTORY}",
            any_of=("AU09",),
        ),
    ),
    MappingProxyType(
        {
            "AU01": {"sad": 0.4, "worried": 0.4, "surprise": 0.2},
            "AU02": {"surprise": 0.4, "doubt": 0.4},
            "AU04": {"angry": 0.5, "worried": 0.4, "doubt": 0.4},
            "AU05": {"surprise": 0.4, "fear": 0.4},
            "AU06": {"happy": 0.3},
            "AU07": {"angry": 0.3},
            "AU09": {"disgust": 1.2, "contempt": 0.5, "angry": 0.4},
            "AU10": {"disgust": 0.6, "contempt": 0.5, "angry": 0.2},
            "AU14": {"contempt": 0.5, "doubt": 0.2},
            "AU15": {"sad": 0.8},
            "AU17": {"doubt": 0.4, "sad": 0.3},
            "AU20": {"worried": 0.6, "fear": 0.6},
            "AU23": {"angry": 0.6},
            "AU26": {"surprise": 0.3},
        }
    ),
    "no unit",
)


# MER-Factory's table as it stands: half of the units present, their mean at least 0.8, "neutral" where no rule holds.
# Presence is read off the intensity, since only OpenFace has a classifier for it. AU28 has no intensity anywhere, which
# leaves AU20 alone for worried, as in MER-Factory itself.
MER_FACTORY_TABLE = FaceTable(
    "mer-factory",
    tuple(FaceRule(label, units, STRENGTH, MER_FACTORY, min_mean=PRESENT) for label, units in FACTORY_UNITS.items()),
    MappingProxyType({}),
    "no rule",
)

FACE_TABLES: Mapping[str, FaceTable] = MappingProxyType({t.name: t for t in (PUBLISHED, MER_FACTORY_TABLE)})
