"""What a weight file or folder is, by the tensors in it; what its name adds, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from emotion_llama.errors import InputError
from emotion_llama.media.probe import file_sha256
from emotion_llama.models.checkpoints.convert import NEEDED
from emotion_llama.models.checkpoints.keys import (
    PROJECTIONS,
    TITLES,
    block_count,
    place,
    recognise,
)
from emotion_llama.models.checkpoints.published import Ability, Role, known_file
from emotion_llama.models.checkpoints.tensor_files import TensorInfo, open_source
from emotion_llama.models.folders import read_manifest


@dataclass(frozen=True)
class FileReport:
    """What was found at a path."""

    path: str
    # "part" a published file or folder, "model" a converted folder, "collection" a folder with published files in it,
    # "unknown"
    kind: Literal["part", "model", "collection", "unknown"]
    title: str  # what it is, in words
    role: Role | None = None  # option of `convert` that takes a part
    abilities: tuple[Ability, ...] | None = None  # what it can do, where that is known
    facts: tuple[str, ...] = ()  # sizes and origin, one line each
    problems: tuple[str, ...] = ()  # what is missing or does not match; empty when it is whole
    parts: tuple[FileReport, ...] = ()  # reports of the files of a collection


def inspect(path: str | Path, *, check_hashes: bool = False) -> FileReport:
    """What a file or folder is, without loading its values.

    Args:
        path: a published file, a Hugging Face folder, a converted folder, or a folder that holds some of these.
        check_hashes: compare every file of a converted folder with its recorded SHA-256.

    Raises:
        InputError: nothing there, not readable, or a pickle that would run code.
        MissingDependency: without torch.
    """
    path = Path(path)
    if not path.is_dir():
        return _part(path)
    manifest = read_manifest(path)
    if manifest is not None:
        return _converted(path, manifest, check_hashes)
    return _part(path) if (path / "config.json").is_file() else _collection(path)


def report_text(report: FileReport, width: int = 80) -> str:
    """The report as lines of at most `width` columns."""
    import textwrap

    lines = textwrap.wrap(f"{report.path}: {report.title}", width, subsequent_indent="  ")
    if report.abilities is not None:
        can = ", ".join(_ABILITY_WORDS[ability] for ability in report.abilities)
        lines.append(f"  can: {can}" if can else "  can: nothing alone; a part that every model needs")
    for fact in report.facts:
        lines += textwrap.wrap(fact, width, initial_indent="  ", subsequent_indent="    ")
    for problem in report.problems:
        lines += textwrap.wrap(f"! {problem}", width, initial_indent="  ", subsequent_indent="    ")
    for part in report.parts:
        lines += ["", report_text(part, width)]
    return "\n".join(lines)


_ABILITY_WORDS: dict[Ability, str] = {
    "classify": "name the emotion",
    "reason": "give reasons",
    "start": "start a training",
}


def _part(path: Path) -> FileReport:
    source = open_source(path)
    role = recognise(source.infos)
    known = known_file(path)
    count = sum(math.prod(info.shape) for info in source.infos.values())
    types = sorted({str(info.dtype).removeprefix("torch.") for info in source.infos.values()})
    facts = [f"{len(source.infos)} tensors, {count:,} numbers, {' and '.join(types)}"]
    if role is None:
        first = ", ".join(list(source.infos)[:3])
        return FileReport(str(path), "unknown", "tensors of no published part", facts=(*facts, f"first names: {first}"))
    facts += _DETAILS[role](source.infos)
    problems = []
    if known is not None and known.role != role:
        named, found = known.name if known.role is None else f"{known.name} ({TITLES[known.role]})", TITLES[role]
        problems.append(f"its name says {named}, its tensors are those of a {found}")
    unknown = [name for name in source.infos if place(role, name) is None]
    if unknown:
        problems.append(f"{len(unknown)} tensors have no place in it: {', '.join(unknown[:3])}")
    problems += _missing(source.infos) if role == "weights" else []
    abilities: tuple[Ability, ...] | None = ("start",) if role == "base" else None
    if known is not None and known.role == role:
        facts.append(f"by its name it is {known.name}: {known.facts} ({known.source})")
        abilities = tuple(sorted(known.abilities)) if role in ("weights", "base") else None
    elif role == "weights":
        facts.append("its name is not a published one: whether it can reason is not in its tensors")
    return FileReport(str(path), "part", TITLES[role], role, abilities, tuple(facts), tuple(problems))


def _trained_details(infos: Mapping[str, TensorInfo]) -> list[str]:
    lora = {name: info for name, info in infos.items() if ".lora_" in name}
    ranks = sorted({info.shape[0] for name, info in lora.items() if ".lora_A." in name and info.shape})
    count = sum(math.prod(info.shape) for info in lora.values())
    facts = [f"LoRA of rank {', '.join(map(str, ranks))}: {count:,} parameters"] if lora else []
    projection = infos.get("llama_proj.weight")
    if projection is not None and len(projection.shape) == 2:
        facts.append(f"projections to a language model {projection.shape[0]} wide")
    if "ln_vision.weight" not in infos:
        facts.append("no ln_vision: converted as weight 1, bias 0, as the reference has it then")
    return facts


def _vit_details(infos: Mapping[str, TensorInfo]) -> list[str]:
    encoder = [name for name in infos if not name.startswith("decoder")]
    embed = next(info for name, info in infos.items() if name.endswith("patch_embed.proj.weight"))
    if len(embed.shape) not in (4, 5):
        return [f"patch_embed.proj.weight has shape {list(embed.shape)}"]
    facts = [f"{block_count(encoder)} blocks, {embed.shape[0]} wide, patches of {embed.shape[-1]} pixels"]
    table = next((info for name, info in infos.items() if name.endswith("pos_embed") and "decoder" not in name), None)
    if table is not None and len(table.shape) == 3 and table.shape[1]:
        facts.append(f"position table for pictures of {math.isqrt(table.shape[1] - 1) * embed.shape[-1]} pixels")
    if any("decoder" in name for name in infos):
        facts.append("a decoder of the pre-training is in it, which conversion leaves behind")
    return facts


def _folder_details(infos: Mapping[str, TensorInfo]) -> list[str]:
    table = next((info for name, info in infos.items() if name.endswith("embed_tokens.weight")), None)
    return [] if table is None or len(table.shape) != 2 else [f"{table.shape[0]} tokens, {table.shape[1]} wide"]


_DETAILS: dict[Role, Callable[[Mapping[str, TensorInfo]], list[str]]] = {
    "weights": _trained_details,
    "base": _trained_details,
    "eva": _vit_details,
    "mae": _vit_details,
    "videomae": _vit_details,
    "hubert": _folder_details,
    "llama": _folder_details,
}


def _missing(infos: Mapping[str, TensorInfo]) -> list[str]:
    wanted = [f"{name}.{kind}" for name in PROJECTIONS if name != "ln_vision" for kind in ("weight", "bias")]
    missing = [name for name in wanted if name not in infos]
    if not any(".lora_" in name for name in infos):
        missing.append("all LoRA tensors")
    return [f"missing: {', '.join(missing)}"] if missing else []


def _converted(path: Path, manifest: Mapping[str, Any], check_hashes: bool) -> FileReport:
    problems = []
    for name, file in manifest["files"].items():
        if not (path / name).is_file():
            problems.append(f"{name} is missing; convert again")
        elif (path / name).stat().st_size != file["num_bytes"]:
            problems.append(f"{name} has {(path / name).stat().st_size} bytes, {file['num_bytes']} were written")
        elif check_hashes and file_sha256(path / name) != file["sha256"]:
            problems.append(f"{name} is not what was written: its SHA-256 differs")
    lora, sources = manifest["lora"], manifest["sources"]
    kept = "merged" if lora["merged"] else "an adapter"
    facts = (
        f"made by {manifest['made_by']} from {', '.join(source['name'] for source in sources.values())}",
        f"{manifest['num_parameters']:,} parameters and {manifest['num_lora_parameters']:,} of LoRA "
        f"(rank {lora['rank']}, alpha {lora['alpha']:g}, {kept})",
        *manifest["notes"],
    )
    abilities = None if manifest["abilities"] is None else tuple(manifest["abilities"])
    return FileReport(str(path), "model", "converted model", None, abilities, facts, tuple(problems))


def _collection(path: Path) -> FileReport:
    """A folder with some of the published files: what each is, and what `convert` still lacks."""
    parts = []
    for entry in sorted(path.iterdir()):
        is_folder = entry.is_dir() and (entry / "config.json").is_file()
        if is_folder or entry.suffix in (".pth", ".pt", ".bin", ".safetensors"):
            try:
                parts.append(inspect(entry))
            except InputError as error:
                parts.append(FileReport(str(entry), "unknown", "not readable", problems=(str(error),)))
    if not parts:
        raise InputError(f"{path}: neither a model's folder nor one with published files (.pth, Hugging Face folders)")
    found: dict[Role, str] = {part.role: part.path for part in parts if part.role is not None}
    lacking = [role for role in NEEDED if role not in found]
    missing = [f"to convert, these are missing: {', '.join(f'--{r} ({TITLES[r]})' for r in lacking)}"]
    options = " ".join(f"--{role} {found[role]}" for role in (*NEEDED, "base") if role in found)
    facts = [f"all parts are here: emotion-llama convert {options} --out DIR"]
    facts, problems = ([], missing) if lacking else (facts, [])
    return FileReport(
        str(path), "collection", "published files", None, None, tuple(facts), tuple(problems), tuple(parts)
    )
