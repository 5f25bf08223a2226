"""What one picture of a clip shows, measured: people, framing, light, colour, motion, head and gaze, hands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneFacts:
    """Measurements of the peak frame (to be filled in by its owner)."""
