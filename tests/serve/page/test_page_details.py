"""What the page does in a browser with answers, refusals and accidents that a stand-in for the server makes."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from emotion_llama.serve.settings import ServeSettings

CLIP = {"name": "talk.mp4", "mimeType": "video/mp4"}


def open_example(page: Page, name: str = "surprise") -> None:
    page.click(f"[data-example={name}]")
    page.wait_for_selector("#result:not([hidden]) .verdict")


def video_time(page: Page) -> float:
    time: float = page.evaluate("document.querySelector('#result video').currentTime")
    return time


def test_two_models_stand_side_by_side_and_their_difference_is_told(
    stand_in: Any, open_page: Callable[..., Any]
) -> None:
    other = copy.deepcopy(stand_in.documents["second"].document)
    prediction = other["people"][0]["segments"][0]["prediction"]
    prediction |= {"label": "fear", "cues": [], "reasoning": "The eyes are wide."}
    stand_in.documents["second"] = type(stand_in.documents["second"])(other, "")
    page = open_page(stand_in.url).page
    page.select_option("#other-model", "second", force=True)
    page.set_input_files("#file", {**CLIP, "buffer": b"not played"})
    page.click("#analyze")
    page.wait_for_selector(".compared .answers")
    assert page.inner_text(".comparison") == "The models differ: first reads surprise, second reads fear."
    assert page.locator(".answers .verdict").all_inner_texts()[0].startswith("Predicted: surprise")
    assert page.locator(".answers .model-name").all_inner_texts() == ["first", "second"]
    # The second model's own words say that fear is not its most probable label.
    assert "Not the most probable label: surprise" in page.locator(".answers .detail").nth(1).inner_text()
    assert page.locator(".reasoning").nth(1).inner_text() == "The eyes are wide."
    assert page.locator(".plot .name").all_text_contents()[:2] == ["first", "second"]
    assert sorted(form["model"] for form in stand_in.forms) == ["first", "second"]

    # Each answers in its own column.
    page.fill("#question", "Is she afraid?")
    page.keyboard.press("Enter")
    expect(page.locator(".bubble.answer .text").nth(1)).to_have_text("The lips part.")
    assert sorted(chat["model"] for chat in stand_in.chats) == ["first", "second"]


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e9])
def test_a_clip_of_no_length_or_a_wrong_one_is_still_drawn(
    stand_in: Any, open_page: Callable[..., Any], seconds: float
) -> None:
    stand_in.documents["rules"] = stand_in.documents["first"]
    stand_in.documents["rules"].document["clip"]["duration_seconds"] = seconds
    page = open_page(stand_in.url).page
    open_example(page)
    page.wait_for_selector(".plot svg")
    assert 1 <= page.locator(".plot .tick").count() < 40


def test_one_model_may_fail_beside_another(stand_in: Any, open_page: Callable[..., Any]) -> None:
    stand_in.refusals = [(503, {}, "the model is not there")]
    page = open_page(stand_in.url, forgiven=("status of 503",)).page
    page.select_option("#other-model", "second", force=True)
    page.set_input_files("#file", {**CLIP, "buffer": b"x"})
    page.click("#analyze")
    page.wait_for_selector(".compared .answers")
    assert page.inner_text(".answer-column.failed .error") == "the model is not there"
    assert page.inner_text(".comparison") == "Only one of the models has an answer."
    assert page.locator(".answers .verdict").count() == 1


def test_a_conversation_is_streamed_remembered_and_forgotten_by_the_server(
    stand_in: Any, open_page: Callable[..., Any]
) -> None:
    stand_in.settings = ServeSettings(models={"second": "folder"})
    page = open_page(stand_in.url).page
    open_example(page)
    assert stand_in.calls == ["POST v1/files", "POST v1/analyze"]
    page.fill("#temperature", "0.7")
    page.click(".chip:has-text('[visual]')")
    expect(page.locator(".bubble.answer .text")).to_have_text("The lips part.")
    page.wait_for_selector(".chip:not([disabled])")
    page.fill("#question", "And the eyes?")
    page.click(".chat-form button")
    expect(page.locator(".bubble.answer")).to_have_count(2)
    page.wait_for_selector(".chip:not([disabled])")

    first, second = stand_in.chats
    clip = {"type": "file", "file": {"file_id": "file-1"}}
    asked = {"role": "user", "content": [clip, {"type": "text", "text": "[visual]"}]}
    assert first["messages"] == [asked]
    assert first["stream"] is True
    assert first["temperature"] == pytest.approx(0.7)
    assert first["emotion_llama"] == {"person_id": 1, "subtitle": "Look at that, an elephant in the hospital!"}
    assert second["messages"] == [
        asked,
        {"role": "assistant", "content": "The lips part."},
        {"role": "user", "content": [{"type": "text", "text": "And the eyes?"}]},
    ]
    assert stand_in.calls.count("POST v1/files") == 1
    page.click(".downloads button:has-text('Another clip')")
    page.wait_for_function("() => !document.querySelector('#start').hidden")
    for _ in range(100):
        if "DELETE v1/files/file-1" in stand_in.calls:
            break
        page.wait_for_timeout(20)
    assert stand_in.calls[-1] == "DELETE v1/files/file-1"


def test_the_key_is_asked_for_and_a_wrong_one_again(stand_in: Any, open_page: Callable[..., Any]) -> None:
    stand_in.key = "0123456789abcdef"
    stand_in.settings = ServeSettings(api_keys=(stand_in.key,))
    page = open_page(stand_in.url, forgiven=("status of 401",)).page
    assert page.is_visible("#key-button")
    page.click("[data-example=surprise]")
    page.wait_for_selector("#key-dialog[open]")
    assert page.is_hidden("#key-error")
    page.fill("#key", "wrong-wrong-wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#key-dialog[open] #key-error:not([hidden])")
    assert page.inner_text("#key-error") == "The server does not know this key."
    stand_in.documents["rules"] = stand_in.documents["first"]
    page.fill("#key", stand_in.key)
    page.keyboard.press("Enter")
    page.wait_for_selector("#result:not([hidden]) .verdict")
    assert page.evaluate("Object.keys(localStorage).includes('key')") is False  # of this tab, not of the disk


def test_the_printed_link_opens_the_page_in_every_tab(stand_in: Any, open_page: Callable[..., Any]) -> None:
    stand_in.key = "0123456789abcdef-_"
    stand_in.settings = ServeSettings(token=stand_in.key)
    stand_in.documents["rules"] = stand_in.documents["first"]
    page = open_page(f"{stand_in.url}/#token={stand_in.key}").page
    assert "token" not in page.url  # nor in the history
    other = page.context.new_page()
    other.goto(stand_in.url)
    for tab in (page, other):
        tab.click("[data-example=surprise]")
        tab.wait_for_selector("#result:not([hidden]) .verdict")


def test_a_busy_server_says_when_to_come_again(stand_in: Any, open_page: Callable[..., Any]) -> None:
    stand_in.refusals = [(429, {"Retry-After": "7"}, "too many")]
    page = open_page(stand_in.url, forgiven=("status of 429",)).page
    page.click("[data-example=surprise]")
    page.wait_for_selector("#ready-error:not([hidden])")
    assert page.inner_text("#ready-error") == "The server is busy. Try again in 7 s."
    page.click("#analyze")  # the clip and its words are still there
    page.wait_for_selector("#result:not([hidden]) .verdict")
    assert stand_in.forms[-1]["transcript"].startswith("surprise.srt:")


def test_stages_are_shown_and_the_work_can_be_stopped(stand_in: Any, open_page: Callable[..., Any]) -> None:
    stand_in.hold.clear()
    page = open_page(stand_in.url).page
    page.click("[data-example=surprise]")
    page.wait_for_selector(".stage-list li.current:has-text('Faces')")
    assert page.locator(".stage-list li.done").all_inner_texts()[-1].startswith("Voice")
    bar = page.locator(".stage-list li.current progress")
    assert bar.evaluate("bar => bar.value") == 0.25
    page.click("#cancel")
    page.wait_for_selector("#ready:not([hidden])")
    assert page.inner_text("#ready-name") == "surprise.mp4"
    stand_in.hold.set()
    page.click("#analyze")
    page.wait_for_selector("#result:not([hidden]) .verdict")


def test_a_clip_that_the_browser_cannot_play_has_its_result_all_the_same(
    stand_in: Any, open_page: Callable[..., Any]
) -> None:
    page = open_page(stand_in.url).page
    page.set_input_files("#file", {"name": "old.avi", "mimeType": "video/x-msvideo", "buffer": b"RIFF....AVI LIST"})
    page.wait_for_selector("#preview-unplayable:not([hidden])")
    page.click("#analyze")
    page.wait_for_selector("#result:not([hidden]) .player .unplayable:not([hidden])")
    assert page.inner_text(".verdict").startswith("Predicted: surprise")
    assert page.locator(".moment .portrait img").count() == 1  # the picture is the server's
    page.locator(".plot").scroll_into_view_if_needed()
    box = page.locator(".plot").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 40)
    assert re.match(r"\d\.\d\d\ss", page.inner_text(".readout b"))
    assert page.inner_text(".readout b") == page.inner_text(".controls .time") != "0.00\xa0s"


def test_the_timeline_moves_the_video_and_keys_do(stand_in: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(stand_in.url).page
    open_example(page)
    peak = stand_in.documents["first"].document["people"][0]["segments"][0]["evidence"]["peak_frame"]["pts_seconds"]
    page.wait_for_function("() => document.querySelector('#result video').readyState >= 2")
    assert video_time(page) == pytest.approx(peak, abs=0.01)  # where it shows most
    plot = page.locator(".plot")
    plot.scroll_into_view_if_needed()
    left, right = (
        plot.locator("line.grid").evaluate_all("lines => lines.map(l => l.getBoundingClientRect().x)")[i]
        for i in (0, -1)
    )
    top = plot.bounding_box()["y"]
    page.mouse.click(left + (right - left) * 0.8, top + 60)  # the axis ends with the clip, at 5 s
    assert video_time(page) == pytest.approx(4.0, abs=0.02)
    assert plot.get_attribute("aria-valuetext") == page.inner_text(".readout b")
    page.keyboard.press("ArrowLeft")
    assert video_time(page) == pytest.approx(3.0, abs=0.02)
    page.keyboard.press("Shift+ArrowRight")
    assert video_time(page) == pytest.approx(3.1, abs=0.02)
    page.keyboard.press("Home")
    assert video_time(page) == 0
    page.keyboard.press("End")
    assert video_time(page) == pytest.approx(5.0, abs=0.02)
    page.keyboard.press("p")
    assert video_time(page) == pytest.approx(peak, abs=0.01)
    page.keyboard.press("Space")
    page.wait_for_function(f"() => document.querySelector('#result video').currentTime > {peak} + 0.1")
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('#result video').paused")
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#help", state="hidden")


def test_keys_typed_as_text_move_nothing(stand_in: Any, open_page: Callable[..., Any]) -> None:
    stand_in.settings = ServeSettings(models={"second": "folder"})
    page = open_page(stand_in.url).page
    open_example(page)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "question"
    before = video_time(page)
    page.keyboard.type("p p [")
    assert page.input_value("#question") == "p p ["
    assert video_time(page) == before
    assert page.evaluate("document.querySelector('#result video').paused")


def test_all_of_the_first_screen_is_reached_by_tab(stand_in: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(stand_in.url).page
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("(document.activeElement.id || document.activeElement.dataset.example) ?? ''"))
    order = ["language-button", "theme-button", "choose", "record", "smile", "brave-face", "two-people", "surprise"]
    assert [name for name in reached if name in order] == order
    page.focus("[data-example=surprise]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result:not([hidden]) .verdict")


def test_long_recordings_become_jobs(stand_in: Any, open_page: Callable[..., Any]) -> None:
    stand_in.settings = ServeSettings(max_duration_seconds=3.0)
    stand_in.documents["rules"] = stand_in.documents["first"]
    stand_in.job = {"status": "running", "stage": "faces", "share": 0.5, "error": None}
    page = open_page(stand_in.url).page
    page.click("[data-example=surprise]")  # 5 s
    page.wait_for_selector(".stage-list li.current:has-text('Faces')")
    assert "job-1" in page.inner_text("#writing")
    stand_in.job["status"] = "done"
    page.wait_for_selector("#result:not([hidden]) .verdict")
    assert page.locator(".moment .portrait .mesh").count() == 1
    assert "POST v1/analyze" not in stand_in.calls


def test_a_job_that_fails_is_told_and_a_stopped_one_is_cancelled(stand_in: Any, open_page: Callable[..., Any]) -> None:
    stand_in.settings = ServeSettings(max_duration_seconds=3.0)
    stand_in.job = {"status": "failed", "stage": None, "share": 0.0, "error": {"message": "no face", "code": "x"}}
    page = open_page(stand_in.url).page
    page.click("[data-example=surprise]")
    page.wait_for_selector("#ready-error:not([hidden])")
    assert page.inner_text("#ready-error") == "no face"
    stand_in.job = {"status": "queued", "stage": None, "share": 0.0, "error": None}
    page.click("#analyze")
    page.wait_for_selector(".stage-list li.current:has-text('Waiting')")
    page.click("#cancel")
    page.wait_for_selector("#ready:not([hidden])")
    for _ in range(100):
        if stand_in.cancelled:
            break
        page.wait_for_timeout(20)
    assert stand_in.cancelled == 1


def test_language_and_theme_are_kept_and_change_a_result_in_place(stand_in: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(stand_in.url, color_scheme="light").page
    open_example(page)
    seen = page.inner_text(".verdict")
    page.click("#language-button")
    page.wait_for_selector("html[lang=zh]")
    assert page.inner_text(".verdict").startswith("读作：惊讶")
    share = re.search(r"\d+", seen)
    assert share is not None
    assert share[0] in page.inner_text(".verdict")
    assert page.inner_text("#language-button") == "English"
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(251, 250, 246)"
    page.click("#theme-button")
    assert page.evaluate(paper) == "rgb(20, 24, 26)"
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.get_attribute("html", "lang") == "zh"
    assert page.evaluate(paper) == "rgb(20, 24, 26)"
    assert page.inner_text(".hero") == "面孔、声音和言语透露了什么"


def test_dark_where_the_system_is_dark_and_chinese_where_the_browser_is(
    stand_in: Any, open_page: Callable[..., Any]
) -> None:
    page = open_page(stand_in.url, color_scheme="dark", locale="zh-CN").page
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 26)"
    assert page.inner_text("#choose") == "选择文件"


def test_nothing_is_wider_than_a_phone(stand_in: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(stand_in.url, viewport={"width": 390, "height": 844}, has_touch=True).page
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) == 390
    open_example(page)
    assert page.evaluate(wide) == 390
    page.click(".keys-line button")
    assert page.locator(".plot path.area").count() == 17
    small = page.locator("#result button:visible:not(.link)").evaluate_all(
        "all => all.map(b => b.getBoundingClientRect()).filter(r => r.height < 32).length"
    )
    assert small == 0  # fingers are wide


def test_the_verdict_stays_in_view_with_its_doubt(stand_in: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(stand_in.url).page
    open_example(page)
    assert page.is_hidden("#strip")
    page.locator(".chat").scroll_into_view_if_needed()
    page.wait_for_selector("#strip:not([hidden])")
    assert "Predicted: surprise" in page.inner_text("#strip")
    assert "tried on few clips" in page.inner_text("#strip")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("letter.pdf", b"x", "neither video nor sound"),
        ("talk.mp4", b"", "is empty"),
        ("talk.mp4", b"x" * 2049, "takes up to 1"),
    ],
)
def test_what_cannot_be_a_clip_is_told_before_it_is_sent(
    stand_in: Any, open_page: Callable[..., Any], name: str, content: bytes, told: str
) -> None:
    stand_in.settings = ServeSettings(max_upload_bytes=1024)
    page = open_page(stand_in.url).page
    page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": content})
    page.wait_for_selector("#start-error:not([hidden])")
    assert told in page.inner_text("#start-error")
    assert name in page.inner_text("#start-error")
    assert stand_in.calls == []


def test_a_clip_can_be_dropped_with_its_choices(stand_in: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(stand_in.url).page
    dropped = page.evaluate_handle(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(['abc'], 'drop.webm', {type: 'video/webm'}));
            return data;
        }"""
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
    page.wait_for_selector("#ready:not([hidden])")
    page.set_input_files("#words-file", {"name": "said.txt", "mimeType": "text/plain", "buffer": b"It is late."})
    expect(page.locator("#words")).to_have_value("It is late.")
    page.click(".more summary")
    page.select_option("#people", "main")
    page.select_option("#segment", "5")
    page.select_option("#peak_rule", "label")
    page.click("#analyze")
    page.wait_for_selector("#result:not([hidden]) .verdict")
    assert stand_in.forms == [
        {"model": "first", "people": "main", "segment": "5", "peak_rule": "label", "transcript": "said.txt:11",
         "file_id": "file-1", "format": "html"}
    ]  # fmt: skip
    assert stand_in.uploads == ["drop.webm:3"]


def test_a_clip_is_sent_once_for_two_models_and_questions(stand_in: Any, open_page: Callable[..., Any]) -> None:
    """The first question sent the clip again and measured it again; each model had its own copy."""
    page = open_page(stand_in.url, forgiven=("status of 404",)).page
    page.select_option("#other-model", "second", force=True)
    page.set_input_files("#file", {**CLIP, "buffer": b"not played"})
    page.click("#analyze")
    page.wait_for_selector(".compared .answers")
    assert [form["file_id"] for form in stand_in.forms] == ["file-1", "file-1"]
    page.fill("#question", "Is she afraid?")
    page.keyboard.press("Enter")
    expect(page.locator(".bubble.answer .text").nth(1)).to_have_text("The lips part.")
    assert len(stand_in.uploads) == 1
    # Where the server has it no more, the page sends it again and asks again.
    stand_in.is_forgetful = True
    page.fill("#question", "Why?")
    page.keyboard.press("Enter")
    for lane in (2, 3):  # either may be the one that is asked again
        expect(page.locator(".bubble.answer .text").nth(lane)).to_have_text("The lips part.")
    assert len(stand_in.uploads) == 2
    named = [chat["messages"][0]["content"][0]["file"]["file_id"] for chat in stand_in.chats]
    assert named == ["file-1"] * 4 + ["file-2"]  # one of the two had it still


def test_a_question_is_about_the_segment_in_view_and_what_was_said_stays(
    stand_in: Any, open_page: Callable[..., Any]
) -> None:
    person = stand_in.documents["first"].document["people"][0]
    (segment,) = person["segments"]
    half = segment["end_seconds"] / 2
    person["segments"] = [segment | {"end_seconds": half}, copy.deepcopy(segment) | {"start_seconds": half}]
    page = open_page(stand_in.url).page
    page.set_input_files("#file", {**CLIP, "buffer": b"not played"})
    page.click("#analyze")
    for number, at in enumerate((0, half)):
        page.click(f".segments button >> nth={number}")
        page.fill("#question", "Why?")
        page.click(".chat-form button")
        expect(page.locator(".bubble.answer .text").nth(number)).to_have_text("The lips part.")
        page.wait_for_selector(".chip:not([disabled])")
        assert stand_in.chats[number]["emotion_llama"]["at_seconds"] == pytest.approx(at)
        assert len(stand_in.chats[number]["messages"]) == 1  # another segment is another conversation
    expect(page.locator(".bubble.answer")).to_have_count(2)


def test_where_there_is_no_room_the_clip_goes_with_the_analysis(stand_in: Any, open_page: Callable[..., Any]) -> None:
    stand_in.is_full = True
    page = open_page(stand_in.url, forgiven=("status of 429",)).page
    page.set_input_files("#file", {**CLIP, "buffer": b"not played"})
    page.click("#analyze")
    page.wait_for_selector("#result:not([hidden]) .verdict")
    assert stand_in.forms[0]["file"] == f"{CLIP['name']}:10"


def test_a_name_that_looks_like_markup_is_text(stand_in: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(stand_in.url).page
    name = "<img src=x onerror=alert(1)>.mp4"
    page.set_input_files("#file", {"name": name, "mimeType": "video/mp4", "buffer": b"x"})
    assert page.inner_text("#ready-name") == name
    known = stand_in.documents["first"]
    known.document["people"][0]["segments"][0]["prediction"]["reasoning"] = "<b>bold</b>"
    page.click("#analyze")
    page.wait_for_selector("#result:not([hidden]) .verdict")
    assert page.inner_text(".reasoning") == "<b>bold</b>"
    assert page.locator("#result img[src='x']").count() == 0
