"""Turn the published files into one folder that `from_pretrained` loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion_llama import __version__
from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.assembly import Assembly, assemble
from emotion_llama.models.checkpoints.shards import FileRecords, file_record
from emotion_llama.models.checkpoints.sizes import ConversionOptions
from emotion_llama.models.checkpoints.tensor_files import TensorSource, open_source
from emotion_llama.models.known_files import FORMAT, MANIFEST_NAME, Role, card_of

# Tokenizer, configuration, headers of the shards and the record: 3 MB with LLaMA's 32,000 words.
_ROOM_FOR_THE_REST = 5 * 10**6


@dataclass(frozen=True)
class Sources:
    """The files of the published system.

    Attributes:
        llama: folder of the language model (Llama-2-7b-chat-hf), pickles or safetensors, one file or shards.
        eva, mae, videomae: files of the three vision encoders.
        hubert: folder of chinese-hubert-large.
        weights: the trained part (`Emoation_LLaMA.pth`, `checkpoint_best.pth`, ...).
        base: MiniGPT-v2's start weights; `weights` replaces what both hold.
    """

    llama: Path
    eva: Path
    mae: Path
    videomae: Path
    hubert: Path
    weights: Path
    base: Path | None = None

    def by_role(self) -> dict[Role, Path]:
        """The given paths by role."""
        paths: dict[Role, Path | None] = vars(self)  # type: ignore[assignment]  # the fields are the roles
        return {role: Path(path) for role, path in paths.items() if path is not None}


def convert(
    sources: Sources,
    out: str | Path,
    options: ConversionOptions | None = None,
    progress: Callable[[str], object] = lambda line: None,
) -> Assembly:
    """Convert strictly, one tensor in memory at a time; nothing is left at `out` unless all of it went well.

    Returns:
        what was converted: its numbers of parameters, tensors left behind, and notes on choices that were not given.

    Raises:
        InputError: files that are missing, damaged, not what they are given as, or that do not fit together; an
            output folder that is not empty or cannot be written; not enough room.
        MissingDependency: without torch or transformers.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: already there; give a folder that does not exist yet, or an empty one")
    progress("reading names and shapes")
    assembly = assemble(
        {role: open_source(path) for role, path in sources.by_role().items()}, options or ConversionOptions()
    )
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # an earlier run was stopped
    try:
        partial.mkdir(parents=True)
        _check_room(assembly, partial)
        _write(sources, assembly, partial, progress)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror or error}); what was begun is removed; give another place"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return assembly


def _write(sources: Sources, assembly: Assembly, folder: Path, progress: Callable[[str], object]) -> None:
    """Everything of the folder; the processor first, because what can be wrong with it should not cost the weights."""
    _save_processor(sources.llama, assembly, folder)
    progress(f"writing {_shown_bytes(_num_bytes(assembly))}")
    files = assembly.write(folder)
    files |= {path.name: file_record(path) for path in sorted(folder.iterdir()) if path.name not in files}
    progress("hashing the sources")
    manifest = _manifest(sources.by_role(), assembly, files)
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _num_bytes(assembly: Assembly) -> int:
    infos = assembly.infos() if assembly.options.merge else assembly.infos() | assembly.adapter_infos()
    return sum(info.num_bytes for info in infos.values())


def _check_room(assembly: Assembly, folder: Path) -> None:
    needed, free = _num_bytes(assembly) + _ROOM_FOR_THE_REST, shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder.parent}: {_shown_bytes(needed)} are needed and {_shown_bytes(free)} are free; give another place"
        )


def _shown_bytes(count: int) -> str:
    """A size in the largest decimal unit that leaves a whole number before the point."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} bytes"


def _save_processor(llama: Path, assembly: Assembly, folder: Path) -> None:
    from emotion_llama.models.processing_emotion_llama import EmotionLlamaProcessor

    EmotionLlamaProcessor.of_config(assembly.config, assembly.tokenizer).save_pretrained(folder)
    if (llama / "tokenizer.model").is_file():  # the original beside what was made of it, for `export`
        shutil.copyfile(llama / "tokenizer.model", folder / "tokenizer.model")


def _manifest(paths: Mapping[Role, Path], assembly: Assembly, files: FileRecords) -> dict[str, Any]:
    """The record as JSON data. Names only, no folders of the machine it was made on."""
    card = card_of(paths["weights"])
    return {
        "format": FORMAT,
        "made_by": f"emotion-llama {__version__}",
        "weights": card.file_name,
        "abilities": None if card.abilities is None else sorted(card.abilities),
        "dtype": assembly.options.dtype,
        "lora": {"rank": assembly.rank, "alpha": assembly.alpha, "merged": assembly.options.merge},
        "num_parameters": assembly.num_parameters,
        "num_lora_parameters": assembly.num_lora_parameters,
        "notes": list(assembly.notes),
        "sources": {role: _source(paths[role], source) for role, source in assembly.opened.items()},
        "left_behind": assembly.plan.ignored,
        "files": files,
    }


def _source(path: Path, source: TensorSource) -> dict[str, Any]:
    files = {file.name: file_record(file) for file in source.files}
    return {"name": path.resolve().name, "num_tensors": len(source.infos), "files": files}
