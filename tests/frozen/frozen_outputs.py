"""What the program gives for committed clips, by its outermost doors alone, so that the checks outlive moved files.

The doors are the command line, the server that it starts, and the package's public names. Each producer makes some
documents in a work folder that all share; `plain` takes out of them what differs from run to run.
"""

import contextlib
import csv
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import emotion_llama

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
RENDERED = ROOT / "examples" / "synth"
OUTPUTS = Path(__file__).parent / "outputs"

# Texts that a later change may reword: of these it is compared only whether there is one.
PROSE_FIELDS = {"reasoning", "raw_text", "explanation", "warnings", "why", "why_main", "description", "summary"}
# Values that differ from run to run, with the version, or with the machine.
VOLATILE_FIELDS = re.compile(
    "versions|generator|machine|time|seconds|seconds_by_stage|bytes|created|(created|expires|made)_at|"
    "host|pid|plan|process_start|heartbeat|"
    "(eval|train)_(runtime|(samples|steps)_per_second)"
)
RELATIVE, ABSOLUTE = 1e-4, 1e-6

ROWS = {row["name"]: row for row in csv.DictReader((RENDERED / "manifest.csv").read_text().splitlines())}
# Happy, angry, fear, worried, doubt, surprise. train-00006 has no words, validation-00002 neither sound nor words; in
# train-00001 and test-00002 the face says something else than the voice.
CLIPS = ("train-00001", "train-00006", "train-00010", "test-00002", "validation-00002", "validation-00005")
TRAINED_ON = ("train-00000", "train-00001", "train-00002", "train-00003", "train-00007", "train-00009")
VALIDATED_ON = ("validation-00001", "validation-00004", "validation-00005")
TRAIN_RECIPE = """
model: {start: model, dtype: float32, lora: {rank: 4, alpha: 16, dropout: 0.0}}
data: {train: [train.jsonl], validation: [validation.jsonl], features: features}
optim: {learning_rate: 5.0e-3, min_lr: 1.0e-4, warmup_start_lr: 1.0e-4, warmup_steps: 3}
run: {epochs: 2, steps_per_epoch: 4, batch_size: 3, log_every: 1, loss: tokens}
"""
CONVERT = """--llama llama --eva eva_vit_g.pth --mae mae_checkpoint-340.pth --videomae videomae_checkpoint-399.pth
--hubert hubert --weights Emotion_LLaMA.pth --eva-heads 4 --mae-heads 4 --videomae-heads 4 --image-size 56
--videomae-image-size 32"""
VERBS = (
    "analyze;serve;merr build;merr status;merr stats;merr show;merr validate;merr export;merr import;features;encode;"
    "train;eval run;eval ls;eval report;eval noise;compare;convert;export;export-results;download;use;doctor"
)


def command(*args: object) -> str:
    """What `emotion-llama ARGS` prints; it has to end well."""
    from emotion_llama.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as stopped:  # --help
            code = stopped.code
    assert not code, f"{' '.join(map(str, args))}\n{err.getvalue()}"
    return out.getvalue()


@contextlib.contextmanager
def server(work: Path, *args: object) -> Any:
    """A client of `emotion-llama serve ARGS`."""
    import httpx2

    line = [sys.executable, "-m", "emotion_llama", "serve", "--port=0", "--workers=1", "--no-token", *map(str, args)]
    log = work / "serve.log"
    with log.open("w") as file, subprocess.Popen(line, stdout=subprocess.PIPE, stderr=file, text=True) as process:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert address, log.read_text()
            with httpx2.Client(base_url=address[0], timeout=60.0, trust_env=False) as client:
                yield client
        finally:
            process.send_signal(signal.SIGTERM)


def surface(work: Path) -> dict[str, Any]:
    """The public names, and the options of every verb."""
    usage = {verb: command(*verb.split(), "--help").split("\n\n")[0] for verb in VERBS.split(";")}
    options = {verb: sorted(set(re.findall(r"(?<![a-z])-[a-z-]+", text))) for verb, text in usage.items()}
    return {"surface": {"names": sorted(emotion_llama.__all__), "options": options}}


def analyses(work: Path, model: str, *options: str) -> dict[str, Any]:
    """The documents of a photographed face and of six rendered clips, with their words beside them."""
    folder = work / "six"
    folder.mkdir(exist_ok=True)
    for name in CLIPS:
        shutil.copyfile(RENDERED / ROWS[name]["path"], folder / f"{name}.mp4")
        if words := ROWS[name]["subtitle"]:
            (folder / f"{name}.srt").write_text(f"1\n00:00:00,200 --> 00:00:04,800\n{words}\n")
    common = ("--model", model, *options, "--no-curves", "--quiet", "--json")
    command("analyze", ROOT / "examples" / "clips" / "astronaut.mp4", *common, work / "one.json")
    command("analyze", folder, *common, work / "six.jsonl")
    six = sorted(content(work / "six.jsonl"), key=lambda document: document["clip"]["path"])
    return {f"analyze_{model}": [content(work / "one.json"), *six]}


def merr_build(work: Path) -> Path:
    """A data set of the six clips with all that their manifest says, by rules; made once in a work folder."""
    if not (work / "built").exists():
        rows = [{**ROWS[name], "path": str(RENDERED / ROWS[name]["path"])} for name in CLIPS]
        lines = [json.dumps({key: value for key, value in row.items() if value}) for row in rows]
        (work / "six_rows.jsonl").write_text("\n".join(lines) + "\n")
        choices = ("languages=[en,zh]", "pseudo_label.mode=rules")
        command("merr", "build", work / "six_rows.jsonl", *choices, "--out", work / "built", "--workers", 1, "-q")
    return work / "built"


def merr(work: Path) -> dict[str, Any]:
    """The build in its four formats, and what `status`, `stats` and `validate` say of it."""
    build, found = merr_build(work), {}
    for kind in ("merr", "parquet", "sharegpt", "csv"):
        folder = work / "export" / kind
        command("merr", "export", build, "--format", kind, "--to", folder, "--quiet")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        found[f"merr_{kind}"] = {path.relative_to(folder).as_posix(): content(path) for path in files}
    told = {verb: json.loads(command("merr", verb, build, "--json")) for verb in ("status", "stats", "validate")}
    return {**found, "merr_told": told}


def evaluation(work: Path) -> dict[str, Any]:
    """Two runs, by the rules and by a file of predictions with gaps, and reports of both."""
    wrong = ("The person is sad.", "", "I cannot say.", "neutral", "sad or angry")
    labels = {name: row["label"] for name, row in ROWS.items()}
    answers = {name: label if i % 3 else wrong[i // 3 % 5] for i, (name, label) in enumerate(labels.items())}
    for file, column, values in (("clips", "label", labels), ("answers", "answer", answers)):
        rows = [f"name,{column}", *(f"{name},{value}" for name, value in values.items())]
        (work / f"{file}.csv").write_text("\n".join(rows) + "\n")
    runs, few = work / "runs", ("--resamples", 20)
    by_rules = ("merr-synth", "--data", RENDERED, "--model", "rules", "--limit", 3, "--parser", "upstream,likelihood")
    by_file = ("csv", "--data", work / "clips.csv", "--model", work / "answers.csv")
    printed = {
        "rules": command("eval", *by_rules, "--out", runs / "rules", *few),
        "answers": command("eval", *by_file, "--out", runs / "answers", *few),
        "report": command("eval", "report", runs, *few),
        "ls": command("eval", "ls"),
    }
    command("eval", "report", runs, "--markdown", work / "r.md", "--latex", work / "r.tex", *few)
    files = {f"{path.parent.name}/{path.name}": content(path) for path in sorted(runs.glob("*/[a-z]*"))}
    reports = {name: text.splitlines() for name, text in printed.items()}
    return {"eval_runs": files, "eval_reports": {**reports, **{n: content(work / n) for n in ("r.md", "r.tex")}}}


def training(work: Path) -> dict[str, Any]:
    """The toy model of the golden vectors: published files to a model, clips to features, and a short run on them."""
    parts = (GOLDEN / word if (GOLDEN / word).exists() else word for word in CONVERT.split())
    command("convert", *parts, "--out", work / "model")
    clips = [RENDERED / ROWS[name]["path"] for name in TRAINED_ON + VALIDATED_ON]
    features = work / "features"
    command("features", *clips, "--max-fps=2", "--model", work / "model", "--out", features, "--device=cpu", "-q")
    for split, names in (("train", TRAINED_ON), ("validation", VALIDATED_ON)):
        examples = [{name: ROWS[clip][name] for name in ("name", "label", "subtitle")} for clip in names]
        lines = [json.dumps({**row, "description": f"The face looks {row['label']}."}) for row in examples]
        (work / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    (work / "recipe.yaml").write_text(TRAIN_RECIPE)
    command("train", work / "recipe.yaml", "--out", work / "run", "--quiet")
    found = [*sorted(features.glob(f"*/{TRAINED_ON[0]}.npy")), features / "features.jsonl", features / "recipe.json"]
    return {"train": {str(path.relative_to(work)): content(path) for path in (*found, work / "run" / "run_card.json")}}


def http(work: Path) -> dict[str, Any]:
    """The API's own description, and answers of the server, with a build to be reviewed."""
    with server(work, "--model=nano", "--model=rules", "--device=cpu", "--review", merr_build(work)) as client:

        def chat(question: str) -> Any:
            parts = [{"type": "file", "file": {"file_id": kept["id"]}}, {"type": "text", "text": question}]
            return client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": parts}]}).json()

        clip = {"file": (f"{CLIPS[2]}.mp4", (RENDERED / ROWS[CLIPS[2]]["path"]).read_bytes())}
        fields = {"model": "rules", "subtitle": "Get down!", "people": "all", "curves": "false"}
        kept = client.post("/v1/files", files=clip, data={"purpose": "user_data"}).json()
        answers = {
            "file": kept,
            "chat": [chat("[emotion]"), chat("[reason]")],
            "refused": client.post("/v1/chat/completions", json={"messages": []}).json(),
            "analyze": client.post("/v1/analyze", files=clip, data=fields).json(),
        }
        pages = ("models", "jobs/none", "review", "review/samples", f"review/sample?clip_id={CLIPS[0]}")
        answers |= {page: client.get(f"/v1/{page}").json() for page in pages}
        return {"openapi": client.get("/openapi.json").json(), "http_answers": answers}


PRODUCERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "surface": surface,
    "analyze_rules": lambda work: analyses(work, "rules"),
    "analyze_nano": lambda work: analyses(work, "nano", "--device=cpu"),
    "merr": merr,
    "eval": evaluation,
    "train": training,
    "http": http,
}


def produced(name: str, work: Path) -> dict[str, Any]:
    """The documents of one producer, by the names of their files, without what is volatile."""
    return {file: plain(document, work) for file, document in PRODUCERS[name](work).items()}


def content(path: Path) -> Any:
    """A file as a document: tables as rows, text as lines."""
    if path.suffix == ".parquet":
        from pyarrow import parquet

        table = parquet.read_table(path)
        return {"schema": str(table.schema.remove_metadata()).splitlines(), "rows": table.to_pylist()}
    if path.suffix == ".npy":
        import numpy

        return numpy.load(path).tolist()
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    if path.suffix == ".csv":
        columns, *rows = csv.reader(io.StringIO(text))
        return {"columns": columns, "rows": [dict(zip(columns, map(_cell, row))) for row in rows]}
    return text.splitlines()


def _cell(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def plain(value: Any, work: Path, key: str = "") -> Any:
    """The document without what differs from run to run, its numbers to seven digits."""
    if VOLATILE_FIELDS.fullmatch(key):
        return "(volatile)"
    if isinstance(value, dict):
        return {name: plain(part, work, name) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part, work) for part in value]
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if not isinstance(value, str):
        return value
    text = value.replace(str(work), "(work)").replace(str(ROOT), "(repository)")
    text = re.sub(rf"(?<![\d.]){re.escape(emotion_llama.__version__)}(?![\d.])", "(version)", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(Z|[+-]\d\d:\d\d)?", "(time)", text)
    # Of compressed tables: it changes with the last bit of any number in them.
    text = re.sub(r"(download_size: |\| (?:train|validation|test) \| \d+ \| )[\d,]+", r"\1(bytes)", text)
    return re.sub(r"(?<![0-9A-Za-z])[0-9a-f]{16,}(?![0-9A-Za-z])", "(hash)", text)


def differences(stored: Any, fresh: Any, place: str = "$", key: str = "") -> list[str]:
    """Where two documents differ, by JSON path; numbers may by a ten thousandth, prose in its words."""
    if key in PROSE_FIELDS and not isinstance(stored, dict):
        same = bool(stored) == bool(fresh)
    elif isinstance(stored, dict) and isinstance(fresh, dict):
        found = [f"{place}.{name}: was not there" for name in fresh if name not in stored]
        found += [f"{place}.{name}: is gone" for name in stored if name not in fresh]
        shared = [name for name in stored if name in fresh]
        return sum((differences(stored[name], fresh[name], f"{place}.{name}", name) for name in shared), found)
    elif isinstance(stored, list) and isinstance(fresh, list):
        found = [] if len(stored) == len(fresh) else [f"{place}: {len(stored)} parts were stored, now {len(fresh)}"]
        return sum((differences(a, b, f"{place}[{i}]") for i, (a, b) in enumerate(zip(stored, fresh))), found)
    elif {type(stored), type(fresh)} <= {int, float}:
        same = math.isclose(stored, fresh, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    else:
        same = type(stored) is type(fresh) and stored == fresh
    return [] if same else [f"{place}: {stored!r} was stored, now {fresh!r}"]
