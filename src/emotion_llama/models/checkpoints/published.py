"""Where the published weights are, how large, and under which terms.

As stored copies of public pages showed in November 2026; nothing here was fetched by us. A revision is pinned where the
pages name one; of everything else the hashes are recorded at the first success (`download`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
        hub: "model" or "space" and the repository, for what the Hugging Face hub has.
        revision: the commit that is taken; "main" where no page names one.
        files: patterns of the files that are needed, or the one file.
        url: for what a plain server has; for what a browser has to fetch, the page (`by_hand`).
    """

    title: str
    gigabytes: float
    terms: str
    files: tuple[str, ...]
    hub: tuple[Literal["model", "space"], str] | None = None
    revision: str = "main"
    url: str = ""
    by_hand: bool = False


@dataclass(frozen=True)
class Published:
    """A model that can be fetched: its parts by the options of `convert`, or "asr" alone."""

    can: str
    parts: dict[str, Part]


_BASE = {
    "llama": Part(
        "LLaMA-2 7B chat", 13.5, _LLAMA_2, ("*.json", "*.safetensors", "tokenizer.model"),
        ("model", "NousResearch/Llama-2-7b-chat-hf"), "351844e75ed0bcbbe3f10671b3c808d2b83894ee",
    ),
    "eva": Part(
        "EVA ViT-g", 2.03, "no terms shown", ("eva_vit_g.pth",),
        url="https://storage.googleapis.com/sfr-vision-language-research/LAVIS/models/BLIP2/eva_vit_g.pth",
    ),
    "mae": Part(
        "MAE face encoder, epoch 340", 0, "no terms shown", ("mae_checkpoint-340.pth",),
        url=f"{_DRIVE}/drive/folders/1d-Sg5fAskt2s6OOEUNXFaM2u-C055Whj", by_hand=True,
    ),
    "videomae": Part(
        "VideoMAE motion encoder, epoch 399", 0, "no terms shown", ("maeVideo checkpoint 399 (.pth)",),
        url=f"{_DRIVE}/drive/folders/1d-Sg5fAskt2s6OOEUNXFaM2u-C055Whj", by_hand=True,
    ),
    "hubert": Part(
        "Chinese HuBERT large", 1.26, "MIT", ("*.json", "pytorch_model.bin"),
        ("model", "TencentGameMate/chinese-hubert-large"),
    ),
}  # fmt: skip
_DEMO = Part("trained part of the demo", 0.92, _MER, ("Emoation_LLaMA.pth",), ("space", "ZebangCheng/Emotion-LLaMA"))
_MER2023 = Part(
    "trained part for MER2023", 0, _MER, ("checkpoint_best.pth",),
    url=f"{_DRIVE}/file/d/1NoPZDj5_392zBtVK1IHO8bepA4910iI_", by_hand=True,
)  # fmt: skip


def _whisper(size: str, gigabytes: float) -> Published:
    repository = f"Systran/faster-whisper-{size}"
    files = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*", "preprocessor_config.json")
    part = Part(f"Whisper {size} for CTranslate2", gigabytes, "MIT", files, ("model", repository))
    return Published("recognise speech (--asr), about 100 languages", {"asr": part})


PUBLISHED: dict[str, Published] = {
    "emotion-llama-7b": Published("name the emotion and give reasons", {**_BASE, "weights": _DEMO}),
    "emotion-llama-7b-mer2023": Published("name the emotion, no reasons", {**_BASE, "weights": _MER2023}),
    "whisper-tiny": _whisper("tiny", 0.08),
    "whisper-base": _whisper("base", 0.15),
    "whisper-small": _whisper("small", 0.49),
    "whisper-medium": _whisper("medium", 1.53),
    "whisper-large-v3": _whisper("large-v3", 3.09),
}
