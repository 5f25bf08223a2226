"""What could not be read of a stream, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass, field

# A stream that ends this much before the time its header states was cut short; less is rounding and padding.
_SHORT_SECONDS = 0.1


@dataclass
class Damage:
    """What could not be read of one stream."""

    bad_packets: int = 0
    concealed_frames: int = 0
    first_bad_seconds: float | None = None
    stopped: bool = False  # the container itself could not be read on
    missing_seconds: float = 0.0  # between the end of the data and the end that the header states
    unread_seconds: float = 0.0  # of the data, that gave no frame
    since_last_frame: bool = field(default=False, repr=False)

    def at(self, seconds: float) -> None:
        """Note that something near this time is damaged."""
        if self.first_bad_seconds is None:
            self.first_bad_seconds = seconds

    def describe(self, what: str, end_seconds: float, read: str) -> str | None:
        """One line for the user, or None where all is well: "video damaged after 3.2 s (...); 81 frames were read"."""
        details = []
        if self.bad_packets:
            details.append(f"{_count(self.bad_packets, 'packet')} could not be decoded")
        if self.concealed_frames:
            details.append(f"the decoder guessed parts of {_count(self.concealed_frames, 'frame')}")
        if self.stopped:
            details.append("the rest cannot be read")
        if not details and self.unread_seconds:
            details.append("packets without a frame")
        if self.missing_seconds > _SHORT_SECONDS:
            details.append(f"it ends {self.missing_seconds:.1f} s before the length that the file states")
        if not details:
            return None
        after = end_seconds if self.first_bad_seconds is None else self.first_bad_seconds
        unread = f", {self.unread_seconds:.2f} s were not" if self.unread_seconds else ""
        return f"{what} damaged after {after:.1f} s ({', '.join(details)}); {read} were read{unread}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
