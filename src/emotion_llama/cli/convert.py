"""The verb `convert`: published files in, one folder that `--model` takes out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_llama.cli.options import Verbs, add_verb

EXAMPLES = """examples:
  emotion-llama convert --llama Llama-2-7b-chat-hf --eva eva_vit_g.pth \\
      --mae mae_checkpoint-340.pth --videomae maeVideo_checkpoint-399.pth \\
      --hubert chinese-hubert-large --weights Emoation_LLaMA.pth --out emotion-llama-7b
  emotion-llama convert ... --base minigptv2_checkpoint.pth --dtype bfloat16 --merge --out DIR

'emotion-llama doctor FILE' says what a file is and what it can do."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs, "convert", run, "turn the published weight files into one model folder",
        "Turn the published weight files into one folder that --model and from_pretrained\n"
        "load. Every tensor is placed or named in a list of those left behind; anything\n"
        "missing is an error. Files are read and written tensor by tensor.",
        EXAMPLES,
    )  # fmt: skip
    files = parser.add_argument_group("files")
    for name, what in _FILES.items():
        metavar = "DIR" if name in ("llama", "hubert") else "FILE"
        files.add_argument(f"--{name}", type=Path, required=name != "base", metavar=metavar, help=what)
    files.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for the model")
    add = parser.add_argument
    add("--dtype", choices=("stored", "float32", "float16", "bfloat16"), default="stored",
        help="type to store; as it came, `export` gives it back bit for bit")  # fmt: skip
    add("--merge", action="store_true", help="add LoRA into the language model; no adapter is kept")
    add("--new-projections", type=int, metavar="SEED",
        help="initialise feature projections that no file has, to start a training"
        " (--weights minigptv2_checkpoint.pth)")  # fmt: skip
    sizes = parser.add_argument_group("sizes that the files do not state (only for encoders of unpublished sizes)")
    for name, what in _SIZES.items():
        sizes.add_argument(f"--{name}", type=int, metavar="N", help=what)
    sizes.add_argument("--lora-alpha", type=float, metavar="A", help="default: as the file says, else 16")


_FILES = {
    "llama": "Llama-2-7b-chat-hf, or another causal language model",
    "eva": "eva_vit_g.pth",
    "mae": "mae_checkpoint-340.pth",
    "videomae": "maeVideo checkpoint 399",
    "hubert": "chinese-hubert-large",
    "weights": "the trained part, such as Emoation_LLaMA.pth",
    "base": "minigptv2_checkpoint.pth; --weights replaces its tensors",
}
_SIZES = {
    "eva-heads": "attention heads of the EVA ViT",
    "eva-depth": "blocks of the EVA ViT to keep (published: 39)",
    "mae-heads": "attention heads of the MAE ViT",
    "videomae-heads": "attention heads of the VideoMAE ViT",
    "image-size": "side of the frame for EVA, pixels (default: 448)",
    "videomae-image-size": "side of the frames for VideoMAE, pixels (default: 224)",
    "videomae-frames": "frames that VideoMAE reads together, an even number (default: 16)",
}


def run(args: argparse.Namespace) -> int:
    """Convert, then say what was made."""
    from emotion_llama.models.checkpoints.convert import convert
    from emotion_llama.models.checkpoints.keys import TITLES
    from emotion_llama.models.checkpoints.sizes import ConversionOptions

    given = {name.replace("-", "_"): getattr(args, name.replace("-", "_")) for name in (*_SIZES, "lora-alpha")}
    options = ConversionOptions(
        dtype=args.dtype,
        merge=args.merge,
        new_projections=args.new_projections,
        **{name: value for name, value in given.items() if value is not None},
    )
    sources = {role: getattr(args, role) for role in TITLES if getattr(args, role) is not None}
    made = convert(sources, args.out, options, lambda line: sys.stderr.write(f"{line} ...\n"))
    lines = [
        f"{args.out}: {made.num_parameters:,} parameters and {made.num_lora_parameters:,} of LoRA",
        *(f"note: {note}" for note in made.notes),
    ]
    for role, reasons in made.ignored.items():
        lines += [f"left behind from --{role}: {len(names)} tensors: {why}" for why, names in reasons.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
