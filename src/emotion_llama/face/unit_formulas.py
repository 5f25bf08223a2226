"""How each action unit is read off a face's shape features: measures in centimetres, their full scale, and sources.

A measure is a sum of feature changes against the neutral face (`Moved`), larger as the unit contracts. Where another
unit moves the same points, its share is taken off explicitly, with a factor whose reason is given. Appearance changes
follow the Facial Action Coding System (FACS: Ekman, Friesen and Hager, 2002), and the choice of points Tian, Kanade and
Cohn (IEEE TPAMI 23, 2001), Pantic and Rothkrantz (IEEE SMC-B 34, 2004) and the feature points of MPEG-4's face
animation parameters (FAP, ISO/IEC 14496-2, annex C). All lengths are centimetres on MediaPipe's canonical face (eye
corners 8.9 apart, subnasale to chin 7.2), which is a little smaller than an adult's; see `geometry.FEATURE_NAMES`.

Full scale: FACS grades A (trace) to E (maximum) are 1 to 5. The length that means 5 is the mean excursion of a maximal
voluntary effort where one is published, and otherwise a stated part of the canonical face's own proportions:

* lip corner in a full smile: 9.3 +- 2.8 mm (12 adults, motion capture: "Objective computerized evaluation of normal
  patterns of facial muscles contraction", Braz J Otorhinolaryngol) and 14 mm (Paletz, Manktelow and Chaban, Plast
  Reconstr Surg 93, 1994); 14 mm is taken, that is 10 mm up and 10 mm out, so that a broad smile is below the limit.
* brow in a full raise: 10.6 +- 2.5 mm (first source). The pull of corrugator is taken as two thirds of it.
* eye closure: 9.1 +- 2.2 mm (first source), the whole aperture; here it is a share of the person's own aperture.

The factors that take off other units' shares are round numbers of the order their reasons give; they were not fitted,
but kept or changed after looking at the table that benchmarks/action_units_table.py prints, so that table is not a
held-out result. Scales and NEUTRAL_SPREAD_CM were also changed after looking at two photographs
(tests/face/test_real_faces.py) and at faces of random shape (other seeds than those of tests/face/test_mesh_truth.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from emotion_llama.records import Float


@dataclass(frozen=True)
class Moved:
    """Changes of the shape features against neutral, sides joined: change [N, B], neutral [B], named by `names` [B]."""

    names: tuple[str, ...]
    change: Float
    neutral: Float

    def __call__(self, name: str) -> Float:
        """[N] change of one feature, cm."""
        return np.asarray(self.change[:, self.names.index(name)])

    def at_rest(self, name: str) -> float:
        """The feature's neutral value, cm."""
        return float(self.neutral[self.names.index(name)])


@dataclass(frozen=True)
class UnitFormula:
    """One unit: its measure, and the change in cm that means intensity 5.

    `points` says in words what is measured, `source` whose choice that is, `scale` where the full scale comes from.
    """

    measure: Callable[[Moved], Float]
    full_cm: float
    points: str
    source: str
    scale: str


def _up(values: Float) -> Float:
    return np.maximum(values, 0.0)


def _outer_brow(d: Moved) -> Float:
    # Raising the inner end drags the middle of the brow with it: a tenth of the inner end's rise is not AU02.
    return np.asarray(0.5 * (d("brow_outer_y") + d("brow_middle_y")) - 0.15 * d("brow_inner_y"))


def _inner_brow(d: Moved) -> Float:
    # Frontalis is one sheet: AU02 alone lifts the inner end by up to 40 % of the outer (FACS on 1 against 2).
    return np.asarray(d("brow_inner_y") - 0.4 * _up(_outer_brow(d)))


def _brow_lowerer(d: Moved) -> Float:
    lowered = -0.5 * (d("brow_inner_y") + d("brow_middle_y"))
    return np.asarray(0.5 * lowered - 0.5 * d("brow_inner_x"))


def _upper_lid_raiser(d: Moved) -> Float:
    # How open the person's eyes are at rest is in the neutral (`neutral._lids_within`), but not to a fraction of a
    # millimetre: on real clips a lid that was up by less than a fifth of the scale was hardly ever a raised one.
    return np.asarray(d("lid_upper_y") - _LID_REST_CM)


def _cheek_raiser(d: Moved) -> Float:
    # AU09 lifts the cheek beside the nose too (FACS: "pulls the infraorbital triangle upwards"), but lifts the wing of
    # the nose at least as much, which orbicularis oculi does not. AU12 pushes the cheek up by itself, a little.
    lifted = 0.7 * d("cheek_y") + 0.3 * d("infraorbital_y")
    return np.asarray(lifted - 0.35 * _up(d("nose_wing_y")) - 0.06 * _up(_corner_rise(d)))


def _lid_tightener(d: Moved) -> Float:
    # The lower lid rises. In a blink it rises too, up to a quarter of the upper lid's way; AU06 pushes it from below.
    blink = 0.25 * _up(-d("lid_upper_y"))
    return np.asarray(_per_aperture(d, d("lid_lower_y") - blink - 0.3 * _up(d("infraorbital_y"))))


def _nose_wrinkler(d: Moved) -> Float:
    # A smile spreads and lifts the wings as well: a fifth of the lip corner's rise is its share.
    return np.asarray(0.5 * (d("nose_wing_y") + d("nose_side_y")) - 0.2 * _up(d("mouth_corner_y")))


def _upper_lip_raiser(d: Moved) -> Float:
    # The philtrum gets shorter. When the lips merely part (AU25) or the chin pushes them (AU17), the upper lip follows
    # the lower one by a fifth to a quarter; AU09 lifts it with the wings of the nose.
    others = 0.2 * _up(-d("lower_lip_y")) + 0.25 * _up(d("chin_pad_y")) + 0.15 * _up(d("nose_wing_y"))
    return np.asarray(d("upper_lip_y") - others)


def _corner_rise(d: Moved) -> Float:
    # AU09 and AU10 lift the whole upper lip, and the corners with it by about half as much as the middle.
    return np.asarray(d("mouth_corner_y") - 0.5 * _up(d("upper_lip_y")))


def _lip_corner_puller(d: Moved) -> Float:
    # Zygomaticus major pulls at about 45 degrees: widening counts as far as the corner also rises, else it is AU20.
    rise = _corner_rise(d)
    return np.asarray(0.6 * rise + 0.4 * np.clip(d("mouth_corner_x"), 0.0, _up(rise)))


def _dimpler(d: Moved) -> Float:
    # Three signs, each beyond what stretching the mouth (AU12, AU20) does by itself: the skin beside the corner comes
    # nearer; the corner's lips narrow more than the middle of the lips does (AU23); the corner sinks in, which counts
    # for a third only, because FaceMesh's depth of the mouth goes with the head's pitch.
    stretch = _up(d("mouth_corner_x"))
    sunk = -0.35 * (d("mouth_corner_z") + 0.9 * stretch)
    pinched = d("mouth_corner_x") - d("mouth_corner_skin_x") - 0.4 * stretch
    narrowed = -d("mouth_corner_height") - 0.8 * _up(_thinning(d))
    # The corner of AU14 neither rises nor falls (FACS); AU12 and AU15 shift the same points along the lip's line.
    return np.asarray(sunk + pinched + narrowed - 0.2 * np.abs(d("mouth_corner_y")))


def _lip_corner_depressor(d: Moved) -> Float:
    # Lower against the nose, the middle of the upper lip, and the middle of both lips: the first alone would fire on a
    # long face or a dropping jaw, the second on a raised lip, the third tells a mouth that hangs from one that curves
    # down. The jaw takes the corners along by a tenth.
    corner, upper = d("mouth_corner_y"), d("upper_lip_y")
    curve = 0.5 * (upper + d("lower_lip_y")) - corner
    return np.asarray(np.minimum.reduce([-corner, upper - corner, curve]) - 0.1 * _up(-d("chin_y")))


def _chin_raiser(d: Moved) -> Float:
    # The chin boss rises over the bone; a closing jaw lifts both.
    return np.asarray(d("chin_pad_y") - 0.6 * d("chin_y"))


def _lip_stretcher(d: Moved) -> Float:
    # What AU12 widens (its pull is 45 degrees, with some margin) is taken off, and what AU14 does.
    return np.asarray(d("mouth_corner_x") - 1.2 * _up(_corner_rise(d)) - 0.35 * _up(_dimpler(d)))


def _thinning(d: Moved) -> Float:
    return np.asarray(-0.5 * (d("upper_lip_height") + d("lower_lip_height")))


def _lip_tightener(d: Moved) -> Float:
    # The red parts narrow although the mouth is not stretched: a mouth stretched to 4/3 of its width has lips half
    # as high at most. Parting lips are drawn thinner by the way they open.
    stretched = 0.7 * _up(d("mouth_corner_x"))
    return np.asarray(2 * _thinning(d) - stretched - 0.15 * _up(d("lip_gap")))


def _lips_part(d: Moved) -> Float:
    # AU09 and AU10 lift the upper lip off the lower one. FACS scores 25 whoever parts the lips, so a little of that
    # gap is left; but most of it is told by 9 and 10 already, and a snarl is not a gaping mouth.
    lifted = 0.8 * (_up(_upper_lip_raiser(d)) + _up(_nose_wrinkler(d)))
    return np.asarray(d("lip_gap") - lifted)


def _jaw_drop(d: Moved) -> Float:
    # Against the nose, the upper lip and the eyes, whichever is least: AU09 lifts the nose, AU10 the lip.
    drop = -d("chin_y")
    return np.asarray(np.minimum.reduce([drop, drop + d("upper_lip_y"), drop - d("nose_base_y")]))


def _blink(d: Moved) -> Float:
    # The upper lid's way down, as a share of the aperture the person has at rest (in units of the canonical aperture,
    # so that the full scale is one length): FaceMesh leaves a slit when an eye is shut, so 5 is 60 %, not 100 %.
    return _per_aperture(d, -d("lid_upper_y"))


def _per_aperture(d: Moved, way: Float) -> Float:
    aperture = max(d.at_rest("lid_upper_y") - d.at_rest("lid_lower_y"), 0.3)
    return np.asarray(way * _CANONICAL_APERTURE_CM / aperture)


_LID_REST_CM = 0.04  # a fifth of AU05's full way
_CANONICAL_APERTURE_CM = 0.55  # mean of lid_upper_y - lid_lower_y on the canonical mesh

UNIT_FORMULAS: Mapping[str, UnitFormula] = {
    "AU01": UnitFormula(
        _inner_brow, 1.06, "rise of the brow's inner end, less AU02's share",
        "FACS; Tian et al. 2001 (inner brow height); FAP 31/32 raise_i_eyebrow",
        "10.6 mm, mean maximal brow raise",
    ),
    "AU02": UnitFormula(
        _outer_brow, 1.06, "rise of the brow's outer half",
        "FACS; Tian et al. 2001 (outer brow height); FAP 33-36 raise_m/o_eyebrow",
        "10.6 mm, mean maximal brow raise",
    ),
    "AU04": UnitFormula(
        _brow_lowerer, 0.70, "mean of the brow's lowering and its inner end's way to the midline",
        "FACS; Tian et al. 2001 (brow height, distance between brows); FAP 37/38 squeeze_eyebrow",
        "two thirds of the maximal raise: no published norm",
    ),
    "AU05": UnitFormula(
        _upper_lid_raiser, 0.22 - _LID_REST_CM, "rise of the upper lid, by more than an eye at rest can be misjudged",
        "FACS (the lid disappears from view); FAP 19/20 close_t_eyelid, negative",
        "2.2 mm over the lid's middle half: what it covers of the iris at rest (1-2 mm) and some white above",
    ),
    "AU06": UnitFormula(
        _cheek_raiser, 0.50, "rise of the cheek and of the skin below the eye, less AU09's share",
        "FACS (infraorbital triangle raised); Pantic and Rothkrantz 2004; FAP 41/42 lift_cheek",
        "5 mm: half the rise of the lip corner in a full smile, which carries the cheek along; no published norm",
    ),
    "AU07": UnitFormula(
        _lid_tightener, 0.16, "rise of the lower lid, less what a blink and AU06 explain",
        "FACS; Tian et al. 2001 (height of the lower lid); FAP 21/22 close_b_eyelid",
        "1.6 mm: six tenths of the lower half of the canonical aperture (2.5 mm)",
    ),
    "AU09": UnitFormula(
        _nose_wrinkler, 0.90, "rise of the nostril wings and the sides of the nose, less a smile's share",
        "FACS; FAP 61/62 stretch_nose and 63 raise_nose",
        "9 mm: a quarter of the canonical nose's height (35 mm); no published norm",
    ),
    "AU10": UnitFormula(
        _upper_lip_raiser, 0.90, "shortening of the philtrum, less what parting lips and AU17 explain",
        "FACS; Pantic and Rothkrantz 2004; FAP 4/8/9 lower_t_midlip, negative",
        "9 mm: two thirds of the canonical philtrum (13 mm)",
    ),
    "AU12": UnitFormula(
        _lip_corner_puller, 1.00, "way of the lip corner up, and out as far as it goes up",
        "FACS; Tian et al. 2001 (lip corner height, mouth width); FAP 12/13 raise_cornerlip, 6/7 stretch_cornerlip",
        "14 mm along the pull, 10 mm up and 10 mm out (Paletz et al. 1994)",
    ),
    "AU14": UnitFormula(
        _dimpler, 0.60, "skin nearing the lip corner, its lips narrowing, it sinking in, beyond what stretching gives",
        "FACS; Valstar and Pantic (IEEE SMC-B 42, 2012) list the corner points",
        "6 mm in sum: the corner's lips at half their height (4 mm) and 2 mm of the other signs; no published norm",
    ),
    "AU15": UnitFormula(
        _lip_corner_depressor, 1.00, "way of the lip corner down, against the nose, the upper lip and both lips",
        "FACS; Tian et al. 2001 (lip corner height); FAP 12/13, negative",
        "10 mm, as far down as AU12 pulls up",
    ),
    "AU17": UnitFormula(
        _chin_raiser, 0.60, "rise of the chin boss over the bone of the chin",
        "FACS; FAP 18 depress_chin, negative; 16 push_b_lip",
        "6 mm: a third of the canonical way from lower lip to chin boss",
    ),
    "AU20": UnitFormula(
        _lip_stretcher, 0.90, "widening of the mouth that AU12's pull does not explain, per side",
        "FACS; Tian et al. 2001 (mouth width); FAP 6/7 stretch_cornerlip",
        "9 mm a side: the mean excursion of a full smile, sideways",
    ),
    "AU23": UnitFormula(
        _lip_tightener, 0.65, "loss of both lips' red height, beyond what stretching and parting explain",
        "FACS (red parts narrowed); Tian et al. 2001 (lip height)",
        "6.5 mm: half of the canonical lips' height (13 mm)",
    ),
    "AU25": UnitFormula(
        _lips_part, 1.10, "distance between the lips' inner edges, less most of what AU09 and AU10 lift",
        "FACS; Tian et al. 2001 (lip states); FAP 4 and 5",
        "11 mm: the height of the upper front teeth, which lips part to show",
    ),
    "AU26": UnitFormula(
        _jaw_drop, 2.00, "drop of the chin, against the nose and against the upper lip",
        "FACS; FAP 3 open_jaw",
        "20 mm: half of a full opening (about 40-50 mm between the teeth), where FACS goes over to 27",
    ),
    "AU45": UnitFormula(
        _blink, 0.33, "way of the upper lid down, as a share of the eye's aperture at rest",
        "FACS; FAP 19/20 close_t_eyelid",
        "60 % of the aperture: FaceMesh leaves a slit in a closed eye",
    ),
}  # fmt: skip

# How far one person's resting face may lie from the one usual for its length before the rest counts as expression:
# feature -> (below, above), cm. One to one and a half standard deviations between adults (lengths of the lower and
# middle face vary by 5-6 %, of lips and lids by 15-20 %: Farkas, Anthropometry of the Head and Face, 1994), more where
# FaceMesh's real faces differ from its canonical one on one side only: real closed lips leave no gap (the canonical
# mouth has a slit of 5 mm), real mouths are wider, real folds of the lids higher. Next to nothing is allowed where a
# clip may be one long smile: upwards for the cheek, the mouth's corner and the gap of the lips.
NEUTRAL_SPREAD_CM: Mapping[str, tuple[float, float]] = {
    "brow_inner_y": (0.40, 0.40),
    "brow_inner_x": (0.25, 0.35),
    "brow_middle_y": (0.40, 0.40),
    "brow_outer_y": (0.40, 0.40),
    "lid_upper_y": (0.12, 0.12),
    "lid_lower_y": (0.12, 0.12),
    "lid_fold_y": (0.25, 0.70),
    "infraorbital_y": (0.30, 0.05),
    "cheek_y": (0.50, 0.03),
    "nose_wing_y": (0.40, 0.30),
    "nose_wing_x": (0.50, 0.70),
    "nose_side_y": (0.40, 0.30),
    "mouth_corner_x": (0.50, 0.40),
    "mouth_corner_y": (0.45, 0.15),
    "mouth_corner_z": (0.80, 0.60),
    "mouth_corner_height": (0.35, 0.35),
    "mouth_corner_skin_x": (0.60, 0.50),
    "nose_tip_y": (0.50, 0.50),
    "nose_base_y": (0.60, 0.60),
    "upper_lip_y": (0.40, 0.40),
    "upper_lip_height": (0.30, 0.30),
    "lip_gap": (0.60, 0.10),
    "lower_lip_height": (0.35, 0.35),
    "lower_lip_y": (0.60, 0.60),
    "chin_pad_y": (0.90, 0.90),
    "chin_y": (1.10, 1.10),
}
