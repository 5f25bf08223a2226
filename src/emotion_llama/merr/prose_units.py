"""Action units that a free text names: a lexicon of face parts and movements, for texts that models or people wrote.

The rows are this project's own, from the appearance changes that the FACS manual describes (Ekman, Friesen & Hager,
2002) and from ordinary words for them. A mention names a set of units any of which would bear it out: "raised
eyebrows" may be AU01 or AU02, "an open mouth" AU25 or AU26.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class Mention(NamedTuple):
    """Words of a text, and the units any of which they could mean."""

    text: str
    units: frozenset[str]


class _Row(NamedTuple):
    units: str
    pattern: str


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
_ENGLISH: tuple[_Row, ...] = (
    _Row("AU01", _near(r"(?:inner|middle of) (?:\w+ ){0,3}(?:eye-?)?brows?|"
                       r"inner (?:eye)?brow corners?", _UP + r"|drawn up")),
    _Row("AU04", r"\bdrawn (?:up and )?together\b"),
    _Row("AU02", _near(r"outer (?:\w+ ){0,3}(?:eye-?)?brows?", _UP)),
    _Row("AU04", _near(_BROW, r"furrow\w*|frown\w*|knit\w*|knot\w*|contract\w*|creas\w*|drawn|tens\w*|troubled|"
                              r"pulled (?:down|together)|" + _DOWN)),
    _Row("AU04 AU15", r"\bfrown(?:s|ing|ed)?\b"),
    _Row("AU04 AU07", r"\bscowl\w*|\bglower\w*"),
    _Row("AU04 AU05 AU07", r"\bglar(?:e|es|ing)\b|\bhard stare\b"),
    _Row("AU01 AU02", _near(_BROW, _UP)),
    _Row("AU05", _near(_EYES, r"wid(?:e|en\w*)|bulg\w*|(?:upper )?rais\w*") + r"|\bwide[- ]eyed\b|\bstartled face\b"),
    _Row("AU45", _near(_EYES, r"closed|shut") + r"|\bblink\w*"),
    _Row("AU07", _near(_EYES, r"narrow\w*|tighten\w*|squint\w*|tens\w*|slit\w*") + r"|\bsquint\w*"),
    _Row("AU06", _near(r"cheeks?", _UP + r"|bunch\w*|push\w*") + r"|\bcrow's feet\b|"
                 r"\breach\w* (?:the|her|his|their) eyes\b|" + _near(r"eyes?", r"crinkl\w*")),
    _Row("AU14", _near(r"cheeks?", r"dimpl\w*") + r"|\bdimpl\w*|"
                 + _near(_CORNERS + r"|corners", r"tighten\w*|tuck\w*")),
    _Row("AU09", _near(r"nose|nostrils?", r"wrinkl\w*|crinkl\w*|scrunch\w*|flar\w*")),
    _Row("AU17", _near(r"chin|lower lip", r"rais\w*|push\w*|up|wrinkl\w*|quiver\w*|trembl\w*|bunch\w*")),
    _Row("AU10", _near(r"(?:upper )?lip", _UP + r"|curl\w*")),
    _Row("AU09 AU10 AU14", r"\bsneer\w*"),
    _Row("AU12 AU14", r"\bsmirk\w*"),
    _Row("AU14", r"\b(?:tight|tight-lipped|smug)\b(?= smile)"),
    _Row("AU12", _near(_CORNERS, _UP + r"|pulled (?:up|back)") + r"|\bsmil\w*|\bgrin\w*|\bbeam(?:s|ing)\b|"
                 r"\blaugh\w*|\bchuckl\w*|\bgiggl\w*|" + _near(r"mouth|lips?", r"upturned|curv\w* up\w*|turned up\w*")),
    _Row("AU15", _near(_CORNERS + r"|mouth|lips?", r"down(?:ward\w*|turned)?|droop\w*|sag\w*")),
    _Row("AU15 AU17", r"\bpout\w*"),
    _Row("AU20", _near(r"lips?|mouth", r"stretch\w*")),
    _Row("AU17 AU23", r"\bpurs(?:ed|ing)\b"),
    _Row("AU23", _near(_LIPS + r"|mouth", r"tight\w*|press\w*|thinn?\w*|compress\w*|clench\w*")),
    _Row("AU26", _near(r"jaw", r"drop\w*|fall\w*|slack\w*|hang\w*|low\w*")),
    _Row("AU25 AU26", _near(r"mouth", r"open\w*|agape|ajar|wide|gap\w*") + r"|\bwide[- ]mouthed\b|\bgap(?:es|ing)\b"),
    _Row("AU25", _near(_LIPS, r"part(?:s|ed|ing|ly)?|apart|open\w*")),
)  # fmt: skip
_CHINESE: tuple[_Row, ...] = (
    _Row("AU01", r"(?<=内蹙)上提|(?<=内聚)上提"),
    _Row("AU04", r"皱(?:着|起|紧)?眉|眉[头心毛]?[^，。；]{0,5}(?:皱|锁|蹙|压低|下压|低压|降低|内聚|聚拢|拧)|"
                 r"蹙眉|愁眉|压低[^，。；]{0,3}眉"),
    _Row("AU01", r"(?:内侧?眉|眉毛?内侧|眉头|^内侧)[^，。；]{0,5}(?:上扬|抬|扬起|上提|提起)"),
    _Row("AU02", r"(?:外侧?眉|眉毛?外侧|眉梢)[^，。；]{0,5}(?:上扬|抬|扬|挑)"),
    _Row("AU01 AU02", r"(?:眉毛|双眉|眉)[^，。；]{0,5}(?:上扬|抬|扬起|挑|高)|[扬挑]眉"),
    _Row("AU05", r"(?:眼睛?|双眼|上眼睑|眼皮)[^，。；]{0,5}(?:睁大|瞪|圆睁|张大|抬)|(?:睁大|瞪)[^，。；]{0,4}眼|瞪着"),
    _Row("AU45", r"(?:眼睛?|双眼)[^，。；]{0,4}(?:闭|合上)|闭(?:着|上)?[双]?眼|眨眼"),
    _Row("AU07", r"(?:眼睛?|双眼|眼睑)[^，。；]{0,5}(?:眯|收紧|绷紧|变窄)|眯[^，。；]{0,3}眼"),
    _Row("AU06", r"(?:脸颊|面颊|双颊|颧)[^，。；]{0,5}(?:抬|上提|提升|鼓|上扬)|鱼尾纹|(?:直?达|延伸[到至])眼[角底]?"),
    _Row("AU09", r"鼻[^，。；]{0,7}皱|皱(?:着|起)?鼻"),
    _Row("AU10", r"上(?:嘴)?唇[^，。；]{0,5}(?:抬|上提|提起|翘|上扬)|[翘提抬]起上唇"),
    _Row("AU15", r"(?:嘴角|唇角|口角)[^，。；]{0,5}(?:下|垂|耷拉)|撇(?:着|下)?嘴|嘴[^，。；]{0,3}撇"),
    _Row("AU14", r"酒窝|(?:嘴角|唇角)[^，。；]{0,5}(?:收紧|绷紧|内收|抿)"),
    _Row("AU12", r"(?:嘴角|唇角|口角)[^，。；]{0,5}(?:上扬|上提|上翘|扬起|翘|拉起|向上)|笑"),
    _Row("AU26", r"(?:下颌|下颚|下巴)[^，。；]{0,5}(?:下垂|落|张开|下降|掉|垂)"),
    _Row("AU17", r"下巴[^，。；]{0,5}(?:抬|上推|顶|收缩|皱)|下(?:嘴)?唇[^，。；]{0,5}(?:上推|顶起)|顶起下巴"),
    _Row("AU20", r"(?:嘴|唇)[^，。；]{0,5}(?:拉伸|横向|拉长)"),
    _Row("AU23", r"(?:嘴|唇)[^，。；]{0,5}(?:抿|紧闭|绷|收紧)|抿[^，。；]{0,3}[嘴唇]"),
    _Row("AU25 AU26", r"嘴[巴都]?[^，。；]{0,5}(?:张|开|大开)|张(?:着|开|大)?[^，。；]{0,2}[嘴口]"),
    _Row("AU25", r"(?:双唇|嘴唇)[^，。；]{0,5}(?:张|分开|微开)"),
)  # fmt: skip

_CLAUSES = re.compile(
    r"[,.;:!?()，。；：！？、且并]|\b(?:and|while|with|over|under|but|as|whereas|although)\b(?!\s+together)"
)
_DENIED = re.compile(
    r"\b(?:no|not|never|without|neither|nor|none|lack\w*|absence|cannot|hardly|barely|rather than|instead of)\b|n't\b|"
    r"[没未不无]"
)


def unit_mentions(text: str) -> tuple[Mention, ...]:
    """Units that an English or Chinese text names, in its order; what it denies in the same clause is left out."""
    found: list[Mention] = []
    for clause in _CLAUSES.split(text.lower().replace("’", "'")):
        if clause is None or not clause.strip() or _DENIED.search(clause):
            continue
        found += _of_clause(clause)
    return tuple(found)


def _of_clause(clause: str) -> list[Mention]:
    found: list[tuple[int, Mention]] = []
    for units, pattern in _rows():
        match = pattern.search(clause)
        if match is not None:
            found.append((match.start(), Mention(match.group().strip(), units)))
            clause = clause[: match.start()] + " " * len(match.group()) + clause[match.end() :]
    return [mention for _, mention in sorted(found, key=lambda item: item[0])]


@lru_cache(maxsize=1)
def _rows() -> tuple[tuple[frozenset[str], re.Pattern[str]], ...]:
    return tuple((frozenset(row.units.split()), re.compile(row.pattern)) for row in (*_ENGLISH, *_CHINESE))
