"""The verb `compare`: one clip, several models, their answers and reasons side by side."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from emotion_llama.cli.common import begin_file, check_model, shown, style_of
from emotion_llama.cli.options import Verbs, add_shared, add_verb, key_values, names_in
from emotion_llama.errors import InputError

EXAMPLES = """examples:
  emotion-llama compare talk.mp4 --models rules,emotion-llama-7b/
  emotion-llama compare talk.mp4 --html talk.html \\
      --models rules,emotion-llama-7b/,openai:qwen2.5-vl@http://localhost:8000/v1 \\
      --option modalities=[text,image]

Models are named as in 'emotion-llama eval'. The page contains images of faces:
share with care."""
MAX_FRAMES = 4


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs, "compare", run, "one clip, several models, their answers and reasons side by side",
        "Ask several models for the label of one clip and for their reasons.", EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add("clip", type=Path, metavar="CLIP", help="a video or sound file")
    add("--models", required=True, type=names_in, metavar="A,B,C", help="the models, separated by commas")
    add("--subtitle", metavar="TEXT", help="what is said (default: a subtitle file beside the clip)")
    add_shared(parser, "option")
    add_shared(parser, "html")


def run(args: argparse.Namespace) -> int:
    """Compare; 0 when every model gave a label, else 1."""
    from emotion_llama.evaluation.models import load_model, model_kind
    from emotion_llama.report.compare import compare_clip, render_comparison_text, words_of

    if not args.models:
        raise InputError("--models names no model; give such as rules,emotion-llama-7b/")
    options = key_values("--option", args.option)
    of_chat = {name: options for name in args.models if model_kind(name) in ("openai", "transformers")}
    if options and not of_chat:
        raise InputError("--option is for chat models; --models names no openai:MODEL@URL and no transformers:FOLDER")
    begin_file("--html", args.html)
    words = words_of(args.clip, args.subtitle)
    with ExitStack() as closing:
        models = []
        for name in args.models:
            models.append(load_model(name, **of_chat.get(name, {})))
            closing.callback(models[-1].close)
            check_model(models[-1])
        sides = compare_clip(args.clip, models, words=words)
    if args.html is None:
        sys.stdout.write(render_comparison_text(args.clip, words, sides, **style_of(sys.stdout)))
    else:
        from emotion_llama.media.probe import probe
        from emotion_llama.predictors.chat import clip_pictures
        from emotion_llama.report.compare import render_comparison_page

        clip = probe(args.clip, warn=lambda line: None)
        pictures = () if clip.video is None else clip_pictures(clip, MAX_FRAMES, 480)
        args.html.write_text(render_comparison_page(args.clip, words, sides, pictures), encoding="utf-8")
        sys.stdout.write(f"{shown(args.html)}\n")
    return 0 if all(side.label is not None for side in sides) else 1
