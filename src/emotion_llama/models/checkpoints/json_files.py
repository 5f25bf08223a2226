"""Read the small JSON files of Hugging Face folders; what is broken is said with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a file; its fields are checked by who knows them.

    Raises:
        InputError: not readable, not JSON, or JSON that is no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InputError(f"{path}: not JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}; expected a JSON object; fetch it again")
    return content
