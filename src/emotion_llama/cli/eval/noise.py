"""The sub-verb `eval noise`: noisy and blurred copies of clips, as MER2024-NOISE made its own, by a seed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_llama.cli.common import complain, input_paths, shown
from emotion_llama.cli.options import Verbs, add_shared, add_verb
from emotion_llama.cli.progress import ProgressLine


def add_parser(verbs: Verbs) -> None:
    """Add the sub-verb and its options."""
    parser = add_verb(
        verbs, "noise", run, "noisy and blurred copies of clips, as in MER2024-NOISE",
        "Mix speech of others under the sound of clips (5 to 10 dB) and blur their pictures,\n"
        "as MER2024-NOISE did; what is drawn follows from the seed and each clip's name.",
        "examples:\n  emotion-llama eval noise clips/ noisy/ --noise musan/speech/ --seed 1\n\n"
        "OUT/noise.jsonl says what was done to each clip.",
    )  # fmt: skip
    add = parser.add_argument
    add("inputs", metavar="IN", help="a folder of clips, a clip, or - for a list of paths on stdin")
    add("out", type=Path, metavar="OUT", help="a new or empty folder")
    add("--noise", type=Path, required=True, metavar="DIR", help="sound files of speech, such as MUSAN's")
    add("--seed", type=int, default=0, help="of all that is drawn")
    add("--suffix", choices=(".mp4", ".mkv"), default=".mp4",
        help=".mp4 as in the challenge, or .mkv with lossless sound")  # fmt: skip
    add_shared(parser, "quiet", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Make the copies; 0 when every clip was done, else 1."""
    from emotion_llama.analysis.batch import collect_jobs
    from emotion_llama.evaluation.noise import corrupt_clips

    clips = [job.path for job in collect_jobs(input_paths([args.inputs]))]
    with ProgressLine(len(clips), enabled=not args.quiet) as line:
        rows = corrupt_clips(
            clips, args.noise, args.out, seed=args.seed, suffix=args.suffix,
            progress=lambda done, name: line(done - 1, name, "noise", 1.0),
        )  # fmt: skip
    failed = [row for row in rows if row["problem"] is not None]
    for row in failed:
        complain(f"{row['name']}: {row['problem']}")
    sys.stdout.write(f"{len(rows) - len(failed)} done, {len(failed)} failed\n{shown(args.out)}\n")
    return 1 if failed else 0
