"""The tables of a small model on rendered test clips: labels by modality and layout, reasons, calibration, ablations.

    python benchmarks/nano_tables.py --root out/nano --model out/nano/stage2/model
    python benchmarks/nano_tables.py --root out/nano --model out/nano/stage2/model \
        --ablation "no stage 1=out/nano/ablations/no_stage1/stage2/model" --out docs/measured/nano.json
    python benchmarks/nano_tables.py --root out/nano --model DIR --limit 90 --resamples 200     a quick look

ROOT is laid out as `scripts/nano` makes it (`evaluation.rendered_clips`). What is not in a set of modalities is
withheld from the encoders' tokens, the measured cues and the words. The reader `rules` reads the same withheld
evidence. Answers are kept below ROOT/measured as they come: a killed run goes on, and nothing is asked twice. Prints
Markdown; `--out FILE.json` writes the figures, and FILE.md beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))  # nano_text, where this file is loaded by its path

from nano_text import markdown

from emotion_llama.evaluation.metrics.classification import calibration
from emotion_llama.evaluation.metrics.intervals import NUM_RESAMPLES, Interval
from emotion_llama.prompts.answer_parser import parse_tolerant
from emotion_llama.rules.scoring import predict_by_rules
from merr_synth.nano.condition_scores import (
    Difference,
    LabelScores,
    Probabilities,
    ReasonScores,
    adjusted,
    compare,
    fit_temperature,
    label_of,
    part_of,
    score_condition,
    score_reasons,
)
from merr_synth.nano.modalities import CHANNELS, SENSE_SETS, shown_evidence, shown_of
from merr_synth.nano.model_answers import Asked, ModelAnswers, model_without, probabilities_of
from merr_synth.nano.naming import allowed_cues, judge_reasons, told_cues, true_cues
from merr_synth.nano.rendered_clips import RenderedClip, read_rendered

THE_MODEL = "the model"
RULES, NONE = "rules", "-"  # the reader without a model has no layout
WHOLE = "A+V+T"
SINGLE = ("A", "V", "T")
KINDS = ("all", "plain", "ambiguous", "conflict", "missing")
Answers = list[Probabilities]
Json = dict[str, Any]


class Choices(NamedTuple):
    """What the command line asks for."""

    root: Path
    split: str
    features: Path | None
    kept: Path
    limit: int | None
    resamples: int
    batch: int
    task: str
    has_reasons: bool
    against: str


def tables(model: Path, ablations: Mapping[str, Path], choices: Choices) -> Json:
    """All figures, as JSON values."""
    clips = read_rendered(choices.root, choices.split, features=choices.features, limit=choices.limit)
    say(f"{len(clips)} clips of split {choices.split}")
    rules = {senses: rules_told(clips, senses) for senses in SENSE_SETS}
    with answers_of(model, choices) as asker:
        told = {
            (senses, channel): labels_told(asker, clips, senses, channel, model_without(model))
            for channel in CHANNELS
            for senses in SENSE_SETS
        }
        reasons = list(reason_rows(asker, clips, choices)) if choices.has_reasons else []
        fitted = list(temperature_rows(asker, clips, told, choices))
        sha256 = asker.files_sha256
    return {
        "about": about(clips, model, sha256, choices),
        "labels": list(label_rows(clips, told, rules, choices)),
        "versus_rules": list(rules_rows(clips, told, rules, choices)),
        "versus_single": list(single_rows(clips, told, choices)),
        "kinds": list(kind_rows(clips, told, rules)),
        "reasons": reasons,
        "calibration": fitted,
        "ablations": list(ablation_rows(clips, told, ablations, choices)),
    }


# --- what is told ----------------------------------------------------------------------------------------------------


def rules_told(clips: Sequence[RenderedClip], senses: str) -> Answers:
    """What the rules predict of the same withheld evidence."""
    return [predict_by_rules(shown_evidence(clip.evidence, SENSE_SETS[senses])).probabilities for clip in clips]


def answers_of(model: Path, choices: Choices) -> ModelAnswers:
    """Who asks a model; its answers are kept in a folder of its own, so that two models can be asked at a time."""
    name = "_".join(model.resolve().parts[-3:])
    return ModelAnswers(model, choices.kept / name, batch_size=choices.batch)


def asked_of(clips: Sequence[RenderedClip], senses: str, channel: str, without: frozenset[str]) -> list[Asked]:
    """The clips as a condition shows them."""
    how, shown = CHANNELS[channel], SENSE_SETS[senses]
    return [Asked(shown_of(clip.evidence, clip.media, shown, how, without=without), how.layout) for clip in clips]


def scores_told(
    asker: ModelAnswers, clips: Sequence[RenderedClip], senses: str, channel: str, without: frozenset[str]
) -> list[dict[str, float] | None]:
    """Log-likelihoods of the labels."""
    line = Line(f"{asker.folder}, {senses}, {channel}")
    return asker.labels(asked_of(clips, senses, channel, without), progress=line)


def labels_told(
    asker: ModelAnswers, clips: Sequence[RenderedClip], senses: str, channel: str, without: frozenset[str]
) -> Answers:
    """Probabilities of the labels."""
    return [probabilities_of(one) for one in scores_told(asker, clips, senses, channel, without)]


# --- tables ----------------------------------------------------------------------------------------------------------


def label_rows(
    clips: Sequence[RenderedClip],
    told: Mapping[tuple[str, str], Answers],
    rules: Mapping[str, Answers],
    choices: Choices,
) -> Iterator[Json]:
    """UAR, WAR and weighted F1 by modality and layout, overall and on conflict cases."""
    systems = {**{key: ("model", one) for key, one in told.items()}, **{(s, NONE): (RULES, rules[s]) for s in rules}}
    for part in ("all", "conflict"):
        for (senses, channel), (system, answers) in systems.items():
            some, own = of_part(clips, answers, part)
            if some:
                scores = score_condition(some, own, num_resamples=choices.resamples)
                yield {
                    "part": part, "system": system, "senses": senses, "layout": channel, **scores_json(scores)
                }  # fmt: skip


def rules_rows(
    clips: Sequence[RenderedClip],
    told: Mapping[tuple[str, str], Answers],
    rules: Mapping[str, Answers],
    choices: Choices,
) -> Iterator[Json]:
    """The model minus `rules` on the same withheld evidence; p values also adjusted for their number (Holm)."""
    for part in ("all", "conflict"):
        rows = []
        for (senses, channel), answers in told.items():
            some, first = of_part(clips, answers, part)
            _, second = of_part(clips, rules[senses], part)
            if some:
                found = compare(some, first, second, num_resamples=choices.resamples)
                rows.append({"part": part, "senses": senses, "layout": channel, **difference_json(found)})
        for row, p_value in zip(rows, adjusted([row["p_value"] for row in rows])):
            yield {**row, "p_holm": p_value}


def single_rows(
    clips: Sequence[RenderedClip], told: Mapping[tuple[str, str], Answers], choices: Choices
) -> Iterator[Json]:
    """All modalities minus the best single one, by layout."""
    truth = [clip.clip for clip in clips]
    for channel in CHANNELS:
        uars = {s: score_condition(truth, told[s, channel], num_resamples=1).figures["uar"].value for s in SINGLE}
        best = max(uars, key=lambda name: uars[name])
        found = compare(truth, told[WHOLE, channel], told[best, channel], num_resamples=choices.resamples)
        yield {"layout": channel, "best_single": best, **difference_json(found)}


def kind_rows(
    clips: Sequence[RenderedClip], told: Mapping[tuple[str, str], Answers], rules: Mapping[str, Answers]
) -> Iterator[Json]:
    """Shares of right answers by kind of clip, of all modalities; too few clips a kind for an interval."""
    systems = {channel: told[WHOLE, channel] for channel in CHANNELS} | {RULES: rules[WHOLE]}
    for kind in sorted({clip.clip.kind for clip in clips}):
        chosen = [i for i, clip in enumerate(clips) if clip.clip.kind == kind]
        right = {
            name: sum(label_of(answers[i]) == clips[i].clip.label for i in chosen) / len(chosen)
            for name, answers in systems.items()
        }
        yield {"kind": kind, "clips": len(chosen), "accuracy": right}


def reason_rows(asker: ModelAnswers, clips: Sequence[RenderedClip], choices: Choices) -> Iterator[Json]:
    """Reasons with everything shown, by kind of clip: cues told and named, cues invented, quotations."""
    asked = asked_of(clips, WHOLE, "both", model_without(asker.folder))
    texts = asker.reasons(asked, task=choices.task, progress=Line(f"{asker.folder}, reasons"))
    labels = [label_of(one) for one in labels_told(asker, clips, WHOLE, "both", model_without(asker.folder))]
    answered = [i for i, text in enumerate(texts) if text is not None]
    told = {i: told_cues(clips[i].evidence) for i in answered}
    named = {
        i: judge_reasons(texts[i] or "", clips[i].evidence, told[i], allowed_cues(clips[i].evidence)) for i in answered
    }
    for kind in KINDS:
        rows = [i for i in part_of([clip.clip for clip in clips], kind) if i in named]
        if not rows:
            continue
        people = [clips[i].clip.person for i in rows]
        scores = score_reasons(people, [named[i] for i in rows], num_resamples=choices.resamples)
        truths = [true_cues(clips[i].truth) for i in rows]
        same = sum(parse_tolerant(texts[i] or "").label == labels[i] for i in rows)
        yield {
            "kind": kind,
            **reasons_json(scores),
            "names_the_label": same / len(rows),
            "true": sum(len(one.shown) for one in truths),
            "true_told": sum(len(one.shown & told[i]) for one, i in zip(truths, rows)),
            "true_named": sum(len(one.shown & named[i].named) for one, i in zip(truths, rows)),
            "untrue_named": sum(len(one.absent & named[i].named) for one, i in zip(truths, rows)),
        }


def temperature_rows(
    asker: ModelAnswers, clips: Sequence[RenderedClip], told: Mapping[tuple[str, str], Answers], choices: Choices
) -> Iterator[Json]:
    """Calibration of the model with everything shown: as it is, and with the temperature of the validation clips."""
    truth, without = [clip.clip.label for clip in clips], model_without(asker.folder)
    held_out = read_rendered(choices.root, "validation", features=choices.features, limit=choices.limit)
    for channel in CHANNELS:
        scores = scores_told(asker, held_out, WHOLE, channel, without)
        known = [(clip.clip.label, one) for clip, one in zip(held_out, scores) if one is not None]
        fitted = fit_temperature([label for label, _ in known], [one for _, one in known])
        own = scores_told(asker, clips, WHOLE, channel, without)
        for temperature in (1.0, fitted):
            found = calibration(truth, [probabilities_of(one, temperature) for one in own])
            assert found is not None
            values = {name: found[name] for name in ("ece", "brier", "log_loss")}
            yield {"layout": channel, "temperature": temperature, **values}


def ablation_rows(
    clips: Sequence[RenderedClip],
    told: Mapping[tuple[str, str], Answers],
    ablations: Mapping[str, Path],
    choices: Choices,
) -> Iterator[Json]:
    """Other models beside the whole one, with everything shown that they were trained with."""
    truth = [clip.clip for clip in clips]
    for channel in ("tokens", "both"):
        models = {THE_MODEL: told[WHOLE, channel]}
        for name, folder in ablations.items():
            with answers_of(folder, choices) as asker:
                models[name] = labels_told(asker, clips, WHOLE, channel, model_without(folder))
        for name, answers in models.items():
            row: Json = {"name": name, "layout": channel, "against": choices.against}
            row |= scores_json(score_condition(truth, answers, num_resamples=choices.resamples))
            some, own = of_part(clips, answers, "conflict")
            row["conflict"] = scores_json(score_condition(some, own, num_resamples=choices.resamples)) if some else None
            row["without"] = sorted(model_without(ablations[name])) if name in ablations else []
            if name != choices.against:
                found = compare(truth, answers, models[choices.against], num_resamples=choices.resamples)
                row["difference"] = difference_json(found)
            yield row


def of_part(clips: Sequence[RenderedClip], answers: Answers, part: str) -> tuple[list[Any], Answers]:
    """Clips of a kind and what was told of them."""
    rows = part_of([clip.clip for clip in clips], part)
    return [clips[i].clip for i in rows], [answers[i] for i in rows]


# --- as JSON values --------------------------------------------------------------------------------------------------


def about(clips: Sequence[RenderedClip], model: Path, sha256: Mapping[str, str], choices: Choices) -> Json:
    """What the tables are of."""
    from emotion_llama.evaluation.cache import hash_of
    from emotion_llama.evaluation.run_folder import installed, machine

    kinds = [clip.clip.kind.split()[0] for clip in clips]
    return {
        "model": model.name if model.name != "model" else "/".join(model.parts[-2:]),
        "model_sha256": hash_of(dict(sha256)),
        "split": choices.split,
        "clips": len(clips),
        "people": len({clip.clip.person for clip in clips}),
        "kinds": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "resamples": choices.resamples,
        "reason_task": choices.task,
        "versions": installed(),
        "machine": machine(),
    }


def interval_json(found: Interval | None) -> list[float] | None:
    """Value, low, high."""
    return None if found is None else [round(x, 4) for x in (found.value, found.low, found.high)]


def scores_json(scores: LabelScores) -> Json:
    """A row of labels."""
    figures = {name: interval_json(found) for name, found in scores.figures.items()}
    return {
        "clips": scores.clips, "unanswered": scores.unanswered, **figures,
        "answered_accuracy": scores.answered_accuracy, "ece": scores.ece,
    }  # fmt: skip


def difference_json(found: Difference) -> Json:
    """A row of a comparison."""
    return {
        "difference": interval_json(found.uar), "p_value": found.p_value, "only_first": found.only_first,
        "only_second": found.only_second,
    }  # fmt: skip


def reasons_json(scores: ReasonScores) -> Json:
    """A row of reasons."""
    return {**scores.totals._asdict(), **{name: interval_json(found) for name, found in scores.shares.items()}}


# --- on the terminal -------------------------------------------------------------------------------------------------


class Line:
    """One line on stderr for what is being asked; nothing where all is kept."""

    def __init__(self, what: str) -> None:
        self._what, self._began = what, time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Say how far it is; a file hears the end alone."""
        end = f"; {time.monotonic() - self._began:.0f} s\n" if done == total else ""
        if end or sys.stderr.isatty():
            sys.stderr.write(f"{self._what}: {done} of {total}{end}" + "\r" * (not end))
            sys.stderr.flush()


def say(line: str) -> None:
    """Progress, beside the tables."""
    sys.stderr.write(f"{line}\n")


def named_folder(text: str) -> tuple[str, Path]:
    """NAME=DIR."""
    name, separator, folder = text.partition("=")
    if not separator or not name or not folder:
        raise argparse.ArgumentTypeError(f"expected NAME=DIR, got {text!r}")
    return name, Path(folder)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables, and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--root", type=Path, required=True, help="folder that scripts/nano made")
    add("--model", type=Path, required=True, help="the model's folder")
    add("--ablation", type=named_folder, action="append", default=[], metavar="NAME=DIR", help="another, by name")
    add("--against", default=THE_MODEL, metavar="NAME", help="the ablation that all others are compared with")
    add("--out", type=Path, help="a .json file; the tables are written as .md beside it")
    add("--split", default="test", help="of the clips (default: test)")
    add("--features", type=Path, help="feature store (default: ROOT/features)")
    add("--kept", type=Path, help="where answers are kept (default: ROOT/measured)")
    add("--limit", type=int, help="so many clips, spread over the split")
    add("--resamples", type=int, default=NUM_RESAMPLES, help="of the intervals (default: 2000)")
    add("--batch", type=int, default=32, help="prompts at a time (default: 32)")
    add("--reason-task", default="reason", help="tag under which reasons are asked for (default: reason)")
    add("--no-reasons", action="store_true", help="labels alone")
    add("--threads", type=int, default=1, help="of torch (default: 1)")
    args = parser.parse_args(argv)
    import torch
    from transformers.utils import logging

    quiet: Any = logging.disable_progress_bar
    quiet()
    torch.set_num_threads(args.threads)
    choices = Choices(
        args.root, args.split, args.features, args.kept or args.root / "measured", args.limit, args.resamples,
        args.batch, args.reason_task, not args.no_reasons, args.against,
    )  # fmt: skip
    if args.against not in (THE_MODEL, *dict(args.ablation)):
        parser.error(f"--against {args.against!r} is no --ablation")
    began = time.monotonic()
    found = tables(args.model, dict(args.ablation), choices)
    text = markdown(found)
    sys.stdout.write(text)
    say(f"{time.monotonic() - began:.0f} s")
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        args.out.with_suffix(".md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
