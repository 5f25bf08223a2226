"""One label everywhere: analyze, terminal, page, document, chat and merr say the same of a clip."""

import csv
import json
from pathlib import Path

from emotion_llama import Analyzer
from emotion_llama.document import analysis_document
from emotion_llama.labels import MERR9
from emotion_llama.merr.recipe import PseudoLabelPart
from emotion_llama.merr.stages.labels import judge, label_rules
from emotion_llama.report.terminal import render_line
from emotion_llama.report.wording import person_headline
from emotion_llama.results import Analysis
from emotion_llama.rules.conversation import answer

EXAMPLES = Path(__file__).parents[2] / "examples"


def clips() -> list[tuple[Path, str | None]]:
    with (EXAMPLES / "synth" / "manifest.csv").open(encoding="utf-8") as file:
        drawn = [(EXAMPLES / "synth" / row["path"], row["subtitle"] or None) for row in csv.DictReader(file)]
    mute = [(path, None) for path, words in drawn if words]
    return [*[*drawn, *mute][:29], (EXAMPLES / "clips" / "astronaut.mp4", None)]


def labels_heard(analysis: Analysis) -> tuple[str, dict[str, str]]:
    """A clip's label, or "uncertain" or "no answer", and what each place says of it."""
    person = analysis.people[0]
    prediction = person.segments[0].prediction
    label = prediction.label or ("uncertain" if prediction.is_uncertain else "no answer")
    document = json.loads(analysis_document(analysis, curves=False).model_dump_json())
    return label, {
        "page": person_headline(person)[0].lower(),
        "terminal": render_line(analysis, width=200).lower(),
        "chat": answer("Which emotion is it?", document, person.person_id)
        .lower()
        .replace("there is no answer", "no answer"),
        "document": str(document["people"][0]["segments"][0]["prediction"]["label"] or label),
    }


def test_thirty_clips_have_one_label_each() -> None:
    analyzer, seen, part = Analyzer.load(), [], PseudoLabelPart()
    for path, words in clips():
        analysis = analyzer.analyze(path, subtitle=words)
        label, heard = labels_heard(analysis)
        merr, reason, _ = judge(analysis.people[0].segments[0].evidence, label_rules("joined", MERR9), part, MERR9)
        heard["merr"] = merr["label"] if merr else label if reason and label in ("uncertain", "no answer") else "?"
        assert {name: label in text for name, text in heard.items()} == dict.fromkeys(heard, True), (path.name, heard)
        seen.append(label)
    assert len(seen) == 30
    assert len(set(seen)) >= 4  # among them several labels, and clips that are uncertain


def test_a_model_has_one_label_everywhere() -> None:
    """Seven of sixteen clips had another label in the chat than in the page, with a model that was trained."""
    analyzer, seen = Analyzer.load("nano"), []
    for path, words in [*clips()[:7], clips()[-1]]:
        label, heard = labels_heard(analyzer.analyze(path, subtitle=words))
        assert {name: label in text for name, text in heard.items()} == dict.fromkeys(heard, True), (path.name, heard)
        seen.append(label)
    assert len(set(seen)) >= 3
