"""Many plans -> a data set on disk: clips, their truth, tables, and a page that says what it is.

    clips/<id>.mp4, truth/<id>.json     one each a plan; the truth is written last, so that its presence means "done"
    plans.jsonl                         what was asked for, one line a clip
    manifest.csv                        name, path, label, subtitle, person, source, split
    transcription.csv                   name, sentence: the table form of the published subtitles
    README.md                           what the data set is and how it was made

A clip is the same whichever worker renders it, and after any interruption: everything about it is in its plan.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from emotion_llama import __version__
from emotion_llama.errors import BackendError, EmotionLlamaError, InputError
from merr_synth.render.plan import ClipPlan
from merr_synth.render.render import TRUTH_VERSION, VoiceBackend, render_clip, write_whole

MANIFEST_COLUMNS = ("name", "path", "label", "subtitle", "person", "source", "split")
SUBTITLES = "transcription.csv"

Progress = Callable[[int, str], None]  # clips finished so far, the last one's id


@dataclass(frozen=True)
class ClipOutcome:
    """What became of one plan."""

    plan: ClipPlan
    status: Literal["done", "skipped", "failed"]
    error: str | None = None


@dataclass
class RenderTally:
    """Counts of a run, and why clips failed."""

    done: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)

    def add(self, outcome: ClipOutcome) -> None:
        """Count one outcome."""
        if outcome.status == "failed":
            self.failed.append(f"{outcome.plan.id}: {outcome.error}")
        elif outcome.status == "skipped":
            self.skipped += 1
        else:
            self.done += 1

    def text(self) -> str:
        """`12 done, 3 skipped (already done), 1 failed`."""
        return f"{self.done} done, {self.skipped} skipped (already done), {len(self.failed)} failed"


def render_dataset(
    plans: Sequence[ClipPlan],
    out: str | Path,
    *,
    workers: int = 1,
    voice: VoiceBackend = "own",
    resume: bool = False,
    progress: Progress | None = None,
    command: str | None = None,
) -> RenderTally:
    """Render all plans below `out`, then write the tables of those that are there.

    Args:
        plans: from `draw_plans`; ids must differ.
        out: a new or empty folder, or, with `resume`, one of an interrupted run of the same plans.
        workers: processes that render.
        voice: "own", or "espeak" where espeak-ng is installed.
        resume: leave alone clips that are there with their truth.
        progress: called after every clip.
        command: how the data set was made, for its README.

    Raises:
        InputError: ids are doubled, `out` holds something else, or cannot be written.
        MissingDependency: espeak-ng was asked for and is not installed.
        BackendError: a worker process was killed.
    """
    from emotion_llama.files import make_folder

    folder = Path(out)
    _check_ids(plans)
    if voice == "espeak":
        from merr_synth.render.espeak import espeak_program

        espeak_program()  # before the work: without the program every single clip would fail
    make_folder(folder)
    _claim(folder, plans, voice, resume)
    tally = RenderTally()
    for number, outcome in enumerate(_render_all(plans, folder, workers, voice, resume), 1):
        tally.add(outcome)
        if progress is not None:
            progress(number, outcome.plan.id)
    finished = [plan for plan in plans if _is_finished(plan, folder, voice)]
    write_whole(folder / "manifest.csv", manifest_text(finished))
    write_whole(folder / SUBTITLES, subtitles_text(finished))
    write_whole(folder / "README.md", readme_text(finished, len(plans), command, voice))
    return tally


def _check_ids(plans: Sequence[ClipPlan]) -> None:
    doubled = [name for name, count in Counter(plan.id for plan in plans).items() if count > 1]
    if doubled or not plans:
        raise InputError(f"expected plans with ids of their own, got {', '.join(doubled[:3]) or 'none'}")


def _claim(folder: Path, plans: Sequence[ClipPlan], voice: VoiceBackend, resume: bool) -> None:
    """Write the plans into the folder, or make sure that it holds these very plans already."""
    from merr_synth.render.plan_file import plans_text

    path, text = folder / "plans.jsonl", plans_text(plans)
    if path.exists():
        if not resume:
            raise InputError(f"{folder} holds a data set; finish it with --resume, or give another --out")
        if path.read_text(encoding="utf-8") != text:
            raise InputError(f"{folder} holds a data set of other plans; repeat its options, or give another --out")
        for half in folder.glob("*/.*.tmp*"):  # of a run that was killed
            half.unlink(missing_ok=True)
        return
    if any(folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no plans.jsonl; give a new folder as --out")
    write_whole(path, text)


def _render_all(
    plans: Sequence[ClipPlan], folder: Path, workers: int, voice: VoiceBackend, resume: bool
) -> Iterator[ClipOutcome]:
    waiting = []
    for plan in plans:
        if resume and _is_finished(plan, folder, voice):
            yield ClipOutcome(plan, "skipped")
        else:
            waiting.append(plan)
    if workers <= 1 or len(waiting) <= 1:
        yield from (_render_one(plan, folder, voice) for plan in waiting)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    # "spawn": a forked copy of a process with threads (OpenCV's, FFmpeg's) may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(waiting)), mp_context=context) as pool:
        futures = [pool.submit(_render_one, plan, folder, voice) for plan in waiting]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise BackendError(
                "a process that renders was ended from outside, perhaps for want of memory; what is finished is kept: "
                "take fewer workers, and --resume"
            ) from error
        finally:
            for future in futures:
                future.cancel()


def _render_one(plan: ClipPlan, folder: Path, voice: VoiceBackend) -> ClipOutcome:
    try:
        render_clip(plan, folder, voice=voice)
    except (EmotionLlamaError, OSError) as error:
        return ClipOutcome(plan, "failed", str(error))
    return ClipOutcome(plan, "done")


def _is_finished(plan: ClipPlan, folder: Path, voice: VoiceBackend) -> bool:
    try:
        truth = json.loads((folder / "truth" / f"{plan.id}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    same = truth.get("version") == TRUTH_VERSION and truth.get("voice_backend") == voice
    return same and (folder / "clips" / f"{plan.id}.mp4").is_file()


def manifest_text(plans: Sequence[ClipPlan]) -> str:
    """The table of all clips; a subtitle that is missing is an empty cell."""
    rows = [
        (plan.id, f"clips/{plan.id}.mp4", plan.label, _subtitle(plan), plan.person, plan.source, plan.split)
        for plan in plans
    ]
    return _csv(MANIFEST_COLUMNS, rows)


def subtitles_text(plans: Sequence[ClipPlan]) -> str:
    """The sentences in the published form `name,sentence`; clips without words have no row."""
    return _csv(("name", "sentence"), [(plan.id, plan.text) for plan in plans if _subtitle(plan)])


def _subtitle(plan: ClipPlan) -> str:
    return "" if "no_words" in plan.missing else plan.text


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def readme_text(plans: Sequence[ClipPlan], planned: int, command: str | None, voice: VoiceBackend) -> str:
    """The page of a data set: what it is, what it is not, and what is in it."""

    def counted(values: Iterator[str]) -> str:
        return ", ".join(f"{name} {count}" for name, count in sorted(Counter(values).items())) or "none"

    conflicts = counted(plan.conflict for plan in plans if plan.conflict)
    missing = counted(" and ".join(plan.missing) for plan in plans if plan.missing)
    made = f"\n```\n{command}\n```\n" if command else ""
    return f"""# MERR-Synth: {len(plans)} of {planned} clips

Rendered talking heads with known truth, made by emotion-llama {__version__} (voice: {voice}).
No real person is seen or heard in them, and no recording went into them.
They test and train a chain; a figure measured on them says nothing about real footage.
{made}
- labels: {counted(plan.label for plan in plans)}
- splits: {counted(plan.split for plan in plans)}; they share no person, voice, place or sentence
- modalities that conflict: {conflicts}
- modalities that are missing: {missing}

`manifest.csv` lists the clips, `{SUBTITLES}` the sentences, `truth/` what is true of every frame, `plans.jsonl` what
each clip was made of. The project's docs/synth.md explains all fields.
"""
