"""`emotion-llama download` against a server on this machine that behaves like the hub, and every way it goes wrong."""

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.cli.main import build_parser, main
from emotion_llama.errors import InputError
from emotion_llama.models.checkpoints import convert as conversion
from emotion_llama.models.checkpoints import download, published
from emotion_llama.models.checkpoints.published import PUBLISHED, Part, Published
from emotion_llama.predictors.chosen import chosen_model, user_folder

# A hub: model.bin is kept elsewhere, with its SHA-256; a token goes to the hub alone.
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = bytes(range(256)) * 4000


@dataclass
class Hub:
    """What the server holds and does; files by repository."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: bool = False
    breaks_after: int | None = None  # bytes of an answer, once
    stated: dict[str, str] = field(default_factory=dict)  # file -> a SHA-256 that is not its own
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Range
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the library's name
        """Nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _answer(self) -> None:
        hub, path = self.hub, self.path.partition("?")[0].strip("/")
        hub.seen.append((self.command, path, self.headers.get("Range")))
        if path.startswith("store/"):
            assert self.headers.get("Authorization") is None
        for repository, files in hub.files.items():
            if hub.gated and repository in path:
                message = b'{"error": "Access to it is restricted"}'
                self._send(401, message, X_Error_Code="GatedRepo")
                return
            if path.startswith((f"api/models/{repository}/", f"api/spaces/{repository}/")):
                self._send(200, json.dumps(self._info(repository, files)).encode(), Content_Type="application/json")
                return
            for name, content in files.items():
                if path.endswith(f"{repository}/resolve/{COMMIT}/{name}"):  # kept elsewhere, as the hub does
                    elsewhere = hub.url.replace("127.0.0.1", "localhost")
                    self._send(
                        302, b"", X_Repo_Commit=COMMIT, ETag=f'"{_sha(content)}"', X_Linked_ETag=f'"{_sha(content)}"',
                        X_Linked_Size=str(len(content)), Location=f"{elsewhere}/store/{repository}/{name}",
                    )  # fmt: skip
                    return
                if path == f"store/{repository}/{name}":
                    self._store(content)
                    return
        self._send(404, b"{}", X_Error_Code="RepoNotFound")

    def _info(self, repository: str, files: dict[str, bytes]) -> dict[str, Any]:
        def one(name: str, content: bytes) -> dict[str, Any]:
            lfs = {"sha256": self.hub.stated.get(name, _sha(content)), "size": len(content), "pointerSize": 100}
            return {"rfilename": name, "size": len(content), "blobId": "0" * 40, "lfs": lfs}

        return {"id": repository, "sha": COMMIT, "siblings": [one(*item) for item in files.items()]}

    def _store(self, content: bytes) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start >= len(content) > 0:
            self._send(416, b"")
            return
        rest = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            cut = self.hub.breaks_after
            if cut is None or cut >= len(rest):
                cut = None
            else:
                self.hub.breaks_after = None
            self.wfile.write(rest if cut is None else rest[:cut])
            if cut is not None:
                self.close_connection = True


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    hub = Hub({"Systran/faster-whisper-tiny": {"config.json": b"{}", "model.bin": MODEL, "README.md": b"no"}})
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


def fetched_folder(name: str) -> Path:
    return user_folder("data") / "models" / name


def fetch(name: str = "whisper-tiny", *options: str) -> int:
    return main(["download", name, "--accept-licence", *options])


def test_a_recogniser_is_fetched_once_and_then_needs_no_network(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch() == 0
    folder = fetched_folder("whisper-tiny")
    assert (folder / "model.bin").read_bytes() == MODEL
    assert not (folder / "README.md").exists()  # what nobody needs is not fetched
    assert "MIT" in capsys.readouterr().err
    asked = len(hub.seen)
    assert fetch() == 0
    assert len(hub.seen) == asked
    args = build_parser().parse_args(["analyze", "talk.mp4", "--asr", "whisper-tiny"])
    assert args.asr == folder
    assert build_parser().parse_args(["serve", "--asr", "some/folder"]).asr == Path("some/folder")


def test_terms_are_accepted_first(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", "whisper-tiny"]) == 1
    assert "--accept-licence" in capsys.readouterr().err
    assert hub.seen == []
    assert not user_folder("data").exists()


def test_a_transfer_that_breaks_off_goes_on_where_it_was(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.breaks_after = 300_000
    assert fetch() == 1
    assert "run the same command again" in capsys.readouterr().err
    assert fetch() == 0
    assert (fetched_folder("whisper-tiny") / "model.bin").read_bytes() == MODEL
    assert [one for _, path, one in hub.seen if path.startswith("store/") and path.endswith("model.bin") and one] == [
        "bytes=300000-"
    ]


def test_a_plain_server_is_resumed_too(hub: Hub, tmp_path: Path) -> None:
    hub.files["plain"] = {"eva.pth": MODEL}
    part = Part("EVA", 0.001, "none", ("eva.pth",), url=f"{hub.url}/store/plain/eva.pth")
    one = Published("", {"eva": part})
    hub.breaks_after = 500_000
    with pytest.raises(Exception, match="run the same command again"):
        download.gather(one, tmp_path / "d", None, print)
    found = download.gather(one, tmp_path / "d", None, print)
    assert found["eva"].read_bytes() == MODEL
    assert hub.seen[-1][2] == "bytes=500000-"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("gated", "is gated: accept its terms there, and log in"),
        ("wrong", "is not what .* states"),
        ("gone", "is not there, or only for those who are logged in"),
        ("lacks", "has none of the files"),
        ("down", "broke off or cannot be reached"),
        ("small", r"GB are needed in .*, 0\.0 GB are free"),
        ("full", "the disk of .* is full"),
    ],
)
def test_each_failure_is_a_line_and_leaves_nothing_that_looks_whole(
    hub: Hub, change: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if change == "gated":
        hub.gated = True
    elif change == "wrong":
        hub.stated["model.bin"] = "f" * 64
    elif change == "gone":
        hub.files.clear()
    elif change == "lacks":
        hub.files["Systran/faster-whisper-tiny"] = {"README.md": b""}
    elif change == "down":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    elif change == "small":
        free = shutil.disk_usage("/")._replace(free=1000)
        monkeypatch.setattr(download.shutil, "disk_usage", lambda path: free)
    else:

        def full(*arguments: object, **options: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(download, "_fetch_url", full)
    assert fetch() == 1
    error = capsys.readouterr().err.splitlines()
    assert re.search(words, error[-1]), error
    assert not any("Traceback" in line for line in error)
    assert not fetched_folder("whisper-tiny").exists()
    assert not list(user_folder("data").rglob("model.bin"))


def test_a_file_that_changed_since_the_first_time_is_refused(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch() == 0
    shutil.rmtree(fetched_folder("whisper-tiny"))
    hub.files["Systran/faster-whisper-tiny"]["model.bin"] = MODEL[::-1]
    assert fetch() == 1
    assert "has changed since it was first fetched" in capsys.readouterr().err
    assert not fetched_folder("whisper-tiny").exists()


def test_what_only_a_browser_may_fetch_is_named_before_anything_is_fetched(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch("emotion-llama-7b") == 1
    error = capsys.readouterr().err
    assert "https://drive.google.com/drive/folders/" in error
    assert "mae_checkpoint-340.pth" in error
    assert "--from DIR" in error
    assert hub.seen == []


def test_a_whole_model_is_fetched_converted_and_used(
    hub: Hub, tmp_path: Path, toy_sources: Any, toy_options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published model at toy size: from the hub, from a plain server, and what was fetched by hand."""
    own = tmp_path / "own"
    own.mkdir()
    real = PUBLISHED["emotion-llama-7b"].parts
    parts: dict[str, Part] = {}
    for role, part in real.items():
        source: Path = toy_sources[role]
        if part.by_hand:
            shutil.copy(source, own / source.name)
            parts[role] = part
            continue
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        name = part.hub[1] if part.hub else "plain"
        hub.files[name] = {path.name: path.read_bytes() for path in files if path.is_file()}
        url = "" if part.hub else f"{hub.url}/store/plain/{source.name}"
        parts[role] = Part(part.title, 0.001, part.terms, tuple(hub.files[name]), part.hub, part.revision, url)
    monkeypatch.setitem(published.PUBLISHED, "emotion-llama-7b", Published("", parts))
    monkeypatch.setattr(conversion, "convert", partial(conversion.convert, options=toy_options))
    assert fetch("emotion-llama-7b", "--from", str(own)) == 0
    made = fetched_folder("emotion-llama-7b")
    assert (made / "config.json").is_file()
    assert chosen_model() == str(made)
    asked = len(hub.seen)
    assert main(["doctor", str(made), "--hashes"]) == 0
    assert len(hub.seen) == asked


def test_every_part_has_terms_and_a_place() -> None:
    for one in PUBLISHED.values():
        for part in one.parts.values():
            assert part.terms
            assert bool(part.hub) != bool(part.url)
            assert part.by_hand <= part.url.startswith("https://")
    args = build_parser().parse_args(["download", "nobody"])
    with pytest.raises(InputError, match="nothing published is called"):
        args.run(args)
