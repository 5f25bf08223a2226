"""How many channels become one: weights by their places, and channels that are empty or inverted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emotion_llama.records import Float

# ITU-R BS.775-4, table 2: centre and surround channels at -3 dB in stereo, the deep one left out; then left and right
# averaged, as the sound of a stereo file is. Sides and tops count as surround.
_PLACES = {"FL": 0.5, "FR": 0.5, "FLC": 0.5, "FRC": 0.5, "DL": 0.5, "DR": 0.5, "FC": 0.5**0.5, "LFE": 0.0, "LFE2": 0.0}
_SURROUND = 0.5**1.5
_EMPTY = 1e-6  # of the loudest channel's power: -60 dB
_INVERTED = -0.9  # correlation of left and right
_SILENT_RMS = 1e-3


def layout_weights(names: Sequence[str]) -> Float | None:
    """Weight of each channel by its place ("FL", "FC", ...); None where places are unknown: all the same."""
    if len(names) < 3 or not all(name and name != "NONE" for name in names):
        return None
    return np.array([_PLACES.get(name, _SURROUND) for name in names], np.float32)


def find_weights(channels: Float, names: Sequence[str]) -> tuple[tuple[float, ...], str]:
    """Weights that the layout's are replaced by, where some sound shows empty or inverted channels, and what was done.

    Args:
        channels: [C, S] a stretch of the sound.
        names: the channels' places; "NONE" where they are unknown.

    Returns:
        weights: one for each channel; none where the layout's are right.
        line: what was found, for the user; empty where nothing was.
    """
    power = np.mean(channels.astype(np.float64) ** 2, axis=1) if channels.size else np.zeros(len(channels))
    if len(channels) < 2 or power.max() < _SILENT_RMS**2:
        return (), ""
    by_place = layout_weights(names)
    if by_place is None and (power < _EMPTY * power.max()).any():
        sounding = power >= _EMPTY * power.max()
        empty = ", ".join(str(i + 1) for i in np.flatnonzero(~sounding))
        what = (
            f"channel {empty} of {len(channels)} is" if empty.isdigit() else f"channels {empty} of {len(channels)} are"
        )
        return tuple((sounding / sounding.sum()).tolist()), f"sound: {what} empty and left out"
    left, right = (0, 1) if by_place is None else (_place("FL", names), _place("FR", names))
    if (by_place is None and len(channels) > 2) or left is None or right is None or not power[left] * power[right]:
        return (), ""
    cross = float(np.mean(channels[left].astype(np.float64) * channels[right])) / (power[left] * power[right]) ** 0.5
    if cross > _INVERTED:
        return (), ""
    weights = np.full(len(channels), 1 / len(channels)) if by_place is None else by_place.astype(np.float64)
    weights[right] *= -1
    return tuple(weights.tolist()), (
        f"sound: the right channel is the left one inverted (correlation {cross:.2f}); it was turned back before mixing"
    )


def _place(name: str, names: Sequence[str]) -> int | None:
    return names.index(name) if name in names else None
