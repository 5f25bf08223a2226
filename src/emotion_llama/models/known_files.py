"""The published files by name: what each can do. Tensors cannot tell this, because the trained parts all look alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

Role = Literal["weights", "base", "eva", "mae", "videomae", "hubert", "llama"]

Ability = Literal["classify", "reason", "start"]
# Tasks of `emotion_llama.prompts` that ask for more than a label.
_REASONING_TASKS = ("reason", "reason_v2", "visual", "audio")


@dataclass(frozen=True)
class KnownFile:
    """A published file.

    Attributes:
        title: its name as published.
        pattern: regular expression over the whole name of a file or folder, ignoring case.
        role: the option of `convert` that takes it.
        abilities: "classify" and "reason" of trained parts, "start": weights to begin training from; empty for parts
            that are the same in every model.
        facts: one line on where it comes from and what it does.
        source: where that is written.
    """

    title: str
    pattern: str
    role: Role
    abilities: frozenset[Ability]
    facts: str
    source: str

    def names(self, name: str) -> bool:
        """Whether a file or folder of this name is this file."""
        return re.fullmatch(self.pattern, name, re.IGNORECASE) is not None


def _can(*abilities: Ability) -> frozenset[Ability]:
    return frozenset(abilities)


# Source of each row: threads of the Emotion-LLaMA repository (#N) as gathered in UPSTREAM 1.3 N, B, C, A and T.
KNOWN_FILES: tuple[KnownFile, ...] = (
    KnownFile(
        "Emoation_LLaMA.pth",  # the published spelling; two others are about
        r"(Emoation|Emotion)[_-]?LLaMA\.pth",
        "weights",
        _can("classify", "reason"),
        "the demo's weights: labels (MER2023-SEMI F1 about .81) and reasons",
        "Emotion-LLaMA #31, #69",
    ),
    KnownFile(
        "checkpoint_best.pth",
        r"checkpoint_best\.pth",
        "weights",
        _can("classify"),
        "classification of MER2023 only (F1 .9036); tuned on labels until reasons were forgotten",
        "Emotion-LLaMA #127",
    ),
    KnownFile(
        "MER2024-best.pth",
        r"MER2024[-_]best\.pth",
        "weights",
        _can("classify"),
        "classification of MER2024-NOISE only (F1 .8458); asked for reasons it repeats the spoken line",
        "Emotion-LLaMA #37, #64",
    ),
    KnownFile(
        "minigptv2_checkpoint.pth",
        r"minigpt_?v2_checkpoint\.pth",
        "base",
        _can("start"),
        "MiniGPT-v2: start weights for training (`convert --base`); knows no emotions and no feature tokens",
        "Emotion-LLaMA #85",
    ),
    KnownFile(
        "eva_vit_g.pth",
        r"eva_vit_g\.pth",
        "eva",
        _can(),
        "EVA-CLIP ViT-g of BLIP-2: the global encoder, frozen",
        "LAVIS create_eva_vit_g",
    ),
    KnownFile(
        "mae_checkpoint-340.pth",
        r"mae_checkpoint-?340\.pth",
        "mae",
        _can(),
        "ViT-L MAE trained on MER2023's unlabelled faces, epoch 340: mae_340_UTT",
        "Emotion-LLaMA #2, #8",
    ),
    KnownFile(
        "maeVideo checkpoint-399",
        r"(maeVideo|videomae)[\w-]*399\.pth|maeV_?399\.pth",
        "videomae",
        _can(),
        "ViT-L VideoMAE trained on MER2023's unlabelled faces, epoch 399: maeV_399_UTT, the paper's features",
        "Emotion-LLaMA #5, #53",
    ),
    KnownFile(
        "maeVideo_ckp199.pth",
        r"(maeVideo|videomae)[\w-]*199\.pth|maeV_?199\.pth",
        "videomae",
        _can(),
        "the same VideoMAE at epoch 199: maeV_199_UTT; the published weights were trained on 399",
        "the published extraction script, PROTOCOLS 1.3",
    ),
    KnownFile(
        "chinese-hubert-large",
        r"chinese-hubert-large",
        "hubert",
        _can(),
        "TencentGameMate's HuBERT-large: the audio encoder of HL-UTT",
        "Emotion-LLaMA #2, #107",
    ),
    KnownFile(
        "Llama-2-7b-chat-hf",
        r"Llama-2-7b-chat(-hf)?",
        "llama",
        _can(),
        "the language model that LoRA was trained on; other LLaMAs of the size load but answer differently",
        "UPSTREAM 1.3 E",
    ),
)


@dataclass(frozen=True)
class WeightsCard:
    """What a converted folder records of its trained part.

    Attributes:
        file_name: the published file it was made from.
        abilities: of that file; None when its name is not a published one.
    """

    file_name: str
    abilities: frozenset[Ability] | None


def known_file(path: str | PurePath) -> KnownFile | None:
    """The published file of this name, or None."""
    name = PurePath(path).name
    return next((known for known in KNOWN_FILES if known.names(name)), None)


def card_of(path: str | PurePath, abilities: Iterable[Ability] | None = None) -> WeightsCard:
    """The card of a trained part, by its name unless its abilities are given."""
    known = known_file(path)
    if abilities is None and known is not None:
        abilities = known.abilities
    return WeightsCard(PurePath(path).name, None if abilities is None else frozenset(abilities))


def warn_if_classifier(task: str, card: WeightsCard | None) -> str | None:
    """One line for the user when weights that can only classify are asked to reason; None when all is well.

    Args:
        task: the task of the prompt ("emotion", "reason", ...).
        card: what `inspect.read_card` found; None or unknown abilities give no warning.
    """
    if card is None or card.abilities is None or task not in _REASONING_TASKS:
        return None
    if "reason" in card.abilities:
        return None
    can = "was tuned for classification only" if "classify" in card.abilities else "holds start weights for training"
    return (
        f"{card.file_name} {can}, so an answer to task {task!r} will not be a reason; "
        "ask for task 'emotion', or convert Emoation_LLaMA.pth"
    )
