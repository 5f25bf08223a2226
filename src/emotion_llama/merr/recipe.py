"""The recipe of a build: strict YAML and dotted overrides in, all mistakes at once; the whole recipe out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from emotion_llama.chat.questions import Language
from emotion_llama.config import Tree, checked, override_tree, read_tree, resolve_paths
from emotion_llama.labels import LABEL_SPACES, LabelSpace
from emotion_llama.merr.recipe_parts import (
    AnnotatorsPart,
    BalancePart,
    ConsistencyPart,
    EvidencePart,
    FineCaptionPart,
    IngestPart,
    Part,
    PeakPart,
    PseudoLabelPart,
    SelectPart,
    SplitsPart,
    VisualExpressionPart,
)

# Dotted keys that name files: in a recipe file they are relative to it, on the command line to the current folder.
PATH_KEYS = ("evidence.face_model", "evidence.units", "evidence.asr_model", "visual_expression.phrases")
_NO_FILES = ("openface_binary",)  # values of evidence.units that are names
_ANNOTATOR_PATHS = ("prompts", "folder")  # options of annotators that name files; `model` may be an id


class Recipe(Part):
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
    """Dotted keys under which this tree may name files."""
    evidence, annotators = tree.get("evidence"), tree.get("annotators")
    names = annotators if isinstance(annotators, dict) else ()
    is_name = isinstance(evidence, dict) and evidence.get("units") in _NO_FILES
    keys = [key for key in PATH_KEYS if not (is_name and key == "evidence.units")]
    return keys + [f"annotators.{name}.{key}" for name in names for key in _ANNOTATOR_PATHS]
