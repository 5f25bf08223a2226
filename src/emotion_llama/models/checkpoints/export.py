"""Write a model's folder back in the layout of the published files: the inverse of `convert`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.convert import ADAPTER_CONFIG_NAME, ADAPTER_WEIGHTS_NAME
from emotion_llama.models.checkpoints.keys import published_name
from emotion_llama.models.checkpoints.published import Role
from emotion_llama.models.checkpoints.tensor_files import TensorSource, open_source, write_shards
from emotion_llama.models.folders import read_json_object, read_manifest

# What each part is called when written; HuBERT and the language model are folders.
FILE_NAMES: dict[Role, str] = {
    "weights": "Emotion_LLaMA.pth",
    "eva": "eva_vit_g.pth",
    "mae": "mae_checkpoint-340.pth",
    "videomae": "videomae_checkpoint-399.pth",
    "hubert": "hubert",
    "llama": "llama",
}
PARTS: tuple[Role, ...] = tuple(FILE_NAMES)
_CONFIG_OF_FOLDER: dict[Role, str] = {"hubert": "audio_config", "llama": "text_config"}
# Of chinese-hubert-large; `convert` accepts no other front end.
_HUBERT_FRONT_END = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "sampling_rate": 16_000,
    "do_normalize": True,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": True,
}
_SHARD_BYTES = 2 * 10**9


def export(
    model: str | Path,
    out: str | Path,
    parts: Sequence[Role] = ("weights",),
    progress: Callable[[str], object] = lambda line: None,
) -> dict[Role, int]:
    """Write the chosen parts under their published tensor names (peft 0.2's for LoRA), bit for bit as they are stored.

    Args:
        model: folder that `convert` or `save_pretrained` wrote.
        out: folder that the parts go to.
        parts: some of `PARTS`.
        progress: called with a line for each part.

    Returns:
        part -> number of tensors written.

    Raises:
        InputError: not such a folder, a part that is there already, a trained part whose adapter was merged, or a
            place that cannot be written.
    """
    model, out = Path(model), Path(out)
    source = open_source(model)
    names = _by_role(source, model)
    if "weights" in parts:
        adapter = _adapter(model)
        names["weights"] += [(name, adapter) for name in adapter.infos]
    taken = [FILE_NAMES[part] for part in parts if (out / FILE_NAMES[part]).exists()]
    if taken:
        raise InputError(f"{out}: {', '.join(taken)} are already there; give another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for part in parts:
            progress(f"writing {FILE_NAMES[part]}")
            write = _write_folder if part in _CONFIG_OF_FOLDER else _write_pickle
            write(part, names[part], model, out / FILE_NAMES[part])
    except (OSError, RuntimeError) as error:  # torch raises a RuntimeError where the disk is full
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(
            f"{out} cannot be written ({reason}); what was begun is removed; give another place"
        ) from error
    return {part: len(names[part]) for part in parts}


_Located = tuple[str, TensorSource]


def _by_role(source: TensorSource, model: Path) -> dict[Role, list[_Located]]:
    names: dict[Role, list[_Located]] = {part: [] for part in PARTS}
    try:
        for name in source.infos:
            names[published_name(name)[0]].append((name, source))
    except KeyError as error:
        raise InputError(f"{model}: {error} is no tensor of an Emotion-LLaMA model; is it the right folder?") from error
    return names


def _adapter(model: Path) -> TensorSource:
    if (model / ADAPTER_WEIGHTS_NAME).is_file():
        return open_source(model / ADAPTER_WEIGHTS_NAME)
    raise InputError(
        f"{model}: no {ADAPTER_WEIGHTS_NAME}: its LoRA was merged into the language model and cannot be taken out "
        "again; export from a folder converted without --merge"
    )


def _write_pickle(part: Role, names: list[_Located], model: Path, path: Path) -> None:
    """A `.pth` as training code saves it; EVA's file is a flat dict, the others keep their tensors under "model"."""
    import torch

    state = {published_name(name)[1]: source.read(name) for name, source in names}
    content: dict[str, Any] = {"model": state}
    if part == "eva":
        content = state
    elif part == "weights":
        lora = read_json_object(model / ADAPTER_CONFIG_NAME)
        content["config"] = {"model": {"lora_r": lora["r"], "lora_alpha": lora["lora_alpha"]}}
        manifest = read_manifest(model)
        content["exported_from"] = "emotion-llama" if manifest is None else manifest["weights"]
    partial = path.with_name(path.name + ".partial")
    try:
        torch.save(content, partial)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_folder(part: Role, names: list[_Located], model: Path, folder: Path) -> None:
    folder.mkdir()
    try:
        _fill_folder(part, names, model, folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _fill_folder(part: Role, names: list[_Located], model: Path, folder: Path) -> None:
    ours = {published_name(name)[1]: (name, source) for name, source in names}
    infos = {name: source.infos[located] for name, (located, source) in ours.items()}
    write_shards(folder, infos, lambda name: ours[name][1].read(ours[name][0]), _SHARD_BYTES)
    config = read_json_object(model / "config.json")[_CONFIG_OF_FOLDER[part]]
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if part == "hubert":
        (folder / "preprocessor_config.json").write_text(
            json.dumps(_HUBERT_FRONT_END, indent=2) + "\n", encoding="utf-8"
        )
    else:
        for path in model.iterdir():
            if re.match(r"tokenizer|special_tokens_map|added_tokens|vocab|merges", path.name):
                shutil.copyfile(path, folder / path.name)
