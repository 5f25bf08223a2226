"""Fetches published weights: resumed, checked against what the source states and what came the first time."""

from __future__ import annotations

import errno
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from emotion_llama.errors import BackendError, EmotionLlamaError, InputError, MissingDependency
from emotion_llama.files import make_folder, write_whole
from emotion_llama.media.probe import file_sha256
from emotion_llama.models.checkpoints.published import Part, Published

Say = Callable[[str], object]
_HASHES = "sha256.json"  # source and file -> SHA-256 at the first success
_PIECE_BYTES = 1 << 20
_AGAIN = "what came is kept: run the same command again to go on"


def gather(published: Published, folder: Path, own: Path | None, say: Say) -> dict[str, Path]:
    """Role -> file or folder of every part of a model, fetched where it is not there.

    Args:
        published: the model.
        folder: where parts are kept, a folder each.
        own: a folder with what was fetched by hand; files there are told apart by their tensors.
        say: takes a line a part.

    Raises:
        InputError: a part has to be fetched by hand, the disk is too small, the source is gated or lacks a file, or a
            file is not what its source states or what came the first time.
        BackendError: the source cannot be reached, or broke off.
        MissingDependency: huggingface_hub, or torch for `own`.
    """
    found = _by_hand(published.parts, own)
    wanted = {role: part for role, part in published.parts.items() if role not in found}
    if lacking := [part for part in wanted.values() if part.by_hand]:
        lines = [f"{part.title} ({', '.join(part.files)}) from {part.url}" for part in lacking]
        raise InputError(
            "no program may fetch these, a browser may: " + "; ".join(dict.fromkeys(lines)) + ". Put them into one "
            "folder and give it with --from DIR"
        )
    _check_room(published, wanted, folder)
    for number, (role, part) in enumerate(wanted.items(), 1):
        place = make_folder(folder / _folder_name(role, part))
        say(f"{number} of {len(wanted)}: {part.title}, {part.gigabytes:g} GB, from {_source(part)}")
        with _Translated(part, place):
            files = _fetch_hub(part, place) if part.hub else [_fetch_url(part.url, place / part.files[0])]
        _check_same(folder, part, files)
        found[role] = place if len(files) > 1 else files[0]
    return found


def _folder_name(role: str, part: Part) -> str:
    return f"{role}-{(part.hub[1] if part.hub else part.files[0]).replace('/', '--')}"


def _source(part: Part) -> str:
    return part.url or f"https://huggingface.co/{'spaces/' if part.hub and part.hub[0] == 'space' else ''}" + (
        part.hub[1] if part.hub else ""
    )


def _by_hand(parts: Mapping[str, Part], own: Path | None) -> dict[str, Path]:
    if own is None:
        return {}
    from emotion_llama.models.checkpoints.inspect import inspect

    reports = inspect(own).parts
    return {report.role: Path(report.path) for report in reports if report.role is not None and report.role in parts}


def _check_room(published: Published, wanted: Mapping[str, Part], folder: Path) -> None:
    """Room for what is fetched and for the model that is made of all parts."""
    made = 0.0 if set(published.parts) == {"asr"} else sum(part.gigabytes for part in published.parts.values())
    needed = made + sum(part.gigabytes for part in wanted.values())
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e9
    if free < needed:
        raise InputError(
            f"{needed:.1f} GB are needed in {folder}, {free:.1f} GB are free; make room, or set XDG_DATA_HOME to a "
            "folder on a larger disk"
        )


class _Translated:
    """Errors of a fetch as ours: each says whether to try again, and what else to do."""

    def __init__(self, part: Part, place: Path) -> None:
        self._part, self._place = part, place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, EmotionLlamaError):
            return
        raise _translated(error, self._part, self._place) from error


def _translated(error: Exception, part: Part, place: Path) -> EmotionLlamaError:
    """The line for an error of the hub's library, of a connection or of the disk."""
    names = {kind.__name__ for kind in type(error).__mro__}
    source = _source(part)
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"the disk of {place} is full; make room: {_AGAIN}")
    if "GatedRepoError" in names or getattr(error, "code", None) in (401, 403):
        return InputError(
            f"{source} is gated: accept its terms there, and log in (`hf auth login`, or HF_TOKEN in the environment)"
        )
    if "RepositoryNotFoundError" in names:
        return InputError(f"{source} is not there, or only for those who are logged in (`hf auth login`, or HF_TOKEN)")
    if names & {"EntryNotFoundError", "RemoteEntryNotFoundError", "RevisionNotFoundError"}:
        return InputError(f"{source} lacks a file or revision that is needed: {str(error).splitlines()[0]}")
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return BackendError(f"{source} broke off or cannot be reached ({reason[0][:200]}); {_AGAIN}")


def _fetch_hub(part: Part, place: Path) -> list[Path]:
    """The files of a repository, at the commit that its branch has now."""
    try:
        from huggingface_hub import HfApi, get_hf_file_metadata, get_token, hf_hub_url
    except ImportError as error:
        raise MissingDependency("huggingface_hub", "download", "pip install 'emotion-llama[model]'") from error
    assert part.hub is not None
    kind, repository = part.hub
    endpoint = os.environ.get("HF_ENDPOINT")
    info: Any = HfApi(endpoint=endpoint).repo_info(
        repository, repo_type=kind, revision=part.revision, files_metadata=True
    )
    wanted = [one for one in info.siblings or [] if any(fnmatch(one.rfilename, pattern) for pattern in part.files)]
    if not wanted:
        raise InputError(f"{_source(part)} has none of the files {', '.join(part.files)}")
    files = []
    for one in wanted:
        url = hf_hub_url(repository, one.rfilename, repo_type=kind, revision=info.sha, endpoint=endpoint)
        # The hub's library has a file's place; what it fetches of one it throws away when the process ends.
        at = get_hf_file_metadata(url, endpoint=endpoint).location
        is_hub = urlsplit(at).netloc == urlsplit(url).netloc  # others get no token
        path = _fetch_url(at, place / one.rfilename, get_token() if is_hub else None)
        stated = None if one.lfs is None else one.lfs.sha256
        if (one.size is not None and path.stat().st_size != one.size) or stated not in (None, file_sha256(path)):
            path.unlink()
            raise InputError(f"{one.rfilename} is not what {_source(part)} states (size or SHA-256); it is removed")
        files.append(path)
    return files


def _fetch_url(url: str, path: Path, token: str | None = None) -> Path:
    """A file of a server, resumed where it was broken off."""
    from tqdm import tqdm

    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(f"{path.name}.part")
    have = begun.stat().st_size if begun.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  from our table, or from the hub
    try:
        answer = urllib.request.urlopen(request, timeout=60)  # noqa: S310  the same
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing is left to fetch
            raise
    else:
        is_rest = answer.status == 206
        size = int(answer.headers.get("Content-Length", -1))
        with answer, begun.open("ab" if is_rest else "wb") as file, tqdm(
            total=None if size < 0 else size + have * is_rest, initial=have * is_rest, unit="B", unit_scale=True,
            desc=path.name, disable=None,
        ) as bar:  # fmt: skip
            came = 0
            while piece := answer.read(_PIECE_BYTES):
                came += file.write(piece)
                bar.update(len(piece))
        if size >= 0 and came != size:
            raise HTTPException(f"{came} of {size} bytes came")
    begun.replace(path)
    return path


def _check_same(folder: Path, part: Part, files: list[Path]) -> None:
    """The hashes of the first success hold; they are recorded where there are none."""
    record = folder / _HASHES
    known: dict[str, str] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    for path in files:
        name, now = f"{_source(part)}@{part.revision} {path.name}", file_sha256(path)
        if known.setdefault(name, now) != now:
            path.unlink()
            raise InputError(
                f"{path.name} of {_source(part)} has changed since it was first fetched (SHA-256 {known[name][:9]}..., "
                f"now {now[:9]}...); it is removed. If you trust the new one, take its line out of {record}"
            )
    write_whole(record, json.dumps(known, indent=1) + "\n")
