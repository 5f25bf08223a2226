"""BIDS-style events (BIDS 1.9, "Task events"): onset and duration, with a JSON file that says what the columns are.

Video of subjects is only a proposal there, hence "style": names of files are the clip's, not sub-..._task-...
"""

from __future__ import annotations

import json

from emotion_llama.exports.tiers import csv_text, tiers
from emotion_llama.schema import AnalysisDocument

_COLUMNS = {
    "onset": {"Description": "Start in the clip", "Units": "s"},
    "duration": {"Description": "Length", "Units": "s"},
    "trial_type": {"Description": "label, unit, line, word or speaker"},
    "person_id": {"Description": "Whose it is; n/a is nobody in view"},
    "name": {"Description": "The tier: label, unit (AU12), lines, words, or a speaker"},
    "value": {"Description": "The label, the highest intensity of a unit (0..5), or the text"},
}


def bids(document: AnalysisDocument, clip: str) -> dict[str, str]:
    """events.tsv, in order of onset with n/a for what is missing, and events.json."""
    rows = [
        (f"{one.start_seconds:.4f}", f"{one.end_seconds - one.start_seconds:.4f}", tier.kind, tier.person_id,
         tier.name.removeprefix(f"person_{tier.person_id}_"), " ".join(one.text.split()))
        for tier in tiers(document)
        for one in tier.intervals
    ]  # fmt: skip
    table = csv_text(list(_COLUMNS), sorted(rows, key=lambda row: float(str(row[0]))), "\t", "n/a")
    about = {**_COLUMNS, "GeneratedBy": {"Name": document.generator}}
    return {"_events.tsv": table, "_events.json": json.dumps(about, indent=1, ensure_ascii=False) + "\n"}
