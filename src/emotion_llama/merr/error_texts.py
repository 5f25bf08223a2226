"""Texts that are no descriptions: error messages and refusals that other programs have stored in their place."""

from __future__ import annotations

import re

# How such texts begin. Only beginnings: a description may well say "the man is sorry" later on. The forms are those of
# HTTP clients and Python, of the published factory's messages ("Error ...", "An error occurred ..."), and of models
# that refuse; the list is ours.
_BEGINNINGS = re.compile(
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


def error_like(text: str) -> bool:
    """Whether a text is an error message or a refusal rather than a description."""
    return _BEGINNINGS.match(text) is not None
