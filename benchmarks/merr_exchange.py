"""Time to import lists of the published size, and to export and check them again.

    python benchmarks/merr_exchange.py [CLIPS]

The files are made by the script, of the published number of rows: 78,178 sentences, 73,148 labels, 28,618 coarse and
4,487 fine samples (fewer with CLIPS).
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from emotion_llama.labels import MERR9
from emotion_llama.merr.io.export import export_build
from emotion_llama.merr.io.imports import import_files
from emotion_llama.merr.io.validate import validate
from emotion_llama.merr.store import Store

SENTENCES, LABELS, COARSE, FINE = 78_178, 73_148, 28_618, 4_487


def main() -> None:
    """Make the files, then time each step."""
    clips = int(sys.argv[1]) if len(sys.argv) > 1 else SENTENCES
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = make_files(folder / "published", clips)
        for name in ("all_label_NCEV.txt", "transcription_en_all.csv"):
            with Store.create(folder / name.split(".")[0]) as store:
                timed(f"import {name}", lambda store=store, name=name: import_files([files / name], store))
        with Store.create(folder / "merr") as store:
            timed("import all four files into a new build", lambda: import_files([files], store))
            timed("import the same again (nothing changes)", lambda: import_files([files], store))
            # Conversations need media; their files are not opened.
            store.put_clips([replace(row, path=f"{row.clip_id}.mp4", width=320) for row in store.clips()])
            for kind in ("merr", "csv", "sharegpt", "parquet"):
                timed(f"export --format {kind}", lambda kind=kind: export_build(store, None, kind))
        timed("validate, with the exports", lambda: validate(folder / "merr"))
        with Store.create(folder / "again") as store:
            timed("import samples.csv", lambda: import_files([folder / "merr/export/csv/samples.csv"], store))


def timed(what: str, work: Callable[[], object]) -> None:
    """Print how long `work` takes."""
    begun = time.perf_counter()
    work()
    print(f"{what:<45} {time.perf_counter() - begun:7.2f} s")


def make_files(folder: Path, clips: int) -> Path:
    """The published files, with as many rows as they have."""
    folder.mkdir()
    draw = random.Random(0)
    names = [f"samplenew_{number:08d}" for number in range(clips)]
    share = clips / SENTENCES
    labelled, coarse, fine = (round(share * n) for n in (LABELS, COARSE, FINE))
    words = ["you", "never", "told", "me", "that", "we", "could", "have", "left", "before", "the", "storm"]

    def text(count: int) -> str:
        return " ".join(draw.choice(words) for _ in range(count))

    rows = [f"{name},{text(8)}" for name in names]
    (folder / "transcription_en_all.csv").write_text("\n".join(["name,sentence", *rows]) + "\n", encoding="utf-8")
    labels = {name: draw.choice(MERR9.labels) for name in names[:labelled]}
    lines = [f"{name} {draw.randint(20, 400)} {label} -10" for name, label in labels.items()]
    (folder / "all_label_NCEV.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, count, key, length in (("coarse", coarse, "caption", 40), ("fine", fine, "smp_reason_caption", 110)):
        entries = {
            clip: {
                "AU_list": ["AU06", "AU12"], "visual_prior_list": [text(3), text(2)], "audio_prior_list": text(4),
                "peak_index": "12", "peak_AU_list": ["AU12", "AU06"], "text": "", "pseu_emotion": labels[clip],
                key: text(length),
            }
            for clip in names[:count]
        }  # fmt: skip
        (folder / f"MERR_{name}_grained.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder


if __name__ == "__main__":
    main()
