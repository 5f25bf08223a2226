"""Runs OpenFace's FeatureExtraction on a video and reads what it wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from emotion_llama.errors import BackendError, InputError, MissingDependency
from emotion_llama.face.backends import PersonUnits
from emotion_llama.face.backends.openface_csv import read_table

VARIABLE = "OPENFACE_EXECUTABLE"
_PROGRAM = "FeatureExtraction"
_INSTALL = (
    f"build OpenFace (github.com/TadasBaltrusaitis/OpenFace) and put {_PROGRAM} on PATH, "
    f"or: export {VARIABLE}=/path/to/{_PROGRAM}"
)


class OpenFaceBinary:
    """`read(path)` takes a video file.

    FeatureExtraction follows one person: the largest face.

    Args:
        executable: the program; by default the environment variable OPENFACE_EXECUTABLE, then PATH.
        timeout_seconds: the run is stopped after this time.

    Raises:
        MissingDependency: the program is not found.
    """

    name = "openface_binary"

    def __init__(self, executable: str | None = None, timeout_seconds: float = 3600.0) -> None:
        wanted = executable or os.environ.get(VARIABLE) or _PROGRAM
        found = shutil.which(wanted)
        if found is None:
            raise MissingDependency(f"the program {wanted}", "the face backend openface_binary", _INSTALL)
        self._executable, self._timeout_seconds = found, timeout_seconds

    def read(self, path: Path) -> tuple[PersonUnits, ...]:
        """Units of the person OpenFace followed.

        Raises:
            InputError: there is no such file.
            BackendError: the program failed, ran too long, or wrote no table.
        """
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file; give a video")
        with tempfile.TemporaryDirectory(prefix="emotion-llama-openface-") as folder:
            # Written to a folder of our own under a name of our own: two runs never mix.
            command = [
                self._executable, "-f", str(Path(path).resolve()), "-out_dir", folder, "-of", "units.csv", "-aus"
            ]  # fmt: skip
            self._run(command)
            table = Path(folder) / "units.csv"
            if not table.is_file():
                raise BackendError(f"{self._executable} ended without an error but wrote no table for {path}")
            return read_table(table, source="openface")

    def _run(self, command: list[str]) -> None:
        try:
            done = subprocess.run(  # noqa: S603 (a list, no shell; the program is the user's choice)
                command, capture_output=True, text=True, errors="replace", timeout=self._timeout_seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BackendError(
                f"{command[0]} did not end within {self._timeout_seconds:g} s; give a larger timeout_seconds"
            ) from error
        except OSError as error:
            raise BackendError(f"{command[0]} could not be started: {error}") from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise BackendError(
                f"{command[0]} ended with code {done.returncode}: {said[-1] if said else 'it said nothing'}"
            )
