"""Decide, from names and shapes alone, where every tensor of the sources goes; refuse anything left over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.keys import ADAPTER_PREFIX, LANGUAGE_MODEL, TITLES, place
from emotion_llama.models.checkpoints.tensor_files import TensorInfo, TensorSource
from emotion_llama.models.known_files import Role

_SHOWN = 6  # names listed in an error before "and N more"
_ORDER: tuple[Role, ...] = ("llama", "eva", "mae", "videomae", "hubert", "base", "weights")
_WEIGHT_TYPES = ("float64", "float32", "float16", "bfloat16")


class Origin(NamedTuple):
    """A tensor of a source."""

    role: Role
    name: str
    info: TensorInfo


@dataclass
class Plan:
    """What conversion will do.

    Attributes:
        placed: our name -> where it comes from; adapter tensors among them.
        ignored: role -> reason -> names left behind.
    """

    placed: dict[str, Origin] = field(default_factory=dict)
    ignored: dict[Role, dict[str, list[str]]] = field(default_factory=dict)

    @property
    def adapter(self) -> dict[str, Origin]:
        """The LoRA tensors."""
        return {name: origin for name, origin in self.placed.items() if name.startswith(ADAPTER_PREFIX)}

    @property
    def model(self) -> dict[str, Origin]:
        """Everything but the LoRA tensors."""
        return {name: origin for name, origin in self.placed.items() if not name.startswith(ADAPTER_PREFIX)}

    def infos(self, prefix: str) -> dict[str, TensorInfo]:
        """Shapes below one of our prefixes, by the rest of the name."""
        start = len(prefix) + 1
        return {name[start:]: o.info for name, o in self.placed.items() if name.startswith(f"{prefix}.")}


def make_plan(sources: Mapping[Role, TensorSource]) -> Plan:
    """Place every tensor of every source; `weights` replaces what `base` brings.

    Raises:
        InputError: a name that no table knows, or two tensors of a source for one place.
    """
    plan = Plan()
    for role in (role for role in _ORDER if role in sources):
        unknown = []
        for name, info in sources[role].infos.items():
            placement = place(role, name)
            if placement is None:
                unknown.append(name)
                continue
            target, reason = placement
            if target is None:
                plan.ignored.setdefault(role, {}).setdefault(reason, []).append(name)
                continue
            before = plan.placed.get(target)
            if before is not None and before.role == role:
                raise InputError(
                    f"{sources[role].path}: {before.name} and {name} are both {target}; keep one of them in the file"
                )
            plan.placed[target] = Origin(role, name, info)
        if unknown:
            raise InputError(
                f"{sources[role].path}: {_listed(unknown)} {'is' if len(unknown) == 1 else 'are'} unknown in the "
                f"{TITLES[role]} (--{role}); is it the right file? "
                f"'emotion-llama doctor {sources[role].path}' says what it is"
            )
    return plan


def check_types(plan: Plan, opened: Mapping[Role, TensorSource]) -> None:
    """Refuse placed tensors of whole numbers, truth values, or types that only a quantised model has.

    Raises:
        InputError: naming the first such tensor.
    """
    for origin in plan.placed.values():
        kind = str(origin.info.dtype).removeprefix("torch.")
        if kind not in _WEIGHT_TYPES:
            raise InputError(
                f"{opened[origin.role].path}: {origin.name} (--{origin.role}) holds {kind}; expected one of "
                f"{', '.join(_WEIGHT_TYPES)}; quantised or damaged weights cannot be converted"
            )


def leave_behind(plan: Plan, names: Iterable[str], reason: str) -> None:
    """Move placed tensors to those left behind."""
    for name in names:
        origin = plan.placed.pop(name)
        plan.ignored.setdefault(origin.role, {}).setdefault(reason, []).append(origin.name)


def check_complete(
    plan: Plan, expected: Mapping[str, tuple[int, ...]], provided: Iterable[str] = (), published: Mapping[str, str] = {}
) -> None:
    """Every parameter of the model has a tensor of its shape, and every tensor a parameter.

    Args:
        plan: what was placed.
        expected: name -> shape of the model's own state.
        provided: names that conversion fills by a rule of its own.
        published: our name -> the name to show for a missing one.

    Raises:
        InputError: naming what is missing, left over or of another shape.
    """
    model = plan.model
    missing = [published.get(name, name) for name in expected if name not in model and name not in set(provided)]
    surplus = [f"{model[name].name} ({model[name].role})" for name in model if name not in expected]
    other = [
        f"{o.name} ({o.role}) is {list(o.info.shape)}, the model expects {list(expected[name])}"
        for name, o in model.items()
        if name in expected and o.info.shape != expected[name]
    ]
    problems = []
    if missing:
        problems.append(f"missing: {_listed(missing)}")
    if surplus:
        problems.append(f"without a place in the model: {_listed(surplus)}")
    if other:
        problems.append(f"of another shape: {_listed(other)}")
    if problems:
        raise InputError("the files do not make a whole model; " + "; ".join(problems))


def check_adapter(plan: Plan, expected: Mapping[str, tuple[int, ...]]) -> int:
    """The LoRA rank, when every pair is whole, fits its layer, and reaches every layer alike.

    Raises:
        InputError: no LoRA at all, half a pair, other ranks or shapes, or a layer without it.
    """
    adapter = plan.adapter
    if not adapter:
        raise InputError("--weights holds no LoRA tensors (lora_A, lora_B); without them the answers are LLaMA's own")
    stems = sorted({name.rsplit(".lora_", 1)[0] for name in adapter})
    halves = [f"{stem}.lora_{half}.weight" for stem in stems for half in "AB"]
    missing = [name for name in halves if name not in adapter] + _uncovered(stems, expected)
    if missing:
        raise InputError(f"LoRA tensors are missing: {_listed(missing)}")
    flat = [name for name, origin in adapter.items() if len(origin.info.shape) != 2]
    if flat:
        raise InputError(f"LoRA of {adapter[flat[0]].name} is {list(adapter[flat[0]].info.shape)}; expected two axes")
    ranks = {adapter[f"{stem}.lora_A.weight"].info.shape[0] for stem in stems}
    if len(ranks) > 1:
        raise InputError(f"LoRA tensors have ranks {sorted(ranks)}; expected one rank")
    rank = int(ranks.pop())
    for stem in stems:
        rows, columns = expected.get(f"{stem.removeprefix(ADAPTER_PREFIX)}.weight", (0, 0))
        a, b = (adapter[f"{stem}.lora_{half}.weight"].info.shape for half in "AB")
        if (a, b) != ((rank, columns), (rows, rank)):
            raise InputError(
                f"LoRA of {stem} is {list(a)} and {list(b)}, but its layer is [{rows}, {columns}]; "
                "--weights and --llama are of different sizes"
            )
    return rank


def adapted_modules(plan: Plan) -> list[str]:
    """Last names of the adapted layers: `q_proj`, `v_proj` in the published files."""
    return sorted({name.rsplit(".lora_", 1)[0].rsplit(".", 1)[1] for name in plan.adapter})


def _uncovered(stems: list[str], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Stems of layers that should carry LoRA because the same module of another layer does."""
    modules = {stem.rsplit(".", 1)[1] for stem in stems}
    have = set(stems)
    stems_of_model = (ADAPTER_PREFIX + name.removesuffix(".weight") for name in expected if name.endswith(".weight"))
    below = ADAPTER_PREFIX + LANGUAGE_MODEL + "."
    return [s for s in stems_of_model if s.startswith(below) and s.rsplit(".", 1)[1] in modules and s not in have]


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
