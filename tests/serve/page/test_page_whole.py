"""The page in a browser against the server as people start it: nothing is stood in for."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.schema import AnalysisDocument

WEB = Path(__file__).parents[3] / "src" / "emotion_llama" / "serve" / "web"
EXAMPLES = WEB / "examples"


def test_a_clip_goes_from_upload_to_result_to_chat_to_download(
    whole_server: str, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page(whole_server).page
    page.set_input_files("#file", EXAMPLES / "smile.mp4")
    assert page.inner_text("#ready-name") == "smile.mp4"
    page.fill("#words", "I am so happy, I can't wait to fly.")
    page.click("#analyze")
    page.wait_for_selector("#result:not([hidden]) .verdict")

    title = page.inner_text(".verdict")
    assert re.fullmatch(r"Predicted overall: happy · \d\d\s%", title)
    assert "not on yours" in page.inner_text(".caveat")
    rows = page.locator(".bars tbody tr")
    assert rows.count() == 9
    shares = [
        float(width.rstrip("%")) for width in rows.locator(".bar").evaluate_all("all => all.map(b => b.style.width)")
    ]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.01)
    assert page.locator(".moment .portrait img").get_attribute("src").startswith("data:image/jpeg")
    assert page.locator(".moment .portrait .mesh path").count() == 1

    page.click(".chip:has-text('[reason]')")
    page.wait_for_selector(".chip:not([disabled])")
    assert "The person smiles" in page.inner_text(".bubble.answer .text")

    # Questions are answered from what was measured; times in the answers lead there.
    page.click(".chip:has-text('When is it strongest?')")
    page.wait_for_selector(".bubble.answer .time")
    page.click(".bubble.answer .time")
    page.fill("#question", "What is she saying?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".bubble.answer:has-text('wait to fly')")

    with page.expect_download() as download:
        page.click(".downloads button:has-text('JSON')")
    download.value.save_as(tmp_path / "smile.json")
    document = AnalysisDocument.model_validate_json((tmp_path / "smile.json").read_text(encoding="utf-8"))
    assert document.clip.path == "smile.mp4"
    assert document.people[0].segments[0].prediction.label == "happy"
    with page.expect_download() as download:
        page.click(".downloads button:has-text('HTML')")
    download.value.save_as(tmp_path / "smile.html")
    assert "happy" in (tmp_path / "smile.html").read_text(encoding="utf-8")


def test_a_recording_of_the_camera_is_analysed(whole_server: str, open_page: Callable[..., Any]) -> None:
    page = open_page(whole_server).page
    page.click("#record")
    page.wait_for_selector("#recorder-go:not([disabled])")
    page.click("#recorder-go")
    page.wait_for_selector("#recording:not([hidden])")
    page.wait_for_function("() => document.querySelector('#recorded').textContent >= '0:02'")
    page.click("#recorder-go")
    page.wait_for_selector("#ready:not([hidden])")
    assert page.inner_text("#ready-name") == "recording.webm"
    assert page.evaluate("document.querySelector('#camera').srcObject") is None  # the camera is let go
    page.click("#analyze")
    # Chromium's camera shows a turning disc, and its microphone beeps: there is no face to read.
    page.wait_for_selector("#result:not([hidden]) .verdict")
    assert "no face was found" in page.inner_text(".missing")
    assert page.evaluate("document.querySelector('#result video').error") is None


def test_people_are_picked_by_face_by_card_and_by_key(
    whole_server: str, known: Callable[[str], Any], open_page: Callable[..., Any]
) -> None:
    people = known("two-people").document["people"]
    page = open_page(whole_server).page
    page.click("[data-example=two-people]")
    page.wait_for_selector("#result:not([hidden]) .people")
    cards = page.locator(".people button")
    assert [text.split("\n")[0] for text in cards.all_inner_texts()] == [f"Person {p['person_id']}" for p in people]
    assert cards.nth(0).get_attribute("aria-pressed") == "true"
    main, other = (person["person_id"] for person in people)
    assert f"PERSON {main} · MAIN PERSON" in page.inner_text(".verdict-panel .kicker").upper()

    cards.nth(1).click()
    assert f"PERSON {other} · ALSO SEEN" in page.inner_text(".verdict-panel .kicker").upper()
    page.keyboard.press(str(main))
    assert cards.nth(0).get_attribute("aria-pressed") == "true"
    page.wait_for_selector(".face-box:not(.current) .hit")
    box = page.locator(".face-box:not(.current) .hit").bounding_box()
    page.mouse.click(box["x"] + 9, box["y"] + box["height"] / 2)
    assert cards.nth(1).get_attribute("aria-pressed") == "true"


def test_without_evidence_there_is_no_answer_and_the_reasons_are_told(
    whole_server: str, open_page: Callable[..., Any]
) -> None:
    page = open_page(whole_server).page
    page.click("[data-example=out-of-view]")
    page.wait_for_selector("#result:not([hidden]) .verdict")
    assert page.inner_text(".verdict") == "No answer"
    assert page.inner_text(".detail").startswith("No evidence: no face")
    assert page.locator(".bars").count() == 0
    missing = page.inner_text(".missing")
    assert "Action units: no face was found in 60 frames" in missing
    assert "Voice: the file has no sound" in missing
    assert page.inner_text(".no-picture").startswith("No peak frame: no face was found")


def test_a_file_that_is_no_clip_is_refused_in_words(whole_server: str, open_page: Callable[..., Any]) -> None:
    page = open_page(whole_server, forgiven=("status of 4",)).page
    page.set_input_files("#file", {"name": "talk.mp4", "mimeType": "video/mp4", "buffer": b"this is a letter" * 40})
    page.wait_for_selector("#preview-unplayable:not([hidden])")
    page.click("#analyze")
    page.wait_for_selector("#ready-error:not([hidden])")
    assert len(page.inner_text("#ready-error")) > 20
    assert page.is_visible("#ready")  # and another try is one click away


def test_what_is_downloaded_is_what_the_server_sent(
    whole_server: str, known: Callable[[str], Any], open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page(whole_server).page
    page.click("[data-example=surprise]")
    page.wait_for_selector("#result:not([hidden]) .verdict")
    with page.expect_download() as download:
        page.click(".downloads button:has-text('JSON')")
    download.value.save_as(tmp_path / "surprise.json")
    found = json.loads((tmp_path / "surprise.json").read_text(encoding="utf-8"))
    expected = copy.deepcopy(known("surprise").document)
    for document in (found, expected):
        document.pop("seconds_by_stage")
        document["settings"].pop("words")  # names the received file
        for person in document["people"]:
            for segment in person["segments"]:
                segment["evidence"]["transcript"].pop("source")
    assert found == expected
