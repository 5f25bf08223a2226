"""The verb `encode`: clips in; each encoder's vectors and the projected tokens out."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from emotion_llama.cli.common import input_paths, shown
from emotion_llama.cli.options import Verbs, add_shared, add_verb
from emotion_llama.cli.progress import run_clips
from emotion_llama.errors import InputError

if TYPE_CHECKING:
    from emotion_llama.analysis.batch import Outcome

EXAMPLES = """examples:
  emotion-llama encode talk.mp4 --model emotion-llama-7b/ --out vectors/
  emotion-llama encode videos/ --model emotion-llama-7b/ --out vectors/

Each clip gets DIR/<path below the folder>.safetensors with what could be made of
vision_hidden, face_features, temporal_features, audio_features, patch_tokens,
face_token, temporal_token, audio_token and global_token; docs/features.md names
their shapes. What is missing is left out, and the file's metadata says why."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs, "encode", run, "a clip as vectors: encoder features and projected tokens",
        "Encode the main person of clips with a model's encoders and projections.", EXAMPLES,
    )  # fmt: skip
    add_shared(parser, "clips", "converted")
    add_shared(parser, "out", help="folder for the files")
    add_shared(parser, "device", "quiet")


def run(args: argparse.Namespace) -> int:
    """Encode all inputs; 0 when every one was done, else 1."""
    from emotion_llama.analysis import Embedder
    from emotion_llama.analysis.batch import collect_jobs
    from emotion_llama.analysis.features import encode_jobs

    if args.out.exists() and not args.out.is_dir():
        raise InputError(f"--out {args.out} is not a folder; give a folder for the vectors")
    jobs = collect_jobs(input_paths(args.inputs))

    def report(outcome: Outcome) -> None:
        for path in () if args.quiet else outcome.written:
            sys.stdout.write(f"wrote {shown(path)}\n")

    with Embedder(args.model, device=args.device) as embedder:
        return run_clips(
            len(jobs), lambda progress: encode_jobs(embedder, jobs, args.out, progress), report, quiet=args.quiet
        )
