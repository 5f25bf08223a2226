"""MER-UniBench (AffectGPT, ICML 2025): nine data sets, three metrics, and the plain mean of the nine primary ones.

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

Transcripts are in transcription-engchi-polish.csv or similar. The wheel files are found as in `open_vocabulary`.
The published scores come from descriptions that a language model reduced to words, by sampling; models that answer with
words need no such step, and figures of the two ways are not quite comparable.
"""

from __future__ import annotations

from pathlib import Path

from emotion_llama.evaluation.metrics.words import SENTIMENTS
from emotion_llama.evaluation.tasks.base import MAX_NEW_TOKENS, Benchmark, MetricName, Reader
from emotion_llama.evaluation.tasks.open_vocabulary import WORD_TABLE, WORDS_TASK
from emotion_llama.evaluation.tasks.readers import any_label, archive, one_of, sentiment
from emotion_llama.evaluation.tasks.wheels import chosen_wheels
from emotion_llama.predictors.base import Task

# Own wording: the published way asks a second model for the sentiment of the first one's words.
SENTIMENT_INSTRUCTION = (
    "Is the sentiment of the character positive, negative or neutral? Answer with one of these words."
)
SENTIMENT_TASK = Task("free", SENTIMENTS, SENTIMENT_INSTRUCTION, MAX_NEW_TOKENS)
EMOTION = archive("test_corpus", "emo", any_label)
MER = archive("test1_corpus", "emo", any_label)
IEMOCAP = archive("whole_corpus", "emo", one_of({"0": "happy", "1": "sad", "2": "neutral", "3": "anger"}), "Ses05")
POLARITY = archive("test_corpus", "val", sentiment)
# Set -> usual folder, table of labels, its reader, folders of clips, clips that are scored.
LAYOUTS: dict[str, tuple[str, str, Reader, tuple[str, ...], int]] = {
    "mer2023": ("mer2023-dataset-process", "label-6way.npz", MER, ("video",), 411),
    "mer2024": ("mer2024-dataset-process", "label-6way.npz", MER, ("video",), 1169),
    "meld": ("meld-process", "label.npz", EMOTION, ("subvideo",), 2610),
    "iemocap": ("iemocap-process", "label_4way.npz", IEMOCAP, ("subvideo-tgt", "subvideo"), 1241),
    "mosi": ("cmumosi-process", "label.npz", POLARITY, ("subvideo",), 686),
    "mosei": ("cmumosei-process", "label.npz", POLARITY, ("subvideo_new", "subvideo"), 4659),
    "sims": ("sims-process", "label.npz", POLARITY, ("video",), 457),
    "simsv2": ("simsv2-process", "label.npz", POLARITY, ("video_new", "video"), 1034),
    "ovmerd": ("ovmerdplus-process", "ovlabel.csv", WORD_TABLE, ("video",), 532),
}
SETS = tuple(LAYOUTS)


def scored_by_wheels(
    name: str, folder: Path, *, wheels: Path | None = None, mapping: str | int | None = None
) -> Benchmark:
    """A set with emotion words or labels: HIT, or EW for OV-MERD+; options as `open_vocabulary.mer2025_fg`'s."""
    found, version = chosen_wheels(folder, wheels, mapping)
    place, table, reader, clips, total = _layout(name, folder)
    metric: MetricName = "wheels" if name == "ovmerd" else "hit"
    return Benchmark(
        f"unibench-{name}", f"1 (mapping {version})", metric, "ew" if name == "ovmerd" else "hit", WORDS_TASK,
        place, [{table: reader}], [total], clip_folders=clips, wheels=found,
    )  # fmt: skip


def scored_by_sentiment(name: str, folder: Path) -> Benchmark:
    """A set with sentiments: WAF."""
    place, table, reader, clips, total = _layout(name, folder)
    return Benchmark(
        f"unibench-{name}", "1", "sentiment", "waf", SENTIMENT_TASK, place, [{table: reader}], [total],
        clip_folders=clips,
    )  # fmt: skip


def _layout(name: str, folder: Path) -> tuple[Path, str, Reader, tuple[str, ...], int]:
    usual, table, reader, clips, total = LAYOUTS[name]
    return folder / usual if (folder / usual / table).is_file() else folder, table, reader, clips, total
