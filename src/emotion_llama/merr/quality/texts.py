"""Descriptions as texts: their words, how varied they are, near repetitions, errors; what movements they name.

The rows of the lexicons are this project's own. Those of the face follow the appearance changes that the FACS manual
describes (Ekman, Friesen & Hager, 2002) and ordinary words for them; figures and directions of the voice are those of
`speech.tone.SCALES`. What a text denies in the same clause is left out.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

# CJK unified ideographs with extension A, and the compatibility block (Unicode 15, blocks).
_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_IDEOGRAPH}]|[^\W_{_IDEOGRAPH}]+(?:['’-][^\W_{_IDEOGRAPH}]+)*")
_LETTER = re.compile(r"[^\W\d_]")

SHINGLE = 3  # tokens in a row: Broder 1997, "On the resemblance and containment of documents", shingles of words
NEAR = 0.9  # Jaccard similarity of two texts' shingles from which they are near duplicates; own choice

# How such texts begin. Only beginnings: a description may well say "the man is sorry" later on. The forms are those of
# HTTP clients and Python, of the published factory's messages ("Error ...", "An error occurred ..."), and of models
# that refuse; the list is ours.
_ERROR_BEGINNINGS = re.compile(
    r"""\s*["'`*\[(]*(?:
        (?:an?\s+)?(?:unexpected\s+|internal\s+)?(?:server\s+)?error\b
        | traceback\s+\(most
        | exception\b\s*[:(]
        | (?:\w+\.)*\w+(?:Error|Exception)\s*[:(]
        | (?:http\s*)?[45]\d\d\b\s*(?:error|bad|unauthori[sz]ed|forbidden|not\s+found|too\s+many|internal|service)
        | (?:too\s+many\s+requests|rate\s+limit|quota\s+exceeded|connection\s+(?:refused|reset|error))
        | (?:the\s+)?(?:request\s+)?(?:timed\s+out|time-?out)\b
        | (?:none|null|nan|n/a|undefined)\s*[.]?\s*$
        | <(?:!doctype|html|\?xml)\b
        | (?:i['’]?m|i\s+am|we['’]?re)\s+(?:very\s+|so\s+)?sorry,?\s+(?:but\s+)?(?:i|we|as)\b
        | sorry,?\s+(?:but\s+)?i\s+(?:can|am|do|cannot)
        | i\s+(?:cannot|can['’]?t|am\s+unable\s+to|['’]?m\s+unable\s+to|am\s+not\s+able\s+to)\s+
            (?:help|assist|provide|view|see|process|analy[sz]e|access|watch|listen|determine|identify|comply|fulfill?)
        | as\s+an?\s+(?:ai|large\s+language|language)\b
        | (?:抱歉|对不起)[,，]?\s*(?:我|作为)
        | 作为一?个?(?:AI|人工智能|语言模型)
    )""",
    re.VERBOSE | re.IGNORECASE,
)


def tokens(text: str) -> list[str]:
    """Words in lower case; an ideograph is a token of its own, as Chinese texts are counted by characters."""
    return [t.lower().replace("’", "'") for t in _TOKEN.findall(text)]


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of `n` tokens."""
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def repeated_share(words: Sequence[str]) -> float | None:
    """Share of a text's 4-grams that stand in it before already (a loop of a model nears 1); None below 4 tokens."""
    found = ngrams(words, 4)
    return 1 - len(set(found)) / len(found) if found else None


def ideograph_share(text: str) -> float | None:
    """Share of a text's letters that are Chinese characters; None of a text without letters."""
    letters = _LETTER.findall(text)
    return sum(bool(re.match(f"[{_IDEOGRAPH}]", c)) for c in letters) / len(letters) if letters else None


def error_like(text: str) -> bool:
    """Whether a text is an error message or a refusal that a program stored in the place of a description."""
    return _ERROR_BEGINNINGS.match(text) is not None


def near_duplicates(texts: Sequence[str]) -> list[int]:
    """For each text the number of the first text that it equals or nearly repeats, its own where there is none.

    Nearly: the Jaccard similarity of the sets of 3-token shingles is at least 0.9. Such sets share one of the rarest
    tenth of their shingles (prefix filtering: Chaudhuri, Ganti & Kaushik, ICDE 2006), so that few are compared.
    """
    shingled = [frozenset(ngrams(tokens(text), SHINGLE) or [tuple(tokens(text))]) - {()} for text in texts]
    rarity = Counter(shingle for shingles in shingled for shingle in shingles)
    first = list(range(len(texts)))
    holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)  # rare shingle -> first ones that hold it
    for row, shingles in enumerate(shingled):
        rarest = sorted(shingles, key=lambda shingle: (rarity[shingle], shingle))
        rarest = rarest[: len(shingles) - math.ceil(NEAR * len(shingles) - 1e-9) + 1]
        candidates = sorted({other for shingle in rarest for other in holders[shingle]})
        match = next((o for o in candidates if len(shingled[o] & shingles) >= NEAR * len(shingled[o] | shingles)), None)
        if match is not None:
            first[row] = match
            continue  # only first ones are compared with: a chain of small changes is no duplicate of its start
        for shingle in rarest:
            holders[shingle].append(row)
    return first


_BROW = r"(?:eye-?)?brows?|forehead"
_LIPS = r"lips?"
_CORNERS = r"(?:mouth|lip)[ -]?corners?|corners? of (?:the|her|his|their|its|a) (?:mouth|lips?)"
_EYES = r"eyes?|(?:upper )?(?:eye)?lids?"
_UP = r"rais\w*|lift\w*|arch\w*|upward\w*|upturned|up"
_DOWN = r"lower\w*|down(?:ward\w*|turned)?|droop\w*|sag\w*"


def _near(parts: str, moves: str) -> str:
    """A part with a movement at most four words after it, or three before it."""
    return rf"\b(?:{parts})\b(?:\W+\w+){{0,4}}?\W+(?:{moves})\b|\b(?:{moves})\b(?:\W+\w+){{0,3}}?\W+(?:{parts})\b"


# In this order: a row takes its words away from the rows after it, so that the inner brow is not the brow again.
_UNITS_EN: tuple[tuple[str, str], ...] = (
    ("AU01", _near(r"(?:inner|middle of) (?:\w+ ){0,3}(?:eye-?)?brows?|"
                       r"inner (?:eye)?brow corners?", _UP + r"|drawn up")),
    ("AU04", r"\bdrawn (?:up and )?together\b"),
    ("AU02", _near(r"outer (?:\w+ ){0,3}(?:eye-?)?brows?", _UP)),
    ("AU04", _near(_BROW, r"furrow\w*|frown\w*|knit\w*|knot\w*|contract\w*|creas\w*|drawn|tens\w*|troubled|"
                              r"pulled (?:down|together)|" + _DOWN)),
    ("AU04 AU15", r"\bfrown(?:s|ing|ed)?\b"),
    ("AU04 AU07", r"\bscowl\w*|\bglower\w*"),
    ("AU04 AU05 AU07", r"\bglar(?:e|es|ing)\b|\bhard stare\b"),
    ("AU01 AU02", _near(_BROW, _UP)),
    ("AU05", _near(_EYES, r"wid(?:e|en\w*)|bulg\w*|(?:upper )?rais\w*") + r"|\bwide[- ]eyed\b|\bstartled face\b"),
    ("AU45", _near(_EYES, r"closed|shut") + r"|\bblink\w*"),
    ("AU07", _near(_EYES, r"narrow\w*|tighten\w*|squint\w*|tens\w*|slit\w*") + r"|\bsquint\w*"),
    ("AU06", _near(r"cheeks?", _UP + r"|bunch\w*|push\w*") + r"|\bcrow's feet\b|"
                 r"\breach\w* (?:the|her|his|their) eyes\b|" + _near(r"eyes?", r"crinkl\w*")),
    ("AU14", _near(r"cheeks?", r"dimpl\w*") + r"|\bdimpl\w*|"
                 + _near(_CORNERS + r"|corners", r"tighten\w*|tuck\w*")),
    ("AU09", _near(r"nose|nostrils?", r"wrinkl\w*|crinkl\w*|scrunch\w*|flar\w*")),
    ("AU17", _near(r"chin|lower lip", r"rais\w*|push\w*|up|wrinkl\w*|quiver\w*|trembl\w*|bunch\w*")),
    ("AU10", _near(r"(?:upper )?lip", _UP + r"|curl\w*")),
    ("AU09 AU10 AU14", r"\bsneer\w*"),
    ("AU12 AU14", r"\bsmirk\w*"),
    ("AU14", r"\b(?:tight|tight-lipped|smug)\b(?= smile)"),
    ("AU12", _near(_CORNERS, _UP + r"|pulled (?:up|back)") + r"|\bsmil\w*|\bgrin\w*|\bbeam(?:s|ing)\b|"
                 r"\blaugh\w*|\bchuckl\w*|\bgiggl\w*|" + _near(r"mouth|lips?", r"upturned|curv\w* up\w*|turned up\w*")),
    ("AU15", _near(_CORNERS + r"|mouth|lips?", r"down(?:ward\w*|turned)?|droop\w*|sag\w*")),
    ("AU15 AU17", r"\bpout\w*"),
    ("AU20", _near(r"lips?|mouth", r"stretch\w*")),
    ("AU17 AU23", r"\bpurs(?:ed|ing)\b"),
    ("AU23", _near(_LIPS + r"|mouth", r"tight\w*|press\w*|thinn?\w*|compress\w*|clench\w*")),
    ("AU26", _near(r"jaw", r"drop\w*|fall\w*|slack\w*|hang\w*|low\w*")),
    ("AU25 AU26", _near(r"mouth", r"open\w*|agape|ajar|wide|gap\w*") + r"|\bwide[- ]mouthed\b|\bgap(?:es|ing)\b"),
    ("AU25", _near(_LIPS, r"part(?:s|ed|ing|ly)?|apart|open\w*")),
)  # fmt: skip
_UNITS_ZH: tuple[tuple[str, str], ...] = (
    ("AU01", r"(?<=内蹙)上提|(?<=内聚)上提"),
    ("AU04", r"皱(?:着|起|紧)?眉|眉[头心毛]?[^，。；]{0,5}(?:皱|锁|蹙|压低|下压|低压|降低|内聚|聚拢|拧)|"
                 r"蹙眉|愁眉|压低[^，。；]{0,3}眉"),
    ("AU01", r"(?:内侧?眉|眉毛?内侧|眉头|^内侧)[^，。；]{0,5}(?:上扬|抬|扬起|上提|提起)"),
    ("AU02", r"(?:外侧?眉|眉毛?外侧|眉梢)[^，。；]{0,5}(?:上扬|抬|扬|挑)"),
    ("AU01 AU02", r"(?:眉毛|双眉|眉)[^，。；]{0,5}(?:上扬|抬|扬起|挑|高)|[扬挑]眉"),
    ("AU05", r"(?:眼睛?|双眼|上眼睑|眼皮)[^，。；]{0,5}(?:睁大|瞪|圆睁|张大|抬)|(?:睁大|瞪)[^，。；]{0,4}眼|瞪着"),
    ("AU45", r"(?:眼睛?|双眼)[^，。；]{0,4}(?:闭|合上)|闭(?:着|上)?[双]?眼|眨眼"),
    ("AU07", r"(?:眼睛?|双眼|眼睑)[^，。；]{0,5}(?:眯|收紧|绷紧|变窄)|眯[^，。；]{0,3}眼"),
    ("AU06", r"(?:脸颊|面颊|双颊|颧)[^，。；]{0,5}(?:抬|上提|提升|鼓|上扬)|鱼尾纹|(?:直?达|延伸[到至])眼[角底]?"),
    ("AU09", r"鼻[^，。；]{0,7}皱|皱(?:着|起)?鼻"),
    ("AU10", r"上(?:嘴)?唇[^，。；]{0,5}(?:抬|上提|提起|翘|上扬)|[翘提抬]起上唇"),
    ("AU15", r"(?:嘴角|唇角|口角)[^，。；]{0,5}(?:下|垂|耷拉)|撇(?:着|下)?嘴|嘴[^，。；]{0,3}撇"),
    ("AU14", r"酒窝|(?:嘴角|唇角)[^，。；]{0,5}(?:收紧|绷紧|内收|抿)"),
    ("AU12", r"(?:嘴角|唇角|口角)[^，。；]{0,5}(?:上扬|上提|上翘|扬起|翘|拉起|向上)|笑"),
    ("AU26", r"(?:下颌|下颚|下巴)[^，。；]{0,5}(?:下垂|落|张开|下降|掉|垂)"),
    ("AU17", r"下巴[^，。；]{0,5}(?:抬|上推|顶|收缩|皱)|下(?:嘴)?唇[^，。；]{0,5}(?:上推|顶起)|顶起下巴"),
    ("AU20", r"(?:嘴|唇)[^，。；]{0,5}(?:拉伸|横向|拉长)"),
    ("AU23", r"(?:嘴|唇)[^，。；]{0,5}(?:抿|紧闭|绷|收紧)|抿[^，。；]{0,3}[嘴唇]"),
    ("AU25 AU26", r"嘴[巴都]?[^，。；]{0,5}(?:张|开|大开)|张(?:着|开|大)?[^，。；]{0,2}[嘴口]"),
    ("AU25", r"(?:双唇|嘴唇)[^，。；]{0,5}(?:张|分开|微开)"),
)  # fmt: skip
_UNIT_CLAUSES = re.compile(
    r"[,.;:!?()，。；：！？、且并]|\b(?:and|while|with|over|under|but|as|whereas|although)\b(?!\s+together)"
)
_UNIT_DENIED = re.compile(
    r"\b(?:no|not|never|without|neither|nor|none|lack\w*|absence|cannot|hardly|barely|rather than|instead of)\b|n't\b|"
    r"[没未不无]"
)

_HIGH_IS = r"(?:pitch|voice) (?:is |sounds )?(?:very |rather )?"
_TONES: tuple[tuple[str, Literal[-1, 1], str], ...] = (
    ("pitch_median_semitones", 1,
     r"high(?:er)?[- ](?:pitch\w*|voice)|" + _HIGH_IS + r"high\b|shrill\w*|squeak\w*|高亢|尖锐|音调[^，。]{0,3}高|"
     r"声音[^，。]{0,2}尖"),
    ("pitch_median_semitones", -1,
     r"low(?:er)?[- ](?:pitch\w*|voice)|" + _HIGH_IS + r"(?:low|deep)\b|deep (?:voice|tone)|低沉|浑厚|"
     r"音调[^，。]{0,3}低"),
    ("pitch_range_semitones", -1,
     r"monoton\w*|flat(?:ly)?\b|expressionless|toneless|little variation|平淡|单调|平板"),
    ("pitch_range_semitones", 1,
     r"lively|animated|expressive\w*|melodi\w*|sing-?song|varied|wide range|活泼|生动|抑扬顿挫|起伏"),
    ("loudness_median_db", 1,
     r"loud\w*|shout\w*|yell\w*|scream\w*|raised (?:\w+ )?voice|booming|大声|响亮|吼|喊|提高[^，。]{0,3}音量"),
    ("loudness_median_db", -1,
     r"quiet\w*|soft(?:ly|er|[- ]spoken)?\b|whisper\w*|hushed|faint\w*|murmur\w*|mumbl\w*|轻声|小声|低声|轻柔|安静"),
    ("articulation_rate", 1,
     r"(?:fast|quick|rapid|hurried|brisk|hasty)(?:ly|er)?\b|语速[^，。]{0,3}快|急促|快速"),
    ("articulation_rate", -1,
     r"slow\w*|unhurried|drawn[- ]out|drawl\w*|leisurely|语速[^，。]{0,3}慢|缓慢|慢条斯理"),
    ("pause_share", 1,
     r"halting\w*|hesita\w*|pauses?\b|stammer\w*|stutter\w*|falter\w*|停顿|迟疑|犹豫|断断续续|结巴"),
    ("tremor_depth_percent", 1,
     r"trembl\w*|shak(?:y|ing|ily)|quiver\w*|unsteady|tremulous|wavering|颤抖|发抖|颤"),
)  # fmt: skip
_TONE_CLAUSES = re.compile(r"[,.;:!?()，。；：！？、]|\b(?:and|while|but|although|though)\b")
_TONE_DENIED = re.compile(r"\b(?:no|not|never|without|neither|nor|lack\w*|hardly|barely)\b|n't\b|[没未不无]")


def unit_mentions(text: str) -> list[frozenset[str]]:
    """Units that an English or Chinese text names, in its order.

    A mention is a set of units any of which would bear it out: "raised eyebrows" may be AU01 or AU02, "an open mouth"
    AU25 or AU26.
    """
    found: list[frozenset[str]] = []
    for clause in _UNIT_CLAUSES.split(text.lower().replace("’", "'")):
        if clause is None or not clause.strip() or _UNIT_DENIED.search(clause):
            continue
        places: list[tuple[int, frozenset[str]]] = []
        for units, pattern in _unit_patterns():
            match = pattern.search(clause)
            if match is not None:
                places.append((match.start(), units))
                clause = clause[: match.start()] + " " * len(match.group()) + clause[match.end() :]
        found += [units for _, units in sorted(places, key=lambda item: item[0])]
    return found


def tone_mentions(text: str) -> list[tuple[str, Literal[-1, 1]]]:
    """Figures of `Prosody` that a text speaks of, and whether it calls them high (1) or low (-1)."""
    found = []
    for clause in _TONE_CLAUSES.split(text.lower()):
        if clause and not _TONE_DENIED.search(clause):
            found += [(figure, way) for figure, way, pattern in _tone_patterns() if pattern.search(clause)]
    return found


@lru_cache(maxsize=1)
def _unit_patterns() -> tuple[tuple[frozenset[str], re.Pattern[str]], ...]:
    return tuple((frozenset(units.split()), re.compile(pattern)) for units, pattern in (*_UNITS_EN, *_UNITS_ZH))


@lru_cache(maxsize=1)
def _tone_patterns() -> tuple[tuple[str, Literal[-1, 1], re.Pattern[str]], ...]:
    # Chinese has no blanks between words: only what begins with a Latin letter has to begin a word.
    return tuple((f, d, re.compile(rf"(?<![a-z])(?:{pattern})")) for f, d, pattern in _TONES)
