"""What a person says, out of the text of cues: without markup, repeats of rolling captions, sounds, songs, adverts."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence

from emotion_llama.media.subtitles_parse import Cue
from emotion_llama.records import TranscriptLine

# --- markup ---------------------------------------------------------------------------------------------------------

_DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?:\{[^{}]*\\p0[^{}]*\}|$)", re.DOTALL)
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?[ \t\n]+([^<>]+)>")
_RUBY = re.compile(r"<rt>.*?(?:</rt>|</ruby>|$)", re.DOTALL)
# Only what begins like a tag, so that "x < y" and "<3" stay: <i>, </font>, </>, <c.red>, <00:01.000>, {\an8}; and
# tags of subtitles that are not closed: "<i", "<font color=red".
_TAG = re.compile(
    r"</?[A-Za-z][^<>]*>|<[\d:.]+>|</>|\{\\[^{}]*\}|"
    r"</?(?:[bcisuv]|font|lang|rt|ruby|span|br|em|strong)\b(?:\.[\w-]+)*(?:\s+[\w-]+\s*=\s*(?:\"[^\"]*\"|[^\s<>]+))*"
)
_BREAK = re.compile(r"\\[Nn]|<br\s*/?>", re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def without_markup(text: str) -> str:
    """The text of a cue without tags, drawings, ruby readings and entities; speakers as `subtitles_parse.Cue` says."""
    text = _BREAK.sub("\n", _DRAWING.sub("", text)).replace("\\h", " ")
    text = _VOICE.sub(lambda match: f"\n\0{' '.join(match[1].split())}\0", _RUBY.sub("", text))
    return _INVISIBLE.sub("", html.unescape(_TAG.sub("", text)))


# --- rolling captions -----------------------------------------------------------------------------------------------

_TOUCHING_SECONDS = 0.1
_SURE_WORDS = 3  # a repeat of fewer words may be said twice; it counts where the file rolls elsewhere too
_MIN_ROLLS = 2

Lines = list[str]


def unroll(cues: Sequence[Cue]) -> list[Cue]:
    """Cues by start time, each without the lines, or the first words, that still stand there from the one before."""
    ordered = sorted(cues, key=lambda cue: cue.start_seconds)
    texts = [[" ".join(line.split()) for line in cue.text.split("\n") if line.strip(" \t\f\r\n")] for cue in ordered]
    repeats: list[tuple[int, Lines]] = [(0, texts[0])] if texts else []  # (words repeated, lines that are new)
    for before, cue, old, new in zip(ordered, ordered[1:], texts, texts[1:]):
        touches = cue.start_seconds <= before.end_seconds + _TOUCHING_SECONDS
        repeats.append(_repeat(old, new) if touches and old != new else (0, new))
    rolls = sum(words > 0 and bool(rest) for words, rest in repeats)
    out = []
    for cue, text, (words, rest) in zip(ordered, texts, repeats):
        is_repeat = words >= _SURE_WORDS or (words > 0 and rolls >= _MIN_ROLLS)
        out.append(cue._replace(text="\n".join(rest if is_repeat else text)))
    return out


def _repeat(old: Lines, new: Lines) -> tuple[int, Lines]:
    for count in range(min(len(old), len(new)), 0, -1):
        if old[-count:] == new[:count]:
            return len(" ".join(new[:count]).split()), new[count:]
    before, after = " ".join(old).split(), " ".join(new).split()
    if before and len(after) > len(before) and after[: len(before)] == before:
        return len(before), [" ".join(after[len(before) :])]
    return 0, new


# --- what is said ---------------------------------------------------------------------------------------------------

_ADVERT = re.compile(
    r"https?://|\bwww\.\w|\b(?:open ?subtitles|addic7ed|subscene|podnapisi|yify|amara)\b|"
    r"^\W*(?:(?:english |closed )?(?:subtitles?|captions?|captioning|subs)|sync(?:ed|hronized)?|translat(?:ed|ion)|"
    r"correct(?:ed|ions)|transcript(?:ion)?|transcribed|resync(?:ed)?|ripped|encoded|subtitling)\b[^.?!]{0,40}\bby\b|"
    r"\badvertise your product\b|\bbecome (?:a )?vip member\b",
    re.IGNORECASE,
)
_SONG = re.compile(r"[♪♫♬♩🎵🎶][^♪♫♬♩🎵🎶]*(?:[♪♫♬♩🎵🎶]+|$)|^[ \t]*#[ \t][^\n]*$", re.MULTILINE | re.DOTALL)
_SOUND = re.compile(
    r"\[[^\[\]]*\]|\([^()]*\)|（[^（）]*）|【[^【】]*】|［[^［］]*］|\{[^{}]*\}|^[ \t]*\*[^*\n]+\*[ \t]*$|"
    r"^[ \t]*[-–—]?[ \t]*[\[(][^\])\n]*$",
    re.MULTILINE,
)
_NAMED = re.compile(r"\0([^\0]*)\0")
_TURN = re.compile(r"(?:[-–—‐]+(?=\s*[^\s\d])|>{2,})\s*")
_NAME = re.compile(r"([^:.!?,\n]*(?:\b\w{1,3}\.[^:.!?,\n]*)?):(?:\s+|$)")
_MAX_NAME_CHARACTERS, _MAX_NAME_WORDS = 40, 4


def said(cues: Sequence[Cue]) -> tuple[list[TranscriptLine], Counter[str]]:
    """The lines of speech by start time, and how many of what else there was: "sound", "song", "advertisement".

    A cue in which several people speak becomes several lines; one that repeats the one before it without a pause
    prolongs it.
    """
    asides: Counter[str] = Counter()
    lines: list[TranscriptLine] = []
    for cue in unroll([cue._replace(text=without_markup(cue.text)) for cue in cues]):
        for speaker, words in _turns(cue.text, asides):
            line = TranscriptLine(words, cue.start_seconds, cue.end_seconds, speaker)
            before = lines[-1] if lines else None
            if before is not None and _prolongs(before, line):
                end = max(before.end_seconds or 0.0, cue.end_seconds)
                lines[-1] = TranscriptLine(words, before.start_seconds, end, speaker)
            else:
                lines.append(line)
    return lines, asides


def _turns(text: str, asides: Counter[str]) -> list[tuple[str | None, str]]:
    """(speaker, words) of each turn in a cue."""
    if _ADVERT.search(text):
        asides["advertisement"] += 1
        return []
    text, songs = _SONG.subn("", text)
    sounds = 0
    while True:  # from the inside out
        text, count = _SOUND.subn("", text)
        sounds += count
        if not count:
            break
    asides.update({name: count for name, count in (("song", songs), ("sound", sounds)) if count})
    turns: list[tuple[str | None, list[str]]] = [(None, [])]
    for line in text.split("\n"):
        rest = line.strip()
        if match := _NAMED.match(rest):
            turns.append((match[1], []))
            rest = rest[match.end() :].lstrip()
        if match := _TURN.match(rest):
            if turns[-1][1]:
                turns.append((None, []))
            rest = rest[match.end() :]
        if (match := _NAME.match(rest)) and _is_name(match[1]):
            turns.append((" ".join(match[1].split()), []))
            rest = rest[match.end() :]
        rest = rest.lstrip(": ") if songs or sounds else rest
        turns[-1][1].extend(_NAMED.sub("", rest).split())
    joined = ((speaker, " ".join(words)) for speaker, words in turns)
    has_rest = bool(songs or sounds)
    return [(who, words) for who, words in joined if words and not (has_rest and not re.search(r"\w", words))]


def _is_name(text: str) -> bool:
    """Whether what stands before a colon is a speaker: capitals, as captions write names."""
    letters = sum(character.isalpha() for character in text)
    is_short = len(text) <= _MAX_NAME_CHARACTERS and len(text.split()) <= _MAX_NAME_WORDS
    return letters > 1 and is_short and text == text.upper() != text.lower()


def _prolongs(before: TranscriptLine, line: TranscriptLine) -> bool:
    same = before.text == line.text and before.speaker == line.speaker
    return same and (line.start_seconds or 0.0) <= (before.end_seconds or 0.0)
