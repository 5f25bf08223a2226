"""The recipe of a build: strict YAML and dotted overrides in, all mistakes at once; the whole recipe out."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, model_validator

from emotion_llama.annotators.annotator import Language
from emotion_llama.errors import InputError
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

if TYPE_CHECKING:
    from yaml import MappingNode

# Dotted keys that name files: in a recipe file they are relative to it, on the command line to the current folder.
PATH_KEYS = ("evidence.face_model", "evidence.units", "evidence.asr_model", "visual_expression.phrases")
_NO_FILES = {"evidence.units": ("openface_binary",)}  # values of such keys that are names
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
    tree = {} if path is None else _read(path)
    if path is not None:
        _resolve_paths(tree, path.absolute().parent)
    given: dict[str, Any] = {}  # YAML values by dotted key
    for text in overrides:
        _set(given, text)
    _resolve_paths(given, Path.cwd())
    defaults = {"annotators": AnnotatorsPart().model_dump()}  # so that one option of one annotator can be given
    tree = _merged(_merged(defaults, tree), given)
    try:
        # As JSON: strict checking then takes lists for tuples and texts for paths, and nothing else.
        return Recipe.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        where = "the recipe" if path is None else str(path)
        raise InputError(f"{where}: {_mistakes(error)}") from None


def recipe_yaml(recipe: Recipe) -> str:
    """The whole recipe as YAML, defaults included: what a build's folder keeps."""
    import yaml

    text: str = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
    return text


def read_yaml(path: Path) -> Any:  # whatever the file holds
    """A YAML file in which no key stands twice.

    Raises:
        InputError: the file cannot be read, is no YAML, or has a key twice; line and column are named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the file cannot be read ({error}); expected YAML in UTF-8") from None
    return _parse(text, str(path))


def _parse(text: str, where: str) -> Any:  # whatever the text holds
    import yaml

    class Loader(yaml.SafeLoader):
        """PyYAML lets a later key win without a word."""

        def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            seen: set[Hashable] = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, Hashable):
                    raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key_node.start_mark)
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} stands here a second time", key_node.start_mark
                    )
                seen.add(key)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        raise InputError(f"{where}{place}: {problem or error}; expected YAML with each key once") from None


def _read(path: Path) -> dict[str, Any]:
    tree = read_yaml(path)
    if tree is None:
        return {}
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise InputError(f"{path}: expected a mapping of a recipe's parts, got {type(tree).__name__}")
    return tree


def _set(tree: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise InputError(f"{text!r}: expected an override such as annotators.visual.model=NAME")
    place = tree
    for name in names[:-1]:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise InputError(f"{text!r}: {name!r} was given a value of its own before; give either of the two")
    place[names[-1]] = _parse(value, repr(text))


def _merged(tree: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` wins. An annotator of another name leaves the options of the one before behind."""
    out = dict(tree)
    for key, value in over.items():
        old = out.get(key)
        out[key] = value
        if isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name"):
            out[key] = _merged(old, value)
    return out


def _resolve_paths(tree: dict[str, Any], base: Path) -> None:
    for dotted in PATH_KEYS:
        part, key = dotted.split(".")
        place = tree.get(part)
        if not isinstance(place, dict):
            continue
        value = place.get(key)
        if isinstance(value, str) and value not in _NO_FILES.get(dotted, ()):
            place[key] = str(base / Path(value).expanduser())
    annotators = tree.get("annotators")
    for config in annotators.values() if isinstance(annotators, dict) else ():
        for key in _ANNOTATOR_PATHS:
            if isinstance(config, dict) and isinstance(config.get(key), str):
                config[key] = str(base / Path(config[key]).expanduser())


def _mistakes(error: Any) -> str:  # a pydantic ValidationError
    lines = []
    for mistake in error.errors():
        where = ".".join(str(part) for part in mistake["loc"]) or "recipe"
        what = {
            "extra_forbidden": "no such key",
            "value_error": str(mistake.get("ctx", {}).get("error", mistake["msg"])),
        }.get(mistake["type"], f"{mistake['msg'][0].lower()}{mistake['msg'][1:]}, got {mistake['input']!r}")
        lines.append(f"{where}: {what}")
    return f"{len(lines)} mistake{'s' * (len(lines) > 1)}: {'; '.join(lines)}"
