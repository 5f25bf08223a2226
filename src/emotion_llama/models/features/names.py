"""Names of clips inside a feature folder or store: what is a name, and the recipe that a folder holds features of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from emotion_llama.errors import InputError
from emotion_llama.files import write_whole

RECIPE_FILE = "recipe.json"


def check_name(name: str) -> str:
    """The name itself, when it can be a relative path below a folder: `sample_00000023`, `day1/talk`.

    Raises:
        InputError: empty, absolute, or with parts such as `..`.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or str(path) != name or {"..", "."} & set(path.parts) or "\0" in name:
        raise InputError(f"{name!r} cannot name a clip's features: expected a relative path such as 'day1/talk'")
    return name


def settle_recipe(folder: Path, recipe: Mapping[str, object]) -> None:
    """Write `folder`/recipe.json, or check that what is there is the same recipe: one folder, one recipe.

    The part "about" (paths, versions of packages) may differ.

    Raises:
        InputError: the folder holds features of another recipe, or something else.
    """
    file = folder / RECIPE_FILE
    wanted = json.loads(json.dumps(recipe))
    if not file.exists():
        text = json.dumps(wanted, indent=1, ensure_ascii=False) + "\n"
        write_whole(file, text)
        return
    stored = read_recipe(folder)
    differing = sorted(key for key in {*stored, *wanted} - {"about"} if stored.get(key) != wanted.get(key))
    if differing:
        raise InputError(
            f"{folder} holds features made in another way ({', '.join(differing)} differ; see {RECIPE_FILE} there); "
            "give another folder, or delete that one"
        )


def read_recipe(folder: Path) -> dict[str, object]:
    """What `settle_recipe` wrote.

    Raises:
        InputError: there is no such file, or it is not a recipe.
    """
    file = folder / RECIPE_FILE
    try:
        recipe = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} is no feature folder of this package: {RECIPE_FILE} is missing") from None
    except ValueError as error:
        raise InputError(f"{file} is not JSON ({error}); delete the folder and make its features again") from error
    if not isinstance(recipe, dict):
        raise InputError(f"{file} must hold a JSON object, got {type(recipe).__name__}")
    return recipe
