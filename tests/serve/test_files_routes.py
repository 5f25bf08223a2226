"""/v1/files over a real socket: OpenAI's form, owners, refusals."""

from collections.abc import Callable
from typing import Any

import pytest

from emotion_llama.serve.files import FileStore

KEYS = ("0123456789abcdef-mine", "0123456789abcdef-yours")


def upload(server: Any, tone: bytes, name: str = "a.wav", **headers: str) -> Any:
    return server.client.post("/v1/files", files={"file": (name, tone)}, data={"purpose": "user_data"}, headers=headers)


def test_upload_list_delete(live: Callable[..., Any], tone: bytes) -> None:
    server = live()
    kept = upload(server, tone, "../../talk of me.mp4").raise_for_status().json()
    assert kept["filename"] == "talk of me.mp4"
    assert (kept["object"], kept["bytes"], kept["kind"], kept["status"]) == ("file", len(tone), "wav", "processed")
    assert kept["expires_at"] - kept["created_at"] == 3600
    assert server.client.get(f"/v1/files/{kept['id']}").json() == kept
    assert server.client.get("/v1/files").json() == {"object": "list", "data": [kept], "has_more": False}
    folder = server.state.data_dir / "files" / kept["id"]
    assert sorted(path.name for path in folder.iterdir()) == ["about.json", "clip.wav"]
    gone = server.client.delete(f"/v1/files/{kept['id']}").json()
    assert gone == {"id": kept["id"], "object": "file", "deleted": True}
    assert not folder.exists()
    for method in ("GET", "DELETE"):
        answer = server.client.request(method, f"/v1/files/{kept['id']}")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "file_not_found"
    assert server.client.get("/v1/files").json()["data"] == []


def test_uploads_are_kept_where_that_was_asked_for(live: Callable[..., Any], tone: bytes) -> None:
    server = live(keep_uploads=True)
    assert upload(server, tone).json()["expires_at"] is None


def test_owners_do_not_see_each_other(live: Callable[..., Any], tone: bytes) -> None:
    from pydantic import SecretStr

    server = live(api_keys=tuple(SecretStr(key) for key in KEYS))
    mine, yours = ({"Authorization": f"Bearer {key}"} for key in KEYS)
    kept = upload(server, tone, **mine).raise_for_status().json()
    assert server.client.get("/v1/files", headers=yours).json()["data"] == []
    assert server.client.get(f"/v1/files/{kept['id']}", headers=yours).status_code == 404
    assert server.client.delete(f"/v1/files/{kept['id']}", headers=yours).status_code == 404
    assert server.client.get(f"/v1/files/{kept['id']}").status_code == 401
    assert server.client.get(f"/v1/files/{kept['id']}", headers=mine).status_code == 200


def test_refused(live: Callable[..., Any], tone: bytes) -> None:
    server = live()
    assert upload(server, b"%PDF-1.7 no recording").status_code == 415
    assert upload(server, b"").status_code == 422
    assert server.client.post("/v1/files", data={"purpose": "x"}).status_code == 415  # no multipart
    odd = server.client.post("/v1/files", files={"file": ("a.wav", tone)}, data={"path": "/etc/passwd"})
    assert (odd.status_code, odd.json()["error"]["code"]) == (422, "unknown_field")
    for wrong in ("file-1", "..%2f..%2fetc", "file-" + "G" * 32):
        assert server.client.get(f"/v1/files/{wrong}").status_code in (404, 422)
    assert list((server.state.data_dir / "files").iterdir()) == []


def test_full(live: Callable[..., Any], tone: bytes) -> None:
    server = live()
    server.state.files = FileStore(server.state.data_dir / "files", seconds=30.0, max_files=1)
    upload(server, tone).raise_for_status()
    answer = upload(server, tone)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "store_full")
    assert 25 <= int(answer.headers["retry-after"]) <= 30


def test_no_room_on_the_disk(live: Callable[..., Any], tone: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    server = live()

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileStore, "add", full)
    answer = upload(server, tone)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_room")
