"""Words from side files, and clear errors where a file is wrong."""

import pytest

from emotion_llama.errors import InputError
from emotion_llama.media.subtitles import find_sidecar, read_subtitles
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


def test_srt(tmp_path):
    transcript = read_subtitles(_write(tmp_path / "talk.srt", SRT))
    assert transcript.lines == (
        TranscriptLine("Are you really stupid or just pretending?", 1.5, 3.0),
        TranscriptLine("Who, me? & you", 2.0, 3604.25),
        TranscriptLine("1 < 2 and 3 > 2", 7.0, 8.0),
    )
    assert transcript.source == "talk.srt"
    assert transcript.language is None


def test_vtt(tmp_path):
    transcript = read_subtitles(_write(tmp_path / "talk.VTT", VTT))
    assert transcript.lines == (
        TranscriptLine("I am fine", 1.0, 2.5, "Anna Maria"),
        TranscriptLine("Good.", 3.0, 4.0),
    )


def test_windows_line_ends_and_cues_without_blank_lines_between(tmp_path):
    text = "1\r\n00:00:01,000 --> 00:00:02,000\r\none\r\n2\r\n00:00:02,000 --> 00:00:03,000\r\ntwo\r\n"
    assert read_subtitles(_write(tmp_path / "a.srt", text)).text == "one two"


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings(tmp_path, encoding):
    text = "1\n00:00:01,000 --> 00:00:02,000\nDéjà vu – “naïve”\n"
    assert read_subtitles(_write(tmp_path / "a.srt", text, encoding)).text == "Déjà vu – “naïve”"


def test_a_byte_that_windows_does_not_know_is_latin_1(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 \x81")
    assert read_subtitles(tmp_path / "a.txt").text == "café \x81"


def test_an_encoding_can_be_named(tmp_path):
    path = _write(tmp_path / "a.txt", "你好", "gb18030")
    assert read_subtitles(path, encoding="gb18030").text == "你好"
    with pytest.raises(InputError, match=r"a\.txt: the transcript is not utf-8 text .*name its encoding"):
        read_subtitles(path, encoding="utf-8")
    with pytest.raises(InputError, match="the transcript is not klingon text"):
        read_subtitles(path, encoding="klingon")


@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.txt"])
def test_a_blank_file_means_that_nothing_was_said(tmp_path, name):
    assert read_subtitles(_write(tmp_path / name, "\n \n")).lines == ()


def test_a_header_alone_means_that_nothing_was_said(tmp_path):
    assert read_subtitles(_write(tmp_path / "a.vtt", "WEBVTT\n\nNOTE nobody speaks\n")).lines == ()


@pytest.mark.parametrize(
    "timing", ["00:00:01,000 --> soon", "00:00:61,000 --> 00:01:02,000", "1.5 --> 2.5", "00:00:01;000 --> 00:00:02;0"]
)
def test_a_malformed_time_is_told_with_its_line(tmp_path, timing):
    text = f"1\n00:00:00,000 --> 00:00:01,000\nfine\n\n2\n{timing}\nbad\n"
    with pytest.raises(
        InputError, match=r"a\.srt, line 6: .* is no time span; expected such as '00:01:02,500"
    ) as error:
        read_subtitles(_write(tmp_path / "a.srt", text))
    assert timing in str(error.value)


def test_a_cue_that_ends_before_it_starts(tmp_path):
    text = "1\n00:00:03,000 --> 00:00:02,000\nbad\n"
    with pytest.raises(InputError, match=r"a\.srt, line 2: the cue ends \(2 s\) before it starts \(3 s\)"):
        read_subtitles(_write(tmp_path / "a.srt", text))


def test_text_without_times_is_no_subtitle_file(tmp_path):
    with pytest.raises(InputError, match="no line with '-->' came; a subtitle file with times was expected"):
        read_subtitles(_write(tmp_path / "a.srt", "just words"))


def test_plain_text(tmp_path):
    transcript = read_subtitles(_write(tmp_path / "a.txt", "First  line.\n\nSecond.\n"))
    assert transcript.lines == (TranscriptLine("First line."), TranscriptLine("Second."))


def test_unknown_suffix_and_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"are read from \.srt, \.vtt, \.csv, \.tsv, \.txt files, not from '\.docx'"):
        read_subtitles(tmp_path / "a.docx")
    with pytest.raises(InputError, match=r"nowhere\.srt: the transcript cannot be read \(No such file or directory\)"):
        read_subtitles(tmp_path / "nowhere.srt")


# --- tables of many clips -------------------------------------------------------------------------------------------


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
    with pytest.raises(
        InputError, match=r"t\.csv: no row named 'samplenew_00009' among 30; the nearest are samplenew_000.9,"
    ):
        read_subtitles(path, clip_name="samplenew_00009.mp4")


def test_wrong_tables(tmp_path):
    def table(text):
        return _write(tmp_path / "t.csv", text)

    with pytest.raises(InputError, match=r"has the columns path, words; expected a column name and a column sentence"):
        read_subtitles(table("path,words\na,b\n"))
    with pytest.raises(InputError, match=r"has the columns \(none\)"):
        read_subtitles(table(""))
    with pytest.raises(InputError, match=r"t\.csv, line 3: 1 cells came, 2 were expected"):
        read_subtitles(table("name,sentence\na,b\nc\n"), clip_name="a")
    with pytest.raises(InputError, match=r"t\.csv, line 4: a second, different sentence for 'a'"):
        read_subtitles(table("name,sentence\na,b\na,b\na,c\n"), clip_name="a")
    with pytest.raises(InputError, match=r"the table has 2 rows; say which clip's"):
        read_subtitles(table("name,sentence\na,b\nc,d\n"))


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
        (["talk2.srt", "talk.part2.srt", "talk.txt", "other.srt"], None),
        ([], None),
    ],
)
def test_find_sidecar(tmp_path, names, wanted):
    for name in names:
        (tmp_path / name).write_text("x")
    found = find_sidecar(tmp_path / "talk.mp4")
    assert found == (tmp_path / wanted if wanted else None)


def test_no_sidecar_in_a_folder_that_is_not_there(tmp_path):
    assert find_sidecar(tmp_path / "nowhere" / "talk.mp4") is None


def test_the_language_is_in_the_name(tmp_path):
    text = "1\n00:00:01,000 --> 00:00:02,000\nJa\n"
    assert read_subtitles(_write(tmp_path / "talk.de.srt", text)).language == "de"
    assert read_subtitles(_write(tmp_path / "talk.final.srt", text)).language is None
