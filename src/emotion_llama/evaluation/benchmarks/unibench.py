"""MER-UniBench (AffectGPT, ICML 2025): nine data sets, three metrics, and the plain mean of the nine primary figures.

Files, as AffectGPT's configuration names them, in a folder of each data set's own or in the data set's usual folder
below the one given (mer2023-dataset-process/ and so on):

    set       usual folder                table of labels                         clips            metric
    mer2023   mer2023-dataset-process     label-6way.npz, test1_corpus, emo       video            HIT
    mer2024   mer2024-dataset-process     label-6way.npz, test1_corpus, emo       video            HIT
    meld      meld-process                label.npz, test_corpus, emo             subvideo         HIT
    iemocap   iemocap-process             label_4way.npz, whole_corpus, emo 0..3  subvideo-tgt     HIT, session 5
    mosi      cmumosi-process             label.npz, test_corpus, val             subvideo         WAF
    mosei     cmumosei-process            label.npz, test_corpus, val             subvideo_new     WAF
    sims      sims-process                label.npz, test_corpus, val             video            WAF
    simsv2    simsv2-process              label.npz, test_corpus, val             video_new        WAF
    ovmerd    ovmerdplus-process          ovlabel.csv (name, openset)             video            EW, level 1

Sentences are in transcription-engchi-polish.csv or its likes. The wheel files are found as in `mer2025`.
The published scores come from descriptions that a language model reduced to words, by sampling; systems that tell words
need no such step, and figures of the two ways are not quite comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.evaluation.benchmarks import files
from emotion_llama.evaluation.benchmarks.benchmark import Benchmark
from emotion_llama.evaluation.benchmarks.mer2024 import WORDS_INSTRUCTION, WordFiles
from emotion_llama.evaluation.benchmarks.mer2025 import chosen_wheels
from emotion_llama.evaluation.records import Ask, Case, FileProblem, Result, Truth
from emotion_llama.evaluation.scoring_words import HitScorer, SentimentScorer, WheelScorer

NUM_OVMERD = 532
# Own wording: the published way asks a second model for the sentiment of the first one's words.
SENTIMENT_INSTRUCTION = (
    "Is the sentiment of the character positive, negative or neutral? Answer with one of these words."
)
IEMOCAP_LABELS = ("happy", "sad", "neutral", "anger")
IEMOCAP_TEST = "Ses05"


class Layout(NamedTuple):
    """Where a data set's files are, and how many clips are scored."""

    folder: str
    labels: str
    table: str
    clips: tuple[str, ...]
    total: int


LAYOUTS: Mapping[str, Layout] = {
    "mer2023": Layout("mer2023-dataset-process", "label-6way.npz", "test1_corpus", ("video",), 411),
    "mer2024": Layout("mer2024-dataset-process", "label-6way.npz", "test1_corpus", ("video",), 1169),
    "meld": Layout("meld-process", "label.npz", "test_corpus", ("subvideo",), 2610),
    "iemocap": Layout("iemocap-process", "label_4way.npz", "whole_corpus", ("subvideo-tgt", "subvideo"), 1241),
    "mosi": Layout("cmumosi-process", "label.npz", "test_corpus", ("subvideo",), 686),
    "mosei": Layout("cmumosei-process", "label.npz", "test_corpus", ("subvideo_new", "subvideo"), 4659),
    "sims": Layout("sims-process", "label.npz", "test_corpus", ("video",), 457),
    "simsv2": Layout("simsv2-process", "label.npz", "test_corpus", ("video_new", "video"), 1034),
}
SENTIMENT_SETS = ("mosi", "mosei", "sims", "simsv2")
SETS = (*LAYOUTS, "ovmerd")


@dataclass(frozen=True)
class ArchiveFiles:
    """Clips whose labels are in an archive of MERTools."""

    folder: Path
    set_name: str

    def cases(self) -> list[Case]:
        """All clips, in the order of the archive.

        Raises:
            InputError: the archive is missing or malformed.
        """
        layout = LAYOUTS[self.set_name]
        path = files.first_file(self.folder, (layout.labels,), f"labels of {self.set_name}")
        clips = files.find_clips(self.folder / name for name in layout.clips)
        words = files.sentences_of(self.folder)
        corpus = files.read_corpus(path, layout.table)
        if self.set_name == "iemocap":
            corpus = {name: labels for name, labels in corpus.items() if name.startswith(IEMOCAP_TEST)}
        return [
            Case(name, self._truth(path, name, labels), clips.get(name), words.get(name))
            for name, labels in corpus.items()
        ]

    def check(self) -> list[FileProblem]:
        """Clips by number, media and sentences."""
        try:
            cases = self.cases()
        except InputError as error:
            return [FileProblem(str(error), str(self.folder), is_fatal=True)]
        layout = LAYOUTS[self.set_name]
        return [
            *files.total_problem(len(cases), layout.total, self.folder / layout.labels),
            *files.media_problems(cases, self.folder),
            *files.words_problem(cases, self.folder),
        ]

    def _truth(self, path: Path, name: str, labels: Mapping[str, Any]) -> Truth:
        value = files.corpus_value(path, name, labels, "val" if self.set_name in SENTIMENT_SETS else "emo")
        try:
            if self.set_name in SENTIMENT_SETS:
                return Truth(sentiment=float(value))
            return Truth(label=IEMOCAP_LABELS[int(value)] if self.set_name == "iemocap" else str(value))
        except (TypeError, ValueError, IndexError):
            raise InputError(f"{path}: {name} has the label {value!r}, which {self.set_name} does not have") from None


def mer2023(folder: Path, *, wheels: str | Path | None = None, mapping: str | int | None = None) -> Benchmark:
    """MER2023's first test set; `wheels` and `mapping` as `mer2025.mer2025_fg`'s."""
    return _hit("mer2023", folder, wheels, mapping)


def mer2024(folder: Path, *, wheels: str | Path | None = None, mapping: str | int | None = None) -> Benchmark:
    """MER2024-SEMI's test set; options as `mer2023`'s."""
    return _hit("mer2024", folder, wheels, mapping)


def meld(folder: Path, *, wheels: str | Path | None = None, mapping: str | int | None = None) -> Benchmark:
    """MELD's test set; options as `mer2023`'s."""
    return _hit("meld", folder, wheels, mapping)


def iemocap(folder: Path, *, wheels: str | Path | None = None, mapping: str | int | None = None) -> Benchmark:
    """IEMOCAP's fifth session, four labels; options as `mer2023`'s."""
    return _hit("iemocap", folder, wheels, mapping)


def mosi(folder: Path) -> Benchmark:
    """CMU-MOSI's test set."""
    return _waf("mosi", folder)


def mosei(folder: Path) -> Benchmark:
    """CMU-MOSEI's test set."""
    return _waf("mosei", folder)


def sims(folder: Path) -> Benchmark:
    """CH-SIMS's test set."""
    return _waf("sims", folder)


def simsv2(folder: Path) -> Benchmark:
    """CH-SIMS v2's test set."""
    return _waf("simsv2", folder)


def ovmerd(folder: Path, *, wheels: str | Path | None = None, mapping: str | int | None = None) -> Benchmark:
    """OV-MERD+; options as `mer2023`'s."""
    place = _place(folder, "ovmerdplus-process", "ovlabel.csv")
    found = chosen_wheels(folder, wheels, mapping)
    return Benchmark(
        name="unibench-ovmerd",
        version=f"1 (mapping {found.version})",
        kind="words",
        ask=Ask("free", WORDS_INSTRUCTION),
        folder=folder,
        primary="ew",
        source=WordFiles(place, ("ovlabel.csv",), NUM_OVMERD, ("video",)),
        scorer=WheelScorer(found, (1,)),
    )


def unibench_mean(results: Mapping[str, Result]) -> float:
    """The plain mean of the nine primary figures.

    Args:
        results: by the set's name, one of `SETS`, all of one system and one parser.

    Raises:
        InputError: a set is missing: a mean over fewer sets is another figure; or systems or parsers differ.
    """
    if missing := [name for name in SETS if name not in results]:
        raise InputError(f"MER-UniBench's mean is over nine sets; missing: {', '.join(missing)}")
    chosen = [results[name] for name in SETS]
    if len({(result.system, result.parser) for result in chosen}) > 1:
        raise InputError("MER-UniBench's mean is of one system read by one parser, got several")
    return sum(result.figures[0].value for result in chosen) / len(chosen)


def _place(folder: Path, usual: str, labels: str) -> Path:
    return folder / usual if (folder / usual / labels).is_file() else folder


def _hit(name: str, folder: Path, wheels: str | Path | None, mapping: str | int | None) -> Benchmark:
    found = chosen_wheels(folder, wheels, mapping)
    return Benchmark(
        name=f"unibench-{name}",
        version=f"1 (mapping {found.version})",
        kind="words",
        ask=Ask("free", WORDS_INSTRUCTION),
        folder=folder,
        primary="hit",
        source=ArchiveFiles(_place(folder, LAYOUTS[name].folder, LAYOUTS[name].labels), name),
        scorer=HitScorer(found),
    )


def _waf(name: str, folder: Path) -> Benchmark:
    return Benchmark(
        name=f"unibench-{name}",
        version="1",
        kind="sentiment",
        ask=Ask("free", SENTIMENT_INSTRUCTION, ("positive", "negative", "neutral")),
        folder=folder,
        primary="waf",
        source=ArchiveFiles(_place(folder, LAYOUTS[name].folder, LAYOUTS[name].labels), name),
        scorer=SentimentScorer(),
    )
