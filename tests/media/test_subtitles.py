"""Words from side files, and clear errors where a file is wrong."""

import os
import threading
import time

import pytest

from emotion_llama.errors import InputError
from emotion_llama.media import transcript_table
from emotion_llama.media.subtitles import find_sidecars, read_subtitles
from emotion_llama.records import TranscriptLine

SRT = """1
00:00:01,500 --> 00:00:03,000
Are you <i>really</i> stupid
or just pretending?

2
00:00:02,000 --> 01:00:04,250 X1:40 X2:600
{\\an8}Who, me? &amp; you

3
00:00:05,000 --> 00:00:06,000
<b></b>

4
00:00:07,000 --> 00:00:08,000
1 < 2 and 3 > 2
"""
VTT = """WEBVTT - a title
Kind: captions

STYLE
::cue { color: lime --> }

NOTE
00:00:09.000 --> 00:00:10.000
not a cue

intro
00:01.000 --> 00:02.500 align:start position:0%
<v.loud Anna Maria>I <c.red>am</c> <00:00:01.500>fine

00:00:03.000 --> 00:00:04.000
Good.
"""


def _write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.inputs(
    "forms",
    "SubRip (`.srt`)",
    "cues; blank lines do not end one; comma or point; the next cue's number and times end it",
)
def test_srt(tmp_path):
    transcript = read_subtitles(_write(tmp_path / "talk.srt", SRT))
    assert transcript.lines == (
        TranscriptLine("Are you really stupid or just pretending?", 1.5, 3.0),
        TranscriptLine("Who, me? & you", 2.0, 3604.25),
        TranscriptLine("1 < 2 and 3 > 2", 7.0, 8.0),
    )
    assert transcript.source == "talk.srt"
    assert transcript.language is None


@pytest.mark.inputs(
    "forms", "WebVTT (`.vtt`)", "by the W3C's rules, with the differences below; `Language:` of the header"
)
def test_vtt(tmp_path):
    transcript = read_subtitles(_write(tmp_path / "talk.VTT", VTT))
    assert transcript.lines == (
        TranscriptLine("I am fine", 1.0, 2.5, "Anna Maria"),
        TranscriptLine("Good.", 3.0, 4.0),
    )


def test_windows_line_ends_and_cues_without_blank_lines_between(tmp_path):
    text = "1\r\n00:00:01,000 --> 00:00:02,000\r\none\r\n2\r\n00:00:02,000 --> 00:00:03,000\r\ntwo\r\n"
    assert read_subtitles(_write(tmp_path / "a.srt", text)).text == "one two"


@pytest.mark.inputs("forms", "a cue that repeats the one before it without a pause", "prolongs it")
def test_cues_come_by_time_and_a_repeated_one_is_prolonged(tmp_path):
    text = (
        "00:05.000 --> 00:06.000\nlast\n\n00:01.000 --> 00:02.000\nhello\n\n00:02.000 --> 00:03.000\nhello\n\n"
        "00:04.000 --> 00:04.500\nhello\n"
    )
    assert read_subtitles(_write(tmp_path / "a.vtt", "WEBVTT\n\n" + text)).lines == (
        TranscriptLine("hello", 1.0, 3.0),
        TranscriptLine("hello", 4.0, 4.5),
        TranscriptLine("last", 5.0, 6.0),
    )


@pytest.mark.inputs("encodings", "byte order mark, or UTF-16 without one", "decoded by it")
@pytest.mark.inputs("encodings", "UTF-8", "decoded")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings(tmp_path, encoding):
    text = "1\n00:00:01,000 --> 00:00:02,000\nDéjà vu – “naïve”\n"
    assert read_subtitles(_write(tmp_path / "a.srt", text, encoding)).text == "Déjà vu – “naïve”"


def test_a_byte_that_windows_does_not_know_is_one_bad_character(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 \x81")
    found = read_subtitles(tmp_path / "a.txt")
    assert found.text == "café \ufffd"
    assert "Windows-1252" in found.notes[0]


@pytest.mark.inputs(
    "encodings", "`--encoding NAME`", "decoded so; refused where most of it is not text in that encoding"
)
def test_an_encoding_can_be_named(tmp_path):
    path = _write(tmp_path / "a.txt", "你好", "gb18030")
    assert read_subtitles(path, encoding="gb18030").text == "你好"
    with pytest.raises(InputError, match="utf-8"):
        read_subtitles(path, encoding="utf-8")
    with pytest.raises(InputError, match="transcript"):
        read_subtitles(path, encoding="klingon")


@pytest.mark.inputs(
    "encodings",
    "something else (Polish, Turkish, Cyrillic, Chinese, ...)",
    "refused; the error shows what it would read",
)
@pytest.mark.parametrize(
    ("words", "encoding", "shown"),
    [
        (
            "你好，世界",
            "gbk",
            r"as Windows-1252 it reads 'ÄãºÃ£¬ÊÀ½ç' \(as GB18030: '你好，世界'\); save it as UTF-8, or",
        ),
        ("嗯。", "gb18030", r"'àÅ¡£' \(as GB18030: '嗯。'\)"),
        ("Hello, how are you? I am fine, thank you.\n你好吗？我很好。", "gbk", r"\(as GB18030: '你好吗？我很好。'\)"),
        ("你好，世界。我今天很高興，因為你來看我了。", "big5", "save it as UTF-8"),
        ("我愛你", "big5", "save it as UTF-8"),
        ("今日はとても嬉しいです。", "shift_jis", "save it as UTF-8"),
        ("오늘은 정말 기뻐요.", "euc_kr", "save it as UTF-8"),
        ("Привет, мир!", "cp1251", r"as Windows-1252 it reads 'Ïðèâåò'; save it as UTF-8"),
        ("Γειά σου Κόσμε", "cp1253", r"as Windows-1252 it reads 'ÃåéÜ'; save it as UTF-8"),
    ],
)
def test_letters_of_another_encoding_do_not_pass_for_words(tmp_path, words, encoding, shown):
    """Chinese subtitles in GBK once became "ÄãºÃ" without a warning."""
    text = f"1\n00:00:01,000 --> 00:00:02,000\n{words}\n"
    path = _write(tmp_path / "a.srt", text, encoding)
    with pytest.raises(InputError, match=r"a\.srt: the transcript is not UTF-8, and .*" + shown):
        read_subtitles(path)
    assert read_subtitles(path, encoding=encoding).text == " ".join(words.split())


@pytest.mark.inputs("encodings", "something else, in a language of western Europe", "Windows-1252, which is said")
@pytest.mark.parametrize(
    "words",
    [
        "«\xa0Où est l’été\xa0?\xa0» – «\xa0À la créée… Nééééé\xa0! Œuvre\xa0»",
        "Öfter ärgerlich: ÄÖÜ, größer, »Äh…« “Ö”—“Ä”",
        "¿Éste? “¡Ándale!” ¡Ñoño! Não, coração, põe. “É”—“À”",
        "Hääyöaie, säätöä, ääöljy, hyvää yötä, älä äänestä",
        "Þórður á ð æðar, ÆØÅ, på ø i å; blåbærgrød",
        "¶ La la la",
        "20°C ±2, 3½ m², §5 ©2020 €5 5×4 µm ÄÄÄÄ!",
    ],
)
def test_western_languages_still_read_without_utf_8(tmp_path, words):
    assert read_subtitles(_write(tmp_path / "a.txt", words, "cp1252")).text == " ".join(words.split())


@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.txt"])
def test_a_blank_file_means_that_nothing_was_said(tmp_path, name):
    assert read_subtitles(_write(tmp_path / name, "\n \n")).lines == ()


def test_a_header_alone_means_that_nothing_was_said(tmp_path):
    assert read_subtitles(_write(tmp_path / "a.vtt", "WEBVTT\n\nNOTE nobody speaks\n")).lines == ()


@pytest.mark.inputs(
    "forms",
    "bad times (negative, blanks inside, another arrow)",
    "the cue is skipped and counted, with the line of the first",
)
@pytest.mark.parametrize(
    "timing",
    [
        "00:00:01,000 --> soon", "00:00:61,000 --> 00:01:02,000", "1.5 --> 2.5", "00:00:01;000 --> 00:00:02;0",
        "-00:00:01,000 --> 00:00:02,000", "00:00:01, 000 --> 00:00:02, 000", "00:00:03,000 --> 00:00:02,000",
    ],
)  # fmt: skip
def test_a_cue_with_bad_times_is_skipped_and_counted_with_its_line(tmp_path, timing):
    text = f"1\n00:00:00,000 --> 00:00:01,000\nfine\n\n2\n{timing}\nbad\n\n3\n00:00:04,000 --> 00:00:05,000\ntoo\n"
    found = read_subtitles(_write(tmp_path / "a.srt", text))
    assert found.text == "fine too"
    assert "1 cue" in found.notes[0]
    assert "line 6" in found.notes[0]
    with pytest.raises(InputError, match="00:01:02,500"):
        read_subtitles(_write(tmp_path / "b.srt", f"1\n{timing}\nbad\n"))


@pytest.mark.inputs(
    "forms",
    "bad times (negative, blanks inside, another arrow)",
    "the cue is skipped and counted, with the line of the first",
)
@pytest.mark.parametrize(
    "timing",
    [
        "00:00:05,000 -> 00:00:06,000",
        "00:05.000 –> 00:06.000 align:start",
        "00:00:05.000 → 00:00:06.000",
        "00:00:05,000 - 00:00:06,000",
        "00:00:05 - - > 00:00:06",
        "0:00:05,0 0:00:06,0",
    ],
)
@pytest.mark.parametrize("before", ["2\n", "\n2\n", "\n", ""])
@pytest.mark.parametrize("name", ["a.srt", "a.vtt"])
def test_a_cue_with_another_arrow_is_counted_with_its_line(tmp_path, timing, before, name):
    """Such a cue was once left out, or its times became words, without a word."""
    text = f"00:00:00,000 --> 00:00:01,000\nfine\n{before}{timing}\nlost\n"
    line = 3 + before.count("\n")
    found = read_subtitles(_write(tmp_path / name, text))
    assert found.text == "fine"
    assert f"line {line}: " in found.notes[0]
    assert repr(timing) in found.notes[0]


@pytest.mark.inputs("forms", "no good cue at all", "refused")
def test_a_file_of_other_arrows_alone_is_told_with_its_line(tmp_path):
    with pytest.raises(InputError, match="00:00:06,000"):
        read_subtitles(_write(tmp_path / "a.srt", "1\n00:00:05,000 -> 00:00:06,000\nlost\n"))


def test_times_of_day_are_words(tmp_path):
    words = "10:30 -> 11:00 lunch, 9:15 - 9:45 talks, then at 10:00:00 - 10:05:00"
    text = f"1\n00:00:01,000 --> 00:00:02,000\n{words}\n10:30 - 11:00\n"
    assert read_subtitles(_write(tmp_path / "a.srt", text)).text == f"{words} 10:30 - 11:00"


@pytest.mark.inputs("webvtt", "a cue that ends before it starts is kept", "skipped and counted", "no player shows it")
def test_a_cue_that_ends_before_it_starts(tmp_path):
    text = "1\n00:00:03,000 --> 00:00:02,000\nbad\n"
    with pytest.raises(InputError, match=r"a\.srt, line 2: the cue ends \(2 s\) before it starts \(3 s\)"):
        read_subtitles(_write(tmp_path / "a.srt", text))


def test_text_without_times_is_no_subtitle_file(tmp_path):
    with pytest.raises(InputError, match="subtitle"):
        read_subtitles(_write(tmp_path / "a.srt", "just words"))


@pytest.mark.inputs("forms", "plain text (`.txt`)", "its lines, as they are written")
def test_plain_text(tmp_path):
    transcript = read_subtitles(_write(tmp_path / "a.txt", "First  line.\n\nSecond.\n"))
    assert transcript.lines == (TranscriptLine("First line."), TranscriptLine("Second."))


def test_unknown_suffix_and_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"not from '\.docx'"):
        read_subtitles(tmp_path / "a.docx")
    with pytest.raises(InputError, match=r"nowhere\.srt"):
        read_subtitles(tmp_path / "nowhere.srt")


# --- tables of many clips -------------------------------------------------------------------------------------------


@pytest.mark.inputs("forms", "tables (`.csv`, `.tsv`)", "the clip's row, as it is written")
@pytest.mark.parametrize(
    ("header", "row", "language"),
    [
        ("name,sentence", "samplenew_00000001,What now?", None),  # MER2023
        ("name,sentence_en", "samplenew_00000001,What now?", "en"),  # MER2024
        ("name,chinese,english", "samplenew_00000001,怎么办？,What now?", "en"),  # EMER
        ("names,emotions,subtitles,reasons", "samplenew_00000001,sad,What now?,because", None),
    ],
)
def test_published_tables(tmp_path, header, row, language):
    path = _write(tmp_path / "t.csv", f"{header}\nother,a,b,c\n{row}\n", "utf-8-sig")
    transcript = read_subtitles(path, clip_name="samplenew_00000001")
    assert transcript.lines == (TranscriptLine("What now?"),)
    assert transcript.language == language


def test_a_chinese_table(tmp_path):
    path = _write(tmp_path / "t.csv", "name,chinese\nx,“你好，世界”\n")
    transcript = read_subtitles(path, clip_name="x")
    assert (transcript.text, transcript.language) == ("“你好，世界”", "zh")


def test_quoted_cells_tabs_and_names_with_suffixes(tmp_path):
    csv = _write(tmp_path / "t.csv", 'name,sentence\na.mp4,"One, ""two""\nthree"\n,\nb,x\n')
    assert read_subtitles(csv, clip_name="a").text == 'One, "two" three'
    assert read_subtitles(csv, clip_name="b.avi").text == "x"
    tsv = _write(tmp_path / "t.tsv", "name\tsentence\na\tOne, two\n")
    assert read_subtitles(tsv).text == "One, two"


def test_an_empty_cell_means_that_nothing_was_said(tmp_path):
    assert read_subtitles(_write(tmp_path / "t.csv", "name,sentence\na,\nb,x\n"), clip_name="a").lines == ()


def test_a_missing_name_is_told_with_the_nearest(tmp_path):
    """The published code fails here with an IndexError that names nothing."""
    rows = "".join(f"samplenew_{number:05d},x\n" for number in range(10, 40))
    path = _write(tmp_path / "t.csv", "name,sentence\n" + rows)
    with pytest.raises(InputError, match="samplenew_00009"):
        read_subtitles(path, clip_name="samplenew_00009.mp4")


def test_wrong_tables(tmp_path):
    def table(text):
        return _write(tmp_path / "t.csv", text)

    with pytest.raises(InputError, match="sentence"):
        read_subtitles(table("path,words\na,b\n"))
    with pytest.raises(InputError, match=r"has the columns \(none\)"):
        read_subtitles(table(""))
    with pytest.raises(InputError, match=r"t\.csv, line 3: 1 cells came, 2 were expected"):
        read_subtitles(table("name,sentence\na,b\nc\n"), clip_name="a")
    with pytest.raises(InputError, match=r"t\.csv, line 4: a second, different sentence for 'a'"):
        read_subtitles(table("name,sentence\na,b\na,b\na,c\n"), clip_name="a")
    with pytest.raises(InputError, match=r"the table has 2 rows; say which clip's"):
        read_subtitles(table("name,sentence\na,b\nc,d\n"))


@pytest.mark.parametrize("column", ["sentence", "comment"])
def test_a_cell_that_is_too_long_for_the_reader(tmp_path, column):
    """A quotation mark without its partner made a cell of the whole rest, and Python's own error came out."""
    rows = "".join(f"clip{number},words and more words\n" for number in range(6_000))
    path = _write(tmp_path / "t.csv", f'name,{column},text\na,"open,b\n{rows}')
    with pytest.raises(
        InputError,
        match="131072",
    ):
        read_subtitles(path, clip_name="a")


def _settled(path, age_seconds=60):
    """The path, last changed this long ago."""
    then = time.time() - age_seconds
    os.utime(path, (then, then))
    return path


@pytest.fixture
def parsed(monkeypatch):
    """The paths of the tables that were parsed since the test began."""
    transcript_table._kept.cache_clear()
    paths, parse = [], transcript_table._parse
    monkeypatch.setattr(transcript_table, "_parse", lambda path, encoding: paths.append(path) or parse(path, encoding))
    yield paths
    transcript_table._kept.cache_clear()


def test_a_table_is_parsed_once_for_all_clips(tmp_path, parsed):
    """80,000 rows took 0.3 s to 0.9 s again for each clip of a folder."""
    rows = "".join(f"clip{number}.mp4,words of {number}\n" for number in range(100))
    path = _settled(_write(tmp_path / "t.csv", "name,sentence\n" + rows))
    for number in range(100):
        assert read_subtitles(path, clip_name=f"clip{number}").text == f"words of {number}"
    assert parsed == [path]
    with pytest.raises(InputError, match=r"clip10\.mp4"):
        read_subtitles(path, clip_name="clip100")
    assert parsed == [path]


def test_only_the_last_table_is_kept(tmp_path, parsed):
    one, two = (_settled(_write(tmp_path / name, f"name,sentence\na,{name}\n")) for name in ("1.csv", "2.csv"))
    assert [read_subtitles(path).text for path in (one, two, two, one)] == ["1.csv", "2.csv", "2.csv", "1.csv"]
    assert parsed == [one, two, one]
    assert transcript_table._kept.cache_info().currsize == 1


def test_a_table_that_changed_is_read_again(tmp_path, parsed):
    path = _settled(_write(tmp_path / "t.csv", "name,sentence\na,old\n"))
    assert read_subtitles(path).text == "old"
    _settled(_write(path, "name,sentence\na,new\n"), age_seconds=30)  # as long as before
    assert read_subtitles(path).text == "new"
    _settled(_write(path, "name,sentence\na,newer\n"), age_seconds=30)
    assert read_subtitles(path).text == "newer"
    _write(path, "name,sentence\na,newes\n")  # just now: may go on changing without a change of its time
    time_ns = path.stat().st_mtime_ns
    assert read_subtitles(path).text == "newes"
    _write(path, "name,sentence\na,last!\n")
    os.utime(path, ns=(time_ns, time_ns))
    assert read_subtitles(path).text == "last!"


def test_a_kept_table_is_of_one_folder_and_one_encoding(tmp_path, monkeypatch, parsed):
    for folder, word in (("one", "é"), ("two", "è")):
        (tmp_path / folder).mkdir()
        path = _settled(_write(tmp_path / folder / "t.csv", f"name,sentence\na,{word}\n"), age_seconds=3600)
        os.utime(path, ns=(10**18, 10**18))
        monkeypatch.chdir(tmp_path / folder)
        assert read_subtitles("t.csv").text == word
    assert read_subtitles("t.csv", encoding="latin-1").text == "Ã¨"
    assert len(parsed) == 3


def test_tables_may_be_read_from_several_threads(tmp_path):
    paths = [_settled(_write(tmp_path / f"{n}.csv", f"name,sentence\na,{n}\nb,{n}{n}\n")) for n in range(3)]
    wrong = []

    def read(n):
        wrong.extend(n for _ in range(50) if read_subtitles(paths[n], clip_name="b").text != f"{n}{n}")

    threads = [threading.Thread(target=read, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_missing_table(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        read_subtitles(tmp_path / "nowhere.csv", clip_name="a")


def test_the_nearest_of_many_names_is_found(tmp_path):
    rows = "".join(f"sample_{number:05d}.mp4,x\n" for number in range(2_000))
    path = _write(tmp_path / "t.csv", "name,sentence\n" + rows)
    with pytest.raises(InputError, match=r"sample_01234\.mp4"):
        read_subtitles(path, clip_name="samplenew_01234")


# --- files beside a clip --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["talk.srt"], "talk.srt"),
        (["Talk.SRT"], "Talk.SRT"),
        (["talk.vtt", "talk.srt", "talk.en.srt"], "talk.srt"),
        (["talk.en.vtt"], "talk.en.vtt"),
        (["talk.de.srt", "talk.en-GB.srt"], "talk.en-GB.srt"),
        (["talk.zh.srt", "talk.de.srt"], "talk.de.srt"),
        (["talk2.srt", "talk.part2.srt", "talk.txt", "other.srt", "talk_no2.srt", "talk_x.srt"], None),
        (["talk_en.srt"], "talk_en.srt"),
        (["talk-eng.srt"], "talk-eng.srt"),
        (["talk.english.srt", "talk.german.srt"], "talk.english.srt"),
        (["talk.sdh.srt"], "talk.sdh.srt"),
        (["talk.cc.vtt"], "talk.cc.vtt"),
        (["talk.hi.srt"], "talk.hi.srt"),
        (["talk.en.forced.srt", "talk.de.srt"], "talk.de.srt"),
        (["talk.forced.srt"], "talk.forced.srt"),
        (["talk.en.sdh.srt", "talk.en.srt"], "talk.en.srt"),
        (["talk.ass"], "talk.ass"),
        (["talk.pt-BR.srt"], "talk.pt-BR.srt"),
        ([], None),
    ],
)
def test_find_sidecar(tmp_path, names, wanted):
    for name in names:
        (tmp_path / name).write_text("x")
    found = find_sidecars(tmp_path / "talk.mp4")
    assert found[:1] == ([tmp_path / wanted] if wanted else [])


def test_no_sidecar_in_a_folder_that_is_not_there(tmp_path):
    assert find_sidecars(tmp_path / "nowhere" / "talk.mp4") == []


def test_the_language_is_in_the_name(tmp_path):
    text = "1\n00:00:01,000 --> 00:00:02,000\nJa\n"
    assert read_subtitles(_write(tmp_path / "talk.de.srt", text)).language == "de"
    assert read_subtitles(_write(tmp_path / "talk.final.srt", text)).language is None
