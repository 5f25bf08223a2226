"""The page's files: what is served and what is not, two languages that say the same, nothing from elsewhere."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from emotion_llama.labels import LABEL_SPACES
from emotion_llama.records import AU_DESCRIPTIONS
from emotion_llama.report.pages import environment
from emotion_llama.serve.app import _add_error_answers
from emotion_llama.serve.routes import page as page_routes
from emotion_llama.serve.settings import ServeSettings

WEB = Path(page_routes.__file__).parents[1] / "web"
OURS = [path for path in sorted(WEB.iterdir()) if path.is_file() and not path.name.startswith("review")]
STRINGS: dict[str, dict[str, Any]] = {
    code: json.loads((WEB / f"strings.{code}.json").read_text(encoding="utf-8")) for code in ("en", "zh")
}


def _client(settings: ServeSettings) -> TestClient:
    app = FastAPI()
    app.state.serve = SimpleNamespace(settings=settings)
    app.include_router(page_routes.router)
    _add_error_answers(app)
    return TestClient(app)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with _client(ServeSettings()) as client:
        yield client


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_every_file_is_served_as_what_it_is(client: TestClient, path: Path) -> None:
    answer = client.get("/" if path.name == "index.html" else f"/page/{path.name}")
    assert answer.status_code == 200
    assert answer.content == path.read_bytes()
    kinds = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".json": "application/json",
             ".svg": "image/svg+xml"}  # fmt: skip
    assert answer.headers["content-type"].startswith(kinds[path.suffix])
    again = client.get(answer.request.url.path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    ["/page/none.js", "/page/..%2Fsettings.py", "/page/%2e%2e%2fapp.py", "/page/examples/..%2findex.html",
     "/page/app.py", "/page/examples/index.html", "/page/examples/%2Fetc%2Fpasswd", "/page/Page.CSS", "/page/a..js"],
)  # fmt: skip
def test_other_names_are_not_found(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["detail" if "detail" in answer.json() else "error"]


def test_a_name_that_is_unknown_is_told(client: TestClient) -> None:
    assert client.get("/page/none.js").json()["error"]["message"] == "there is no page /page/none.js"


def test_the_settings_tell_no_secret() -> None:
    key = "0123456789abcdef"
    with _client(ServeSettings(models={"a": "/home/me/model", "b": "rules"}, api_keys=(key,))) as client:
        told = client.get("/page/settings.json")
    assert key not in told.text
    assert "/home/me" not in told.text
    assert told.json()["models"] == [
        {"name": "a", "is_rules": False, "tasks": ["emotion", "reason", "visual", "audio"]},
        {"name": "b", "is_rules": True, "tasks": ["emotion", "reason", "visual", "audio"]},
    ]
    assert told.json()["needs_key"] is True
    assert [example["name"] for example in told.json()["examples"]] == [
        "smile", "brave-face", "two-people", "surprise", "out-of-view",
    ]  # fmt: skip


def test_every_example_is_there(client: TestClient) -> None:
    for example in client.get("/page/settings.json").json()["examples"]:
        clip = client.get(f"/page/examples/{example['clip']}")
        assert clip.headers["content-type"] == "video/mp4"
        assert clip.content[4:8] == b"ftyp"
        assert client.get(f"/page/examples/{example['poster']}").content[:3] == b"\xff\xd8\xff"
        if example["words"]:
            assert "-->" in client.get(f"/page/examples/{example['words']}").text


def test_a_folder_of_own_examples_takes_their_place(tmp_path: Path) -> None:
    (tmp_path / "Mine.mp4").write_bytes(b"clip")
    (tmp_path / "Mine.srt").write_text("words")
    (tmp_path / "secret.txt").write_text("no")
    with _client(ServeSettings(examples_dir=tmp_path)) as client:
        assert client.get("/page/settings.json").json()["examples"] == [
            {"name": "Mine", "clip": "Mine.mp4", "poster": None, "words": "Mine.srt"}
        ]
        assert client.get("/page/examples/Mine.mp4").content == b"clip"
        assert client.get("/page/examples/Mine.srt").text == "words"
        assert client.get("/page/examples/secret.txt").status_code == 404
        assert client.get("/page/examples/%2e%2e/secret.txt").status_code == 404


def test_both_languages_say_the_same_things() -> None:
    english, chinese = STRINGS["en"], STRINGS["zh"]
    assert english.keys() == chinese.keys()
    for key, words in english.items():
        assert type(words) is type(chinese[key])
        if isinstance(words, list):
            assert len(words) == len(chinese[key])
        else:
            assert set(re.findall(r"\{\w+\}", words)) == set(re.findall(r"\{\w+\}", chinese[key])), key


def test_every_word_that_is_asked_for_is_there() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in OURS if path.suffix in (".js", ".html"))
    asked = set(re.findall(r"""\bt\(\s*["']([^"']+)["']""", code)) | set(re.findall(r'data-i18n="([^"]+)"', code))
    assert len(asked) > 100
    assert asked <= STRINGS["en"].keys()


def test_every_label_and_unit_has_a_name() -> None:
    for strings in STRINGS.values():
        assert {f"unit.{name}" for name in AU_DESCRIPTIONS} <= strings.keys()
        assert {f"label.{label}" for space in LABEL_SPACES.values() for label in space.labels} <= strings.keys()
    assert {name: STRINGS["en"][f"unit.{name}"] for name in AU_DESCRIPTIONS} == dict(AU_DESCRIPTIONS)


def test_the_page_warns_as_the_report_does() -> None:
    assert STRINGS["en"]["limits.decide"] == environment().get_template("limits.html.j2").module.decide


@pytest.mark.parametrize("path", [p for p in OURS if p.suffix in (".js", ".css", ".html")], ids=lambda p: p.name)
def test_no_file_names_another_host_or_inline_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", text) == []
    assert re.findall(r"\b(innerHTML|outerHTML|insertAdjacentHTML|eval|document\.write)\b", text) == []
    if path.suffix == ".html":
        assert re.findall(r"\s(?:style|on[a-z]+)=", text) == []


def test_the_page_is_light() -> None:
    """Scripts, styles and one language: what a browser loads before a clip is chosen, uncompressed."""
    loaded = [path for path in OURS if path.name != "strings.zh.json"]
    assert sum(path.stat().st_size for path in loaded) < 160_000
