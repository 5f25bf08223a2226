"""What of a benchmark's files is not as their owners distribute them; metrics are then of other clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from emotion_llama.errors import MediaError
from emotion_llama.evaluation.records import EvalSample, FileProblem

NO_MEDIA = "no media file"  # how the problem of missing clips begins
# Tables of what is said, as the owners and the published code name them; the first one found counts.
TRANSCRIPTS = (
    "transcription_en_all.csv",  # MER2023, Emotion-LLaMA: name, sentence
    "transcription_all_new.csv",  # MER2024, Emotion-LLaMA: name, sentence_en
    "transcription-engchi-polish.csv",  # MERBench and AffectGPT: name, chinese, english
    "transcription_merge.csv",  # MER2024 in AffectGPT: the same columns
    "subtitle_chieng.csv",  # MER2025, MER2026: name, chinese, english
    "subtitle_eng.csv",  # OV-MERD+: name, sentence
)
_MAX_COUNTED = 200  # clips whose frames are counted by a check: own choice, a few seconds of reading


def placeholders(labels: Sequence[str], where: Path) -> list[FileProblem]:
    """MERTools' preparation for participants writes "neutral" for every clip whose label it does not know."""
    if len(labels) < 2 or set(labels) != {"neutral"}:
        return []
    what = "every label is 'neutral': these are placeholders for participants, not the true labels"
    return [FileProblem(what, str(where), len(labels), is_fatal=True)]


def total(found: int, expected: int | None, where: Path) -> list[FileProblem]:
    """Another number of clips than in the owners' release."""
    if expected is None or found == expected:
        return []
    return [FileProblem(f"{found} clips, {expected} in the owners' release", str(where), abs(found - expected))]


def sizes(labels: Sequence[str], expected: Mapping[str, int], where: Path) -> list[FileProblem]:
    """Labels that do not occur as often as in the owners' release."""
    got = Counter(labels)
    return [
        FileProblem(
            f"clips labelled {label!r}: {got[label]}, in the owners' release {expected.get(label, 0)}",
            str(where),
            abs(got[label] - expected.get(label, 0)),
        )
        for label in sorted({*got, *expected})
        if got[label] != expected.get(label, 0)
    ]


def truths(samples: Sequence[EvalSample], where: Path) -> list[FileProblem]:
    """Clips whose list of emotion words is empty."""
    without = sum(sample.truth.words == () for sample in samples)
    return [FileProblem("clips without a true word", str(where), without)] if without else []


def media(samples: Sequence[EvalSample], where: Path) -> list[FileProblem]:
    """Clips whose media are not there; not fatal, because files of predictions can be scored without."""
    missing = [one.sample_id for one in samples if one.media is None or not one.media.exists()]
    if not missing:
        return []
    if all(one.media is None for one in samples):
        what = "no clip has a media file: only predictions can be scored"
        return [FileProblem(what, str(where), len(missing))]
    some = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
    return [FileProblem(f"{NO_MEDIA} of {some}", str(where), len(missing))]


def transcripts(samples: Sequence[EvalSample], where: Path) -> list[FileProblem]:
    """Clips without a transcript in the table, where there is a table at all."""
    without = sum(sample.transcript is None for sample in samples)
    if not without:
        return []
    what = "clips that the table of sentences does not name"
    if without == len(samples):
        what = f"no table of sentences; expected one of {', '.join(TRANSCRIPTS)}"
    return [FileProblem(what, str(where), without)]


def release(samples: Sequence[EvalSample], where: Path) -> list[FileProblem]:
    """Media that are not those whose frame counts the label list states: ids of another release.

    Later releases use the ids of earlier ones for other clips (MER2025's for MER2023's), so that labels fit no video.
    The frames of up to 200 clips, spread over the list, are counted.
    """
    from emotion_llama.merr.ingest import count_pictures
    from emotion_llama.merr.io.frame_counts import compare_frame_counts

    there = [one for one in samples if one.frame_count is not None and one.media is not None and one.media.exists()]
    step = max(1, len(there) // _MAX_COUNTED)
    real: dict[str, int] = {}
    broken = 0
    for one in there[::step][:_MAX_COUNTED]:
        assert one.media is not None
        try:
            real[one.sample_id] = count_pictures(one.media)
        except MediaError:
            broken += 1
    problems = [FileProblem("clips that cannot be opened", str(where), broken)] if broken else []
    counts = compare_frame_counts({one.sample_id: one.frame_count or 0 for one in there}, real)
    if counts.verdict in ("another release", "some differ"):
        what = " ".join(line.strip() for line in counts.lines())
        wrong = counts.compared - counts.fitting
        problems.append(FileProblem(what, str(where), wrong, is_fatal=counts.verdict == "another release"))
    return problems
