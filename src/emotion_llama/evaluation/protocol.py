"""How a run was done, and what arithmetic says of published rows, in sentences for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emotion_llama.evaluation.published import PublishedTable, check_recalls

_PARSERS = {
    "upstream": "the published rule: the last word of the answer, and neutral where it is none of the labels",
    "tolerant": "the label that a reader would find in the answer; none where there is none",
    "likelihood": "the likeliest of the labels after the prompt; nothing is parsed",
    "judge": "a judge's verdicts, or the words that a judge finds in answers; no published row has the same judge",
    "offline": "shared cues and labels by this project's word lists; not the published measure, and no judge's figure",
}


def protocol_of(card: Mapping[str, Any], parsers: Sequence[str]) -> tuple[str, ...]:
    """What of a run its reader has to know before laying it beside published rows."""
    benchmark, system = card["benchmark"], card["system"]
    sentences = [f"{parser}: {_PARSERS[parser]}" for parser in parsers if parser in _PARSERS]
    if benchmark["limit"] is not None:
        sentences.append(f"the first {benchmark['cases']} cases only: not comparable with figures over all")
    if system["settings"].get("system") != "predictions":
        for problem in benchmark["file_problems"]:
            times = f" ({problem['count']} times)" if problem["count"] > 1 else ""
            sentences.append(f"files: {problem['what']}{times}")
        sentences.append(f"instruction: {benchmark['ask']['instruction']}")
    sentences += _of_system(system["settings"])
    if card.get("judge") is not None:
        judge = card["judge"]
        sentences.append(f"judge: {judge['judge']}, scale {judge['scale']}, {judge['votes']} vote(s) a pair")
    return tuple(sentences)


def _of_system(settings: Mapping[str, Any]) -> list[str]:
    kind = settings.get("system")
    if kind == "emotion-llama":
        return [
            f"layout {settings['layout']}, frame {settings['frame_policy']}, {settings['dtype']}, greedy",
            "features made by others" if settings["features"] else "features made from the raw clips",
        ]
    if kind == "chat":
        chat = settings["chat"]
        decoding = f"temperature {chat['temperature']}" if "temperature" in chat else "greedy"
        return [f"{settings['frames']} frames a clip, {', '.join(chat['modalities'])}, {decoding}"]
    if kind == "predictions":
        return [f"predictions of a file ({settings['file']}): how they came about is not known here"]
    return ["measured and read from the raw clips"] if kind == "reader" else []


def table_checks(table: PublishedTable) -> tuple[str, ...]:
    """For tables with recalls: which printed UARs are not the mean of the printed recalls."""
    if not {"uar", "accuracy"} <= set(table.figures):
        return ()
    from emotion_llama.evaluation.benchmarks.dfew import CLASS_SIZES

    checks = check_recalls(table, CLASS_SIZES)
    wrong = [check for check in checks if not check.uar_is_mean]
    sentences = [
        f"{table.name}, {check.system}: the printed UAR {check.uar:.2f} is not the mean of the printed recalls "
        f"({check.recomputed_uar:.2f})"
        for check in wrong
    ]
    return (*sentences, f"{table.name}: of the other {len(checks) - len(wrong)} rows, UAR is the mean of the recalls")
