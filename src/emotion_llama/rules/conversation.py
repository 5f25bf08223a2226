"""Questions about a clip answered from its analysis document: what is said, when, which cues, why, what speaks against.

A question is understood by the words in it, in English and Chinese; nothing is generated. What the document does not
hold (who somebody is, what a picture shows, what goes on inside a person) is declined with the reason, and a question
that is not understood says what can be asked. Times are written as "3.06 s", so that a page can make them links.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from emotion_llama.records import Prosody, Tone
from emotion_llama.rules.phrases import expression_phrases
from emotion_llama.rules.tone_text import describe_voice
from emotion_llama.rules.wording import wording
from emotion_llama.rules.wording.chinese_reasons import WHATS, in_chinese, voice_in_chinese

Json = Mapping[str, Any]  # parts of `schema.AnalysisDocument`
_UNIT = re.compile(r"\((AU\d\d)\) ([\d.]+)")  # of a cue of the face, with its intensity


class _Asked(NamedTuple):
    document: Json
    person: Json
    segment: Json
    language: str

    def pick(self, english: str, chinese: str) -> str:
        return chinese if self.language == "zh" else english

    @property
    def evidence(self) -> Json:
        found: Json = self.segment["evidence"]
        return found

    @property
    def prediction(self) -> Json:
        found: Json = self.segment["prediction"]
        return found

    def name(self, label: str) -> str:
        """A label in the language of the question."""
        return label if self.language == "en" else next(iter(wording("zh").label_words.get(label, ())), label)

    def missing(self, what: str) -> str:
        """Why a field of the evidence is missing."""
        why = next((one["reason"] for one in self.evidence["missing"] if one["what"] == what), "it was not measured")
        return self.reason(why)

    def unknown(self, english: str, chinese: str, why: str) -> str:
        """That something is not known, and why."""
        return self.pick(f"{english}: {why}.", f"{chinese}：{why}。")

    def reason(self, reason: str) -> str:
        """A reason of the document in the language of the question, in English where there is no translation."""
        if self.language == "en":
            return reason
        return in_chinese(reason) or f"{reason}（原文为英文）"

    def what(self, name: str) -> str:
        """A part of the evidence, or a source of words, by name."""
        return name.replace("_", " ") if self.language == "en" else WHATS.get(name, name)

    def phrase(self, cue: Json) -> str:
        """A cue in words."""
        plain: str = cue["phrase"] or cue["text"]
        if self.language == "en" or cue["source"] == "words":
            return plain
        if cue["source"] == "voice":
            tones = wording("zh").tones
            return voice_in_chinese(plain, {word: texts[0] for word, texts in tones.items()})
        units = {unit: float(value) for unit, value in _UNIT.findall(cue["text"])}
        return "、".join(expression_phrases(units, language="zh")) or plain.replace("what ", "").replace(
            " says", "的判断"
        )


def answer(question: str, document: Json, person_id: int, start_seconds: float | None = None) -> str:
    """The answer to a question about one person, from one segment of the document.

    Args:
        question: as it was typed; Chinese characters make the answer Chinese.
        document: as `schema.analysis_document` gives it, as JSON values.
        person_id: of one of its people.
        start_seconds: of the segment; the first where none begins there.
    """
    person = next(one for one in document["people"] if one["person_id"] == person_id)
    language = "zh" if re.search("[\u4e00-\u9fff]", question) else "en"
    segments: list[Json] = person["segments"]
    segment = next((one for one in segments if one["start_seconds"] == start_seconds), segments[0])
    asked = _Asked(document, person, segment, language)
    if (reply := _reply_to(question)) is not None:
        return reply(asked)
    return asked.pick(
        "I cannot answer that from what was measured; it needs a larger model. I can say which emotion is predicted, "
        "why and what speaks against it, how sure that is, when it shows, what is said, how face and voice were "
        "measured, and what could not be measured.",
        "测量结果回答不了这个问题，需要更大的模型。可以问：预测的情绪、依据和反面的线索、有多确定、何时出现、说了什么、面部和声音的测量，以及没能测到什么。",
    )


def understands(question: str) -> bool:
    """Whether a question is one that a document answers, or that is declined whoever is asked."""
    return _reply_to(question) is not None


def _reply_to(question: str) -> Callable[[_Asked], str] | None:
    return next((reply for pattern, reply in _REPLIES if re.search(pattern, question, re.IGNORECASE)), None)


def _identity(asked: _Asked) -> str:
    return asked.pick(
        "Who somebody is, and how old, is not measured and not guessed.", "不测量也不猜测一个人是谁、多大年纪。"
    )


def _mind(asked: _Asked) -> str:
    return asked.pick(
        "No: a face, a voice and words do not show whether somebody is honest, ill, able or of a certain character. "
        "Only how the person appears was measured.",
        "不能：面部、声音和话语看不出一个人是否诚实、生病，或是什么性格。这里只测量了表现出来的样子。",
    )


def _scene(asked: _Asked) -> str:
    return asked.pick(
        "What else the picture shows was not measured; that needs a model that sees it.",
        "画面中的其他内容没有测量，需要能看画面的模型。",
    )


def _said(asked: _Asked) -> str:
    words = asked.evidence["transcript"]
    if words is None:
        return asked.unknown("What is said is not known", "不知道说了什么", asked.missing("transcript"))
    lines = []
    for line in words["lines"]:
        when = "" if line["start_seconds"] is None else f" ({line['start_seconds']:.2f} s)"
        speaker = f"{line['speaker']}: " if line["speaker"] else ""
        lines.append(f"{speaker}“{line['text']}”{when}")
    source = asked.what(words["source"])
    return " ".join(lines) + asked.pick(f" Source: {source}.", f" 来源：{source}。")


def _label(asked: _Asked) -> str:
    found = asked.prediction
    if found["probabilities"] is None:
        why = asked.pick(str(found["problem"]), "；".join(_listed_missing(asked)) or str(found["problem"]))
        return asked.unknown("There is no answer", "没有答案", why)
    ranked = sorted(found["probabilities"].items(), key=lambda item: -item[1])[:3]
    listed = asked.pick(", ", "、").join(f"{asked.name(label)} {100 * share:.0f} %" for label, share in ranked)
    if found["label"] is None:
        return asked.pick(
            f"Uncertain: nothing that was measured is unambiguous. Likeliest are {listed}.",
            f"不确定：测量结果中没有明确的线索。最可能的是{listed}。",
        )
    if found["out_of_domain"]:
        strange = asked.pick(", ", "、").join(asked.what(part["what"]) for part in found["out_of_domain"])
        return asked.pick(
            f"A guess: {found['label']}. Unlike all that the model learned from: {strange}.",
            f"猜测：{asked.name(found['label'])}。与模型学过的一切都不同：{strange}。",
        )
    return asked.pick(f"Predicted: {found['label']} ({listed}).", f"预测：{asked.name(found['label'])}（{listed}）。")


def _why(asked: _Asked) -> str:
    if asked.language == "en":
        return " ".join(part for part in (_label(asked), asked.prediction["reasoning"]) if part)
    return _label(asked) + _face(asked) + _voice(asked) + _said(asked)


def _against(asked: _Asked) -> str:
    found = asked.prediction
    others: dict[str, list[str]] = {}
    for cue in found["cues"]:
        top = max(cue["weights"], key=lambda label: cue["weights"][label], default=None)
        if top is not None and cue["weights"][top] > 0 and top != found["label"]:
            others.setdefault(top, []).append(asked.phrase(cue))
    if not others:
        return (
            _label(asked)
            if found["label"] is None
            else asked.pick(
                f"No measured cue speaks for another label than {found['label']}.",
                f"没有测量到支持“{asked.name(found['label'])}”以外标签的线索。",
            )
        )
    colon, comma = asked.pick(": ", "："), asked.pick(", ", "、")
    listed = [f"{asked.name(label)}{colon}{comma.join(phrases)}" for label, phrases in others.items()]
    if found["label"] is None:
        return _label(asked) + asked.pick(f" Single cues: {'; '.join(listed)}.", f"各自的线索：{'；'.join(listed)}。")
    return asked.pick(
        f"For other labels than {found['label']} speak: {'; '.join(listed)}.",
        f"支持其他标签的线索：{'；'.join(listed)}。",
    )


def _sure(asked: _Asked) -> str:
    note = asked.pick(
        " A percentage was right that often on few clips; it is no proof.", "百分比来自少量片段上的正确率，不是证明。"
    )
    return _label(asked) + (note if asked.prediction["label"] else "")


def _when(asked: _Asked) -> str:
    peak = asked.evidence["peak_frame"]
    if peak is None:
        return asked.unknown("No moment stands out", "没有突出的时刻", asked.missing("peak_frame"))
    shown = asked.pick(" and ", "、").join(expression_phrases(peak["units"], language=asked.language))
    when = f"{peak['pts_seconds']:.2f} s"
    return asked.pick(
        f"The expression is strongest at {when}: {shown or 'hardly any movement'}.",
        f"表情在 {when} 最强：{shown or '几乎没有动作'}。",
    )


def _face(asked: _Asked) -> str:
    if asked.evidence["peak_frame"] is None:
        return asked.unknown("No face could be measured", "没能测到面部", asked.missing("action_units"))
    units = asked.pick(", ", "、").join(
        f"{name} {value:.1f}" for name, value in asked.evidence["peak_frame"]["units"].items()
    )
    figures = asked.pick(f" In units of 5: {units}.", f"动作单元（满分 5）：{units}。") if units else ""
    return _when(asked) + figures


def _voice(asked: _Asked) -> str:
    tone = asked.evidence["tone"]
    if tone is None:
        why = asked.missing("tone") if asked.evidence["prosody"] else asked.missing("prosody")
        return asked.unknown("The voice says nothing", "声音没有信息", why)
    figures = "; ".join(tone["words"].values())
    if asked.language == "en":
        return f"The voice: {tone['phrase']} ({figures})."
    prosody, usual = (
        None if asked.evidence.get(name) is None else Prosody(**asked.evidence[name]) for name in ("prosody", "usual")
    )
    return f"声音：{describe_voice(prosody, Tone(**tone), usual, 'zh') or tone['phrase']}。"


def _people(asked: _Asked) -> str:
    count = sum(person["face"] is not None for person in asked.document["people"])
    return asked.pick(
        f"{count} {'person is' if count == 1 else 'people are'} reported with a face. "
        f"{asked.person['why'].capitalize()}.",
        f"报告中有 {count} 人的面部。",
    )


def _speaker(asked: _Asked) -> str:
    heard = asked.evidence["prosody"] is not None
    if heard:
        return asked.pick(f"The voice is taken to be this person's: {asked.person['why']}.", "声音被认为是这个人的。")
    return asked.unknown("This person is not taken to speak", "没有听到这个人说话", asked.missing("prosody"))


def _missing(asked: _Asked) -> str:
    if not (listed := _listed_missing(asked)):
        return asked.pick("Everything that is looked for was measured.", "要测的都测到了。")
    return asked.pick(f"Not measured: {'; '.join(listed)}.", f"没能测到：{'；'.join(listed)}。")


def _listed_missing(asked: _Asked) -> list[str]:
    """What is missing, each with its reason."""
    found = [(asked.what(one["what"]), asked.reason(one["reason"])) for one in asked.evidence["missing"]]
    return [asked.pick(f"{what} ({why})", f"{what}（{why}）") for what, why in found]


def _length(asked: _Asked) -> str:
    seconds = asked.document["clip"]["duration_seconds"]
    return asked.pick(f"The clip lasts {seconds:.2f} s.", f"片段长 {seconds:.2f} s。")


# The first that fits answers; what is declined comes first.
_REPLIES: tuple[tuple[str, Callable[[_Asked], str]], ...] = (
    (r"\bhow long\b|多长", _length),
    (r"\bhow many (people|persons|faces)\b|几个人|多少人|几张脸", _people),
    (r"\bwho (speaks|is speaking|is talking|talks)\b|谁在说|谁说", _speaker),
    (
        r"\bname\b|\bhow old\b|\b(his|her|their) age\b|\bwho is\b|\bgender\b|\brace\b|叫什么|是谁|多大|几岁|年龄|性别",
        _identity,
    ),
    (
        r"\bl(ying|iar|ie|ies)\b|\bhonest|\bdepress|\bmental|\bautis|\bpersonalit|\bill(ness)?\b|\bintelligen|"
        r"说谎|撒谎|诚实|抑郁|性格|生病|聪明",
        _mind,
    ),
    (
        r"\bwear|\bcloth|\bbackground\b|\bwhere\b|\bdoing\b|\bhold|\broom\b|\bhair\b|穿|背景|哪里|在哪|做什么|拿着|头发",
        _scene,
    ),
    (
        r"\bagainst\b|\bcontradict|\bother (emotion|label)|\balternativ|\bwhy not\b|"
        r"反对|矛盾|相反|反面|为什么不|其他情绪",
        _against,
    ),
    (r"\bnot (be )?measured\b|\bmissing\b|\bcould(n't| not)\b|没测|没能|缺|测不到", _missing),
    (r"\bhow (sure|certain|confident|likely)\b|\bprobab|\bconfiden|\bsure\b|确定|把握|概率|可能性|可信", _sure),
    (
        r"\bsa(y|ys|ying|id)\b|\bwords\b|\btalk(s|ing)? about\b|\btranscript|\bsentence|\bspeak(s|ing)? about\b|"
        r"说了?什么|说的|台词|讲了|讲什么|话",
        _said,
    ),
    (
        r"\bwhy\b|\breason|\bevidence\b|\bcues?\b|\bbecause\b|\bhow do you know\b|"
        r"为什么|依据|线索|理由|怎么看出|凭什么",
        _why,
    ),
    (r"\bwhen\b|\bstrongest\b|\bpeak\b|\bmoment\b|什么时候|何时|最强|哪一刻|时刻", _when),
    (r"\bvoice\b|\btone\b|\bsound|\bpitch|\bloud|语气|声音|音调|语调|嗓音", _voice),
    (
        r"\bface\b|\bfacial|\bexpression|\bsmil|\bbrow|\beyes?\b|\bmouth\b|\baction units?\b|表情|面部|脸|笑|眉|嘴|眼",
        _face,
    ),
    (
        r"\bemotion|\bfeel|\bmood\b|\blabel\b|\bhappy\b|\bsad\b|\bangry\b|\bafraid\b|情绪|感觉|心情|高兴|开心|难过|伤心|生气|害怕|感受",
        _label,
    ),
)
