"""A process for test_jobs_kill.py: hands jobs in and works on them until it is killed, telling what it was promised.

Each line of the log is written after the store's call has returned: what is in it must be found afterwards.
"""

import os
import sys
import threading
import time
from pathlib import Path

from emotion_llama.serve.errors import JobLost
from emotion_llama.serve.jobs.store import JobStore

CLIP = bytes(range(256)) * 40


def main(folder: Path, log: Path) -> None:
    store = JobStore(folder, max_queued=100_000, max_queued_per_owner=100_000)
    store.recover()
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(*words: str) -> None:
        os.write(file, (" ".join(words) + "\n").encode())

    def hand_in() -> None:
        while True:
            filled = store.new_folder()
            (filled / "clip.mp4").write_bytes(CLIP)
            tell("added", store.add("me", '{"model": "rules"}', filled).id)

    def work() -> None:
        while True:
            job = store.claim()
            if job is None:
                time.sleep(0.001)
                continue
            tell("claimed", job.id)
            assert (store.clip_folder(job.id) / "clip.mp4").read_bytes() == CLIP
            for step in range(3):
                assert store.report(job.id, "faces", step / 3)
                time.sleep(0.001)
            try:
                store.done(job.id, {"json": f'"{job.id}"', "html": "<p>"})
            except JobLost:
                tell("stolen", job.id)
            else:
                tell("done", job.id)

    for target in (hand_in, work, work):
        threading.Thread(target=target, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
