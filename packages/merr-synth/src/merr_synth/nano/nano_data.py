"""A MERR build of rendered clips -> training examples in JSONL, with measured cues and texts that name no other cues.

Two files a split, `<split>-coarse.jsonl` and `<split>-fine.jsonl`: the same clips, with the caption and with the
reasons as their description. The label is the plan's truth. `note` tells kinds of clips apart, for tables by kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.merr.measured import from_bytes
from emotion_llama.merr.store import Store
from emotion_llama.prompts.cues import cue_text
from emotion_llama.results import Evidence
from emotion_llama.rules.tone_text import has_evidence
from merr_synth.nano.descriptions import describe
from merr_synth.nano.language.measured_like import Pair
from merr_synth.render.plan import ClipPlan, seed_of
from merr_synth.render.plan_file import read_plans
from merr_synth.render.sentences import SPLITS

KINDS = ("coarse", "fine")
Row = dict[str, str]  # column of train.examples.COLUMNS -> text; no key where there is nothing


class Made(NamedTuple):
    """Clips written by split, and those that the build could not measure, by reason."""

    counts: Mapping[str, int]
    left_out: Mapping[str, str]


def write_examples(build: Path, rendered: Path, out: Path) -> Made:
    """Write the examples of all splits.

    Args:
        build: folder of a MERR build of the rendered clips.
        rendered: their folder, as `synth render` writes it.
        out: folder of the JSONL files.

    Raises:
        InputError: a clip of the build was not planned, or a folder does not hold what it should.
    """
    pairs = read_pairs(build, rendered)
    out.mkdir(parents=True, exist_ok=True)
    counts = {}
    for split in SPLITS:
        counts[split] = write_split(out, split, (rows_of(*pair) for pair in pairs if pair.plan.split == split))
    measured = {pair.plan.id for pair in pairs}
    plans = read_plans(rendered / "plans.jsonl")
    return Made(counts, {plan.id: "not measured in the build" for plan in plans if plan.id not in measured})


def read_pairs(build: Path, rendered: Path) -> list[Pair]:
    """Every clip of a build with its plan and its evidence, by id.

    Raises:
        InputError: a clip of the build was not planned.
    """
    plans = {plan.id: plan for plan in read_plans(rendered / "plans.jsonl")}
    pairs = []
    with Store.open(build, read_only=True) as store:
        for sample in store.samples("all"):
            name = sample.clip.clip_id
            if name not in plans:
                raise InputError(f"{build}: clip {name} is not among the plans of {rendered}; name the folder it is of")
            data = store.artifact(name, "evidence")
            if data is not None:
                pairs.append(Pair(plans[name], from_bytes(data).evidence))
    return pairs


def rows_of(plan: ClipPlan, evidence: Evidence) -> tuple[Row, Row]:
    """One example of each kind; a clip without any evidence has no label, and descriptions that decline."""
    variant = seed_of(plan.id, plan.seed, "wording") & 0xFFFF
    texts = describe(evidence, plan.label, variant=variant)
    said = "" if evidence.transcript is None else " ".join(evidence.transcript.text.split())
    row = {
        "name": plan.id,
        "label": plan.label if has_evidence(evidence) else "",
        "subtitle": said,
        "cues": cue_text(evidence),
        "group": plan.person,
        "note": note_of(plan),
    }
    told = {column: text for column, text in row.items() if text}
    return {**told, "description": texts.coarse}, {**told, "description": texts.fine}


def note_of(plan: ClipPlan) -> str:
    """Kind of clip: "conflict sarcasm", "missing silent no_words", "ambiguous", or "plain"."""
    if plan.conflict is not None:
        return f"conflict {plan.conflict}"
    if plan.missing:
        return f"missing {' '.join(plan.missing)}"
    return "ambiguous" if plan.words_label is None else "plain"


def write_split(folder: Path, split: str, rows: Iterable[tuple[Row, Row]]) -> int:
    """Write a split's two files, each whole or not at all; how many examples."""
    written = list(rows)
    for number, kind in enumerate(KINDS):
        path = folder / f"{split}-{kind}.jsonl"
        half = path.with_suffix(".tmp")
        lines = (json.dumps(both[number], ensure_ascii=False) + "\n" for both in written)
        half.write_text("".join(lines), encoding="utf-8")
        half.replace(path)
    return len(written)
