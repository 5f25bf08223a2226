"""Recipes in YAML: read strictly, with dotted overrides, checked by a pydantic model, all mistakes named at once."""

from __future__ import annotations

import json
import warnings
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from emotion_llama.errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from yaml import MappingNode

    M = TypeVar("M", bound=BaseModel)
else:
    M = TypeVar("M")

Tree = dict[str, Any]  # what a YAML file may hold, before the model has checked it


def read_yaml(path: Path) -> Any:
    """Whatever a YAML file holds, if no key stands in it twice.

    Raises:
        InputError: the file cannot be read, or as `parse_yaml`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the file cannot be read ({error}); expected YAML in UTF-8") from None
    return parse_yaml(text, str(path))


def read_tree(path: Path) -> Tree:
    """The mapping that a recipe file holds; empty for an empty file.

    Raises:
        InputError: as `read_yaml`, or it holds something else.
    """
    tree = read_yaml(path)
    if tree is None:
        return {}
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise InputError(f"{path}: expected a mapping of a recipe's parts, got {type(tree).__name__}")
    return tree


class Whole(dict[str, Any]):
    """A mapping that an override gives as one value: `merged` puts it in the place of the recipe's."""


def override_tree(overrides: Sequence[str]) -> Tree:
    """The tree of `part.key=value` texts; values are YAML, mappings among them a `Whole`.

    Raises:
        InputError: a text is not of that form, or gives a key both a value and parts.
    """
    tree: Tree = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        names = key.strip().split(".")
        if not equals or not all(names):
            raise InputError(f"{text!r}: expected an override of the form part.key=value")
        place = tree
        for name in names[:-1]:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise InputError(f"{text!r}: {name!r} was given a value of its own before; give either of the two")
        given = parse_yaml(value, repr(text))
        place[names[-1]] = Whole(given) if isinstance(given, dict) else given
    return tree


def merged(tree: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Both trees, `over` winning: `tasks.emotion=1` changes one entry of a mapping, a `Whole` replaces it."""
    out = dict(tree)
    for key, value in over.items():
        old: Any = out.get(key)
        is_part = isinstance(old, dict) and isinstance(value, dict) and not isinstance(value, Whole)
        out[key] = merged(old, value) if is_part else value
    return out


def checked(model: type[M], tree: Tree, where: str) -> M:
    """The recipe that a tree is.

    Args:
        model: a strict pydantic model without extra keys.
        tree: from the functions above.
        where: the file, for the message.

    Raises:
        InputError: a key is unknown or a value does not fit; all mistakes are named.
    """
    from pydantic import ValidationError

    try:
        # As JSON: strict checking then takes lists for tuples and texts for paths, and nothing else.
        return model.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        raise InputError(f"{where}: {_mistakes(error)}") from None


def resolve_paths(tree: Tree, keys: Sequence[str], base: Path) -> None:
    """Make the paths under dotted `keys` absolute, relative ones from `base`; a key may hold several."""
    for dotted in keys:
        place, last = _part_of(tree, dotted)
        value = place.get(last)
        if isinstance(value, str):
            place[last] = str(base / Path(value).expanduser())
        elif isinstance(value, list):
            place[last] = [str(base / Path(one).expanduser()) if isinstance(one, str) else one for one in value]


def rename_old_keys(tree: Tree, names: Mapping[str, str], where: str) -> None:
    """Give keys of an earlier release their names of today, with a `FutureWarning` each.

    Args:
        tree: changed in place.
        names: old dotted key -> its last name of today.
        where: the file, for messages.

    Raises:
        InputError: a key is there under both names.
    """
    for dotted, new in names.items():
        place, old = _part_of(tree, dotted)
        if old not in place:
            continue
        if new in place:
            raise InputError(f"{where}: {dotted} is the old name of {new}, which is there as well; keep {new}")
        warnings.warn(
            f"{where}: {dotted} is now called {new}; the old name will not be accepted by the next release",
            FutureWarning,
            stacklevel=3,
        )
        place[new] = place.pop(old)


def _part_of(tree: Tree, dotted: str) -> tuple[Tree, str]:
    """The part that holds a dotted key, empty where there is none, and the key's last name."""
    *parts, last = dotted.split(".")
    place: Any = tree
    for part in parts:
        place = place.get(part) if isinstance(place, dict) else None
    return (place if isinstance(place, dict) else {}), last


def parse_yaml(text: str, where: str) -> Any:
    """Whatever a YAML text holds, if no key stands in it twice.

    Raises:
        InputError: it is no YAML, has a key twice, a value that cannot be (a 13th month), or parts without end; `where`
            is named, with line and column where they are known.
    """
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
    except ValueError as error:  # of a date or a number that looks like one and is none
        raise InputError(f"{where}: a value cannot be ({error}); put a text in quotation marks") from None
    except RecursionError:
        raise InputError(f"{where}: parts stand in parts without end; expected a recipe of a few levels") from None


def _mistakes(error: Any) -> str:  # a pydantic ValidationError
    lines = []
    mistakes = error.errors()
    inner = {tuple(mistake["loc"][:-1]) for mistake in mistakes}
    for mistake in mistakes:
        if mistake["type"] == "too_short" and mistake["loc"] in inner:
            continue  # a list is only too short without the values that are wrong
        where = ".".join(str(part) for part in mistake["loc"]) or "recipe"
        what = {
            "extra_forbidden": "no such key",
            "value_error": str(mistake.get("ctx", {}).get("error", mistake["msg"])),
        }.get(mistake["type"], f"{mistake['msg'][0].lower()}{mistake['msg'][1:]}, got {mistake['input']!r}")
        lines.append(f"{where}: {what}")
    return f"{len(lines)} mistake{'s' * (len(lines) > 1)}: {'; '.join(lines)}"
