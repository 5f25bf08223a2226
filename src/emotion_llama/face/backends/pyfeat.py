"""Reads py-feat's table of a video (its Fex), or runs py-feat where it is installed.

py-feat (Cheong et al., 2023) gives for each unit the probability that it is present, 0..1. The records hold
intensities 0..5, so the probabilities are multiplied by 5: this keeps the order of frames but is no FACS intensity,
and `source` says so. Its AU43 (eyes closed) stands for AU45 (blink); AU11, AU24 and AU28 have no place among the 17
units and stay in `presence` (1 where the probability is at least 0.5).

py-feat needs torchvision and torchcodec, which do not fit every torch build; install it in an environment of its own,
run `Detector(...).detect(video, data_type="video").to_csv("talk.csv")` there, and read the table here.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.face.backends import PersonUnits
from emotion_llama.face.backends.openface_csv import read_csv, require_columns, to_numbers
from emotion_llama.records import AU_NAMES, ActionUnits, Float

_COLUMN_OF = {name: ("AU43" if name == "AU45" else name) for name in AU_NAMES}
_INTENSITY_AT_CERTAINTY = 5.0
_PRESENT = 0.5


class PyFeat:
    """`read(path)` takes py-feat's CSV, or a video where py-feat is importable.

    Args:
        fps: frames a second of the video, needed to read: py-feat's table counts frames and holds no exact times.
        least_face_score: frames whose FaceScore is below this are not seen.

    Raises:
        InputError: fps is not positive.
    """

    name = "pyfeat"

    def __init__(self, fps: float | None = None, least_face_score: float = 0.5) -> None:
        if fps is not None and not fps > 0:
            raise InputError(f"fps must be positive, got {fps}; give the frame rate of the video py-feat analysed")
        self._fps, self._least_face_score = fps, least_face_score

    def read(self, path: Path) -> tuple[PersonUnits, ...]:
        """Units of each person (py-feat's Identity, in order of first appearance).

        Raises:
            InputError: no fps was given, missing columns, cells that are no numbers, probabilities outside 0..1, or
                several faces a frame without an Identity column.
            MissingDependency: a video was given and py-feat is not installed.
        """
        if self._fps is None:
            raise InputError(f"{path}: py-feat counts frames; give fps, the frame rate of the video it analysed")
        if Path(path).suffix.lower() != ".csv":
            return self._run(Path(path), self._fps)
        header, rows = read_csv(path)
        return self._people(Path(path), header, rows, self._fps)

    def _run(self, path: Path, fps: float) -> tuple[PersonUnits, ...]:
        try:
            feat = importlib.import_module("feat")  # by name: its own dependencies are not this project's
        except ImportError as error:
            raise MissingDependency(
                "py-feat", "reading a video with the face backend pyfeat",
                "pip install py-feat (in an environment of its own; then give its CSV)",
            ) from error  # fmt: skip
        table = feat.Detector().detect(str(path), data_type="video")
        rows = [["" if cell is None else str(cell) for cell in row] for row in table.itertuples(index=False)]
        return self._people(path, [str(column) for column in table.columns], rows, fps)

    def _people(self, path: Path, header: list[str], rows: list[list[str]], fps: float) -> tuple[PersonUnits, ...]:
        names = ("frame", "FaceScore", *_COLUMN_OF.values())
        require_columns(path, header, names, "a table written by py-feat (Fex.to_csv)")
        others = tuple(name for name in ("AU11", "AU24", "AU28") if name in header)
        # An empty cell is py-feat's way to say that there was no face.
        filled = [[cell or "nan" for cell in row] for row in rows]
        table = to_numbers(path, header, filled, (*names, *others))
        identities = [row[header.index("Identity")] for row in rows] if "Identity" in header else [""] * len(rows)
        if "Identity" not in header and len(np.unique(table[:, 0])) < len(table):
            raise InputError(
                f"{path}: several faces in a frame but no column Identity, so nobody can tell who is who; "
                "run py-feat with its identity model"
            )
        chosen = [np.array([other == who for other in identities]) for who in dict.fromkeys(identities)]
        seconds = table[:, 0] / fps
        return tuple(self._person(path, i, seconds[mine], table[mine], others) for i, mine in enumerate(chosen))

    def _person(
        self, path: Path, person_id: int, pts_seconds: Float, table: Float, others: tuple[str, ...]
    ) -> PersonUnits:
        """`table` [N, 2 + 17 + others]: frame, face score, probabilities."""
        score, probability = table[:, 1], table[:, 2:]
        known = probability[np.isfinite(probability)]
        if known.size and (known.min() < 0 or known.max() > 1):
            raise InputError(f"{path}: probabilities must be within 0..1, found {known.min():g}..{known.max():g}")
        seen = np.isfinite(probability).all(axis=1) & (np.nan_to_num(score) >= self._least_face_score)
        probability = np.where(seen[:, None], probability, np.nan)
        nothing = np.zeros(len(table), bool)
        units = ActionUnits(
            names=AU_NAMES,
            pts_seconds=pts_seconds,
            intensity=probability[:, : len(AU_NAMES)] * _INTENSITY_AT_CERTAINTY,
            confidence=np.where(seen, np.clip(np.nan_to_num(score), 0.0, 1.0), 0.0),
            is_blink=nothing,
            is_speech=nothing,
            neutral="backend",
            source="py-feat (probability x 5)",
        )
        presence = np.where(np.isnan(probability), np.nan, probability >= _PRESENT)
        return PersonUnits(person_id, units, (*AU_NAMES, *others), presence)
