"""The verb `analyze`: clips in; predictions, evidence and reports out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.cli.common import ProgressLine, begin_file, complain, input_paths, shown, write_json
from emotion_llama.cli.options import (
    Verbs,
    add_clips,
    add_device,
    add_faces,
    add_quiet,
    add_resume,
    add_verb,
    whole_number,
)
from emotion_llama.errors import InputError
from emotion_llama.predictors import DEFAULT_MODEL, DEFAULT_WITHOUT_TORCH, PREDICTORS, default_model

if TYPE_CHECKING:
    from rich.console import Console

    from emotion_llama.analysis import Analyzer
    from emotion_llama.analysis.batch import Job, Outcome, Outputs

LAYOUTS = ("train", "released", "evidence", "demo")
LABEL_SPACES = ("merr9", "mer6", "dfew7")
MODEL_HELP = (
    f"the predictor: {', '.join(PREDICTORS)}, the folder of a model, openai:MODEL@URL or transformers:FOLDER "
    f"(default: {DEFAULT_MODEL}; {DEFAULT_WITHOUT_TORCH} without PyTorch)"
)
VOICES = ("autocorrelation", "opensmile")
EXAMPLES = """examples:
  emotion-llama analyze talk.mp4
  emotion-llama analyze talk.mp4 --subtitle "Are you stupid or just pretending?"
  emotion-llama analyze talk.mp4 --json - --no-curves | jq .people[0].segments
  emotion-llama analyze debate.mkv --people all --segment auto --html debate.html
  emotion-llama analyze videos/ --out results/ --resume
  find . -name '*.webm' | emotion-llama analyze - --json all.jsonl

A subtitle file beside the clip (talk.srt, talk.vtt) is the transcript unless
another one is given. The predictor 'rules' is a baseline: documented rules over
measured cues, no learned weights, probabilities not calibrated. Do not base
decisions about people on any of it."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs,
        "analyze",
        run,
        summary="predict the emotions in clips, with the evidence",
        description="Measure faces, action units, voice and transcript of clips, predict the emotion\n"
        "of each person, and report the evidence.",
        epilog=EXAMPLES,
    )
    add = parser.add_argument
    add_clips(parser)
    add("--json", metavar="FILE", help="write the analysis as JSON; - is stdout; several clips make JSON Lines")
    add("--html", metavar="FILE", help="write the report as one HTML file; with several clips: a folder")
    add("--out", metavar="DIR", type=Path, help="write one JSON file for each clip into DIR")
    add_resume(parser, "keep results beside the clips (or in --out) and skip finished clips")
    add("--no-curves", dest="curves", action="store_false", help="leave frame-by-frame values out of the JSON")
    transcript = parser.add_mutually_exclusive_group()
    transcript.add_argument("--subtitle", metavar="TEXT", help="what the person says, for one clip")
    transcript.add_argument(
        "--transcript", metavar="FILE", type=Path, help=".srt, .vtt, .txt, or .csv with name,sentence"
    )
    transcript.add_argument("--asr", metavar="DIR", type=Path, help="recognise speech with the Whisper model in DIR")
    add("--people", choices=("main", "all"), default="main", help="the main person or all (default: %(default)s)")
    add(
        "--segment",
        type=_segment,
        default="none",
        metavar="none|auto|SECONDS",
        help="the whole clip, cut at pauses, or fixed lengths",
    )
    add("--model", metavar="NAME", help=MODEL_HELP)
    add("--layout", choices=LAYOUTS, help="prompt layout of a model (default: the one it was trained with)")
    add("--labels", choices=LABEL_SPACES, help="labels that a model chooses from (default: merr9)")
    add_device(parser)
    add_faces(parser)
    add("--face-model", metavar="FILE", type=Path, help="model file of the backend mediapipe_tasks")
    add("--units", metavar="FILE|BACKEND", help="action units from an OpenFace or py-feat CSV, or openface_binary")
    add("--voice", choices=VOICES, default=VOICES[0], help="voice backend (default: %(default)s)")
    add("--peak", choices=("all", "label"), default="all", help="peak frame by the sum of all or the label's units")
    add(
        "--max-side",
        type=whole_number(64, "a number of pixels"),
        default=640,
        metavar="PIXELS",
        help="longest side of analysed frames (default: %(default)s)",
    )
    add_quiet(parser, "no progress and no tables")


def run(args: argparse.Namespace) -> int:
    """Analyse all inputs; 0 when every one was done, else 1."""
    from emotion_llama.analysis.batch import collect_jobs

    jobs = collect_jobs(input_paths(args.inputs))
    if args.subtitle is not None and len(jobs) > 1:
        raise InputError(f"--subtitle is for one clip, got {len(jobs)}; use --transcript FILE.csv with name,sentence")
    single = len(jobs) == 1 and args.inputs != ["-"] and not Path(args.inputs[0]).is_dir()
    outputs = _outputs(args, single=single)
    console = _console(args)
    return _run_jobs(_analyzer(args), jobs, outputs, console, args)


def _run_jobs(
    analyzer: Analyzer, jobs: list[Job], outputs: Outputs, console: Console | None, args: argparse.Namespace
) -> int:
    from emotion_llama.analysis.batch import Tally, analyze_jobs
    from emotion_llama.analysis.options import Options
    from emotion_llama.report.analysis_page import analysis_page
    from emotion_llama.report.selection import choose_detailed

    tally = Tally()
    sink = JsonSink(args.json, single=outputs.single)
    alone = len(jobs) == 1
    options = Options(args.subtitle, args.transcript, args.asr, args.people, args.segment, args.peak)
    try:
        with ProgressLine(len(jobs), enabled=not args.quiet) as progress:
            for outcome in analyze_jobs(
                analyzer,
                jobs,
                outputs,
                options,
                render=analysis_page,
                images=choose_detailed,
                resume=args.resume,
                progress=progress,
            ):
                tally.add(outcome)
                progress.clear()
                sink.add(outcome)
                _report(outcome, console, alone)
    finally:
        if not alone and not args.quiet:
            sys.stderr.write(tally.text() + "\n")
    return 1 if tally.failed else 0


def _report(outcome: Outcome, console: Console | None, alone: bool) -> None:
    if outcome.error is not None:
        complain(outcome.error)
    if console is None:
        return
    from emotion_llama.report import terminal

    if outcome.analysis is None:
        if outcome.status == "skipped":
            places = ", ".join(shown(path) for path in outcome.written)
            console.print(
                f"{shown(outcome.path.name)}: already done, in {places}",
                highlight=False, markup=False, soft_wrap=True,
            )  # fmt: skip
        return
    if alone:
        terminal.print_analysis(outcome.analysis, console)
    else:
        terminal.print_line(outcome.analysis, console)
    for path in outcome.written:
        console.print(f"wrote {shown(path)}", highlight=False, markup=False, soft_wrap=True)


def _analyzer(args: argparse.Namespace) -> Analyzer:
    from emotion_llama.analysis import Analyzer

    found = Analyzer.load(
        args.model or _default(quiet=args.quiet),
        predictor_options=_predictor_options(args),
        faces=args.faces,
        face_model=args.face_model,
        units=args.units,
        voice=args.voice,
        max_side=args.max_side,
    )
    if (host := getattr(found.predictor, "sends_to", None)) is not None:
        complain(f"pictures, sound and words of the clips leave this machine: they are sent to {host}")
    return found


def _default(*, quiet: bool) -> str:
    """The default model's name; says so where it is the one for want of PyTorch."""
    name = default_model()
    if name != DEFAULT_MODEL and not quiet:
        sys.stderr.write(
            f"Predicted by {name}: PyTorch is not installed. With pip install 'emotion-llama[model]', the model "
            f"{DEFAULT_MODEL} predicts.\n"
        )
    return name


def _predictor_options(args: argparse.Namespace) -> dict[str, object]:
    """Options of the predictor; InputError names one that it does not take."""
    from emotion_llama.labels import label_space

    options: dict[str, object] = {"layout": args.layout, "device": args.device}
    if args.labels is not None:
        options["label_space"] = label_space(args.labels)
    return {name: value for name, value in options.items() if value is not None}


def _outputs(args: argparse.Namespace, *, single: bool) -> Outputs:
    from emotion_llama.analysis.batch import Outputs

    if args.html == "":
        raise InputError("--html is empty; give the name of a file, or of a folder for several clips")
    if args.html is not None and not single and Path(args.html).suffix.lower() in (".html", ".htm"):
        raise InputError(f"--html {args.html} names a file; with several clips, or a list of them, give a folder")
    return Outputs(
        html=None if args.html is None else Path(args.html),
        documents=args.json is not None,
        out_dir=args.out,
        beside=args.resume and args.out is None,
        curves=args.curves,
        single=single,
    )


def _console(args: argparse.Namespace) -> Console | None:
    """Where tables go: stdout, unless it carries JSON; None when nobody wants them."""
    if args.quiet or args.json == "-":
        return None
    from rich.console import Console

    # Tables are laid out for at most 80 columns, and for 80 when the output is a file or a pipe.
    console = Console()
    return Console(width=min(console.width, 80) if console.is_terminal else 80)


class JsonSink:
    """`--json`: stdout or a file; one indented document for one clip, else a document a line as each is done."""

    def __init__(self, target: str | None, *, single: bool) -> None:
        self._target = target
        self._indent = 1 if single else None
        if target is not None and target != "-":
            begin_file("--json", Path(target))

    def add(self, outcome: Outcome) -> None:
        """Write the outcome's document, if it has one."""
        document = outcome.document
        if self._target is None or document is None:
            return
        if not isinstance(document, str):
            text = document.model_dump_json(indent=self._indent)
        else:
            text = json.dumps(json.loads(document), ensure_ascii=False, indent=self._indent)
        if self._target == "-":
            write_json(text)
            return
        with Path(self._target).open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def _segment(text: str) -> str | float:
    if text in ("none", "auto"):
        return text
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.5 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected none, auto or seconds of at least 0.5, got {text!r}")
    return seconds
