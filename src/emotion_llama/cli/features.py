"""The verb `features`: clips in; what the encoders make of them out, as published folders and as one store."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.cli.common import complain, input_paths
from emotion_llama.cli.options import Verbs, add_shared, add_verb, positive_number, whole_number
from emotion_llama.cli.progress import run_clips

if TYPE_CHECKING:
    from emotion_llama.analysis.batch import Outcome
    from emotion_llama.analysis.features import Sink
    from emotion_llama.analysis.inputs import CropOptions
    from emotion_llama.face.backends import MeshBackend
    from emotion_llama.models.features.extractor import FeatureExtractor

EXAMPLES = """examples:
  emotion-llama features videos/ --out features/ --model emotion-llama-7b/
  emotion-llama features videos/ --out features/ --model emotion-llama-7b/ --resume
  emotion-llama features MER2023/ --out f/ --model m/ --published MER2023-SEMI/
  emotion-llama features a.mp4 b.mp4 --out f/ --model m/ --format folders --device cuda

Written to DIR: recipe.json (how the features are made); the published folders
mae_340_UTT, maeV_399_UTT and HL-UTT with one NAME.npy a clip, and features.jsonl
(which clip each file is of, and why one is missing); the store: index.parquet
and shard-*.safetensors, with the picture for the global encoder as well. NAME is
the clip's path below the named folder, without its suffix. A clip without a face
or sound gets no file of that kind, never zeros. One DIR holds one recipe."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs, "features", run, "the encoders' features of clips, for training and research",
        "Make face, temporal and audio features of clips from raw video, the way the\npublished ones were made.",
        EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add_shared(parser, "clips")
    add_shared(parser, "out", help="folder for the features")
    add_shared(parser, "converted", help="a converted model; only its encoders are loaded")
    add("--format", choices=("folders", "store", "both"), default="both", help="what to write")
    add("--layout", choices=("MER2023", "MER2024"), default="MER2023", help="names of the folders")
    add("--frame", choices=("first", "middle", "peak"),
        help="frame for the global encoder (default: the one the model was trained with)")  # fmt: skip
    add("--audio-recipe", metavar="NAME", help="hubert-last-whole or hubert-sum4-chunks10 (default: the model's)")
    add("--published", metavar="DIR", type=Path, help="take what is in these published folders; compute only the rest")
    add_shared(parser, "resume", help="skip clips whose features exist")
    add("--batch-size", type=whole_number(1), default=32, metavar="N", help="face crops at a time")
    add_shared(parser, "device", default="cpu", help="where the encoders run: cpu, cuda, cuda:1 ...")
    add("--max-fps", type=positive_number("frames per second"), metavar="FPS", help="use fewer frames (default: all)")
    add_shared(parser, "faces", "quiet")


def run(args: argparse.Namespace) -> int:
    """Make the features of all inputs; 0 when every one was done, else 1."""
    from emotion_llama.analysis.batch import collect_jobs
    from emotion_llama.analysis.features import extract_clips, name_clips
    from emotion_llama.analysis.inputs import CropOptions
    from emotion_llama.face.backends import load_backend
    from emotion_llama.models.features.extractor import FeatureExtractor, TorchEncoders
    from emotion_llama.models.features.published_folders import PublishedFolders
    from emotion_llama.models.inputs import sound_recipe

    clips = name_clips([(job.relative, job.path) for job in collect_jobs(input_paths(args.inputs))])
    encoders = TorchEncoders.load(args.model, device=args.device)
    sound = sound_recipe(args.audio_recipe or encoders.audio_recipe)
    extractor = FeatureExtractor(encoders, sound=sound, batch_size=args.batch_size)
    options = CropOptions(args.frame or encoders.frame_policy, args.max_fps or float("inf"))
    published = None if args.published is None else PublishedFolders(args.published, size=encoders.feature_sizes)
    with ExitStack() as closing:
        sinks = _sinks(args, extractor, options, encoders.fingerprint())
        for sink in sinks:
            closing.callback(sink.close)

        @cache
        def backend() -> MeshBackend:  # the first video starts it
            return closing.enter_context(load_backend(args.faces))

        return run_clips(
            len(clips),
            lambda progress: extract_clips(
                clips, extractor, backend, options, sinks, published=published, resume=args.resume, progress=progress
            ),
            lambda outcome: _report(outcome, quiet=args.quiet),
            quiet=args.quiet,
        )


def _sinks(args: argparse.Namespace, extractor: FeatureExtractor, options: CropOptions, sha256: str) -> list[Sink]:
    from emotion_llama.analysis.features import run_recipe
    from emotion_llama.analysis.options import installed_versions
    from emotion_llama.models.features.feature_store import FeatureStore
    from emotion_llama.models.features.published_folders import FolderWriter

    about = {"model": str(args.model), "device": args.device, "versions": installed_versions()}
    published = None if args.published is None else str(args.published)
    recipe = {**run_recipe(extractor, options, sha256, about), "face_backend": args.faces, "published": published}
    sinks: list[Sink] = []
    if args.format in ("folders", "both"):
        sinks.append(FolderWriter(args.out, recipe, layout=args.layout))
    if args.format in ("store", "both"):
        sinks.append(FeatureStore(args.out, writable=True, recipe=recipe))
    return sinks


def _report(outcome: Outcome, *, quiet: bool) -> None:
    for warning in outcome.warnings:
        complain(f"{outcome.path}: {warning}")
    if quiet or outcome.error is not None:
        return
    if outcome.features is None:
        sys.stdout.write(f"{outcome.name}: already done\n")
        return
    seconds = ", ".join(f"{stage} {spent:.1f} s" for stage, spent in outcome.seconds_by_stage.items())
    sys.stdout.write(f"{outcome.name}: {outcome.features.num_faces} faces; {seconds}\n")
    for missing in outcome.features.missing:
        sys.stdout.write(f"  no {missing.what}: {missing.reason}\n")
