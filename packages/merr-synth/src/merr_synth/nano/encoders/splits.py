"""What training, validation and test share, read from the plans: nothing, or the figures would mean nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from emotion_llama.errors import InputError
from merr_synth.render.plan import ClipPlan
from merr_synth.render.plan_file import read_plans

# What must belong to one split alone -> how it is told from a plan.
KEPT_APART: Mapping[str, Callable[[ClipPlan], object]] = MappingProxyType(
    {
        "person": lambda plan: plan.person_seed,
        "setting": lambda plan: plan.setting_seed,
        "voice": lambda plan: plan.voice,
        "sentence": lambda plan: plan.text,
        "template": lambda plan: plan.template_id,
        "source": lambda plan: plan.source,
    }
)


def check_splits(folder: Path) -> str:
    """How many of each the splits of a rendered data set have, in a line.

    Raises:
        InputError: two splits share one.
    """
    plans = read_plans(folder / "plans.jsonl")
    for what, told in KEPT_APART.items():
        owner: dict[object, ClipPlan] = {}
        for plan in plans:
            first = owner.setdefault(told(plan), plan)
            if first.split != plan.split:
                raise InputError(
                    f"{folder}: {first.id} and {plan.id} share a {what} ({told(plan)}); render with another seed"
                )
    splits = list(dict.fromkeys(plan.split for plan in plans))
    counts = {split: [plan for plan in plans if plan.split == split] for split in splits}
    return "; ".join(
        f"{split}: {len(own)} clips, {len({p.person_seed for p in own})} people, {len({p.text for p in own})} sentences"
        for split, own in counts.items()
    )
