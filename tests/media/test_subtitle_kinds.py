"""What people really have beside a clip, a kind each: only what the person says becomes words, and the rest is said."""

import contextlib
import re

import pysubs2
import pytest
import srt
import webvtt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inputs_page import table

from emotion_llama.errors import InputError
from emotion_llama.media.subtitles import find_sidecars, read_subtitles
from emotion_llama.media.subtitles_parse import lines_of, parse_cues
from emotion_llama.media.subtitles_text import without_markup
from emotion_llama.records import TranscriptLine

FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _time(seconds, sign=","):
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{sign}{round(seconds % 1 * 1000):03}"


def _srt(*texts, start=0.0):
    """Cues of 1 s, one each 2 s."""
    spans = [(start + 2 * i, start + 2 * i + 1) for i in range(len(texts))]
    cues = [f"{i}\n{_time(a)} --> {_time(b)}\n{t}\n" for i, ((a, b), t) in enumerate(zip(spans, texts), 1)]
    return "\n".join(cues)


def _read(tmp_path, text, name="a.srt", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_subtitles(path, **options)


# --- lines and cues -------------------------------------------------------------------------------------------------


@pytest.mark.inputs("forms", "lines", "end at CR LF, LF and CR alone; U+2028, U+2029, U+0085, VT and FF are blanks")
@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\v", "\f", "\x1c"])
@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.txt"])
def test_only_cr_and_lf_end_a_line(tmp_path, sign, name):
    """Such a sign once cut a cue, whose rest was lost."""
    words = f"I am{sign}very{sign}{sign}angry"
    text = {"a.srt": _srt(words), "a.vtt": f"WEBVTT\n\n00:00.000 --> 00:01.000\n{words}\n", "a.txt": words}[name]
    found = _read(tmp_path, text, name)
    assert found.text == "I am very angry"
    assert len(found.lines) == 1


@pytest.mark.inputs(
    "forms",
    "SubRip (`.srt`)",
    "cues; blank lines do not end one; comma or point; the next cue's number and times end it",
)
@pytest.mark.inputs(
    "webvtt",
    "text behind a blank line is dropped",
    "it belongs to the cue before it",
    "hand-written files lose words otherwise",
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blank_lines_inside_a_cue(tmp_path, end):
    text = _srt("I am\n\nvery angry", "with you").replace("\n", end)
    assert [line.text for line in _read(tmp_path, text).lines] == ["I am very angry", "with you"]
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\nI am\n\nvery angry\n\n2\n00:02.000 --> 00:03.000\nwith you\n"
    assert _read(tmp_path, text.replace("\n", end), "a.vtt").text == "I am very angry with you"


@pytest.mark.inputs("forms", "NUL", "U+FFFD")
def test_nul_becomes_a_replacement_character(tmp_path):
    assert _read(tmp_path, _srt("I am\0 here")).text == "I am\ufffd here"


@FAST
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20), min_size=1))
def test_lines_come_back_whole(lines):
    for end in ("\n", "\r\n", "\r"):
        assert lines_of(end.join(lines)) == [line.replace("\0", "\ufffd") for line in lines]


WORDS = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyzäéłß'", min_size=1, max_size=8).filter(lambda w: w.strip("'")),
    min_size=1, max_size=6,
).map(" ".join)  # fmt: skip
CUES = st.lists(st.tuples(st.integers(0, 3_000), st.integers(100, 2_000), WORDS), min_size=1, max_size=8)


def _placed(cues):
    """Cues one after the other, with a pause before each: (start, end, text), ms."""
    at, out = 0, []
    for gap, length, text in cues:
        at += gap + 200
        out.append((at, at + length, text))
        at += length
    return out


@FAST
@given(CUES)
def test_three_libraries_read_the_same(tmp_path, cues):
    """Files that pysubs2 writes: pysubs2, srt and webvtt-py agree with this parser on times and words."""
    placed = _placed(cues)
    file = pysubs2.SSAFile()
    file.events = [pysubs2.SSAEvent(start, end, text) for start, end, text in placed]
    want = [(start / 1000, end / 1000, text) for start, end, text in placed]
    for kind in ("srt", "vtt", "ass"):
        path = tmp_path / f"cues.{kind}"
        file.save(str(path), format_=kind)
        found = [(line.start_seconds, line.end_seconds, line.text) for line in read_subtitles(path).lines]
        exact = 0.0006 if kind != "ass" else 0.011  # SubStation Alpha counts hundredths
        assert [text for *_, text in found] == [text for *_, text in want]
        assert all(abs(a[i] - b[i]) < exact for a, b in zip(found, want) for i in (0, 1))
        ours = [(line.start, line.end, line.plaintext) for line in pysubs2.load(str(path))]
        assert all(abs(a[0] - b[0] / 1000) < exact and a[2] == b[2] for a, b in zip(found, ours))
    theirs = [(c.start.total_seconds(), c.content) for c in srt.parse((tmp_path / "cues.srt").read_text("utf-8"))]
    assert theirs == [(start, text) for start, _, text in want]
    captions = [(c.start_in_seconds, c.text) for c in webvtt.read(str(tmp_path / "cues.vtt"))]
    assert [text for _, text in captions] == [text for *_, text in want]


@FAST
@given(st.binary(max_size=300), st.sampled_from(["a.srt", "a.vtt", "a.ass", "a.txt"]))
def test_any_bytes_are_read_or_refused(tmp_path, data, name):
    with contextlib.suppress(InputError):
        _read(tmp_path, b"1\n00:00:01,000 --> 00:00:02,000\n" + data, name)


# --- only what the person says ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("[door slams, angry crowd screaming]", []),
        ("(sobbing) NARRATOR: The train leaves.", [("NARRATOR", "The train leaves.")]),
        ("- JOHN: On two.\n- MARY: [laughing] At nine.", [("JOHN", "On two."), ("MARY", "At nine.")]),
        ("- Where?\n- There.", [(None, "Where?"), (None, "There.")]),
        (">> DR. SMITH: Sit down.\n>> Why?", [("DR. SMITH", "Sit down."), (None, "Why?")]),
        ("♪ I am so happy,\nhappy birthday ♪", []),
        ("Hello. ♪ la la ♪ Bye.", [(None, "Hello. Bye.")]),
        ("# la la la #", []),
        ("（笑）你好", [(None, "你好")]),
        ("*sighs*\nI know.", [(None, "I know.")]),
        ("[door\nslams] Who is it?", [(None, "Who is it?")]),
        ("[door slams", []),
        ("Subtitles by SomeBody\nwww.example.org", []),
        ("Synced and corrected by me", []),
        ("Advertise your product or brand here", []),
        ("Listen: it is 10:30.", [(None, "Listen: it is 10:30.")]),
        ("-5 degrees", [(None, "-5 degrees")]),
        ("I <3 you :< 1 < 2", [(None, "I <3 you :< 1 < 2")]),
        ("<v Anna>Hi.</v>\n<v Bob>Hello.", [("Anna", "Hi."), ("Bob", "Hello.")]),
        ("<i>Not closed</>, <b", [(None, "Not closed,")]),
        ("<font color=red>Red <font color='x'", [(None, "Red")]),
        (r"{\an8}{\i1}The train{\i0} leaves\Nat nine", [(None, "The train leaves at nine")]),
        (r"{\p1}m 0 0 l 100 0 100 100{\p0}", []),
        ("<ruby>漢字<rt>kanji</rt></ruby>", [(None, "漢字")]),
        ("\u202bאני שמח\u202c", [(None, "אני שמח")]),
        ("WHAT? NO: NEVER.", [(None, "WHAT? NO: NEVER.")]),
    ],
)
def test_only_what_the_person_says(tmp_path, text, lines):
    found = _read(tmp_path, _srt(text, "And then."))
    assert [(line.speaker, line.text) for line in found.lines] == [*lines, (None, "And then.")]
    assert lines or found.notes or "\\p1" in text


def test_what_is_not_words_is_counted(tmp_path):
    found = _read(tmp_path, _srt("[door] [bang] Hi.", "♪ la ♪", "www.example.org"))
    assert re.findall(r"\d \w+", found.notes[0]) == ["1 advertisement", "1 song", "2 sounds"]


ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:01.400 align:start position:0%
\x20
one<00:00:00.300><c> two</c><00:00:00.500><c> three</c>

00:00:01.400 --> 00:00:01.410
one two three
\x20

00:00:01.410 --> 00:00:02.700
one two three
four<00:00:01.600><c> five</c>

00:00:02.700 --> 00:00:02.710
four five
\x20

00:00:02.710 --> 00:00:03.500
four five
six seven
"""


@pytest.mark.inputs(
    "forms",
    "rolling captions",
    "lines and first words that still stand there are left out (of three words or more, or in a file that rolls)",
)
def test_rolling_captions_are_said_once(tmp_path):
    found = _read(tmp_path, ROLLING, "a.vtt")
    assert [line.text for line in found.lines] == ["one two three", "four five", "six seven"]
    assert [line.start_seconds for line in found.lines] == [0.16, 1.41, 2.71]
    assert found.language == "en"


@pytest.mark.inputs(
    "forms",
    "rolling captions",
    "lines and first words that still stand there are left out (of three words or more, or in a file that rolls)",
)
@FAST
@given(st.lists(WORDS, min_size=3, max_size=8, unique=True), st.integers(2, 3))
def test_rolling_windows_of_any_height_are_said_once(tmp_path, lines, height):
    """Each cue shows the last lines; growing ones show what is said so far."""
    cues = [(i, i + 1, "\n".join(lines[max(0, i + 1 - height) : i + 1])) for i in range(len(lines))]
    text = "".join(f"{_time(a)} --> {_time(b)}\n{t}\n\n" for a, b, t in cues)
    assert _read(tmp_path, text).text == " ".join(lines)
    words = [f"w{i}" for i in range(2 + len(lines))]
    text = "".join(f"{_time(i)} --> {_time(i + 1)}\n{' '.join(words[: i + 1])}\n\n" for i in range(len(words)))
    assert _read(tmp_path, text).text == " ".join(words)


def test_what_is_really_said_twice_stays(tmp_path):
    assert _read(tmp_path, _srt("No.", "No.\nDon't.", "No.")).text == "No. No. Don't. No."
    touching = "00:00:00,000 --> 00:00:01,000\nNo.\n\n00:00:01,000 --> 00:00:02,000\nNo.\nDon't.\n"
    assert _read(tmp_path, touching).text == "No. No. Don't."


@pytest.mark.inputs(
    "forms", "SubStation Alpha (`.ass`, `.ssa`)", "events; `Comment:`, signs and songs (by the style's name) apart"
)
@pytest.mark.parametrize("name", ["a.ass", "a.ssa"])
def test_substation_alpha(tmp_path, name):
    text = (
        "\ufeff[Script Info]\nTitle: x\n[V4+ Styles]\nFormat: Name, Fontname\nStyle: Default,Arial\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Dialogue: 0,0:00:01.50,0:00:02.00,Default,Anna,0,0,0,,{\\i1}I am, so\\N{note}angry\n"
        "Comment: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,not this\n"
        "Dialogue: 0,0:00:03.00,0:00:04.00,Signs,,0,0,0,,EXIT\n"
        "Dialogue: 0,0:00:xx,0:00:04.00,Default,,0,0,0,,bad\n"
        "Dialogue: 0,0:00:00.20,0:00:00.90,Default,,0,0,0,,First.\n"
    )
    found = _read(tmp_path, text, name)
    assert found.lines == (TranscriptLine("First.", 0.2, 0.9), TranscriptLine("I am, so angry", 1.5, 2.0, "Anna"))
    assert "line 11" in found.notes[0]
    assert "2 comments or signs" in found.notes[1]


@pytest.mark.inputs(
    "forms",
    "cues outside the clip",
    "left out and counted; where half are, an offset or a longer recording is suspected",
)
def test_cues_outside_the_clip(tmp_path):
    found = _read(tmp_path, _srt("Hello.", "There.", start=600.0), duration_seconds=3.7)
    assert found.lines == ()
    assert re.search(r"2 of 2 lines .* begin at 600\.0 s: an offset is likely", found.notes[0])
    found = _read(tmp_path, _srt(*"abcdefgh"), duration_seconds=11.0)
    assert found.text == "a b c d e f"
    assert "2 of 8" in found.notes[0]
    assert "offset" not in found.notes[0]
    assert _read(tmp_path, _srt("a", "b"), duration_seconds=3.7).notes == ()


# --- encodings --------------------------------------------------------------------------------------------------------


@pytest.mark.inputs("encodings", "something else, in a language of western Europe", "Windows-1252, which is said")
@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        ("Dlaczego jesteś taki zły", "cp1250"), ("Nie wiem, źle się czuję", "cp1250"), ("Żółć", "cp1250"),
        ("Neden bu kadar kızgınsın", "cp1254"), ("Как ты мог", "cp1251"), ("Я очень зол", "cp1251"), ("Мы", "koi8-r"),
        ("Příliš žluťoučký kůň se ptá, kde jsem byl", "cp1250"),
    ],
)  # fmt: skip
def test_a_code_page_is_never_taken_silently(tmp_path, words, encoding):
    text = _srt(words, "ok").encode(encoding)
    with contextlib.suppress(InputError):
        assert "Windows-1252" in " ".join(_read(tmp_path, text).notes)
    assert _read(tmp_path, text, encoding=encoding).text == f"{words} ok"


@pytest.mark.inputs(
    "encodings",
    "something else (Polish, Turkish, Cyrillic, Chinese, ...)",
    "refused; the error shows what it would read",
)
def test_polish_turkish_and_russian_are_refused(tmp_path):
    for words, encoding in (("Dlaczego jesteś taki zły", "cp1250"), ("Neden bu kadar kızgınsın", "cp1254"),
                            ("Как ты мог", "cp1251")):  # fmt: skip
        with pytest.raises(InputError, match="not UTF-8"):
            _read(tmp_path, _srt(words).encode(encoding))


@pytest.mark.inputs("encodings", "UTF-8 with bad bytes", "each is one U+FFFD; their number is said")
@FAST
@given(st.text("éèüñ好你语", min_size=3, max_size=12), st.sampled_from([b"\xff", b"\xe4", b"\x80", b"\xf0\x9f"]))
def test_one_bad_byte_is_one_bad_character(tmp_path, words, bad):
    found = _read(tmp_path, _srt("before", f"{words} X after").encode().replace(b"X", bad))
    assert found.text == f"before {words} \ufffd after"
    assert "1 character is not UTF-8" in found.notes[0]
    named = _read(tmp_path, _srt("before", f"{words} X after").encode().replace(b"X", bad), encoding="utf-8")
    assert named.text == found.text


# --- the W3C's test cases, restated ---------------------------------------------------------------------------------
#
# After web-platform-tests, webvtt/parsing: what each of its cases is about, in inputs of our own. Where this package
# differs, docs/inputs.md says so too:
# - text behind a blank line stays with its cue, and comments hold no cue even where one has an arrow;
# - a cue that ends before it starts is skipped and counted (a player never shows it);
# - a file without the signature is read as SubRip, and a decimal comma is accepted;
# - `<` that begins no tag stays, for people write "<3"; ruby readings are left out; every HTML reference is decoded.


def _vtt(tmp_path, body, head="WEBVTT\n\n"):
    cues = parse_cues(head + body)
    return [(cue.start_seconds, cue.end_seconds, cue.text) for cue in cues.cues]


@pytest.mark.inputs(
    "forms", "WebVTT (`.vtt`)", "by the W3C's rules, with the differences below; `Language:` of the header"
)
@pytest.mark.parametrize(
    "head", ["WEBVTT", "WEBVTT ", "WEBVTT\tx", "WEBVTT 00:00:00.000 --> 00:00:09.000", "WEBVTT\nx\ny"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_w3c_signatures_headers_and_line_ends(tmp_path, head, end):
    body = f"{head}\n\nid\n00:00.000 --> 00:01.000\none\ntwo".replace("\n", end)
    assert _vtt(tmp_path, body, "") == [(0.0, 1.0, "one\ntwo")]


@pytest.mark.inputs("webvtt", "a file without the signature fails", "it is read as SubRip", "many tools leave it out")
@pytest.mark.inputs("webvtt", "the decimal sign is a point", "a comma will do", "it is SubRip's")
def test_w3c_a_file_without_the_signature_is_read_as_subrip(tmp_path):
    assert _vtt(tmp_path, "1\n00:00:00.000 --> 00:00:01,500\none", "") == [(0, 1.5, "one")]
    assert _vtt(tmp_path, "00:00,000 --> 00:01,500\none") == [(0, 1.5, "one")]


def test_w3c_a_header_ends_at_times(tmp_path):
    assert _vtt(tmp_path, "00:00:00.000 --> 00:00:01.000\ntext\n", "WEBVTT\n") == [(0, 1, "text")]
    assert _vtt(tmp_path, "", "WEBVTT") == []


@pytest.mark.parametrize("line", ["-->", "x-->", "-->x", "--->", "-->-->"])
def test_w3c_arrows_end_a_cue(tmp_path, line):
    body = f"00:00.000 --> 00:01.000\none\n{line}\n00:00.000 --> 00:01.000\ntwo\n00:00.000 --> 00:01.000\nthree\n"
    assert [text for *_, text in _vtt(tmp_path, body)] == ["one", "two", "three"]


@pytest.mark.parametrize("name", [" x", "x ", "-- >", "->", " ", "\ufffd x", "1"])
def test_w3c_ids(tmp_path, name):
    assert _vtt(tmp_path, f"{name}\n00:00.000 --> 00:01.000\none\n") == [(0, 1, "one")]


@pytest.mark.parametrize(
    "timing",
    [
        "0:00:00.000 --> 00:00:01.000", "000:00:00.000 --> 00:00:01.000", "00:00:00.000 --> 0:00:01.000",
        "00:00.000 --> 00:00:01.000", "00:00:00.000 --> 00:01.000", "00:00.000 --> 00:01.000",
        "  00:00:00.000    -->  00:00:01.000 ", "\t00:00:00.000\t-->\t00:00:01.000\t", "\f00:00.000\f-->\f00:01.000\f",
        "00:00.000-->00:01.000", "00:00.000 --> 00:01.000 align:end\0", "00:00.000 --> 00:01.000\0align:end",
        "00:00.000 --> 00:01.000 line:0 position:50% size:x region:y vertical:rl",
    ],
)  # fmt: skip
def test_w3c_times_and_settings(tmp_path, timing):
    assert _vtt(tmp_path, f"{timing}\none\n") == [(0, 1, "one")]


def test_w3c_hours_are_not_limited(tmp_path):
    assert _vtt(tmp_path, "60000:00:00.000 --> 60000:00:01.000\none\n")[0][:2] == (216e6, 216e6 + 1)


START = "00:00:00.000"
GARBAGE = [
    *(START[:i] + "\0" + START[i:] for i in range(len(START))), *(START[:i] + "\0" + START[i + 1 :] for i in range(12)),
    *(START[:i] + START[i + 1 :] for i in (3, 4, 6, 7, 9, 10, 11)), *(START[:i] for i in range(12)),
    "00::00:00.000", "00:000:00.000", "00:00:000.000", "00:00:00..000", "00:00:00.0000", "00:60:00.000", "00:00:60.000",
    "0:00.000", "000:00.000", "x", "00:00:00.000 -a", "00:00:00.000 -", "\v00:00:00.000", "00.00:00:00",
    "-00:00:00.000",    "+00:00:00.000", "00:00:00.0 00", "0a:00:00.000",
]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE)
def test_w3c_garbage_in_times_is_no_cue(tmp_path, garbage):
    good = "00:02.000 --> 00:03.000\ngood\n"
    for timing in (f"{garbage} --> 00:00:01.000", f"00:00:00.000 --> {garbage}"):
        if timing.endswith((" -a", " -", START)):
            continue  # settings, behind a good time
        found = parse_cues(f"WEBVTT\n\n{timing}\nbad\n\n{good}")
        assert [cue.text for cue in found.cues] == ["good"]


@pytest.mark.parametrize("arrow", ["->", "--", "-\0->", "--\0>", "\0->", "-- >", ""])
def test_w3c_broken_arrows_are_no_cue(tmp_path, arrow):
    assert _vtt(tmp_path, f"00:00:00.000 {arrow} 00:00:01.000\nbad\n") == []


def test_w3c_times_at_the_end_of_a_file(tmp_path):
    for cut in range(len("00:00.000 --> 00:01.000") - 1):
        assert _vtt(tmp_path, "00:00.000 --> 00:01.000"[:cut]) == []


@pytest.mark.inputs(
    "webvtt", "an arrow below `NOTE` or in `STYLE` begins a cue", "the comment stays a comment", "nobody says it"
)
@pytest.mark.parametrize(
    "block", ["STYLE\n::cue { x\nNOTE y\n00:00 -- > 1\n}", "REGION\nid:x", "REGION: id=x", "NOTE a"]
)
def test_w3c_styles_regions_and_notes(tmp_path, block):
    assert [t for *_, t in _vtt(tmp_path, f"{block}\n\n00:00.000 --> 00:01.000\none\n\n{block}\n")] == ["one"]


@pytest.mark.inputs(
    "webvtt", "every `<` begins a tag", "one that begins no name or time stays", "people write `<3` and `1 < 2`"
)
@pytest.mark.inputs("webvtt", "ruby readings are text", "left out", "they repeat the word")
@pytest.mark.inputs("webvtt", "the older suite decodes six references", "all of HTML's, as today's text has it", "")
@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("test", "test"), ("<b>a</b><i>b</i><u>c</u>", "abc"), ("<c.red.big>a</c>", "a"), ("<lang en>a</lang>", "a"),
        ("<00:00:01.000>a<00:01.500>b", "ab"), ("<b><i>a</b>b", "ab"), ("a</x>b<y z>c", "abc"), ("a</>b", "ab"),
        ("<i", ""), ("a<c.x", "a"), ("&", "&"), ("&&", "&&"), ("&1;", "&1;"), ("&;", "&;"), ("&amp;&lt;&gt;", "&<>"),
        ("a&nbsp;b", "a\xa0b"), ("a&lrm;b", "ab"), ("<ruby>a<rt>b</rt></ruby>c", "ac"), ("<ruby>a<rt>b</ruby>c", "ac"),
        ("&copy;&quot;&#32;&#x20;", "©\"  "), ("1 < 2 > 0", "1 < 2 > 0"),
    ],
)  # fmt: skip
def test_w3c_cue_text(text, plain):
    assert without_markup(text) == plain


# --- the tables of docs/inputs.md ---


@pytest.mark.parametrize("row", table("cues"), ids=lambda row: row[0])
def test_the_page_says_what_becomes_of_a_cue(tmp_path, row):
    cue, words, speaker, counted = row
    found = _read(tmp_path, _srt(cue.strip("`"), "And then."))
    want = [(speaker or None, words)] if words else []
    assert [(line.speaker, line.text) for line in found.lines] == [*want, (None, "And then.")]
    assert counted in " ".join(found.notes)
    assert bool(counted) == bool(found.notes)


@pytest.mark.parametrize("row", table("names"), ids=lambda row: row[0])
def test_the_page_says_which_files_belong_to_a_clip(tmp_path, row):
    names = re.findall(r"`([^`]+)`", row[0])
    for name in names:
        (tmp_path / name).write_text(_srt("Hm"))
        language = read_subtitles(tmp_path / name, clip_name="talk").language
        assert row[1] == "" or language.partition("-")[0] == row[1]
    found = {path.name for path in find_sidecars(tmp_path / "talk.mp4")}
    assert found == (set() if "not" in row[2] else set(names))
