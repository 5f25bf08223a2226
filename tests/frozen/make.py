"""Writes the stored outputs anew, for a change of behaviour that is meant: `python tests/frozen/make.py [NAME ...]`."""

import json
import sys
import tempfile
from pathlib import Path

from frozen_outputs import OUTPUTS, PRODUCERS, produced


def main() -> None:
    OUTPUTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or PRODUCERS:
            for file, document in produced(name, Path(folder)).items():
                text = json.dumps(document, indent=1, ensure_ascii=False)
                (OUTPUTS / f"{file}.json").write_text(text + "\n", encoding="utf-8")
                print(f"wrote {file}.json, {len(text) // 1000} kB")


if __name__ == "__main__":
    main()
