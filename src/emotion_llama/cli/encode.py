"""The verb `encode`: clips in; each encoder's vectors and the projected tokens out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.cli.common import ProgressLine, complain, input_paths, shown
from emotion_llama.cli.options import Verbs, add_clips, add_converted_model, add_device, add_quiet, add_verb

if TYPE_CHECKING:
    from emotion_llama.analysis import Embedder
    from emotion_llama.analysis.batch import Job, Outcome

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
        verbs,
        "encode",
        run,
        summary="a clip as vectors: encoder features and projected tokens",
        description="Encode the main person of clips with a model's encoders and projections.",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add_clips(parser)
    add_converted_model(parser)
    add("--out", required=True, type=Path, metavar="DIR", help="folder for the files")
    add_device(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Encode all inputs; 0 when every one was done, else 1."""
    from emotion_llama.analysis import Embedder
    from emotion_llama.analysis.batch import Outcome, Tally, collect_jobs
    from emotion_llama.errors import EmotionLlamaError, InputError

    if args.out.exists() and not args.out.is_dir():
        raise InputError(f"--out {args.out} is not a folder; give a folder for the vectors")
    jobs = collect_jobs(input_paths(args.inputs))
    tally = Tally()
    with (
        Embedder(args.model, device=args.device) as embedder,
        ProgressLine(len(jobs), enabled=not args.quiet) as progress,
    ):
        for position, job in enumerate(jobs):
            progress(position, job.path.name, "encoding", 0.0)
            try:
                outcome = _one(embedder, job, args)
            except (EmotionLlamaError, OSError) as error:
                text = str(error) if isinstance(error, EmotionLlamaError) else f"{job.path}: {error}"
                outcome = Outcome(job.path, "failed", error=text)
            tally.add(outcome)
            progress.clear()
            if outcome.error is not None:
                complain(outcome.error)
            for path in () if args.quiet else outcome.written:
                sys.stdout.write(f"wrote {shown(path)}\n")
    if len(jobs) > 1 and not args.quiet:
        sys.stderr.write(tally.text() + "\n")
    return 1 if tally.failed else 0


def _one(embedder: Embedder, job: Job, args: argparse.Namespace) -> Outcome:
    from emotion_llama.analysis.batch import Outcome

    target = args.out / job.relative.with_name(job.relative.name + ".safetensors")
    return Outcome(job.path, "done", written=(embedder.encode(job.path).save(target),))
