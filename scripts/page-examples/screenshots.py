"""Take the pictures of the web page in docs/images: `python scripts/page-examples/screenshots.py`.

Needs Chromium and the extras `model`, `serve` and `dev`. Starts a server of its own, with the models of the package.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
CLIPS = ROOT / "src" / "emotion_llama" / "serve" / "web" / "examples"
STEP = 4  # shades are stored in steps of 4 of 256: not to be seen, and half the bytes of a photograph
PHONE = {"width": 390, "height": 844}
GAP = 40  # between phone screens, pixels


def main() -> None:
    """Write all pictures."""
    command = [sys.executable, "-m", "emotion_llama", "serve", "--port", "0", "--workers", "1"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None, "the server did not start"
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
        )
        desktop(browser, found[0])
        phone(browser, found[0])
        browser.close()
        server.terminate()


def desktop(browser: Browser, url: str) -> None:
    """Light, dark, Chinese, camera, and models side by side."""
    page = opened(browser, url, "light")
    shot(page, "serve-start")
    example(page, "two-people")
    page.locator(".result-top").scroll_into_view_if_needed()
    page.set_viewport_size({"width": 1280, "height": 1500})
    shot(page, "serve-result")
    page.set_viewport_size({"width": 1280, "height": 860})
    page.click("#home")
    page.click("#record")
    page.wait_for_selector("#recorder-go:not([disabled])")
    page.click("#recorder-go")
    page.wait_for_function("() => document.querySelector('#recorded').textContent === '0:01'")
    shot(page, "serve-camera")
    page.context.close()
    page = opened(browser, url, "dark")
    page.set_viewport_size({"width": 1280, "height": 1500})
    example(page, "smile")
    shot(page, "serve-dark")
    page.context.close()
    page = opened(browser, url, "light", locale="zh-CN")
    page.set_viewport_size({"width": 1280, "height": 1500})
    example(page, "surprise")
    shot(page, "serve-chinese")
    page.context.close()
    page = opened(browser, url, "light")
    page.set_viewport_size({"width": 1280, "height": 1500})
    page.set_input_files("#file", CLIPS / "brave-face.mp4")
    page.set_input_files("#words-file", CLIPS / "brave-face.srt")
    page.select_option("#other-model", "nano")
    page.click("#analyze")
    finished(page)
    shot(page, "serve-models")
    page.context.close()


def phone(browser: Browser, url: str) -> None:
    """Four screens beside each other."""
    page = opened(browser, url, "light", viewport=PHONE, device_scale_factor=1.5, has_touch=True)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.png" for i in range(4)]
        page.screenshot(path=paths[0])
        example(page, "smile")
        page.screenshot(path=paths[1])
        page.evaluate("document.querySelector('.timeline').scrollIntoView()")
        page.wait_for_timeout(400)
        page.screenshot(path=paths[2])
        page.click(".chip:has-text('[reason]')")
        page.wait_for_selector(".chip:not([disabled])")
        page.evaluate("document.querySelector('.chat').scrollIntoView()")
        page.wait_for_timeout(400)
        page.screenshot(path=paths[3])
        screens = [Image.open(path).convert("RGB") for path in paths]
    width = sum(screen.width for screen in screens) + GAP * (len(screens) + 1)
    sheet = Image.new("RGB", (width, screens[0].height + 2 * GAP), (222, 218, 208))
    for i, screen in enumerate(screens):
        sheet.paste(screen, (GAP + i * (screen.width + GAP), GAP))
    store(sheet, "serve-phone")
    page.context.close()


def opened(browser: Browser, url: str, scheme: str, **options: object) -> Page:
    """The page, ready."""
    settings: dict[str, object] = {"viewport": {"width": 1280, "height": 860}, "locale": "en-US", **options}
    page = browser.new_context(color_scheme=scheme, **settings).new_page()  # type: ignore[arg-type]
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_load_state("networkidle")
    return page


def example(page: Page, name: str) -> None:
    """The result of an example."""
    page.click(f"[data-example={name}]")
    finished(page)


def finished(page: Page) -> None:
    """Wait for the result with its picture."""
    page.wait_for_selector("#result:not([hidden]) .verdict", timeout=120_000)
    page.wait_for_function("() => document.querySelector('#result video').readyState >= 2")
    page.wait_for_timeout(500)


def shot(page: Page, name: str) -> None:
    """A picture of what is in view."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shot.png"
        page.screenshot(path=path)
        store(Image.open(path).convert("RGB"), name)


def store(picture: Image.Image, name: str) -> None:
    """Write with coarser shades, which pack better."""
    picture.point([min(255, (value + STEP // 2) // STEP * STEP) for value in range(256)] * 3).save(
        IMAGES / f"{name}.png", optimize=True
    )


if __name__ == "__main__":
    main()
