"""Chinese words as evidence: text as single signs, and what around a lexicon entry changes it.

Nothing is cut into words first: the longest entry of data/lexicon_zh.csv that begins at a sign wins, and entries
without weight (心脏, 恨不得) keep a shorter one inside them from being found. Entries and the rules of negation,
degree, question and person are of our own writing; the sizes of their effects are those of `words`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources

from emotion_llama.rules.lexicon import Lexicon, Pattern, Token, parse

# Traditional signs that occur in the lexicon and the rules below, and their simplified forms.
_SIMPLIFIED = str.maketrans(
    "興難過氣憤擔驚嚇討厭愛開樂煩惱傷淚別沒這麼個們會來為對謝滾閉騙賤瘋憐慘恥無點極壞媽願懷緊張慮嗎說話該"
    "誰讓還時運歡贊賀勝贏夠絕後獨虛偽噁惡髒關係樣確實許覺譜離遠慶險殺顫發憂驕滿輕鬆溫捨經負擾東給從並誤嘆"
    "鬧裡乾廢憑幾歲總當見聽認條現動學長門問間頭幫請報親讀寫買賣錢車電視靜國萬與業義兒務際應號體戰戀閒麗",
    "兴难过气愤担惊吓讨厌爱开乐烦恼伤泪别没这么个们会来为对谢滚闭骗贱疯怜惨耻无点极坏妈愿怀紧张虑吗说话该"
    "谁让还时运欢赞贺胜赢够绝后独虚伪恶恶脏关系样确实许觉谱离远庆险杀颤发忧骄满轻松温舍经负扰东给从并误叹"
    "闹里干废凭几岁总当见听认条现动学长门问间头帮请报亲读写买卖钱车电视静国万与业义儿务际应号体战恋闲丽",
)
_MARKS = str.maketrans("。！？，、；：…", ".!?,,;:.")
_SIGN = re.compile(r"[!?]+|[.,;:]|[\u3400-\u9fff]|[A-Za-z]+|\d+")
_CLAUSE_END, _SENTENCE_END = ".,;:!?", ".!?"

# A negation, and what may stand between it and a feeling (最多几个字: 不是那么高兴, 没有觉得难过).
_NEGATION = (
    "从来没有|从来不|从来没|没有|没|不是|不会|不再|不太|不怎么|不那么|不算|不|别|并非|从未|未曾|谈不上|算不上|毫无|无"
)
_BETWEEN = (
    "有|那么|这么|再|太|很|非常|特别|十分|怎么|多|会|要|敢|想|是|真|真的|觉得|感到|感觉|显得|变得|让人|让我|令人|为此|"
    "因此|为他|为你|为我|对你|对他|跟你|和你|什么|一点|一点也|半点|任何|过|得|的|到|在|用|必|能|可以|应该"
)
MAX_SIGNS = 40  # as far as a sentence is followed: recognised speech often has no marks at all
_REACH = {"state": 6, "stance": 1}  # signs between a negation and an entry
# Signs of a negation that deny nothing here.
_NO_NEGATION = re.compile(
    "忍不住|禁不住|不禁|不由得|不得不|不能不|不会不|不是不|没有不|不得了|不管|不过|不但|不仅|不断|不停|对不起|了不起|"
    "要不|不如|不然|没准|差不多|动不动|说不出|不知道|别人|别的|特别|告别|分别|级别|性别|无比|无论|怎么不|能不|岂不|"
    "难道不|还不|何尝不|谁不|莫不"
)
_RHETORICAL = re.compile("(?:怎么能?不|能不|岂不|难道不|谁不)")
_BOOSTERS = re.compile(
    "(?:非常|特别|太|十分|极其|极度|极|真的|真是|真|超级|超|这么|那么|多么|最|简直|实在|如此|相当|格外|无比|万分|好|"
    "可|挺|越来越)(?:的|地|让我|让人|令人)?$"
)
_AFTER_BOOSTERS = re.compile("^(?:极了|死我了|死了|坏了|透了|得不得了|得要命|得要死|得很|得哭了|万分|至极|不已|疯了)")
_DAMPENERS = re.compile("(?:有一点|有点儿?|有些|稍微|略微?|不太|不怎么|不那么|还算|比较|一点点)(?:让我|让人|令人)?$")
_PARTICLES = re.compile("[啊呀哇啦]$")
_OTHERS = re.compile("你们|您|你|他们|她们|他|她|大家|人家|别人|对方|老板|妈妈|爸爸|孩子")
_FIRST = re.compile("我们|咱们|咱|我|本人|自己")
_BUT = re.compile("但是|但|可是|不过|然而|却")


@lru_cache(maxsize=1)
def chinese() -> Lexicon:
    """The lexicon that ships with the package, read on first use."""
    file = resources.files("emotion_llama.rules").joinpath("data/lexicon_zh.csv")
    rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    # A pattern is written without blanks: every sign is a token; "^" asks for the beginning of a sentence or clause.
    spaced = ({**row, "pattern": " ".join(_written(row["pattern"]))} for row in rows)
    return Lexicon(parse(spaced, "lexicon_zh.csv"))


def signs(text: str) -> tuple[Token, ...]:
    """Text as the lexicon sees it: simplified signs one by one, marks as they are in English.

    >>> "".join(token.text for token in signs("我很難過！！"))
    '我很难过!'
    """
    plain = text.translate(_SIMPLIFIED).translate(_MARKS)
    return tuple(Token(_mark(found)) for found in _SIGN.findall(plain))


def entries(found: tuple[Token, ...], lexicon: Lexicon) -> Iterator[tuple[int, int, Pattern, tuple[str, ...]]]:
    """(start, end, entry, notes of what changes it) of each entry in a text, the longest at each place."""
    # An entry that begins a sentence may begin a clause.
    divided = tuple(Token(".") if token.text in _CLAUSE_END else token for token in found)
    at = 0
    while at < len(found):
        match = lexicon.match(divided if found[at].text[0] not in _CLAUSE_END else found, at, frozenset())
        if match is None:
            at += 1
            continue
        pattern, end = match
        if any(pattern.weights.values()):  # the others stand for no feeling
            yield at, end, pattern, _notes(found, at, end, pattern)
        at = end


def _notes(found: tuple[Token, ...], start: int, end: int, pattern: Pattern) -> tuple[str, ...]:
    """Everything around an entry that changes its weight; names as in `words`."""
    first, last = _around(found, start, end, _SENTENCE_END)
    begin, stop = _around(found, start, end, _CLAUSE_END)
    before, after = _text(found[begin:start]), _text(found[end:stop])
    closing = found[last].text if last < len(found) else ""
    word = "".join(pattern.tokens)
    # 高兴不高兴, 高不高兴: a question of yes or no.
    is_choice = before.endswith(("不", "没")) and before[:-1].endswith((word, word[0]))
    is_choice = is_choice or after.startswith((f"不{word}", f"没{word}"))
    asked = is_choice or (stop < len(found) and found[stop].text == "?")
    is_rhetorical = asked and not is_choice and _RHETORICAL.search(before) is not None
    is_denied = not is_choice and not is_rhetorical and _is_negated(before, pattern.kind)
    person = _last_person(before)
    noted = {
        "negated": is_denied,
        "intensified": not is_denied
        and bool((_BOOSTERS.search(before) and not _DAMPENERS.search(before)) or _AFTER_BOOSTERS.match(after)),
        "weakened": not is_denied and _DAMPENERS.search(before) is not None,
        "exclaimed": "!" in closing or bool(_PARTICLES.search(after) and closing != "?"),
        "before 'but'": _BUT.search(_text(found[end:last])) is not None,
        "after 'but'": _BUT.search(_text(found[first:start])) is not None,
        "about somebody else": pattern.kind == "state" and (person == "other" or (asked and person is None)),
    }
    return tuple(note for note, holds in noted.items() if holds)


def _is_negated(before: str, kind: str) -> bool:
    plain = _NO_NEGATION.sub(lambda match: "□" * len(match[0]), before)
    match = re.search(f"({_NEGATION})((?:{_BETWEEN})*)$", plain)
    return match is not None and len(match[2]) <= _REACH[kind]


def _last_person(before: str) -> str | None:
    own = max((match.end() for match in _FIRST.finditer(before)), default=-1)
    other = max((match.end() for match in _OTHERS.finditer(before)), default=-1)
    return None if own == other else "self" if own > other else "other"


def _around(found: tuple[Token, ...], start: int, end: int, marks: str) -> tuple[int, int]:
    """First sign of the clause or sentence around an entry, and the place of the mark that closes it."""
    first, last = max(0, start - MAX_SIGNS), min(len(found), end + MAX_SIGNS)
    while start > first and found[start - 1].text[0] not in marks:
        start -= 1
    while end < last and found[end].text[0] not in marks:
        end += 1
    return start, end


def _written(pattern: str) -> list[str]:
    return (
        [*pattern[:1], *(token.text for token in signs(pattern[1:]))]
        if pattern[0] == "^"
        else [token.text for token in signs(pattern)]
    )


def _text(found: tuple[Token, ...]) -> str:
    return "".join(token.text for token in found)


def _mark(token: str) -> str:
    if token[0] in "!?":
        return "?!" if "?" in token and "!" in token else token[0]
    return token
