"""How far MERR-Synth is read back: tone words of its voice, and labels by the `rules` reader from each modality.

    OMP_NUM_THREADS=1 python benchmarks/synthetic_voice.py [--voices 270] [--clips 90] [--seconds 3]

First the voices alone: each word of tone is expected, excluded or open by what the voice was made of
(`synthetic.tone_truth`); measured are `speech`'s figures and words of the sound at the level it has in the clip. Then
whole clips, through `Analyzer` as a user would: the label that the rules give from face, voice and words alone, and
from all. Nothing in the rules was set with these clips.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections import Counter

import numpy as np

from emotion_llama import Analyzer
from emotion_llama.labels import MERR9
from emotion_llama.records import Prosody, Waveform
from emotion_llama.results import Evidence, Missing
from emotion_llama.rules.scoring import predict_by_rules
from emotion_llama.speech.prosody import summarise
from emotion_llama.speech.tone import SCALES, describe_tone
from emotion_llama.speech.voice_track import measure_voice
from merr_synth.render.plan import ClipPlan, draw_plans
from merr_synth.render.render import render_clip, sound_of
from merr_synth.render.speaker import speak
from merr_synth.render.tone_truth import ToneTruth, tone_truth

SEED = 20
PEAK_FRAMES = 3
FIELDS = {"face": ("action_units", "peak_frame"), "voice": ("prosody", "tone", "usual"), "words": ("transcript",)}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voices", type=int, default=270)
    parser.add_argument("--clips", type=int, default=90)
    parser.add_argument("--seconds", type=float, default=3.0, help="least length of the clips of the second part")
    args = parser.parse_args()
    print_tone(draw_plans(args.voices, SEED, conflict_share=0, missing_share=0))
    if args.clips:
        print_rules(draw_plans(args.clips, SEED + 1, conflict_share=0, missing_share=0, seconds=args.seconds))


def print_tone(plans: list[ClipPlan]) -> None:
    """Errors of the figures, and how often each word is heard where it is true and where it is not."""
    errors: dict[str, list[float]] = {scale.figure: [] for scale in SCALES}
    heard = {kind: Counter[str]() for kind in ("expected", "excluded", "open")}
    counts = {kind: Counter[str]() for kind in ("expected", "excluded", "open")}
    for plan in plans:
        truth, prosody, words = read_back(plan)
        for figure, value in truth.figures.items():
            measured = getattr(prosody, figure)
            if value is not None and measured is not None:
                errors[figure].append(measured - value)
        for kind in counts:
            for word in getattr(truth, kind):
                counts[kind][word] += 1
                heard[kind][word] += word in words
    print(f"{len(plans)} sentences of MERR-Synth's own voice\n")
    print(f"{'figure':34} {'voices':>6} {'bias':>7} {'median |error|':>15} {'90 % within':>12}")
    for figure, values in errors.items():
        size = np.abs(values)
        most = np.percentile(size, 90)
        print(f"{figure:34} {len(values):6} {np.mean(values):+7.2f} {np.median(size):15.2f} {most:12.2f}")
    print(f"\n{'word':14} {'true: heard':>14} {'not true: heard':>17} {'open: heard':>13}")
    for word in (word for scale in SCALES for word in (scale.low_word, scale.high_word) if word):
        cells = [f"{heard[kind][word]} of {counts[kind][word]}" for kind in counts]
        print(f"{word:14} {cells[0]:>14} {cells[1]:>17} {cells[2]:>13}")
    true, false = (sum(heard[kind].values()) for kind in ("expected", "excluded"))
    claims = true + sum(counts["excluded"].values()) - false
    total = sum(counts["expected"].values()) + sum(counts["excluded"].values())
    print(f"all words: {true} of {sum(counts['expected'].values())} true ones heard, {false} of "
          f"{sum(counts['excluded'].values())} others heard; {claims / total:.1%} of claims agree\n")  # fmt: skip


def read_back(plan: ClipPlan) -> tuple[ToneTruth, Prosody, set[str]]:
    """What is true of a plan's voice, its measured figures, and the words they lead to."""
    spoken = speak(plan.text, plan.prosody, plan.voice)
    truth = tone_truth(spoken, plan.prosody)
    assert truth is not None
    prosody = summarise(measure_voice([Waveform(sound_of(plan, spoken, plan.duration_seconds))]))
    tone = describe_tone(prosody)
    return truth, prosody, set() if tone is None else set(tone.words)


def print_rules(plans: list[ClipPlan]) -> None:
    """Accuracy of the rules by modality, and what they answer."""
    asked = {"face": ("face",), "voice": ("voice",), "words": ("words",), "all": ("face", "voice", "words")}
    right = {name: Counter[str]() for name in asked}
    answered = dict.fromkeys(asked, 0)
    totals = Counter(plan.label for plan in plans)
    peaks: list[int] = []
    with tempfile.TemporaryDirectory() as folder, Analyzer.load("rules") as analyzer:
        for plan in plans:
            clip = render_clip(plan, folder)
            analysis = analyzer.analyze(clip.path, subtitle=plan.text)
            evidence = analysis.people[0].segments[0].evidence
            if evidence.peak_frame is not None and clip.truth["peak_all"] is not None:
                peaks.append(abs(evidence.peak_frame.row - clip.truth["peak_all"]))
            for name, kept in asked.items():
                label = predict_by_rules(only(evidence, kept)).label
                answered[name] += label is not None
                right[name][plan.label] += label == plan.label
            clip.path.unlink()
    print(f"{len(plans)} clips, label by the rules from each modality: right (no answer counts as wrong)\n")
    print(f"{'label':10} {'clips':>5} " + " ".join(f"{name:>9}" for name in asked))
    for label in MERR9.labels:
        print(f"{label:10} {totals[label]:5} " + " ".join(f"{right[name][label]:9}" for name in asked))
    print(f"{'right':10} {len(plans):5} " + " ".join(f"{sum(right[n].values()) / len(plans):9.0%}" for n in asked))
    print(f"{'answered':10} {len(plans):5} " + " ".join(f"{answered[n] / len(plans):9.0%}" for n in asked))

    near = sum(distance <= PEAK_FRAMES for distance in peaks)
    print(f"frame of the strongest expression within {PEAK_FRAMES} frames of the true one: {near} of {len(peaks)}")


def only(evidence: Evidence, kept: tuple[str, ...]) -> Evidence:
    """The evidence without the other modalities."""
    gone = [name for source, names in FIELDS.items() if source not in kept for name in names]
    missing = tuple(Missing(name, "left out") for name in gone if name != "usual")
    return dataclasses.replace(evidence, **dict.fromkeys(gone), missing=(*evidence.missing, *missing))


if __name__ == "__main__":
    main()
