"""The published files: how each is recognised by its name, what it can do, where it is, how large, on which terms.

Places are as stored copies of public pages showed in November 2026; nothing here was fetched by us. A revision is
pinned where the pages name one; of everything else the hashes are recorded at the first success (`download`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

Role = Literal["weights", "base", "eva", "mae", "videomae", "hubert", "llama"]  # the options of `convert`
Ability = Literal["classify", "reason", "start"]
# Tasks of `emotion_llama.prompts` that ask for more than a label.
_REASONING_TASKS = ("reason", "reason_v2", "visual", "audio")

_DRIVE = "https://drive.google.com"
_LLAMA_2 = "Llama 2 Community License (https://ai.meta.com/llama/license/)"
_MER = (
    "no terms shown; trained on MER data, whose EULA allows scientific, non-commercial use only "
    "(https://huggingface.co/MERChallenge)"
)


@dataclass(frozen=True)
class Part:
    """One published file or folder.

    Attributes:
        title: what it is.
        gigabytes: size, about; 0 where the pages state none.
        terms: licence and gate, as far as they are shown.
        files: patterns of the files that are needed, or the one file.
        hub: "model" or "space" and the repository, for what the Hugging Face hub has.
        revision: the commit that is taken; "main" where no page names one.
        url: for what a plain server has; for what a browser has to fetch, the page (`by_hand`).
        role: the option of `convert` that takes it; None for speech recognition.
        pattern: regular expression over the whole name of a file or folder, ignoring case.
        facts: one line on where it comes from and what it does.
        source: where that is written: a thread of the Emotion-LLaMA repository (#N), or a publication.
        abilities: "classify" and "reason" of trained parts, "start": weights to begin training from; none for parts
            that are the same in every model.
    """

    title: str
    gigabytes: float
    terms: str
    files: tuple[str, ...]
    hub: tuple[Literal["model", "space"], str] | None = None
    revision: str = "main"
    url: str = ""
    by_hand: bool = False
    role: Role | None = None
    pattern: str = ""
    facts: str = ""
    source: str = ""
    abilities: tuple[Ability, ...] = ()

    @property
    def name(self) -> str:
        """As published: of the file, or of the repository that is one model."""
        return self.files[0] if self.hub is None or self.hub[0] == "space" else self.hub[1].rpartition("/")[2]


@dataclass(frozen=True)
class Published:
    """A model that can be fetched: its parts by the options of `convert`, or "asr" alone."""

    can: str
    parts: dict[str, Part]


_DEMO = Part(
    # The published spelling; two others are about.
    "trained part of the demo", 0.92, _MER, ("Emoation_LLaMA.pth",), ("space", "ZebangCheng/Emotion-LLaMA"),
    role="weights", pattern=r"(Emoation|Emotion)[_-]?LLaMA\.pth", abilities=("classify", "reason"),
    facts="the demo's weights: labels (MER2023-SEMI F1 about .81) and reasons", source="Emotion-LLaMA #31, #69",
)  # fmt: skip
_MER2023 = Part(
    "trained part for MER2023", 0, _MER, ("checkpoint_best.pth",),
    url=f"{_DRIVE}/file/d/1NoPZDj5_392zBtVK1IHO8bepA4910iI_", by_hand=True,
    role="weights", pattern=r"checkpoint_best\.pth", abilities=("classify",),
    facts="classification of MER2023 only (F1 .9036); tuned on labels until reasons were forgotten",
    source="Emotion-LLaMA #127",
)  # fmt: skip
_BASE = (
    Part(
        "LLaMA-2 7B chat", 13.5, _LLAMA_2, ("*.json", "*.safetensors", "tokenizer.model"),
        ("model", "NousResearch/Llama-2-7b-chat-hf"), "351844e75ed0bcbbe3f10671b3c808d2b83894ee",
        role="llama", pattern=r"Llama-2-7b-chat(-hf)?", source="UPSTREAM 1.3 E",
        facts="the language model that LoRA was trained on; other LLaMAs of the size load but answer differently",
    ),
    Part(
        "EVA ViT-g", 2.03, "no terms shown", ("eva_vit_g.pth",),
        url="https://storage.googleapis.com/sfr-vision-language-research/LAVIS/models/BLIP2/eva_vit_g.pth",
        role="eva", pattern=r"eva_vit_g\.pth", source="LAVIS create_eva_vit_g",
        facts="EVA-CLIP ViT-g of BLIP-2: the global encoder, frozen",
    ),
    Part(
        "MAE face encoder, epoch 340", 0, "no terms shown", ("mae_checkpoint-340.pth",),
        url=f"{_DRIVE}/drive/folders/1d-Sg5fAskt2s6OOEUNXFaM2u-C055Whj", by_hand=True,
        role="mae", pattern=r"mae_checkpoint-?340\.pth", source="Emotion-LLaMA #2, #8",
        facts="ViT-L MAE trained on MER2023's unlabelled faces, epoch 340: mae_340_UTT",
    ),
    Part(
        "VideoMAE motion encoder, epoch 399", 0, "no terms shown", ("maeVideo checkpoint-399",),
        url=f"{_DRIVE}/drive/folders/1d-Sg5fAskt2s6OOEUNXFaM2u-C055Whj", by_hand=True,
        role="videomae", pattern=r"(maeVideo|videomae)[\w-]*399\.pth|maeV_?399\.pth", source="Emotion-LLaMA #5, #53",
        facts="ViT-L VideoMAE trained on MER2023's unlabelled faces, epoch 399: maeV_399_UTT, the paper's features",
    ),
    Part(
        "Chinese HuBERT large", 1.26, "MIT", ("*.json", "pytorch_model.bin"),
        ("model", "TencentGameMate/chinese-hubert-large"),
        role="hubert", pattern=r"chinese-hubert-large", source="Emotion-LLaMA #2, #107",
        facts="TencentGameMate's HuBERT-large: the audio encoder of HL-UTT",
    ),
)  # fmt: skip
# Known by their names; no model that can be fetched is made of them.
_OTHERS = (
    Part(
        "trained part for MER2024", 0, _MER, ("MER2024-best.pth",),
        role="weights", pattern=r"MER2024[-_]best\.pth", abilities=("classify",), source="Emotion-LLaMA #37, #64",
        facts="classification of MER2024-NOISE only (F1 .8458); asked for reasons it repeats the spoken line",
    ),
    Part(
        "MiniGPT-v2", 0, "", ("minigptv2_checkpoint.pth",),
        role="base", pattern=r"minigpt_?v2_checkpoint\.pth", abilities=("start",), source="Emotion-LLaMA #85",
        facts="MiniGPT-v2: start weights for training (`convert --base`); knows no emotions and no feature tokens",
    ),
    Part(
        "VideoMAE motion encoder, epoch 199", 0, "no terms shown", ("maeVideo_ckp199.pth",),
        role="videomae", pattern=r"(maeVideo|videomae)[\w-]*199\.pth|maeV_?199\.pth",
        facts="the same VideoMAE at epoch 199: maeV_199_UTT; the published weights were trained on 399",
        source="the published extraction script, PROTOCOLS 1.3",
    ),
)  # fmt: skip
KNOWN_FILES = (_DEMO, _MER2023, *_BASE, *_OTHERS)


def _model(can: str, weights: Part) -> Published:
    return Published(can, {str(part.role): part for part in (*_BASE, weights)})


def _whisper(size: str, gigabytes: float) -> Published:
    repository = f"Systran/faster-whisper-{size}"
    files = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*", "preprocessor_config.json")
    part = Part(f"Whisper {size} for CTranslate2", gigabytes, "MIT", files, ("model", repository))
    return Published("recognise speech (--asr), about 100 languages", {"asr": part})


PUBLISHED: dict[str, Published] = {
    "emotion-llama-7b": _model("name the emotion and give reasons", _DEMO),
    "emotion-llama-7b-mer2023": _model("name the emotion, no reasons", _MER2023),
    "whisper-tiny": _whisper("tiny", 0.08),
    "whisper-base": _whisper("base", 0.15),
    "whisper-small": _whisper("small", 0.49),
    "whisper-medium": _whisper("medium", 1.53),
    "whisper-large-v3": _whisper("large-v3", 3.09),
}


def known_file(path: str | PurePath) -> Part | None:
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
