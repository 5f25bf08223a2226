"""The recipe of a build: every choice with its default and the reason for it, as strict YAML with dotted overrides.

Each part belongs to the stage of its name, so that changing it re-runs that stage and what depends on it, and nothing
else. docs/merr-recipes.md is made from the descriptions here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from emotion_llama.chat.config import Config
from emotion_llama.chat.questions import Language
from emotion_llama.config import Tree, checked, override_tree, read_tree, resolve_paths
from emotion_llama.labels import LABEL_SPACES, LabelSpace

Share = Annotated[float, Field(ge=0, le=1)]
# What `load_annotator` takes: "name" and the annotator's own options, which it checks itself.
AnnotatorConfig = Annotated[dict[str, Any], Field(min_length=1)]


class IngestPart(Config):
    """Which clips there are, and what their names and neighbours say of them."""

    name_pattern: str | None = Field(
        None,
        description="Regular expression with the named groups `source` and/or `person`, searched in a clip's path "
        "below the folder named, without its suffix, for clips whose manifest says neither; for instance "
        "`(?P<person>[^/]+)/(?P<source>.+)_[0-9]+$`. None: file names are not read, since a wrong guess would divide "
        "the data set wrongly.",
    )
    sidecars: bool = Field(
        True,
        description="Take words from a .srt, .vtt or .ass file beside the clip, or a text track in it, where the "
        "manifest gives none.",
    )
    encoding: str | None = Field(
        None, description="Of these subtitle files, where they are not UTF-8: `cp1250`, `gb18030`, ..."
    )


class EvidencePart(Config):
    """How clips are measured (`Analyzer`)."""

    faces: str = Field("onnx_mesh", description="Face backend; this one needs no download.")
    face_model: Path | None = Field(None, description="Model file of the backend mediapipe_tasks.")
    units: str | None = Field(
        None,
        description="Folder of CSVs of action units (OpenFace, py-feat), one named as each clip, or `openface_binary`. "
        "None: units are measured here. With such files there is no face track, hence no face crop and no head pose.",
    )
    voice: Literal["autocorrelation", "opensmile"] = Field(
        "autocorrelation", description="Backend of the voice's measurements; `opensmile` needs its extra."
    )
    asr_model: Path | None = Field(
        None,
        description="Folder of a Whisper model (extra `asr`) for clips without words. None: they stay so.",
    )
    screen_text: bool = Field(
        False, description="Read subtitles burnt into the pictures (extra `screen-text`) of clips without words."
    )
    max_side: int = Field(640, ge=64, description="Longer side in pixels at which faces are looked for (`analyze`'s).")
    max_fps: float = Field(30.0, gt=0, description="Frames a second that are looked at, at most (`analyze`'s).")


class PseudoLabelPart(Config):
    """How a clip gets its emotion."""

    mode: Literal["rules", "given", "given_else_rules"] = Field(
        "given_else_rules",
        description="`rules`: from action units alone. `given`: clips without a label of their own are dropped. "
        "`given_else_rules`: a label that came with the clip counts, the rules label the rest.",
    )
    rule: Literal["evidence", "mer-factory"] = Field(
        "evidence",
        description="`evidence` is the predictor of `analyze`: a label where face or words carry one, and clips that "
        "are uncertain are dropped. `mer-factory` is that program's rule as published, on the units alone.",
    )
    table: Literal["joined", "merr", "mer-factory", "own"] = Field(
        "joined",
        description="Which units belong to which label. `merr` (Emotion-LLaMA) has 4 labels, `mer-factory` 8 without "
        "doubt; `joined` (own) takes each label from the source that can be measured, so that all are reachable.",
    )
    own_table: dict[str, tuple[str, ...]] = Field(
        {}, description="Label -> units, such as `{happy: [AU06, AU12]}`, for `table: own`."
    )
    threshold: float = Field(
        0.8,
        gt=0,
        le=5,
        description="Intensity (0..5) from which a unit is present and a label's mean counts; MER-Factory.",
    )
    min_present: Share = Field(0.5, description="Share of a label's units that must be present; MER-Factory's half.")
    min_seen_share: Share = Field(
        0.3, description="evidence: least share of frames that show the face well. Own: below, most is not known."
    )
    min_confidence: Share = Field(
        0.0, description="evidence: labels less probable than this are dropped; 0.6 leaves smiles and lowered brows."
    )
    min_peak_distance_frames: int = Field(
        15, ge=1, description="mer-factory: least distance of two peaks (its `--peak_dis`)."
    )

    @model_validator(mode="after")
    def _check_own_table(self) -> PseudoLabelPart:
        if (self.table == "own") != bool(self.own_table):
            raise ValueError("own_table holds the units of `table: own`; give both or neither")
        return self


class SelectPart(Config):
    """Which neutral clips come along."""

    neutral_share: float = Field(
        0.2,
        ge=0,
        le=10,
        description="Neutral clips sampled in, as a share of the clips with an emotion (rounded up). Published: the "
        "coarse MERR has none. Own: about one label's share of nine, doubled, since neutral is the commonest state.",
    )


class PeakPart(Config):
    """Which frame shows the expression at its strongest, and what is kept of it."""

    rule: Literal["all", "label"] = Field(
        "all",
        description="Largest sum of all units (MERR's authors, MER-Factory), or of the label's units (MERR's figure).",
    )
    include_blinks: bool = Field(False, description="Let frames of a blink win and count AU45. Published: yes.")
    include_speech: bool = Field(False, description="Count AU25 and AU26 while the person talks. Published: yes.")
    crop_size: int = Field(
        224, ge=32, le=1024, description="Side of the aligned face crop in pixels: the published face encoders' input."
    )
    hands: bool = Field(
        True, description="Look for hands in the peak frame; costs about as much as a few frames' faces."
    )


class VisualExpressionPart(Config):
    """The face in words."""

    phrases: Path | None = Field(
        None,
        description="YAML or CSV of your own phrases (unit or units -> several phrases); where one fits, it takes the "
        "place of the annotator, and the package's phrases fill the gaps.",
    )


class FineCaptionPart(Config):
    """The multimodal description with its reasons."""

    label_shown: bool = Field(
        True,
        description="The annotator is given the label as a hidden goal and names it last (MERR, MER-Factory). False: "
        "it infers, and a description that comes to another label is dropped by the consistency filter.",
    )


class ConsistencyPart(Config):
    """What a fine description must hold to stay."""

    require_label_last: bool = Field(True, description="The label is not named before the last sentence (MER-Factory).")
    min_grounded_share: Share = Field(
        0.5, description="Least share of the cues a description names that were among those given. Own."
    )
    require_cues: bool = Field(False, description="A description that names no cue the lexicon knows is dropped. Own.")


class BalancePart(Config):
    """How many clips of a label there may be, and which say the same twice."""

    max_per_label: int | None = Field(None, ge=1, description="Clips of one label at most. None: no limit.")
    max_share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Largest share of one label; never below that of equal labels. None: no limit."
    )
    near_duplicates: bool = Field(True, description="Of clips with the same words, length and face, keep one.")
    max_hash_distance: int = Field(
        16,
        ge=0,
        le=256,
        description="Bits of 256 in which two faces' fingerprints may differ; half of it without words. Own, measured.",
    )


class SplitsPart(Config):
    """Shares of the splits; groups of one source or person are never divided."""

    train: Share = Field(0.8, description="Share of clips to train on. Own: the usual 80/10/10.")
    validation: Share = Field(0.1, description="Share of clips to choose with.")
    test: Share = Field(0.1, description="Share of clips to measure with.")

    @model_validator(mode="after")
    def _check_sum(self) -> SplitsPart:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError(f"shares must sum to 1, got {self.train} + {self.validation} + {self.test}")
        return self


class AnnotatorsPart(Config):
    """Who answers which question: `name` and the options of `merr.annotators.load_annotator`."""

    expression: AnnotatorConfig = Field({"name": "rules"}, description="Phrases for the face at its peak.")
    visual: AnnotatorConfig = Field({"name": "rules"}, description="What the peak frame shows.")
    audio: AnnotatorConfig = Field({"name": "rules"}, description="How the voice sounds.")
    reason: AnnotatorConfig = Field({"name": "rules"}, description="The fine multimodal description.")
    check: AnnotatorConfig | None = Field(None, description="A second judge of descriptions. None: the rules alone.")


# Dotted keys that name files: in a recipe file they are relative to it, on the command line to the current folder.
PATH_KEYS = ("evidence.face_model", "evidence.units", "evidence.asr_model", "visual_expression.phrases")
_NO_FILES = ("openface_binary",)  # values of evidence.units that are names
_ANNOTATOR_PATHS = ("prompts", "folder")  # options of annotators that name files; `model` may be an id


class Recipe(Config):
    """A whole recipe; `Recipe()` is the default one: offline, by rules."""

    label_space: Literal["merr9", "mer6", "dfew7"] = Field("merr9", description="Labels of the data set (MERR's nine).")
    languages: tuple[Language, ...] = Field(("en",), min_length=1, description="Of descriptions: en, zh or both.")
    seed: str = Field("merr", description="Goes into every choice by chance (sampling, wordings, splits).")
    ingest: IngestPart = IngestPart()
    evidence: EvidencePart = EvidencePart()
    pseudo_label: PseudoLabelPart = PseudoLabelPart()
    select: SelectPart = SelectPart()
    peak: PeakPart = PeakPart()
    visual_expression: VisualExpressionPart = VisualExpressionPart()
    fine_caption: FineCaptionPart = FineCaptionPart()
    consistency: ConsistencyPart = ConsistencyPart()
    balance: BalancePart = BalancePart()
    splits: SplitsPart = SplitsPart()
    annotators: AnnotatorsPart = AnnotatorsPart()

    @model_validator(mode="after")
    def _check_whole(self) -> Recipe:
        if len(set(self.languages)) != len(self.languages):
            raise ValueError(f"languages are named once each, got {', '.join(self.languages)}")
        unknown = sorted(set(self.pseudo_label.own_table) - set(self.space.labels))
        if unknown:
            raise ValueError(f"own_table has {unknown[0]!r}, which is no label of {self.label_space}")
        return self

    @property
    def space(self) -> LabelSpace:
        """The label space itself."""
        return LABEL_SPACES[self.label_space]


def load_recipe(path: Path | None, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a file, or the default one, with single choices overridden.

    Args:
        path: a YAML file; None for the default recipe.
        overrides: `part.key=value`, such as "annotators.visual.model=x"; the value is read as YAML.

    Raises:
        InputError: the file cannot be read, a key is there twice or unknown, or a value does not fit; all mistakes are
            named at once.
    """
    tree = {} if path is None else read_tree(path)
    if path is not None:
        resolve_paths(tree, _path_keys(tree), path.absolute().parent)
    given = override_tree(overrides)
    resolve_paths(given, _path_keys(given), Path.cwd())
    defaults = {"annotators": AnnotatorsPart().model_dump()}  # so that one option of one annotator can be given
    tree = _merged(_merged(defaults, tree), given)
    return checked(Recipe, tree, "the recipe" if path is None else str(path))


def recipe_yaml(recipe: Recipe) -> str:
    """The whole recipe as YAML, defaults included: what a build's folder keeps."""
    import yaml

    text: str = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
    return text


def _merged(tree: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` wins. An annotator of another name leaves the options of the one before behind."""
    out = dict(tree)
    for key, value in over.items():
        old = out.get(key)
        out[key] = value
        if isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name"):
            out[key] = _merged(old, value)
    return out


def _path_keys(tree: Tree) -> list[str]:
    evidence, annotators = tree.get("evidence"), tree.get("annotators")
    names = annotators if isinstance(annotators, dict) else ()
    is_name = isinstance(evidence, dict) and evidence.get("units") in _NO_FILES
    keys = [key for key in PATH_KEYS if not (is_name and key == "evidence.units")]
    return keys + [f"annotators.{name}.{key}" for name in names for key in _ANNOTATOR_PATHS]
