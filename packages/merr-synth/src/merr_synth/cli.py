"""The command `merr-synth`: render talking heads whose units, tone, words and label are known."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.cli.common import complain
from emotion_llama.cli.progress import ProgressLine
from emotion_llama.errors import EmotionLlamaError

if TYPE_CHECKING:
    from merr_synth.render.plan import ClipPlan

EXAMPLES = """examples:
  merr-synth render --n 60 --out clips60
  merr-synth render --n 900 --out set --seed 7 --workers 4 --conflict-share 0.2
  merr-synth render --n 24 --out faces --labels happy,angry --size 320x240
  merr-synth render --n 900 --out set --seed 7 --workers 4 --resume

Written to DIR: clips/, truth/ (a JSON file a clip), plans.jsonl, manifest.csv
(name, path, label, subtitle, person, source, split), transcription.csv and a
README. The same options give the same clips. docs/synth.md explains all fields."""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; building it loads nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="merr-synth",
        description="Render talking heads of invented people, with a file a clip that says what is\n"
        "true of it: label, action units of every frame, tone of voice, words.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("what", choices=("render",), help="render: draw plans and render them")
    add("--n", type=int, required=True, metavar="N", help="how many clips")
    add("--out", type=Path, required=True, metavar="DIR", help="a new folder, or one to finish with --resume")
    add("--seed", type=int, default=0, metavar="S", help="of everything (default: %(default)s)")
    add("--size", type=_size, default=(256, 256), metavar="WxH", help="pixels (default: 256x256)")
    add("--fps", type=float, default=15.0, metavar="FPS", help="frames per second (default: %(default)g)")
    add("--seconds", type=float, default=3.0, metavar="S", help="least length of a clip (default: %(default)g)")
    add("--labels", type=_names, metavar="A,B", help="of MERR's nine (default: all)")
    add(
        "--conflict-share", type=float, default=0.15, metavar="P", help="face, voice and words disagree (default: 0.15)"
    )
    add("--missing-share", type=float, default=0.1, metavar="P", help="no sound, face or words (default: 0.1)")
    add("--split-shares", type=_shares, metavar="A,B,C", help="train, validation, test (default: 0.7,0.15,0.15)")
    add(
        "--voice", choices=("own", "espeak"), default="own", help="who speaks; espeak: espeak-ng (default: %(default)s)"
    )
    add("--workers", type=int, default=1, metavar="K", help="processes (default: %(default)s)")
    add("--resume", action="store_true", help="finish an interrupted run of the same options")
    add("--quiet", "-q", action="store_true", help="no progress, no counts")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 done, 1 something failed, 2 not understood, 130 interrupted."""
    args = build_parser().parse_args(argv)
    try:
        return run(args)
    except EmotionLlamaError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        complain("interrupted")
        return 130


def entry_point() -> None:
    """What the installed script calls."""
    sys.exit(main())


def run(args: argparse.Namespace) -> int:
    """Render; 0 when every clip is there, else 1."""
    from merr_synth.render.dataset import render_dataset

    plans = planned(args)
    with ProgressLine(len(plans), enabled=not args.quiet and sys.stderr.isatty()) as progress:
        tally = render_dataset(
            plans,
            args.out,
            workers=args.workers,
            voice=args.voice,
            resume=args.resume,
            progress=lambda number, name: progress(number - 1, name, "render", 1.0),
            command=_command(args),
        )
    for failure in tally.failed:
        complain(failure)
    if not args.quiet:
        sys.stdout.write(f"{tally.text()}\n{args.out}\n")
    return 1 if tally.failed else 0


def planned(args: argparse.Namespace) -> list[ClipPlan]:
    """The plans that the options ask for."""
    from emotion_llama.errors import InputError
    from emotion_llama.labels import MERR9
    from merr_synth.render.plan import SPLIT_SHARES, draw_plans

    if args.workers < 1:
        raise InputError(f"--workers must be at least 1, got {args.workers}")
    return draw_plans(
        args.n,
        args.seed,
        split_shares=SPLIT_SHARES if args.split_shares is None else args.split_shares,
        conflict_share=args.conflict_share,
        missing_share=args.missing_share,
        labels=args.labels or MERR9.labels,
        size=args.size,
        fps=args.fps,
        seconds=args.seconds,
    )


def _command(args: argparse.Namespace) -> str:
    """The command that gives these clips again, but for where they go and how many workers make them."""
    shares = args.split_shares and ",".join(f"{share:g}" for share in args.split_shares.values())
    options = {
        "n": args.n, "seed": args.seed, "size": f"{args.size[0]}x{args.size[1]}", "fps": f"{args.fps:g}",
        "seconds": f"{args.seconds:g}", "labels": ",".join(args.labels) if args.labels else None,
        "conflict-share": f"{args.conflict_share:g}", "missing-share": f"{args.missing_share:g}",
        "split-shares": shares, "voice": args.voice,
    }  # fmt: skip
    given = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    return shlex.join(["merr-synth", "render", *given, "--out", "DIR"])


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, such as 256x256, got {text!r}")
    return int(width), int(height)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _shares(text: str) -> dict[str, float]:
    try:
        train, validation, test = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected three numbers, such as 0.7,0.15,0.15, got {text!r}") from None
    return {"train": train, "validation": validation, "test": test}


if __name__ == "__main__":
    entry_point()
