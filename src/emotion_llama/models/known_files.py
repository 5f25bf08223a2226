"""The published files by name: what each can do, and the record of it in a converted folder.

Tensors do not say what weights can do: the trained parts all look alike.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

from emotion_llama.errors import InputError

Role = Literal["weights", "base", "eva", "mae", "videomae", "hubert", "llama"]

Ability = Literal["classify", "reason", "start"]
MANIFEST_NAME = "conversion.json"
FORMAT = "emotion-llama-conversion-1"
SMALL_FILE_BYTES = 1 << 20  # configuration, tokenizer, the record itself
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
        card: what `read_card` found; None or unknown abilities give no warning.
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


# --- the record in a converted folder ---------------------------------------------------------------------------------


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a small JSON file of a Hugging Face folder; its fields are checked where they are used.

    Raises:
        InputError: not readable, not JSON, or JSON that is no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InputError(f"{path}: not JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}; expected a JSON object; fetch it again")
    return content


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What a converted folder was made of, what was left behind, and the hash of every file; None without a record.

    Raises:
        InputError: a file of that name that is not such a record.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    manifest = read_json_object(path)
    if manifest.get("format") != FORMAT:
        raise InputError(f"{path}: not a record of a conversion (expected format {FORMAT!r}); convert again")
    return manifest


def read_card(folder: str | Path) -> WeightsCard | None:
    """What the weights of a converted folder can do; None for a folder that was not converted."""
    manifest = read_manifest(Path(folder))
    return None if manifest is None else card_of(manifest["weights"], manifest["abilities"])


def folder_fingerprint(folder: Path) -> str:
    """A SHA-256 that changes with a model's folder: small files by content, weights by size and time of writing."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        about = path.stat()
        is_small = about.st_size < SMALL_FILE_BYTES
        content = hashlib.sha256(path.read_bytes()).hexdigest() if is_small else str(about.st_mtime_ns)
        digest.update(f"{path.name} {about.st_size} {content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
