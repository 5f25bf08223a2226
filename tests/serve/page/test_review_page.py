"""The review page in a browser: samples are decided on with keys, and the store and the export have it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from review_build import make_review_build, put_clip
from samples import MODEL, make_field

from emotion_llama.merr.io.export import export_build
from emotion_llama.merr.review.decisions import Review, history, newest_reviews, put_review
from emotion_llama.merr.store import Store

KEY = "0123456789abcdef-key"
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
Open = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_review_build(tmp_path / "build")


@pytest.fixture
def review(live: Callable[..., Any], open_page: Open, folder: Path) -> Callable[..., Page]:
    """Opens the review page of the build and says who reviews."""

    def start(name: str = "anna", *, address: str = "", settings: dict[str, Any] | None = None, **options: Any) -> Page:
        server = live(models={"rules": "rules"}, review_dir=folder, **(settings or {}))
        page: Page = open_page(f"{server.url}/review/{address}", **options).page
        if settings and settings.get("api_keys"):
            page.fill("#key-value", KEY)
            page.keyboard.press("Enter")
        page.fill("#who-name", name)
        page.keyboard.press("Enter")
        expect(page.locator(".word")).to_be_visible()
        return page

    return start


def wait_for(page: Page, script: str) -> None:
    """Until the script says true; Playwright's own waiting evaluates texts, which the content policy forbids."""
    while not page.evaluate(script):
        time.sleep(0.05)


def on(page: Page, clip_id: str) -> None:
    """The page has come to this sample."""
    expect(page.locator(".clip b")).to_have_text(clip_id)


def test_three_samples_are_reviewed_with_keys(review: Callable[..., Page], folder: Path) -> None:
    page = review()
    on(page, "a")
    expect(page.locator(".word")).to_have_text("happy")
    expect(page.locator("#progress-text")).to_have_text("0 of 4 reviewed by you")
    page.keyboard.press("5")
    page.keyboard.press("c")
    page.keyboard.type("a real smile, all the way")  # its letters are text there, and no commands
    page.keyboard.press("Enter")
    page.keyboard.press("a")

    on(page, "b")
    expect(page.locator(".flags")).to_contain_text("contradict each other")
    page.keyboard.press("f")
    page.locator("[data-column=label] select").select_option("worried")
    page.locator("[data-column=fine_caption_en] textarea").fill("The brows are drawn up. Together this is worry.")
    page.keyboard.press("Control+Enter")

    on(page, "c")
    page.keyboard.press("1")
    page.keyboard.press("r")

    on(page, "d")
    expect(page.locator("#said")).to_contain_text("c rejected.")
    expect(page.locator("#progress-text")).to_have_text("3 of 4 reviewed by you")
    with Store.open(folder, read_only=True) as store:
        found = {clip_id: reviews[0] for clip_id, reviews in newest_reviews(store).items()}
        assert {clip_id: (r.reviewer, r.decision, r.stars) for clip_id, r in found.items()} == {
            "a": ("anna", "accept", 5), "b": ("anna", "fix", None), "c": ("anna", "reject", 1),
        }  # fmt: skip
        assert found["a"].comment == "a real smile, all the way"
        assert dict(found["b"].fixes) == {
            "label": "worried", "fine_caption_en": "The brows are drawn up. Together this is worry.",
        }  # fmt: skip
    with Store.open(folder) as store:
        tally = export_build(store, None, "merr")
    exported = json.loads((tally.folder / "MERR_fine_grained.json").read_text())
    assert {name: one["pseu_emotion"] for name, one in exported.items()} == {
        "a": "happy", "b": "worried", "d": "neutral",
    }  # fmt: skip
    assert tally.left_out == {"rejected by reviewers": 1}


def test_the_clip_plays_and_goes_to_its_peak(review: Callable[..., Page]) -> None:
    page = review()
    wait_for(page, "document.querySelector('video')?.readyState > 1")
    page.keyboard.press("g")
    wait_for(page, "Math.abs(document.querySelector('video')?.currentTime - 1.6) < 0.01")
    page.keyboard.press(" ")
    wait_for(page, "document.querySelector('video')?.paused === false")
    page.keyboard.press(" ")
    wait_for(page, "document.querySelector('video')?.paused")
    wait_for(page, "[...document.images].length === 2 && [...document.images].every((one) => one.naturalWidth === 64)")


def test_media_that_are_gone_are_said_to_be(review: Callable[..., Page]) -> None:
    page = review()
    page.keyboard.press("n")
    on(page, "b")
    page.keyboard.press("ArrowRight")
    on(page, "c")
    expect(page.locator("#player")).to_contain_text("not there any more")


def test_a_decision_is_seen_again_changed_and_taken_back(review: Callable[..., Page], folder: Path) -> None:
    page = review()
    page.keyboard.press("3")
    page.keyboard.press("a")
    on(page, "b")
    page.keyboard.press("p")
    on(page, "a")
    expect(page.locator("#said")).to_contain_text("You accepted it on")
    expect(page.locator(".stars .lit")).to_have_count(3)
    page.keyboard.press("u")
    expect(page.locator("#undo")).to_be_hidden()
    page.keyboard.press("r")
    on(page, "b")
    with Store.open(folder, read_only=True) as store:
        assert [r.decision for r in history(store, "a")] == ["accept", "withdraw", "reject"]


def test_escape_leaves_fixes_and_nothing_is_kept(review: Callable[..., Page], folder: Path) -> None:
    page = review()
    page.keyboard.press("f")
    page.locator("[data-column=subtitle] textarea").fill("Something else")
    page.keyboard.press("Escape")
    expect(page.locator(".field.subtitle")).to_contain_text("I did not think of that.")
    page.keyboard.press("f")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#error")).to_contain_text("Nothing was changed")
    with Store.open(folder, read_only=True) as store:
        assert newest_reviews(store) == {}


def test_every_kind_of_field_can_be_fixed(review: Callable[..., Page], folder: Path) -> None:
    page = review()
    page.keyboard.press("f")
    page.locator("[data-column=subtitle] textarea").fill("")
    page.locator("[data-column=visual_expression_en] textarea").fill("brows up\n\n mouth open ")
    page.locator("[data-column=clues_en] [data-part=misleading]").fill("")
    page.locator("#save").click()
    on(page, "b")
    page.keyboard.press("p")
    expect(page.locator(".field.subtitle")).to_contain_text("taken away by you")
    expect(page.locator(".field.visual_expression_en li")).to_have_text(["brows up", "mouth open"])
    with Store.open(folder, read_only=True) as store:
        assert dict(newest_reviews(store)["a"][0].fixes) == {
            "subtitle": None, "visual_expression_en": ["brows up", "mouth open"],
            "clues_en": {"supporting": ["corners of the mouth clearly pulled up"], "misleading": []},
        }  # fmt: skip


def test_filters_and_the_end(review: Callable[..., Page]) -> None:
    page = review()
    page.select_option("#show", "flagged")
    on(page, "b")
    expect(page.locator("#place")).to_have_text("1 of 1")
    page.select_option("#show", "all")
    page.select_option("#label-filter", "angry")
    on(page, "c")
    page.select_option("#label-filter", "")
    page.select_option("#show", "open")
    for clip_id in "abcd":
        on(page, clip_id)
        page.keyboard.press("a")
    expect(page.locator("#nothing")).to_contain_text("You have reviewed every sample.")


def test_agreement_of_two_reviewers(review: Callable[..., Page], folder: Path) -> None:
    with Store.open(folder) as store:
        put_review(store, Review("a", "ben", "reject", comment="not convinced"))
    page = review()
    expect(page.locator("#others")).to_be_empty()  # whoever has not decided sees no other opinion
    page.keyboard.press("a")
    on(page, "b")
    page.keyboard.press("p")
    expect(page.locator("#others")).to_contain_text("ben rejected it")
    expect(page.locator("#others")).to_contain_text("not convinced")
    page.locator("#figures-button").click()
    expect(page.locator("#figures")).to_contain_text("1 of 4 samples reviewed")
    expect(page.locator("#figures")).to_contain_text("anna, ben")
    expect(page.locator("#figures td", has_text="0 %")).to_be_visible()


def test_a_sample_that_a_build_changes_meanwhile_is_shown_anew(review: Callable[..., Page], folder: Path) -> None:
    page = review(forgiven=("status of 409",))
    with Store.open(folder) as store:
        put_clip(store, store.clip("a"), "happy", make_field("fine_caption", "Anew. This is happy.", MODEL, "en"))
    page.keyboard.press("a")
    expect(page.locator("#error")).to_contain_text("a has changed since it was shown")
    expect(page.locator(".field.fine_caption_en")).to_contain_text("Anew. This is happy.")
    page.keyboard.press("a")
    on(page, "b")


def test_with_a_key_pictures_and_clips_are_fetched_with_it(review: Callable[..., Page]) -> None:
    page = review(settings={"api_keys": (KEY,)}, forgiven=("status of 401",))
    wait_for(page, "document.querySelector('video')?.src.startsWith('blob:')")
    wait_for(page, "document.querySelector('video')?.readyState > 1")
    wait_for(page, "document.images.length === 2 && [...document.images].every((one) => one.naturalWidth === 64)")
    assert page.evaluate("[...document.images].every((one) => one.src.startsWith('blob:'))")
    page.keyboard.press("a")
    on(page, "b")


def test_the_printed_link_opens_the_review(review: Callable[..., Page]) -> None:
    page = review(settings={"token": KEY}, address=f"#token={KEY}")
    assert "token" not in page.url
    page.keyboard.press("a")
    on(page, "b")


def test_text_of_a_build_stays_text(review: Callable[..., Page], folder: Path) -> None:
    evil = "<img src=x onerror=alert(1)><b>bold</b>"
    with Store.open(folder) as store:
        put_clip(store, store.clip("a"), "happy", make_field("fine_caption", evil, MODEL, "en"))
    page = review()
    expect(page.locator(".field.fine_caption_en > p").first).to_have_text(evil)
    page.keyboard.press("f")
    expect(page.locator("[data-column=fine_caption_en] textarea")).to_have_value(evil)


def test_a_phone_reviews_with_a_thumb(review: Callable[..., Page], folder: Path) -> None:
    page = review(**PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390  # nothing to be pushed aside
    for name in ("accept", "fix", "reject"):
        box = page.locator(f"#{name}").bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= 844
    page.locator(".stars button").nth(3).tap()
    page.locator("#accept").tap()
    on(page, "b")
    with Store.open(folder, read_only=True) as store:
        assert newest_reviews(store)["a"][0].stars == 4


def test_the_name_is_kept_and_can_be_changed(review: Callable[..., Page], folder: Path) -> None:
    page = review("anna")
    page.reload()
    expect(page.locator("#who-button")).to_have_text("anna")
    on(page, "a")
    page.locator("#who-button").click()
    page.fill("#who-name", "  ben   b ")
    page.keyboard.press("Enter")
    expect(page.locator("#who-button")).to_have_text("ben b")
    page.keyboard.press("a")
    on(page, "b")
    with Store.open(folder, read_only=True) as store:
        assert newest_reviews(store)["a"][0].reviewer == "ben b"
