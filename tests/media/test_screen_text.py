"""Burnt-in subtitles: which texts they are, on scripted readings; and read for real from clips with drawn lines."""

import difflib
import importlib.util
import os
import re
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from emotion_llama import Analyzer
from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.media import screen_text
from emotion_llama.media.screen_text import ScreenText, Seen, agreement, beside_speech
from emotion_llama.media.writing import write_clip
from emotion_llama.records import Transcript, TranscriptLine

PICTURE = np.zeros((100, 160, 3), np.uint8)


def seen(text: str, x: float = 0.5, y: float = 0.8, height: float = 0.14, sure: float = 0.97) -> Seen:
    """A text around x, y, of the lower half, 0.03 wide a character; its height is of the lower half as well."""
    width = 0.03 * len(text)
    return Seen(text, sure, x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def shown(*pictures: list[Seen]) -> Transcript:
    """Two pictures a second."""
    given = iter(pictures)
    screen = ScreenText(lambda image: next(given))
    for i in range(len(pictures)):
        image = PICTURE.copy()
        image[:] = i  # equal pictures are read once
        screen.take(i / 2, image)
    return screen.transcript(len(pictures) / 2)


def texts(found: Transcript) -> list[str]:
    return [line.text for line in found.lines]


def test_one_text_over_several_pictures_is_one_line_with_times_and_confidence() -> None:
    found = shown([], [seen("我算是听出来了")], [seen("我算是听出来了", sure=0.99)], [], [seen("一个让我赶紧走")], [])
    assert texts(found) == ["我算是听出来了", "一个让我赶紧走"]
    first, second = found.lines
    assert (first.start_seconds, first.end_seconds) == (0.25, 1.25)
    assert (second.start_seconds, second.end_seconds) == (1.75, 2.25)
    assert first.confidence == pytest.approx(0.98)
    assert found.source == "screen text"


def test_a_misread_picture_is_outvoted() -> None:
    found = shown([seen("我算是昕出来了", sure=0.9)], [seen("我算是听出来了")], [seen("我算是听出来了")])
    assert texts(found) == ["我算是听出来了"]


def test_the_same_line_said_again_is_two_lines() -> None:
    found = shown([seen("快走快走")], [], [], [], [seen("快走快走")])
    assert texts(found) == ["快走快走", "快走快走"]


def test_marks_clocks_and_adverts_are_left_out_and_said() -> None:
    def around(i: int) -> list[Seen]:
        return [seen("剧场", 0.9, 0.7), seen(f"00:35:{i:02}后", 0.85, 0.2), seen(f"即将上映{i // 3}", 0.7, 0.95, 0.08)]

    lines = ["不会吧", "不可能", "她不是这种人", ""]
    found = shown(*([*around(i), *([seen(lines[i // 3])] if lines[i // 3] else [])] for i in range(12)))
    assert texts(found) == lines[:3]
    assert "剧场" in found.notes[0] or "other texts left out" in found.notes[0]


def test_a_text_that_crawls_through_the_picture_is_none() -> None:
    crawl = "本台为您带来今晚的精彩节目请不要走开广告之后马上回来" * 2
    pictures = []
    for i in range(8):
        width = 0.03 * 33
        pictures.append([Seen(crawl[3 * i : 3 * i + 33], 0.95, 0.5 - width / 2, 0.9, 0.5 + width / 2, 1.0)])
    assert texts(shown(*pictures)) == []


def test_a_caption_in_the_middle_that_never_goes_is_none() -> None:
    found = shown(*([seen("独家播出", y=0.5), *([seen("你好吗")] if 4 < i < 8 else [])] for i in range(30)))
    assert texts(found) == ["你好吗"]


def test_a_line_over_all_of_a_short_clip_is_one() -> None:
    assert texts(shown(*[[seen("偏选我一个")]] * 4)) == ["偏选我一个"]


def test_two_rows_are_one_line_and_two_languages_two() -> None:
    rows = [seen("你们一个个", y=0.7), seen("都不是好人", y=0.9)]
    assert texts(shown(rows, rows, [])) == ["你们一个个 都不是好人"]
    both = [seen("我很高兴", y=0.7), seen("I am happy", y=0.9)]
    assert texts(shown(both, both, [])) == ["我很高兴", "I am happy"]


def test_lines_that_begin_at_one_place_are_subtitles_too() -> None:
    def at_left(text: str) -> list[Seen]:
        return [Seen(text, 0.95, 0.1, 0.75, 0.1 + 0.02 * len(text), 0.89)]

    lines = ["Where are you going?", "Home.", "Not without me, my dear.", "Then come."]
    assert texts(shown(*(at_left(line) for line in lines))) == lines
    assert texts(shown(at_left("CHANNEL 5"), at_left("CHANNEL 5"))) == []


def test_doubtful_readings_and_single_signs_are_none() -> None:
    found = shown([seen("复口拔牙笑", sure=0.6)], [seen("8")], [seen("x")])
    assert texts(found) == []
    assert "no subtitle was found in 3 pictures" in found.notes[0]


def test_equal_pictures_are_read_once() -> None:
    asked: list[int] = []
    screen = ScreenText(lambda image: asked.append(1) or [seen("你好吗")])  # type: ignore[func-returns-value]
    for i in range(4):
        screen.take(i / 2, PICTURE)
    assert len(asked) == 1
    assert texts(screen.transcript(2.0)) == ["你好吗"]


def test_agreement_is_of_characters_without_marks() -> None:
    assert agreement("I am happy!", "i am HAPPY") == 1.0
    assert agreement("我算是听出来了", "我算是听不来") == pytest.approx(5 / 7)
    assert agreement("", "abc") == 0.0


@pytest.mark.inputs(
    "sources",
    "subtitles burnt into the pictures",
    "`--screen-text` (with `--asr DIR`: speech too, where none is shown)",
    "the other texts on the screen; how far what is shown and what is heard agree",
)
def test_what_is_shown_counts_and_what_is_heard_fills_the_gaps() -> None:
    screen = Transcript((TranscriptLine("我很高兴", 0.0, 2.0, confidence=0.99),), "screen text")
    heard = Transcript(
        (TranscriptLine("我很高", 0.2, 1.8, confidence=0.7), TranscriptLine("再见", 3.0, 4.0, confidence=0.8)),
        "faster-whisper", "zh", ("a note",), 0.97,
    )  # fmt: skip
    found = beside_speech(screen, heard)
    assert [(line.text, line.source) for line in found.lines] == [
        ("我很高兴", "screen text"),
        ("再见", "faster-whisper"),
    ]
    assert (found.source, found.language, found.language_probability) == ("screen text and faster-whisper", "zh", 0.97)
    assert found.notes[0] == "a note"
    assert "75 %" in found.notes[1]
    assert beside_speech(Transcript((), "screen text", None, ("none",)), heard).lines == heard.lines


def test_without_the_package_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    with pytest.raises(MissingDependency, match=r"emotion-llama\[screen-text\]"):
        screen_text.load_reader()


# --- in an analysis -------------------------------------------------------------------------------------------------


def _drawn(path: Path, lines: list[tuple[float, float, str]], font: str | None, seconds: float = 6.0) -> Path:
    """A clip of 640x360 with moving stripes, a channel mark, an advert, and lines at their times."""
    from PIL import Image, ImageDraw, ImageFont

    large, small = ImageFont.truetype(font, 26) if font else ImageFont.load_default(26), ImageFont.load_default(15)
    columns = np.arange(640)
    images = []
    for i in range(round(10 * seconds)):
        stripes = 90 + 50 * np.sin(columns / 40 + i / 5) + 30 * np.sin(np.arange(360)[:, None] / 25)
        picture = Image.fromarray(np.repeat(stripes[..., None], 3, 2).astype(np.uint8))
        draw = ImageDraw.Draw(picture)
        draw.text((560, 20), "HDTV", font=small, fill="white")
        draw.text((480, 270), "COMING SOON", font=small, fill="yellow")
        for start, end, line in lines:
            if start <= i / 10 < end:
                draw.text((320, 322), line, font=large, fill="white", stroke_width=2, stroke_fill="black", anchor="mm")
        images.append(np.asarray(picture))
    write_clip(path, images, 10.0)
    return path


def _font() -> str | None:
    places = ("/usr/share/fonts-droid-fallback/truetype/DroidSansFallback.ttf",)
    return next((place for place in places if Path(place).exists()), None)


def _needs(condition: bool, what: str) -> None:
    """Skip at home, fail in CI."""
    if not condition and os.environ.get("CI"):
        pytest.fail(f"{what} is missing")
    if not condition:
        pytest.skip(f"needs {what}")


LINES = {
    "zh": [(0.5, 1.9, "我算是听出来了"), (2.2, 3.6, "一个让我赶紧走"), (3.9, 5.6, "我这么大年纪了被你们气得睡不着")],
    "en": [(0.5, 1.9, "Leave me alone!"), (2.2, 3.6, "I do not want to see you again."), (3.9, 5.6, "Are you sure?")],
}


@pytest.mark.parametrize("language", LINES)
def test_drawn_lines_are_read_in_one_pass(language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has_package = importlib.util.find_spec("rapidocr_onnxruntime") is not None
    _needs(has_package or sys.version_info >= (3, 13), "rapidocr-onnxruntime (the extra screen-text)")
    if not has_package:
        pytest.skip("rapidocr-onnxruntime is for Python before 3.13")
    font = _font() if language == "zh" else None
    _needs(language == "en" or font is not None, "the font DroidSansFallback (fonts-droid-fallback)")
    clip = _drawn(tmp_path / "a.mp4", LINES[language], font)
    opened = []
    original = av.open
    monkeypatch.setattr(
        av, "open", lambda file, *args, **options: opened.append(file) or original(file, *args, **options)
    )
    analysis = Analyzer.load("rules").analyze(clip, screen_text=True)
    assert len(opened) == 1
    found = analysis.people[0].segments[0].evidence.transcript
    assert found is not None
    truth, read = "".join(line for _, _, line in LINES[language]), found.text
    plain = [re.sub(r"[\W_]+", "", text.lower()) for text in (truth, read)]
    same = sum(block.size for block in difflib.SequenceMatcher(None, *plain, autojunk=False).get_matching_blocks())
    errors = 1 - same / max(map(len, plain))
    print(f"{language}: character error {100 * errors:.1f} % of {len(plain[0])}; {texts(found)}")
    assert errors <= 0.02
    assert [line.language for line in found.lines] == [language] * 3
    for line, (start, end, _) in zip(found.lines, LINES[language]):
        assert line.start_seconds == pytest.approx(start, abs=0.5)
        assert line.end_seconds == pytest.approx(end, abs=0.5)
    assert any("COMING SOON" in warning for warning in analysis.warnings)


@pytest.mark.inputs(
    "sources",
    "subtitles burnt into the pictures",
    "`--screen-text` (with `--asr DIR`: speech too, where none is shown)",
    "the other texts on the screen; how far what is shown and what is heard agree",
)
def test_an_analyzer_loads_the_reader_once_and_settings_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def reader() -> screen_text.ReadPicture:
        loaded.append(1)
        return lambda image: [seen("我很高兴")]

    monkeypatch.setattr(screen_text, "load_reader", reader)
    pictures = [np.full((64, 96, 3), i, np.uint8) for i in range(20)]
    write_clip(tmp_path / "a.mp4", pictures, 10.0)
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nBeside.\n")
    analyzer = Analyzer.load("rules")
    for _ in range(2):
        analysis = analyzer.analyze(tmp_path / "a.mp4", screen_text=True)
    assert len(loaded) == 1
    words = analysis.people[0].segments[0].evidence.transcript
    assert words is not None
    assert [(line.text, line.language) for line in words.lines] == [("我很高兴", "zh")]
    assert analysis.settings["screen_text"] is True
    with pytest.raises(InputError, match="one place"):
        analyzer.analyze(tmp_path / "a.mp4", screen_text=True, subtitle="Hello.")


def test_sound_without_pictures_shows_no_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_text, "load_reader", lambda: pytest.fail("it is not needed"))
    write_clip(tmp_path / "a.wav", None, audio=np.zeros(16_000, np.float32), sample_rate_hz=16_000)
    evidence = Analyzer.load("rules").analyze(tmp_path / "a.wav", screen_text=True).people[0].segments[0].evidence
    assert evidence.transcript is None
    assert "no pictures" in (evidence.why_missing("transcript") or "")
