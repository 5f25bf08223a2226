"""The model that answers where none is named: what `emotion-llama use` remembered, else the measured evidence."""

from __future__ import annotations

import json
import os
from pathlib import Path

from emotion_llama.errors import InputError
from emotion_llama.files import make_folder, write_whole

# The predictor where nobody chose one. `nano` learned from drawn faces alone and is a worked example of the
# architecture: it answers only where it is named.
DEFAULT_MODEL = "rules"
_NAME = "chosen-model.json"


def user_folder(kind: str) -> Path:
    """The user's folder of this package for "config" (a choice) or "data" (fetched models); it need not be there.

    As the XDG Base Directory Specification has it: XDG_CONFIG_HOME or ~/.config, XDG_DATA_HOME or ~/.local/share.
    """
    parent = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
    home = Path.home() / {"config": ".config", "data": ".local/share"}[kind]
    return (Path(parent) if Path(parent).is_absolute() else home) / "emotion-llama"


def fetched(name: str) -> Path:
    """The folder of what `emotion-llama download NAME` fetched, else the name as a path."""
    folder = user_folder("data") / "models" / name
    return folder if os.sep not in name and not Path(name).exists() and folder.is_dir() else Path(name)


def chosen_model() -> str | None:
    """What `use` remembered; None where nothing was chosen.

    Raises:
        InputError: the choice cannot be read, or it is a folder that is not there any more.
    """
    path = user_folder("config") / _NAME
    try:
        model = json.loads(path.read_text(encoding="utf-8"))["model"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not say which model was chosen ({error}); {_AGAIN}") from None
    if not isinstance(model, str) or (Path(model).is_absolute() and not Path(model).is_dir()):
        raise InputError(f"the model chosen with `emotion-llama use` is gone: {model} is no folder; {_AGAIN}")
    return model


_AGAIN = "choose again: emotion-llama use NAME or DIR (`use rules` is the measured evidence)"


def choose_model(model: str) -> Path:
    """Remember a predictor's name or a model's folder (kept as an absolute path); the file that remembers it.

    Raises:
        BackendError: the user's folder cannot be written.
    """
    kept = str(Path(model).resolve()) if Path(model).is_dir() else model
    return write_whole(make_folder(user_folder("config")) / _NAME, json.dumps({"model": kept}) + "\n")


def forget_model() -> None:
    """Go back to the default."""
    (user_folder("config") / _NAME).unlink(missing_ok=True)


def default_model() -> str:
    """The model that answers where none is named.

    Raises:
        InputError: as `chosen_model`.
    """
    return chosen_model() or DEFAULT_MODEL
