"""Recipes in YAML: read strictly, with dotted overrides, checked by a pydantic model, all mistakes named at once."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from emotion_llama.errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from yaml import MappingNode

    M = TypeVar("M", bound=BaseModel)
else:
    M = TypeVar("M")

Tree = dict[str, Any]  # what a YAML file may hold, before the model has checked it

MOST_BYTES = 1 << 20  # of a file; own choice, a thousand times what a recipe has
MOST_UNFOLDED = 4 << 20  # characters and values, each alias (`*name`) counted as often as it is used; own choice
MOST_LEVELS = 50  # of parts in parts; own choice


class _Unfolded(NamedTuple):
    """Characters and values of a value, and how deep it is."""

    size: int
    levels: int


def read_yaml(path: Path) -> Any:
    """Whatever a YAML file holds, if no key stands in it twice.

    Raises:
        InputError: the file cannot be read, has more than `MOST_BYTES`, or as `parse_yaml`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the file cannot be read ({error}); expected YAML in UTF-8") from None
    if len(data) > MOST_BYTES:
        raise InputError(
            f"{path}: the file has more than {MOST_BYTES:,} bytes, which no recipe has; is it another file?"
        )
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


def override_tree(overrides: Sequence[str]) -> Tree:
    """What `part.key=value` texts say; values are read as YAML.

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
        place[names[-1]] = parse_yaml(value, repr(text))
    return tree


def merged(tree: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Both trees, `over` winning; mappings are merged key by key."""
    out = dict(tree)
    for key, value in over.items():
        old = out.get(key)
        out[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
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
    """Make the paths under dotted `keys` absolute, relative ones starting from `base`."""
    for dotted in keys:
        *parts, last = dotted.split(".")
        place: Any = tree
        for part in parts:
            place = place.get(part) if isinstance(place, dict) else None
        value = place.get(last) if isinstance(place, dict) else None
        if isinstance(value, str):
            place[last] = str(base / Path(value).expanduser())


def parse_yaml(text: str, where: str) -> Any:
    """Whatever a YAML text holds, if no key stands in it twice.

    Raises:
        InputError: it is no YAML, has a key twice or a value that cannot be (a 13th month), is nested without end, or
            unfolds to more than `MOST_UNFOLDED`; `where` is named, with line and column where they are known.
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
        tree = yaml.load(text, Loader=Loader)  # noqa: S506 (a SafeLoader)
        size = _unfolded(tree, set(), {}).size
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        raise InputError(f"{where}{place}: {problem or error}; expected YAML with each key once") from None
    except ValueError as error:  # of a date or a number that looks like one and is none
        raise InputError(f"{where}: a value cannot be ({error}); put a text in quotation marks") from None
    except RecursionError:
        raise InputError(f"{where}: parts stand in parts without end; expected a recipe of a few levels") from None
    if size > MOST_UNFOLDED:
        raise InputError(f"{where}: its aliases unfold to {size:,} characters; expected {MOST_UNFOLDED:,} at most")
    return tree


def _unfolded(value: Any, above: set[int], known: dict[int, _Unfolded]) -> _Unfolded:
    """What a YAML value would be with its aliases written out, without writing them out.

    Aliases make a few lines stand for gigabytes ("billion laughs"), or a value for a part of itself.
    """
    if isinstance(value, (str, bytes)):
        return _Unfolded(1 + len(value), 1)
    if not isinstance(value, (dict, list, tuple, set)):
        return _Unfolded(1, 1)
    if id(value) not in known:
        if id(value) in above:
            raise RecursionError
        above.add(id(value))
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        found = [_unfolded(part, above, known) for part in parts]
        above.discard(id(value))
        levels = 1 + max((part.levels for part in found), default=0)
        if levels > MOST_LEVELS:
            raise RecursionError
        known[id(value)] = _Unfolded(1 + sum(part.size for part in found), levels)
    return known[id(value)]


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
