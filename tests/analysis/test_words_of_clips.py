"""Words beside and inside a clip: only those within it, what was chosen is said, and languages line by line."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from emotion_llama.analysis.evidence import find_transcript
from emotion_llama.analysis.options import Options
from emotion_llama.errors import InputError
from emotion_llama.media.language import language_of, line_languages
from emotion_llama.media.probe import open_clip
from emotion_llama.merr.ingest import ingest
from emotion_llama.merr.recipe import load_recipe
from emotion_llama.records import Transcript, TranscriptLine
from emotion_llama.results import Missing
from emotion_llama.rules.words import read_words

SRT = "1\n00:00:00,200 --> 00:00:01,500\n{}\n"
ASS = "0,0,Default,{name},0,0,0,,{text}"


def _clip(
    path: Path,
    tracks: Sequence[tuple[str, str, list[tuple[int, int, bytes]]]] = (),
    seconds: int = 2,
    flags: Sequence[Disposition] = (),
) -> Path:
    """A small grey video with text tracks: (codec, language, [(start ms, end ms, payload)]), each with its flags."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libvpx" if path.suffix == ".webm" else "mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        streams = []
        for codec, language, cues in tracks:
            stream = out.add_stream(codec)
            stream.time_base = Fraction(1, 1000)
            stream.metadata["language"] = language
            stream.codec_context.subtitle_header = b"[Script Info]\n\n[Events]\nFormat: Layer, Start, End, Text\n"
            stream.disposition = flags[len(streams)] if flags else Disposition(0)
            streams.append((stream, cues))
        grey = np.full((64, 64, 3), 128, np.uint8)
        for i in range(10 * seconds):
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for stream, cues in streams:
            for start, end, payload in cues:
                packet = av.Packet(payload)
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = start
                packet.duration = end - start
                out.mux(packet)
    return path


def _words(clip: Path, **options: object) -> tuple[Transcript | Missing, list[str]]:
    warnings: list[str] = []
    with open_clip(clip, warn=pytest.fail) as file:
        return find_transcript(clip, Options(**options), None, warnings.append, file), warnings  # type: ignore[arg-type]


def _text(clip: Path, **options: object) -> tuple[str, str]:
    found, warnings = _words(clip, **options)
    assert isinstance(found, Transcript), found
    return found.text, "\n".join(warnings)


def test_the_subtitles_of_a_whole_film_beside_a_cut(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "cut.mkv")
    (tmp_path / "cut.srt").write_text("1\n00:10:00,200 --> 00:10:01,500\nI am so angry\n")
    found, warnings = _words(clip)
    assert isinstance(found, Missing)
    assert "offset" in found.reason
    assert warnings == [found.reason]


@pytest.mark.inputs("sources", "a text track of the clip", "`--subtitle-track N` (from 1)", "the other tracks")
@pytest.mark.inputs("forms", "SubRip and SubStation Alpha tracks in Matroska", "as the files")
def test_text_tracks_are_read_and_the_choice_is_said(tmp_path: Path) -> None:
    german = ("subrip", "ger", [(200, 900, b"Guten Tag"), (1000, 1500, b"<i>Auf</i> Wiedersehen")])
    english = ("ass", "eng", [(200, 900, ASS.format(name="Anna", text=r"{\i1}Good\N day").encode())])
    clip = _clip(tmp_path / "talk.mkv", [german, english])
    found, warnings = _words(clip)
    assert isinstance(found, Transcript)
    assert found.lines == (TranscriptLine("Good day", 0.2, 0.9, "Anna", "en"),)
    assert found.language == "en"
    assert "track 2 (en" in warnings[0]
    assert "--subtitle-track" in warnings[0]
    text, said = _text(clip, subtitle_track=1)
    assert text == "Guten Tag Auf Wiedersehen"
    assert "track 1" in said
    with pytest.raises(InputError, match="track 3"):
        _words(clip, subtitle_track=3)


@pytest.mark.inputs(
    "sources",
    "a text track of the clip",
    "not forced before forced, English, the default one, the first",
    "the other tracks; tracks that are not read",
)
@pytest.mark.parametrize(
    ("flags", "chosen"),
    [
        ((Disposition.forced, Disposition(0)), 2), ((Disposition(0), Disposition.default), 2),
        ((Disposition.hearing_impaired, Disposition.default | Disposition.forced), 1),
    ],
)  # fmt: skip
def test_a_track_of_some_lines_is_read_last_and_the_marks_are_said(
    tmp_path: Path, flags: tuple[Disposition, ...], chosen: int
) -> None:
    tracks = [("subrip", "eng", [(200, 900, f"words {n}".encode())]) for n in (1, 2)]
    clip = _clip(tmp_path / "talk.mkv", tracks, flags=flags)
    for number in (None, 1, 2):
        found, _ = _words(clip, subtitle_track=number)
        assert isinstance(found, Transcript)
        number = number or chosen
        assert found.text == f"words {number}"
        for name in ("forced", "default", "hearing_impaired"):
            assert (name in found.source) == bool(flags[number - 1] & Disposition[name])


@pytest.mark.inputs("forms", "tracks of images, or of another form", "not read; named")
def test_tracks_of_images_are_named(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "talk.mkv", [("dvdsub", "eng", [(200, 900, bytes(16))])])
    found, warnings = _words(clip)
    assert isinstance(found, Missing)
    assert "track 1 (eng, dvdsub) holds images" in found.reason
    assert warnings == [found.reason]
    with pytest.raises(InputError, match="no text is in subtitle track 1"):
        _words(clip, subtitle_track=1)


def _box(name: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return (8 + len(data)).to_bytes(4, "big") + name + data


@pytest.mark.inputs("forms", "WebVTT tracks in Matroska, WebM and MP4", "as WebVTT")
@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4"])
def test_webvtt_tracks(tmp_path: Path, suffix: str) -> None:
    """FFmpeg writes none into MP4, and gives one from there as data: the track of another form is renamed here."""
    first, second, third = b"<v Anna>Hello <i>there</i>", "schön &amp; gut".encode(), b"[door] payl"
    codec, cues = "webvtt", [(200, 900, first), (1000, 1500, second), (1600, 1800, third)]
    if suffix == ".mp4":
        codec = "mov_text"
        several = _box(b"vttc", _box(b"payl", second)) + _box(b"vttc", _box(b"payl", third)) + _box(b"vtta", b"note")
        cues = [
            (0, 200, _box(b"vtte")),
            (200, 500, _box(b"vttc", _box(b"iden", b"1"), _box(b"sttg", b"line:0"), _box(b"payl", first))),
            (500, 900, _box(b"vttc", _box(b"payl", first))),  # one cue in two samples
            (1000, 1500, several),
        ]
    clip = _clip(tmp_path / f"talk{suffix}", [(codec, "eng", cues)])
    clip.write_bytes(clip.read_bytes().replace(b"tx3g", b"wvtt"))
    found, warnings = _words(clip)
    assert isinstance(found, Transcript), found
    assert [line.text for line in found.lines] == ["Hello there", "schön & gut", "payl"]
    assert found.lines[0] == TranscriptLine("Hello there", 0.2, 0.9, "Anna", "en")
    assert f"track 1 (eng, {'wvtt' if suffix == '.mp4' else 'webvtt'}" in found.source
    assert any("1 sound" in line for line in warnings)
    assert _text(clip, subtitle_track=1)[0] == found.text


@pytest.mark.inputs("forms", "a sidecar marked forced, sdh, cc or hi", "the source says what it holds")
@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("talk.srt", ""), ("talk.en.srt", ""), ("talk.en.forced.srt", "forced: only some lines"),
        ("talk.forced.srt", "forced: only some lines"), ("talk.sdh.srt", "sdh: for people who hear badly"),
        ("talk.cc.vtt", "cc: for people who hear badly"), ("talk_eng.hi.srt", "hi: for people who hear badly"),
        ("talk.en.sdh.forced.srt", "forced: only some lines, sdh: for people who hear badly"),
    ],
)  # fmt: skip
def test_the_source_says_what_a_sidecars_name_says_of_it(tmp_path: Path, name: str, marks: str) -> None:
    clip = _clip(tmp_path / "talk.mkv")
    (tmp_path / name).write_text(SRT.format("Hi."))
    for options in ({}, {"transcript": tmp_path / name}):
        found, _ = _words(clip, **options)
        assert isinstance(found, Transcript)
        assert found.source == (f"{name} ({marks})" if marks else name)


@pytest.mark.inputs("forms", "mov_text tracks in MP4", "their text")
def test_a_track_in_mp4_and_one_bad_byte(tmp_path: Path) -> None:
    texts = ["Hello \xff there".encode("latin-1"), "Schön".encode()]
    cues = [(200 + 500 * i, 600 + 500 * i, len(text).to_bytes(2, "big") + text) for i, text in enumerate(texts)]
    clip = _clip(tmp_path / "talk.mp4", [("mov_text", "eng", cues)])
    assert _text(clip)[0] == "Hello \ufffd there Schön"


@pytest.mark.inputs(
    "sources", "a file beside the clip", "its name", "the files beside it and the tracks that were not read"
)
def test_a_file_beside_the_clip_goes_before_a_track_and_both_are_said(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "talk.mkv", [("subrip", "eng", [(200, 900, b"Inside")])])
    for name in ("talk.srt", "talk.de.srt"):
        (tmp_path / name).write_text(SRT.format(name))
    text, said = _text(clip)
    assert text == "talk.srt"
    assert "talk.de.srt" in said
    assert "1 subtitle track in the clip" in said
    assert _text(clip, subtitle_track=1)[0] == "Inside"


def test_a_build_takes_only_words_within_the_clip(tmp_path: Path) -> None:
    """The words of minute ten of a film once came into the samples of a cut of two seconds."""
    film, inside = (
        _clip(tmp_path / "film.mkv"),
        _clip(tmp_path / "track.mkv", [("subrip", "eng", [(200, 900, b"Hi.")])]),
    )
    film.with_suffix(".srt").write_text("1\n00:10:00,200 --> 00:10:01,500\nI am so angry\n")
    rows = {row.clip_id: (row, warnings) for row, _, warnings in ingest([film, inside], load_recipe(None, []))}
    assert rows["film"][0].given_subtitle is None
    assert "offset" in rows["film"][1][0]
    assert (rows["track"][0].given_subtitle, rows["track"][0].subtitle_language) == ("Hi.", "en")
    film.with_suffix(".srt").write_bytes(SRT.format("Źle się czuję").encode("cp1250"))
    ((row, _, _),) = ingest([film], load_recipe(None, ["ingest.encoding=cp1250"]))
    assert row.given_subtitle == "Źle się czuję"


def test_an_encoding_is_asked_for_and_named(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "talk.mkv")
    (tmp_path / "talk.srt").write_bytes(SRT.format("Dlaczego jesteś taki zły").encode("cp1250"))
    found, _ = _words(clip)
    assert isinstance(found, Missing)
    assert "--encoding" in found.reason
    text, said = _text(clip, encoding="cp1250")
    assert text == "Dlaczego jesteś taki zły"
    assert "Polish" in said
    with pytest.raises(InputError, match="klingon"):
        Options(encoding="klingon")
    with pytest.raises(InputError, match="one place"):
        Options(subtitle="a", subtitle_track=1)


OTHERS = {
    "de": ["Die sind noch so klein, und die Katze ist krank.", "Nein!", "Das war schlecht.", "Ich will sterben.",
           "Lass mich in Ruhe."],
    "nl": ["Ik ben blij.", "Wat is dat?", "Hij wil niet met ons mee.", "Laat me met rust."],
    "da": ["Jeg er glad.", "Hvad er der?", "Han har ikke mere gift.", "Det er for sent.", "Lad mig være i fred."],
    "sv": ["Hon har hat och en ful hund, kom over her.", "Jag är glad.", "Det var inte bra."],
    "pl": ["Nie mam na to czasu, to nie jest fair.", "To jest moja mama.", "Nie wiem.", "Daj mi spokój."],
}  # fmt: skip


@pytest.mark.inputs(
    "languages",
    "of another language's function words, not marked",
    "not read as English; their number is said with the language",
)
@pytest.mark.parametrize("tag", OTHERS)
def test_other_languages_are_not_read_as_english(tag: str) -> None:
    for line in OTHERS[tag]:
        assert language_of(line) not in ("en", None), line
        assert read_words(Transcript((TranscriptLine(line),), "given")).hits == ()
    assert language_of(" ".join(OTHERS[tag])) == tag
    assert set(line_languages([*OTHERS[tag], "Super!"])) <= {*OTHERS} - {"en"}


@pytest.mark.inputs(
    "languages",
    "of English function words",
    "read with the English lexicon, also where it has words that others have too (`die`, `war`, `will`)",
)
@pytest.mark.parametrize(
    "line",
    [
        "I will die.", "We had a war here.", "The man is in the van.", "Oh mein Gott, I am so scared.", "So am I.",
        "No, not me.", "Don't be sad, Jan.", "Los Angeles is hot.", "Ben, run! They are coming.", "It was a fast gift.",
    ],
)  # fmt: skip
def test_english_with_words_that_others_have_too(line: str) -> None:
    assert language_of(line) == "en"


@pytest.mark.inputs("languages", "short, without counter-evidence", "goes with the whole text")
@pytest.mark.parametrize("line", ["Amazing!", "Die!", "Happy birthday, Ben!", "Fantastic.", "Na na na", "Hell!"])
def test_short_lines_without_counter_evidence_are_read(line: str) -> None:
    assert language_of(line) in ("en", None)


@pytest.mark.inputs(
    "languages",
    "of another language's function words, not marked",
    "not read as English; their number is said with the language",
)
def test_languages_are_decided_line_by_line_and_said(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "talk.mkv")
    (tmp_path / "talk.srt").write_text(
        "00:00:00,000 --> 00:00:00,500\nI am so happy with you\n\n00:00:00,500 --> 00:00:01,000\nIch will es nicht, "
        "sad, terrible\n\n00:00:01,000 --> 00:00:01,500\nand we love it here\n"
    )
    found, warnings = _words(clip)
    assert isinstance(found, Transcript)
    assert ["1 of 3 lines look German" in line for line in warnings] == [True]
    assert {hit.text for hit in read_words(found).hits} >= {"happy"}
    assert not {hit.text for hit in read_words(found).hits} & {"sad", "terrible"}


@pytest.mark.inputs(
    "languages",
    "in another script (Japanese, Korean, Cyrillic, Arabic, ...)",
    "not read; their number is said with the language",
)
def test_scripts_decide_languages(tmp_path: Path) -> None:
    lines = {
        "とても嬉しいです": "ja", "너무 슬퍼요": "ko", "Я очень рад": "ru", "Я дуже радий, дякую її": "uk",
        "Είμαι χαρούμενος": "el", "أنا سعيد جدا": "ar", "我很OK": "zh", "我用iPhone": "zh", "I love you, 北京": "en",
        "我很高興": "zh",
    }  # fmt: skip
    assert line_languages(list(lines)) == list(lines.values())
    # Signs alone may be Japanese where the source says so; Cyrillic may be Bulgarian.
    assert line_languages(["東京", "...", "Hello there"], "ja") == ["ja", "ja", "en"]
    assert line_languages(["Аз съм щастлив"], "bg") == ["bg"]
    assert line_languages(["Guten Tag", "我很高兴"], "de-AT") == ["de", "zh"]
    clip = _clip(tmp_path / "talk.mkv")
    (tmp_path / "talk.srt").write_text(SRT.format("とても嬉しいです"), encoding="utf-8")
    found, warnings = _words(clip)
    assert isinstance(found, Transcript)
    assert found.lines[0].language == "ja"
    assert ["1 of 1 lines look Japanese" in line for line in warnings] == [True]
    assert read_words(found).problem == "not read: the lexicons are English and Chinese, and the words look Japanese"
