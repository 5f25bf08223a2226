"""The published files by name: what each is and what its weights can do, which their tensors do not say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

Role = Literal["weights", "base", "eva", "mae", "videomae", "hubert", "llama"]
Ability = Literal["classify", "reason", "start"]
# Tasks of `emotion_llama.prompts` that ask for more than a label.
_REASONING_TASKS = ("reason", "reason_v2", "visual", "audio")


@dataclass(frozen=True)
class KnownFile:
    """A published file."""

    title: str  # its name as published
    pattern: str  # regular expression over the whole name of a file or folder, ignoring case
    role: Role  # the option of `convert` that takes it
    # "classify" and "reason" of trained parts, "start": weights to begin training from; empty for parts that are the
    # same in every model
    abilities: tuple[Ability, ...]
    facts: str  # one line on where it comes from and what it does
    source: str  # where that is written: a thread of the Emotion-LLaMA repository (#N), or a publication


KNOWN_FILES: tuple[KnownFile, ...] = (
    KnownFile(
        # The published spelling; two others are about.
        "Emoation_LLaMA.pth", r"(Emoation|Emotion)[_-]?LLaMA\.pth", "weights", ("classify", "reason"),
        "the demo's weights: labels (MER2023-SEMI F1 about .81) and reasons", "Emotion-LLaMA #31, #69",
    ),
    KnownFile(
        "checkpoint_best.pth", r"checkpoint_best\.pth", "weights", ("classify",),
        "classification of MER2023 only (F1 .9036); tuned on labels until reasons were forgotten", "Emotion-LLaMA #127",
    ),
    KnownFile(
        "MER2024-best.pth", r"MER2024[-_]best\.pth", "weights", ("classify",),
        "classification of MER2024-NOISE only (F1 .8458); asked for reasons it repeats the spoken line",
        "Emotion-LLaMA #37, #64",
    ),
    KnownFile(
        "minigptv2_checkpoint.pth", r"minigpt_?v2_checkpoint\.pth", "base", ("start",),
        "MiniGPT-v2: start weights for training (`convert --base`); knows no emotions and no feature tokens",
        "Emotion-LLaMA #85",
    ),
    KnownFile(
        "eva_vit_g.pth", r"eva_vit_g\.pth", "eva", (),
        "EVA-CLIP ViT-g of BLIP-2: the global encoder, frozen", "LAVIS create_eva_vit_g",
    ),
    KnownFile(
        "mae_checkpoint-340.pth", r"mae_checkpoint-?340\.pth", "mae", (),
        "ViT-L MAE trained on MER2023's unlabelled faces, epoch 340: mae_340_UTT", "Emotion-LLaMA #2, #8",
    ),
    KnownFile(
        "maeVideo checkpoint-399", r"(maeVideo|videomae)[\w-]*399\.pth|maeV_?399\.pth", "videomae", (),
        "ViT-L VideoMAE trained on MER2023's unlabelled faces, epoch 399: maeV_399_UTT, the paper's features",
        "Emotion-LLaMA #5, #53",
    ),
    KnownFile(
        "maeVideo_ckp199.pth", r"(maeVideo|videomae)[\w-]*199\.pth|maeV_?199\.pth", "videomae", (),
        "the same VideoMAE at epoch 199: maeV_199_UTT; the published weights were trained on 399",
        "the published extraction script, PROTOCOLS 1.3",
    ),
    KnownFile(
        "chinese-hubert-large", r"chinese-hubert-large", "hubert", (),
        "TencentGameMate's HuBERT-large: the audio encoder of HL-UTT", "Emotion-LLaMA #2, #107",
    ),
    KnownFile(
        "Llama-2-7b-chat-hf", r"Llama-2-7b-chat(-hf)?", "llama", (),
        "the language model that LoRA was trained on; other LLaMAs of the size load but answer differently",
        "UPSTREAM 1.3 E",
    ),
)  # fmt: skip


def known_file(path: str | PurePath) -> KnownFile | None:
    """The published file of this name, or None."""
    name = PurePath(path).name
    return next((known for known in KNOWN_FILES if re.fullmatch(known.pattern, name, re.IGNORECASE)), None)


def warn_if_classifier(task: str, manifest: Mapping[str, Any] | None) -> str | None:
    """One line for the user when weights that can only classify are asked to reason; None when all is well.

    Args:
        task: the task of the prompt ("emotion", "reason", ...).
        manifest: the record of the folder's conversion (`folders.read_manifest`), with the file that the weights were
            made from and its abilities; no record, or unknown abilities, give no warning.
    """
    abilities = None if manifest is None else manifest["abilities"]
    if manifest is None or abilities is None or "reason" in abilities or task not in _REASONING_TASKS:
        return None
    can = "was tuned for classification only" if "classify" in abilities else "holds start weights for training"
    return (
        f"{manifest['weights']} {can}, so an answer to task {task!r} will not be a reason; "
        "ask for task 'emotion', or convert Emoation_LLaMA.pth"
    )
