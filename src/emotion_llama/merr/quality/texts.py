"""Descriptions as texts: their words, how varied they are, which nearly repeat another, and which are errors."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# CJK unified ideographs with extension A, and the compatibility block (Unicode 15, blocks).
_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_IDEOGRAPH}]|[^\W_{_IDEOGRAPH}]+(?:['’-][^\W_{_IDEOGRAPH}]+)*")
_LETTER = re.compile(r"[^\W\d_]")

SHINGLE = 3  # tokens in a row: Broder 1997, "On the resemblance and containment of documents", shingles of words
NEAR = 0.9  # Jaccard similarity of two texts' shingles from which they are near duplicates; own choice
BANDS, ROWS = 16, 8  # own choice: a pair of similarity 0.9 shares a band with probability 1 - (1 - 0.9^8)^16 > 0.999
_PRIME = (1 << 31) - 1

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

    Nearly: the Jaccard similarity of the sets of 3-token shingles is at least 0.9. Candidates are found by MinHash with
    banding (Broder 1997; Leskovec, Rajaraman & Ullman, "Mining of Massive Datasets", 3.4), then compared exactly.
    """
    shingled = [frozenset(ngrams(tokens(text), SHINGLE) or [tuple(tokens(text))]) - {()} for text in texts]
    first = list(range(len(texts)))
    buckets: dict[tuple[int, bytes], list[int]] = {}
    for row, (shingles, signature) in enumerate(zip(shingled, _signatures(shingled))):
        if signature is None:
            continue
        keys = [(band, signature[band * ROWS : (band + 1) * ROWS].tobytes()) for band in range(BANDS)]
        candidates = sorted({other for key in keys for other in buckets.get(key, ())})
        match = next((o for o in candidates if len(shingled[o] & shingles) >= NEAR * len(shingled[o] | shingles)), None)
        if match is not None:
            first[row] = match
            continue  # only first ones are compared with: a chain of small changes is no duplicate of its start
        for key in keys:
            buckets.setdefault(key, []).append(row)
    return first


def _signatures(shingled: Sequence[frozenset[tuple[str, ...]]]) -> list[npt.NDArray[np.int64] | None]:
    """MinHash signature [BANDS * ROWS] of each set; None of an empty one. The same in every process."""
    from zlib import crc32

    rng = np.random.default_rng(0)
    factor = rng.integers(1, _PRIME, BANDS * ROWS)[:, None]
    shift = rng.integers(0, _PRIME, BANDS * ROWS)[:, None]
    signatures: list[npt.NDArray[np.int64] | None] = []
    for shingles in shingled:
        hashes = np.array([crc32("\0".join(s).encode()) % _PRIME for s in shingles], dtype=np.int64)
        signatures.append(((factor * hashes + shift) % _PRIME).min(axis=1) if len(hashes) else None)
    return signatures
