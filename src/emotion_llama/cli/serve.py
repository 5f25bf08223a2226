"""The verb `serve`: a web page and an API for the same analysis as `analyze`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.cli.analyze import LABEL_SPACES, LAYOUTS
from emotion_llama.cli.options import Verbs, add_verb
from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.predictors import PREDICTORS, default_model

if TYPE_CHECKING:
    from emotion_llama.serve.settings import ServeSettings

EXAMPLES = """examples:
  emotion-llama serve --open
  emotion-llama serve --model rules --model my-model/ --data ~/emotion-data
  emotion-llama serve --host 0.0.0.0 --api-key-file keys.txt --rate 60
  emotion-llama serve --review my-merr-build/
  curl -F file=@talk.mp4 -F subtitle="How nice!" http://127.0.0.1:8000/v1/analyze

The server is for this machine alone unless --host or --allow-host says otherwise;
then every caller needs an API key. Clips are deleted at once, files within the
hour, and nothing is sent anywhere. Do not base decisions about people on it."""


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs,
        "serve",
        run,
        summary="a page in the browser, and an API",
        description="Serve a page for people and an API for programs: analysis, chat in\nOpenAI's form, and "
        "jobs for long recordings.",
        epilog=EXAMPLES,
    )
    _add_model_options(parser)
    _add_address_options(parser)
    _add_limit_options(parser)
    _add_keeping_options(parser)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--model",
        action="append",
        metavar="[NAME=]MODEL",
        help=f"{', '.join(PREDICTORS)}, or the folder of a model; may be repeated, the first is the default "
        f"(default: {', '.join(default_models())})",
    )
    add("--device", metavar="DEVICE", help="where models run: cpu, cuda, cuda:1 (default: a GPU if there is one)")
    add("--labels", choices=LABEL_SPACES, help="labels that models choose from (default: as they were trained)")
    add("--layout", choices=LAYOUTS, help="prompt layout of models (default: as they were trained)")
    add("--max-batch", type=int, default=8, metavar="N", help="requests that a model answers together (%(default)s)")
    add(
        "--max-wait-ms",
        type=float,
        default=10.0,
        metavar="MS",
        help="how long a request waits for others (%(default)g)",
    )
    add(
        "--cache-clips",
        type=int,
        default=256,
        metavar="N",
        help="clips whose features are kept for questions (%(default)s)",
    )
    add(
        "--workers",
        type=int,
        metavar="N",
        help="processes that measure clips (default: a core each, one spared, at most 4)",
    )


def _add_address_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen (default: %(default)s, this machine alone)",
    )
    add("--port", type=int, default=8000, metavar="PORT", help="0 takes a free one (default: %(default)s)")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that clients call the server by, behind a proxy; may be repeated",
    )
    add(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="https://... whose pages may call the API; may be repeated",
    )
    add(
        "--api-key-file",
        type=Path,
        metavar="FILE",
        help="API keys, one a line (also: EMOTION_LLAMA_API_KEYS, by commas)",
    )
    add("--open", action="store_true", help="open the page in the browser")


def _add_limit_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--max-upload-mib", type=float, default=200.0, metavar="MIB", help="largest file (default: %(default)g)")
    add(
        "--max-seconds",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="longest recording at once (default: %(default)g)",
    )
    add(
        "--max-job-seconds",
        type=float,
        default=7200.0,
        metavar="SECONDS",
        help="longest recording as a job (default: %(default)g)",
    )
    add(
        "--max-pixels",
        type=int,
        default=3840 * 2160,
        metavar="N",
        help="largest frame, width times height (default: %(default)s)",
    )
    add(
        "--max-queue",
        type=int,
        default=64,
        metavar="N",
        help="requests that wait; more are refused with 429 (default: %(default)s)",
    )
    add("--rate", type=int, metavar="N", help="requests a minute of one key, or address (default: no limit)")
    add(
        "--grace",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="for running work when the server is to stop (default: %(default)g)",
    )


def _add_keeping_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="where jobs and files are kept (default: a temporary folder)")
    add("--keep-uploads", action="store_true", help="keep files until they are deleted by their owner")
    add(
        "--file-minutes",
        type=float,
        default=60.0,
        metavar="MINUTES",
        help="how long a file may be asked about (default: %(default)g)",
    )
    add(
        "--job-days",
        type=float,
        default=7.0,
        metavar="DAYS",
        help="how long results of jobs are kept (default: %(default)g)",
    )
    add("--examples", type=Path, metavar="DIR", help="clips that the page offers in place of its own")
    add("--review", type=Path, metavar="DIR", help="a MERR build to be reviewed in the browser")


def run(args: argparse.Namespace) -> int:
    """Serve until stopped; 0 when that was asked for."""
    try:
        from emotion_llama.serve.start import serve
    except ImportError as error:
        raise MissingDependency(error.name or "FastAPI", "serve", "pip install 'emotion-llama[serve]'") from error

    serve(settings_of(args), lambda address: _announce(address, opens=args.open))
    return 0


def settings_of(args: argparse.Namespace) -> ServeSettings:
    """The checked settings.

    Raises:
        InputError: an option cannot be used; all of them are named.
    """
    from pydantic import ValidationError

    from emotion_llama.serve.auth import read_keys
    from emotion_llama.serve.settings import MIB, ServeSettings, default_workers

    try:
        return ServeSettings(
            models=named_models(args.model or default_models()),
            device=args.device,
            labels=args.labels,
            layout=args.layout,
            host=args.host,
            port=args.port,
            allowed_hosts=tuple(args.allow_host),
            cors_origins=tuple(args.allow_origin),
            api_keys=read_keys(args.api_key_file, os.environ.get("EMOTION_LLAMA_API_KEYS")),
            workers=default_workers() if args.workers is None else args.workers,
            max_upload_bytes=round(args.max_upload_mib * MIB),
            max_duration_seconds=args.max_seconds,
            max_job_seconds=args.max_job_seconds,
            max_pixels=args.max_pixels,
            max_queue=args.max_queue,
            rate_per_minute=args.rate,
            max_batch=args.max_batch,
            max_wait_ms=args.max_wait_ms,
            cache_clips=args.cache_clips,
            data_dir=None if args.data is None else args.data.expanduser(),
            keep_uploads=args.keep_uploads,
            file_minutes=args.file_minutes,
            job_days=args.job_days,
            examples_dir=args.examples,
            review_dir=args.review,
            grace_seconds=args.grace,
        )
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, one['loc'])) + ': ' if one['loc'] else ''}{one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise InputError("; ".join(problems)) from None


def default_models() -> list[str]:
    """The models that are served without --model: the default one, and the rules to compare it with."""
    return list(dict.fromkeys((default_model(), "rules")))


def named_models(given: list[str]) -> dict[str, str]:
    """Name -> model; without NAME= a model is called by its own name, a folder by the folder's.

    Raises:
        InputError: two models have one name.
    """
    models: dict[str, str] = {}
    for text in given:
        name, sign, model = text.partition("=")
        if not sign:
            name, model = Path(text).name if Path(text).is_dir() else text, text
        if name in models:
            raise InputError(f"two models are called {name!r}; give one another name, as --model NAME={model}")
        models[name] = model
    return models


def _announce(address: str, *, opens: bool) -> None:
    sys.stdout.write(f"Serving at {address} (stop with Ctrl+C)\n")
    sys.stdout.flush()
    if opens:
        import webbrowser

        webbrowser.open(address)
