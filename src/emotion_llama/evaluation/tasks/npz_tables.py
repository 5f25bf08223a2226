"""Tables that lie as pickled dictionaries in .npz files, read without running what a pickle may hold."""

from __future__ import annotations

import io
import pickle  # only through `_PlainOnly`, which builds arrays and plain values and nothing else
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from emotion_llama.errors import InputError

# numpy's own constructors of an array, under the names of numpy 1 and 2; everything else in a file is refused.
_ALLOWED = {
    *(("numpy.core.multiarray", name) for name in ("_reconstruct", "scalar")),
    *(("numpy._core.multiarray", name) for name in ("_reconstruct", "scalar")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _PlainOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_tables(path: Path, names: tuple[str, ...], what: str) -> list[Any]:
    """The objects of that name, each an array of one plain object (a dictionary, a list, a figure or a text).

    Args:
        path: the file.
        names: of the tables wanted.
        what: the file should be, for the message.

    Raises:
        InputError: the file is damaged, lacks a name, holds something else, or something that would be run.
    """
    try:
        return [_object(path, name) for name in names]
    except (OSError, KeyError, TypeError, AttributeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not {what} ({error!r})") from error
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} holds more than tables ({error}), and was not read") from error


def _object(path: Path, name: str) -> Any:
    """The one object in an array of the archive."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        # Typed as Any: numpy publishes no types for its own file format.
        layout: Any = np.lib.format
        read_header = (
            layout.read_array_header_1_0 if layout.read_magic(file) == (1, 0) else layout.read_array_header_2_0
        )
        shape, _, dtype = read_header(file)
        if not dtype.hasobject or shape != ():
            raise ValueError(f"{name} is an array {list(shape)} of {dtype}, expected one table")
        return _PlainOnly(io.BytesIO(file.read())).load().item()
