"""The verb `download`: published weights fetched, converted and chosen."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from emotion_llama.cli.common import complain
from emotion_llama.cli.options import Verbs, add_verb
from emotion_llama.cli.use import use
from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints.published import PUBLISHED, Published
from emotion_llama.predictors.chosen import user_folder


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs, "download", run, "fetch published weights, convert them and use them",
        "Fetch the parts of a published model, resumed and checked, convert them into one\n"
        "folder, and let it answer where no model is named. The only verb that fetches.",
        "examples:\n  emotion-llama download --list\n  emotion-llama download whisper-small\n"
        "  emotion-llama download emotion-llama-7b --from ~/Downloads && emotion-llama analyze talk.mp4",
    )  # fmt: skip
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help=", ".join(PUBLISHED))
    add("--list", action="store_true", help="what can be fetched: size, terms, and what it can do")
    add(
        "--from",
        type=Path,
        dest="own",
        metavar="DIR",
        help="parts that were fetched by hand, told apart by their tensors",
    )
    add("--accept-licence", action="store_true", help="accept the terms that are shown, for scripts")


def run(args: argparse.Namespace) -> int:
    """Fetch and say where it is."""
    if args.list or args.name is None:
        sys.stdout.write("\n".join(_listed(name, one) for name, one in PUBLISHED.items()) + "\n")
        return 0
    if args.name not in PUBLISHED:
        raise InputError(f"nothing published is called {args.name!r} (there are: {', '.join(PUBLISHED)})")
    published, made = PUBLISHED[args.name], user_folder("data") / "models" / args.name
    is_speech = set(published.parts) == {"asr"}
    if not made.exists():
        _accept(args.name, published, accepted=args.accept_licence)
        _fetch(args, published, made)
    if is_speech:
        sys.stdout.write(f"{made}\nemotion-llama analyze talk.mp4 --asr {args.name}\n")
    else:
        use(str(made))
    return 0


def _listed(name: str, published: Published) -> str:
    lines = [f"{name}: {published.can}"]
    for part in published.parts.values():
        size = f"{part.gigabytes:g} GB" if part.gigabytes else "size not stated"
        by_hand = "; by hand, then --from DIR" if part.by_hand else ""
        lines.append(f"  {part.title}, {size}{by_hand}: {part.terms}")
    return "\n".join(lines)


def _accept(name: str, published: Published, *, accepted: bool) -> None:
    sys.stderr.write(_listed(name, published) + "\n")
    if accepted:
        return
    if not sys.stdin.isatty():
        raise InputError("the terms above have to be accepted: add --accept-licence")
    sys.stderr.write("Do you accept these terms? Type yes: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() != "yes":
        raise InputError("the terms were not accepted; nothing was fetched")


def _fetch(args: argparse.Namespace, published: Published, made: Path) -> None:
    from emotion_llama.models.checkpoints.download import gather

    if sys.stderr.isatty():
        os.environ.pop("TQDM_DISABLE", None)  # its bars say how far a file is
    found = gather(published, user_folder("data") / "downloads", args.own, complain)
    made.parent.mkdir(parents=True, exist_ok=True)
    if "asr" in found:
        found["asr"].rename(made)
        return
    from emotion_llama.models.checkpoints.convert import convert
    from emotion_llama.models.checkpoints.keys import TITLES

    convert(
        {role: found[role] for role in TITLES if role in found}, made, progress=lambda line: complain(f"{line} ...")
    )
    complain(f"the parts in {user_folder('data') / 'downloads'} may be deleted now")
