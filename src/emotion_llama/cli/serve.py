"""The verb `serve`: a web page and an API for the same analysis as `analyze`."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_llama.cli.common import check_model
from emotion_llama.cli.options import Verbs, add_shared, add_verb, key_values
from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.predictors import DEFAULT_MODEL, PREDICTORS, can_run_models, default_model
from emotion_llama.predictors.chosen import fetched

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


# Option, setting, default, what it is called, and what it is for.
_NUMBERS: Mapping[str, tuple[tuple[str, str, float | None, str, str], ...]] = {
    "models": (
        ("--max-batch", "max_batch", 8, "N", "requests that a model answers together"),
        ("--max-wait-ms", "max_wait_ms", 10.0, "MS", "how long a request waits for others"),
        ("--cache-clips", "cache_clips", 256, "N", "clips whose features are kept for questions"),
        ("--workers", "workers", None, "N", "processes that measure clips (default: one a core, one spared, up to 4)"),
    ),
    "limits": (
        ("--max-upload-mib", "max_upload_mib", 200.0, "MIB", "largest file"),
        ("--max-seconds", "max_duration_seconds", 600.0, "SECONDS", "longest recording at once"),
        ("--max-job-seconds", "max_job_seconds", 7200.0, "SECONDS", "longest recording as a job"),
        ("--max-pixels", "max_pixels", 3840 * 2160, "N", "largest frame, width times height"),
        ("--max-queue", "max_queue", 64, "N", "requests that wait; more are refused with 429"),
        ("--rate", "rate_per_minute", None, "N", "requests a minute of one key, or address (default: no limit)"),
        ("--grace", "grace_seconds", 20.0, "SECONDS", "for running work when the server is to stop"),
    ),
    "keeping": (
        ("--file-minutes", "file_minutes", 60.0, "MINUTES", "how long a file may be asked about"),
        ("--job-days", "job_days", 7.0, "DAYS", "how long results of jobs are kept"),
    ),
}  # fmt: skip
# Settings that take an option as it is given.
_SETTINGS = (
    "device", "labels", "layout", "asr", "host", "port", "keep_uploads", "examples_dir", "review_dir",
    *(setting for group in _NUMBERS.values() for _, setting, *_ in group if setting != "max_upload_mib"),
)  # fmt: skip


def add_parser(verbs: Verbs) -> None:
    """Add the verb and its options."""
    parser = add_verb(
        verbs, "serve", run, "a page in the browser, and an API",
        "Serve a page for people and an API for programs: analysis, chat in\nOpenAI's form, and "
        "jobs for long recordings.",
        EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add("--model", action="append", metavar="[NAME=]MODEL",
        help=f"{', '.join(PREDICTORS)}, the folder of a model, openai:MODEL@URL or transformers:FOLDER; may be "
        "repeated, the first is the default (default: what "
        "`emotion-llama use` chose, rules, and nano where it can run)")  # fmt: skip
    add_shared(parser, "device")
    add_shared(parser, "labels", help="labels that models choose from (default: as they were trained)")
    add_shared(parser, "option")
    add_shared(parser, "layout", help="prompt layout of models (default: as they were trained)")
    add(
        "--asr",
        type=fetched,
        metavar="NAME|DIR",
        help="recognise speech where no words are given, with a fetched Whisper model (whisper-small) or a folder's",
    )
    _add_numbers(parser, "models")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen; the default is this machine alone")
    add("--port", type=int, default=8000, metavar="PORT", help="0 takes a free one")
    add("--allow-host", action="append", default=[], metavar="NAME",
        help="a name that clients call the server by, behind a proxy; may be repeated")  # fmt: skip
    add("--allow-origin", action="append", default=[], metavar="ORIGIN",
        help="https://... whose pages may call the API; may be repeated")  # fmt: skip
    add("--api-key-file", type=Path, metavar="FILE",
        help="API keys, one a line (also: EMOTION_LLAMA_API_KEYS, by commas)")  # fmt: skip
    add(
        "--no-token",
        action="store_true",
        help="without API keys: let every account of this machine call, not only who knows the printed link",
    )
    add("--open", action="store_true", help="open the page in the browser")
    _add_numbers(parser, "limits")
    add("--data", type=Path, metavar="DIR", help="where jobs and files are kept (default: a temporary folder)")
    add("--keep-uploads", action="store_true", help="keep files until they are deleted by their owner")
    _add_numbers(parser, "keeping")
    add(
        "--examples",
        type=Path,
        metavar="DIR",
        dest="examples_dir",
        help="clips that the page offers in place of its own",
    )
    add("--review", type=Path, metavar="DIR", dest="review_dir", help="a MERR build to be reviewed in the browser")


def _add_numbers(parser: argparse.ArgumentParser, group: str) -> None:
    for option, setting, default, metavar, text in _NUMBERS[group]:
        kind = float if isinstance(default, float) else int
        parser.add_argument(option, dest=setting, type=kind, default=default, metavar=metavar, help=text)


def run(args: argparse.Namespace) -> int:
    """Serve until stopped; 0 when that was asked for."""
    try:
        from emotion_llama.serve.start import serve
    except ImportError as error:
        raise MissingDependency(error.name or "FastAPI", "serve", "pip install 'emotion-llama[serve]'") from error

    settings = settings_of(args)
    serve(settings, lambda address: _announce(address, settings, opens=args.open), check_model)
    return 0


def settings_of(args: argparse.Namespace) -> ServeSettings:
    """The checked settings.

    Raises:
        InputError: an option cannot be used; all of them are named.
    """
    from pydantic import SecretStr, ValidationError

    from emotion_llama.serve.auth import read_keys
    from emotion_llama.serve.settings import MIB, ServeSettings, default_workers

    keys = read_keys(args.api_key_file, os.environ.get("EMOTION_LLAMA_API_KEYS"))
    given = {setting: getattr(args, setting) for setting in _SETTINGS}
    try:
        return ServeSettings(
            **{**given, "workers": default_workers() if args.workers is None else args.workers},
            model_options=key_values("--option", args.option),
            models=named_models(args.model or default_models()),
            allowed_hosts=tuple(args.allow_host),
            cors_origins=tuple(args.allow_origin),
            api_keys=keys,
            token=None if keys or args.no_token else SecretStr(secrets.token_urlsafe(24)),
            max_upload_bytes=round(args.max_upload_mib * MIB),
            data_dir=None if args.data is None else args.data.expanduser(),
        )
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, one['loc'])) + ': ' if one['loc'] else ''}{one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise InputError("; ".join(problems)) from None


def default_models() -> list[str]:
    """The models that are served without --model: the chosen one, the rules, and nano to compare where it can run."""
    return list(dict.fromkeys([default_model(), DEFAULT_MODEL, *(["nano"] if can_run_models() else [])]))


def named_models(given: list[str]) -> dict[str, str]:
    """Name -> model; without NAME= a model is called by its own name, a folder by the folder's.

    Raises:
        InputError: two models have one name.
    """
    models: dict[str, str] = {}
    for text in given:
        name, sign, model = text.partition("=")
        if not sign or name.startswith(("openai:", "transformers:")):
            name, model = _own_name(text), text
        if name in models:
            raise InputError(f"two models are called {name!r}; give one another name, as --model NAME={model}")
        models[name] = model
    return models


def _own_name(text: str) -> str:
    """A folder's name, a chat model's, or the text itself."""
    kind, _, rest = text.partition(":")
    if kind == "openai":
        return rest.rpartition("@")[0].rpartition("/")[2] or text
    place = Path(rest if kind == "transformers" else text)
    return place.name if place.is_dir() or kind == "transformers" else text


def _announce(address: str, settings: ServeSettings, *, opens: bool) -> None:
    # Behind the #, a browser keeps it to itself.
    token = "" if settings.token is None else f"/#token={settings.token.get_secret_value()}"
    sys.stdout.write(f"Serving at {address}{token} (stop with Ctrl+C)\n")
    if settings.review_dir is not None:
        sys.stdout.write(f"Review at {address}/review{token or '/'}\n")
    sys.stdout.flush()
    if opens:
        import webbrowser

        webbrowser.open(address + token)
