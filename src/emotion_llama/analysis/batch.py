"""Many clips, one run: each done, skipped or failed with its reason; interrupted and resumed without loss.

A result file is written whole or not at all, under a name of its own, and says which clip (sha256), settings and
version it is of. Resuming skips exactly the clips whose result file still says so.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from emotion_llama import __version__
from emotion_llama.errors import EmotionLlamaError, InputError
from emotion_llama.files import RESULT_SUFFIX, make_folder, write_whole

if TYPE_CHECKING:
    from emotion_llama.analysis.analyzer import Analyzer, ChooseImages
    from emotion_llama.analysis.options import Options
    from emotion_llama.models.clips import ClipFeatures
    from emotion_llama.results import Analysis
    from emotion_llama.schema import AnalysisDocument

_MAX_NAME_BYTES = 255  # of the usual file systems

# position of the clip, its name, stage, share of the stage 0..1
Progress = Callable[[int, str, str, float], None]
PageRenderer = Callable[["Analysis"], str]  # `report.analysis_page.analysis_page`


@dataclass(frozen=True)
class Job:
    """One clip to analyse, and the path under an output folder that its results take."""

    path: Path
    relative: Path


@dataclass(frozen=True)
class Outputs:
    """What becomes of a clip's results.

    Attributes:
        html: the page's file; with several clips (not `single`) or an existing folder, the folder of the pages.
        out_dir: folder of result files.
        beside: result files lie beside the clips.
        documents: outcomes carry the JSON document.
        curves: documents hold frame-by-frame values.
        single: one clip was named.
    """

    html: Path | None = None
    out_dir: Path | None = None
    beside: bool = False
    documents: bool = False
    curves: bool = True
    single: bool = True

    def result_path(self, job: Job) -> Path | None:
        """The clip's own result file, when there is to be one."""
        if self.out_dir is not None:
            return self.out_dir / job.relative.with_name(name_with(job.relative.name, RESULT_SUFFIX))
        if self.beside:
            return job.path.with_name(name_with(job.path.name, RESULT_SUFFIX))
        return None

    def page_path(self, job: Job) -> Path | None:
        """The clip's HTML file, when there is to be one."""
        if self.html is None or (self.single and not self.html.is_dir()):
            return self.html
        return self.html / job.relative.with_name(name_with(job.relative.name, ".html"))


def name_with(name: str, suffix: str) -> str:
    """`name` and `suffix`; where a file system would not take that, a part of the name and a hash of all of it."""
    whole = os.fsencode(name + suffix)
    if len(whole) <= _MAX_NAME_BYTES:
        return name + suffix
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
    begin = os.fsencode(name)[: _MAX_NAME_BYTES - len(os.fsencode(suffix)) - len(digest) - 1]
    return f"{begin.decode(errors='ignore')}~{digest}{suffix}"


@dataclass(frozen=True)
class Outcome:
    """What became of one clip.

    Attributes:
        document: where asked for; of a skipped clip, or one done in another process, its JSON, on one line.
        line: what the terminal says of a clip done in another process, whose analysis stays there.
        name, features, warnings, seconds_by_stage: of a run of the encoders (`analysis.features`).
    """

    path: Path
    status: Literal["done", "skipped", "failed"]
    analysis: Analysis | None = None
    document: AnalysisDocument | str | None = None
    error: str | None = None
    written: tuple[Path, ...] = ()
    line: str = ""
    name: str = ""
    features: ClipFeatures | None = None
    warnings: tuple[str, ...] = ()
    seconds_by_stage: Mapping[str, float] = field(default_factory=dict)


class Tally:
    """Counts of a run: clips by what became of them, errors, and features that clips do not have."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self._counts: Counter[str] = Counter()
        self._missing: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self._counts[outcome.status] += 1
        if outcome.status == "failed":
            self.failed.append(outcome.error or str(outcome.path))
        if outcome.features is not None:
            self._missing.update(missing.what for missing in outcome.features.missing)

    @property
    def total(self) -> int:
        """Clips that were counted."""
        return self._counts.total()

    def text(self) -> str:
        """`12 done (without face: 2), 3 skipped (already done), 1 failed`."""
        without = ", ".join(f"{what}: {count}" for what, count in sorted(self._missing.items()))
        return (
            f"{self._counts['done']} done{f' (without {without})' if without else ''}, "
            f"{self._counts['skipped']} skipped (already done), {self._counts['failed']} failed"
        )


def collect_jobs(paths: Sequence[str | Path]) -> list[Job]:
    """Files as named, and every media file below named folders; each file once.

    Raises:
        InputError: there are no paths at all.
    """
    from emotion_llama.media.discover import find_media

    jobs: dict[Path, Job] = {}
    for given in map(Path, paths):
        for path in find_media([given]):
            # A folder without media files comes back as itself, and fails as a job of its own.
            relative = Path(path.name) if path == given else path.relative_to(given)
            jobs.setdefault(Path(os.path.abspath(path)), Job(path, relative))  # noqa: PTH100  links stay as named
    if not jobs:
        raise InputError("no clips given: expected files, folders, or a list of paths on standard input")
    return _without_collisions(list(jobs.values()))


def _without_collisions(jobs: list[Job]) -> list[Job]:
    """Files of one name from different folders (`a/x.mp4 b/x.mp4`) all get as many folders in front as it takes."""
    relatives = [job.relative for job in jobs]
    parents = [list(job.path.absolute().parent.parts) for job in jobs]
    while True:
        counts = Counter(relatives)
        colliding = [i for i, relative in enumerate(relatives) if counts[relative] > 1 and parents[i]]
        if not colliding:
            return [Job(job.path, relative) for job, relative in zip(jobs, relatives, strict=True)]
        for i in colliding:
            relatives[i] = Path(parents[i].pop().strip("/") or "root") / relatives[i]


def analyze_jobs(
    analyzer: Analyzer,
    jobs: Sequence[Job],
    outputs: Outputs,
    options: Options,
    *,
    render: PageRenderer | None = None,
    images: ChooseImages | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Analyse `jobs` one after the other, write what `outputs` asks for, and yield each outcome as it is there.

    Args:
        analyzer: does the work.
        jobs: from `collect_jobs`.
        outputs: where results go.
        options: what is asked of each clip.
        render: makes the text of a page; needed where `outputs` asks for pages.
        images: chooses the segments whose images a page shows.
        resume: skip a clip whose result file is of the same clip, settings and version.
        progress: called often while a clip is worked on.
    """
    for position, job in enumerate(jobs):
        stage = None if progress is None else partial(progress, position, job.path.name)
        try:
            yield _one(analyzer, job, outputs, options, render, images, resume, stage)
        except (EmotionLlamaError, OSError) as error:
            text = str(error) if isinstance(error, EmotionLlamaError) else f"{job.path}: {error}"
            yield Outcome(job.path, "failed", error=text)


def _one(
    analyzer: Analyzer,
    job: Job,
    outputs: Outputs,
    options: Options,
    render: PageRenderer | None,
    images: ChooseImages | None,
    resume: bool,
    progress: Callable[[str, float], None] | None,
) -> Outcome:
    from emotion_llama.document import analysis_document

    result, page = outputs.result_path(job), outputs.page_path(job)
    if resume and result is not None and (page is None or page.exists()):
        stored = _finished_document(result, analyzer, job, options, outputs.curves)
        if stored is not None:
            return Outcome(job.path, "skipped", document=stored, written=(result,))
    for path in filter(None, (result, page)):
        make_folder(path.parent)  # before the work, not after it
    if result is not None:
        _check_owner(result, job)
    analysis = analyzer.run(job.path, options, progress=progress, images=None if page is None else images)
    wanted = outputs.documents or result is not None
    document = analysis_document(analysis, curves=outputs.curves) if wanted else None
    written = []
    if page is not None:
        assert render is not None
        written.append(write_whole(page, render(analysis)))
    if result is not None and document is not None:
        # Last of the clip's files: its presence says that the clip is finished.
        written.append(write_whole(result, document.model_dump_json(indent=1) + "\n"))
    return Outcome(job.path, "done", analysis, document if outputs.documents else None, written=tuple(written))


def _finished_document(result: Path, analyzer: Analyzer, job: Job, options: Options, curves: bool) -> str | None:
    """The stored document when it is of this clip, these settings and these versions; None: do it again."""
    from emotion_llama.analysis.options import installed_versions
    from emotion_llama.document import json_value
    from emotion_llama.media.probe import file_sha256

    try:
        document = json.loads(result.read_text(encoding="utf-8"))
        known = [document[name] for name in ("generator", "versions", "settings", "has_curves")]
        sha256 = document["clip"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    settings = json_value(analyzer.settings(job.path, options))
    if known != [f"emotion-llama {__version__}", installed_versions(), settings, curves]:
        return None
    if sha256 != file_sha256(job.path):
        return None
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _check_owner(result: Path, job: Job) -> None:
    """Raise InputError when `result` holds the result of another clip, which would be lost."""
    from emotion_llama.media.probe import file_sha256

    try:
        clip = json.loads(result.read_text(encoding="utf-8"))["clip"]
        other, sha256 = Path(clip["path"]), clip["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # nothing there, or nothing of ours
    if other.absolute() != job.path.absolute() and job.path.is_file() and sha256 != file_sha256(job.path):
        raise InputError(
            f"{result} holds the result of {other}; give {job.path} another --out, or name both in one run"
        )
