"""Uploaded files: kept whole or not at all, each its owner's, gone after their time."""

import asyncio
import hashlib
import os
import stat
import time
from pathlib import Path

import pytest

from emotion_llama.serve.errors import NotFound, Problem
from emotion_llama.serve.files import FileStore, StoredFile


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> FileStore:
    return FileStore(tmp_path / "files", seconds=60, max_bytes=100, max_files=3, clock=clock)


def put(store: FileStore, tmp_path: Path, content: bytes = b"clip", owner: str = "me") -> StoredFile:
    received = tmp_path / "received.mp4"
    received.write_bytes(content)
    return store.add(owner, received, name="a clip.mp4", kind="mp4")


def test_kept_as_it_came(store: FileStore, tmp_path: Path) -> None:
    kept = put(store, tmp_path)
    assert not (tmp_path / "received.mp4").exists()  # moved, not copied
    found = store.get("me", kept.id)
    assert found == kept
    assert found.path.read_bytes() == b"clip"
    assert (found.name, found.kind, found.num_bytes, found.created_at, found.expires_at) == (
        "a clip.mp4", "mp4", 4, 1000.0, 1060.0,
    )  # fmt: skip
    assert found.sha256 == hashlib.sha256(b"clip").hexdigest()
    assert found.path.suffix == ".mp4"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (store.folder, found.path.parent)}
    assert modes == {0o700}


def test_another_server_finds_it(store: FileStore, tmp_path: Path, clock: Clock) -> None:
    kept = put(store, tmp_path)
    assert FileStore(tmp_path / "files", clock=clock).get("me", kept.id) == kept


def test_owners_do_not_see_each_other(store: FileStore, tmp_path: Path, clock: Clock) -> None:
    mine = put(store, tmp_path)
    clock.now += 1
    later = put(store, tmp_path)
    put(store, tmp_path, owner="you")
    assert [file.id for file in store.of_owner("me")] == [later.id, mine.id]
    for file_id in (mine.id, "file-" + "0" * 32, "../files", "file-1", ""):
        with pytest.raises(NotFound, match="there is no file"):
            store.get("you", file_id)
        with pytest.raises(NotFound, match="there is no file"):
            store.delete("you", file_id)
    assert store.get("me", mine.id).id == mine.id


def test_deleted(store: FileStore, tmp_path: Path) -> None:
    kept = put(store, tmp_path)
    assert store.delete("me", kept.id) == kept
    assert list(store.folder.iterdir()) == []
    with pytest.raises(NotFound, match="submit it again"):
        store.get("me", kept.id)


def test_gone_after_its_time(store: FileStore, tmp_path: Path, clock: Clock) -> None:
    old = put(store, tmp_path)
    clock.now += 30
    new = put(store, tmp_path)
    clock.now += 30
    with pytest.raises(NotFound, match="expired"):
        store.get("me", old.id)
    assert store.of_owner("me") == [new]
    assert old.path.exists()  # not seen any more, and taken away with the next sweep
    assert store.sweep() == 1
    assert not old.path.exists()
    assert new.path.exists()


def test_kept_for_good_where_that_was_asked_for(tmp_path: Path, clock: Clock) -> None:
    store = FileStore(tmp_path / "files", seconds=None, clock=clock)
    kept = put(store, tmp_path)
    clock.now += 1e9
    assert kept.expires_at is None
    assert store.sweep() == 0
    assert store.get("me", kept.id) == kept


def test_bounded(store: FileStore, tmp_path: Path, clock: Clock) -> None:
    put(store, tmp_path, b"x" * 40)
    clock.now += 10
    put(store, tmp_path, b"x" * 40)
    with pytest.raises(Problem, match="the file has 21 bytes, and there is no room") as caught:
        put(store, tmp_path, b"x" * 21)
    assert caught.value.retry_after_seconds == 50  # the first one goes at 1060, now it is 1010
    put(store, tmp_path, b"x" * 20)
    with pytest.raises(Problem, match="you have 3 files, up to 3 are kept"):
        put(store, tmp_path, b"")
    clock.now += 50
    put(store, tmp_path, b"x" * 40)  # the first one's time is over


def test_what_was_never_finished_goes(store: FileStore) -> None:
    old, new = store.folder / "new-1", store.folder / "new-2"
    for path in (old, new):
        path.mkdir()
        (path / "clip.mp4").write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    store.sweep()
    assert [path.name for path in store.folder.iterdir()] == ["new-2"]
    assert store.of_owner("me") == []


def test_nothing_is_left_of_what_cannot_be_kept(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, *args: object, **kwargs: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        put(store, tmp_path)
    assert list(store.folder.iterdir()) == []


def test_swept_by_a_server(tmp_path: Path) -> None:
    async def run() -> None:
        store = FileStore(tmp_path / "files", seconds=0.0)
        put(store, tmp_path)
        await store.start()
        assert list(store.folder.iterdir()) == []
        await store.close()
        await store.close()

    asyncio.run(run())
