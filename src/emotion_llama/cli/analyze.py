"""The verb `analyze`: clips in; predictions, evidence and reports out."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_llama.cli.common import begin_file, check_model, complain, input_paths, shown, write_json
from emotion_llama.cli.options import Verbs, add_shared, add_verb, key_values, positive_number, whole_number
from emotion_llama.cli.progress import ProgressLine, run_clips
from emotion_llama.errors import InputError
from emotion_llama.exports import FORMATS, export, formats_of, names_of, read_result
from emotion_llama.files import RESULT_SUFFIX
from emotion_llama.predictors import DEFAULT_MODEL, PREDICTORS, default_model
from emotion_llama.predictors.chosen import fetched

if TYPE_CHECKING:
    from rich.console import Console

    from emotion_llama.analysis import Analyzer
    from emotion_llama.analysis.batch import Outcome, Outputs

_CLIPS_PER_PROCESS = 4  # to start a process takes as long as a short clip
VOICES = ("autocorrelation", "opensmile")
MODEL_HELP = (
    f"the predictor: {', '.join(PREDICTORS)}, the folder of a model, openai:MODEL@URL or transformers:FOLDER "
    f"(default: what `emotion-llama use` chose, else {DEFAULT_MODEL})"
)
EXAMPLES = """examples:
  emotion-llama analyze talk.mp4
  emotion-llama analyze talk.mp4 --subtitle "Are you stupid or just pretending?"
  emotion-llama analyze talk.mp4 --json - --no-curves | jq .people[0].segments
  emotion-llama analyze talk.mp4 --model openai:NAME@http://localhost:8000/v1
  emotion-llama analyze debate.mkv --people all --segment auto --html debate.html
  emotion-llama analyze videos/ --out results/ --resume --jobs 8
  find . -name '*.webm' | emotion-llama analyze - --json all.jsonl

A subtitle file beside the clip (talk.srt, talk.en.vtt), else a text track in it,
is the transcript unless another one is given. The predictor 'rules' is a baseline: documented rules over
measured cues, no learned weights, probabilities not calibrated. Do not base
decisions about people on any of it."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs, "analyze", run, "predict the emotions in clips, with the evidence",
        "Measure faces, action units, voice and transcript of clips, predict the emotion\n"
        "of each person, and report the evidence.",
        EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add_shared(parser, "clips")
    add("--json", metavar="FILE", help="write the analysis as JSON; - is stdout; several clips make JSON Lines")
    add("--html", metavar="FILE", help="write the report as one HTML file; with several clips: a folder")
    add_shared(parser, "out", required=False, help="write one JSON file for each clip into DIR")
    add_shared(parser, "resume", help="keep results beside the clips (or in --out) and skip finished clips")
    add(
        "--export",
        metavar="FORMAT[,FORMAT]",
        help="write the results in --out in other formats too: " + ", ".join(FORMATS),
    )
    add("--no-curves", dest="curves", action="store_false", help="leave frame-by-frame values out of the JSON")
    words = parser.add_mutually_exclusive_group()
    words.add_argument("--subtitle", metavar="TEXT", help="what the person says, for one clip")
    words.add_argument("--transcript", metavar="FILE", type=Path,
        help=".srt, .vtt, .ass, .txt, or .csv with name,sentence")  # fmt: skip
    words.add_argument("--subtitle-track", type=whole_number(1, "the number of a subtitle track"), metavar="N",
        help="which text track of the file holds what is said")  # fmt: skip
    words.add_argument("--asr", metavar="NAME|DIR", type=fetched,
        help="recognise speech with a fetched Whisper model (whisper-small), or one in a folder")  # fmt: skip
    add("--screen-text", action="store_true", help="read subtitles that are burnt into the pictures (with --asr: too)")
    add("--asr-language", metavar="CODE", help="what is spoken: en, zh, ... (default: the recogniser finds it)")
    add("--speakers", metavar="FILE", type=Path,
        help="who speaks when: an .rttm file, of one clip or many (default: talk.rttm beside talk.mp4)")  # fmt: skip
    add("--encoding", metavar="NAME", help="of the subtitle file, where it is not UTF-8: cp1250, gb18030, ...")
    add("--people", choices=("main", "all"), default="main", help="the main person or all")
    add("--segment", type=_segment, default="none", metavar="none|auto|SECONDS",
        help="the whole clip, cut at pauses, or fixed lengths")  # fmt: skip
    add("--model", metavar="NAME", help=MODEL_HELP)
    add("--cues", action="append", default=[], metavar="KIND=PLACE",
        help="for rules: a trained classifier as a further cue: words=DIR, voice=DIR, face=DIR|FILE.onnx")  # fmt: skip
    add_shared(parser, "option")
    add_shared(parser, "layout", help="prompt layout of a model (default: the one it was trained with)")
    add_shared(parser, "labels", help="labels that a model chooses from (default: merr9)")
    add_shared(parser, "device", "faces", "face_option")
    add("--face-model", metavar="FILE", type=Path, help="model file of the backend mediapipe_tasks")
    add("--units", metavar="FILE|BACKEND", help="action units from an OpenFace or py-feat CSV, or openface_binary")
    add("--voice", choices=VOICES, default=VOICES[0], help="voice backend")
    add("--peak", choices=("all", "label"), default="all", help="peak frame by the sum of all or the label's units")
    add("--audio-track", type=whole_number(1, "the number of a sound track"), metavar="N",
        help="which sound track of the file (default: the one marked so, unless it is silent)")  # fmt: skip
    add("--max-side", type=whole_number(64, "a number of pixels"), default=640, metavar="PIXELS",
        help="longest side of analysed frames")  # fmt: skip
    add("--max-fps", type=positive_number("frames a second"), default=30.0, metavar="FPS",
        help="most frames a second that are measured: of 50 every second, unless FPS is 50")  # fmt: skip
    add("--jobs", type=whole_number(1, "a number of processes"), metavar="N",
        help="clips at a time (default: one a core for the predictor rules, from eight clips on; else 1)")  # fmt: skip
    add("--engine", choices=("local", "ray"), default="local", help="where several clips are analysed")
    add_shared(parser, "quiet", help="no progress and no tables")


def run(args: argparse.Namespace) -> int:
    """Analyse all inputs; 0 when every one was done, else 1."""
    from emotion_llama.analysis.batch import analyze_jobs, collect_jobs
    from emotion_llama.analysis.options import Options
    from emotion_llama.report.analysis_page import analysis_page
    from emotion_llama.report.selection import choose_detailed

    formats = () if args.export is None else formats_of(args.export)
    if formats and args.out is None:
        raise InputError("--export writes beside the results: give --out DIR, too")
    jobs = collect_jobs(input_paths(args.inputs))
    if args.subtitle is not None and len(jobs) > 1:
        raise InputError(f"--subtitle is for one clip, got {len(jobs)}; use --transcript FILE.csv with name,sentence")
    if args.model is None:
        args.model = default_model()
        if args.model != DEFAULT_MODEL and not args.quiet:
            complain(f"{args.model} answers (chosen with `emotion-llama use`)")
    outputs = _outputs(args, single=len(jobs) == 1 and args.inputs != ["-"] and not Path(args.inputs[0]).is_dir())
    console, analyzer = _console(args), _analyzer(args)
    check_model(analyzer.predictor, quiet=args.quiet)
    options = Options(
        args.subtitle, args.transcript, args.asr, args.people, args.segment, args.peak, args.audio_track,
        args.subtitle_track, args.encoding, args.asr_language, screen_text=args.screen_text,
        speakers=args.speakers,
    )  # fmt: skip
    write_document = _document_writer(args.json, indent=1 if outputs.single else None)
    processes = _num_processes(args.jobs, len(jobs), args.model)

    stored: list[Path] = []

    def report(outcome: Outcome) -> None:
        write_document(outcome)
        stored.extend(path for path in outcome.written if path.name.endswith(RESULT_SUFFIX))
        if console is not None:
            _print(outcome, console, alone=len(jobs) == 1)

    asked: dict[str, Any] = {
        "outputs": outputs, "options": options, "render": analysis_page, "images": choose_detailed,
        "resume": args.resume,
    }  # fmt: skip

    def outcomes(progress: ProgressLine) -> Iterable[Outcome]:
        if processes == 1 and args.engine == "local":
            return analyze_jobs(analyzer, jobs, progress=progress, **asked)
        from emotion_llama.cli.many_clips import AnalyzeClip, analyze_many  # a quarter of a second, for many clips only

        width, encoding = (80, "utf-8") if console is None else (console.width, console.encoding)
        stage = AnalyzeClip(partial(_checked, args), width, encoding, **asked)
        return analyze_many(stage, jobs, args.engine, processes, progress)

    code = run_clips(len(jobs), outcomes, report, quiet=args.quiet)
    if formats and stored:
        results = [(name, read_result(path)) for name, path in zip(names_of(stored), stored, strict=True)]
        export(results, formats, Path(args.out), overwrite=True)  # as the results themselves are
    return code


def _num_processes(asked: int | None, num_clips: int, model: str | None) -> int:
    """How many processes a run takes: as many as asked, else one a core where a model does not fill the machine."""
    if asked is not None:
        return min(asked, num_clips)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, num_clips // _CLIPS_PER_PROCESS)) if model in (None, "rules") else 1


def _print(outcome: Outcome, console: Console, *, alone: bool) -> None:
    from emotion_llama.report import terminal

    if outcome.status == "done":
        if outcome.analysis is None:
            terminal.print_text(outcome.line, console)
        else:
            (terminal.print_analysis if alone else terminal.print_line)(outcome.analysis, console)
        lines = [f"wrote {shown(path)}" for path in outcome.written]
    elif outcome.status == "skipped":
        lines = [f"{shown(outcome.path.name)}: already done, in {', '.join(map(shown, outcome.written))}"]
    else:
        lines = []
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _analyzer(args: argparse.Namespace) -> Analyzer:
    from emotion_llama.analysis import Analyzer
    from emotion_llama.labels import label_space

    labels = None if args.labels is None else label_space(args.labels)
    cues = key_values("--cues", args.cues) or None
    if cues and (args.model or default_model()) not in ("rules", "evidence"):
        raise InputError(f"--cues is for the predictor rules, not for {args.model or default_model()}")
    given = {"layout": args.layout, "device": args.device, "label_space": labels, "cues": cues}
    chosen = {name: value for name, value in given.items() if value is not None}
    return Analyzer.load(
        args.model, predictor_options={**chosen, **key_values("--option", args.option)},
        faces=args.faces, face_model=args.face_model, face_options=key_values("--face-option", args.face_option),
        units=args.units, voice=args.voice, max_side=args.max_side, max_fps=args.max_fps,
    )  # fmt: skip


def _checked(args: argparse.Namespace) -> Analyzer:
    """The analyzer of a worker, whose chat model knows what its server takes."""
    analyzer = _analyzer(args)
    if (probe := getattr(analyzer.predictor, "probe", None)) is not None:
        probe()
    return analyzer


def _outputs(args: argparse.Namespace, *, single: bool) -> Outputs:
    from emotion_llama.analysis.batch import Outputs

    if args.html == "":
        raise InputError("--html is empty; give the name of a file, or of a folder for several clips")
    page = None if args.html is None else Path(args.html)
    if page is not None and not single and page.suffix.lower() in (".html", ".htm"):
        raise InputError(f"--html {args.html} names a file; with several clips, or a list of them, give a folder")
    return Outputs(page, args.out, args.resume and args.out is None, args.json is not None, args.curves, single)


def _console(args: argparse.Namespace) -> Console | None:
    """Where tables go: stdout, unless it carries JSON; None when nobody wants them."""
    if args.quiet or args.json == "-":
        return None
    from rich.console import Console

    # Tables are laid out for at most 80 columns, and for 80 when the output is a file or a pipe.
    console = Console()
    return Console(width=min(console.width, 80) if console.is_terminal else 80)


def _document_writer(target: str | None, *, indent: int | None) -> Callable[[Outcome], None]:
    """Writes the document of an outcome that has one to `--json`, stdout or a file that is begun anew."""
    if target not in (None, "-"):
        begin_file("--json", Path(target))

    def write(outcome: Outcome) -> None:
        document = outcome.document
        if target is None or document is None:
            return
        if isinstance(document, str):
            text = document if indent is None else json.dumps(json.loads(document), ensure_ascii=False, indent=indent)
        else:
            text = document.model_dump_json(indent=indent)
        if target == "-":
            write_json(text)
            return
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    return write


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
