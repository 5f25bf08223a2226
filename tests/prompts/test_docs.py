from pathlib import Path

from emotion_llama.prompts import LAYOUTS, Turn, build_prompt, prompt_text

PAGE = (Path(__file__).parents[2] / "docs" / "prompts.md").read_text(encoding="utf-8")
CUES = "Measured cues. Face: strongest at 1.2 s, of 5: brow lowerer 2.1. Voice: not measured (the file has no sound)."


def test_the_page_shows_every_layout_as_it_is_built() -> None:
    for name in LAYOUTS:
        shown = prompt_text(build_prompt("reason", words="Why me?", layout=name, cues=CUES))
        assert f"### `{name}`" in PAGE
        assert f"\n```\n{shown}\n```\n" in PAGE


def test_the_page_shows_the_chat_as_it_is_built() -> None:
    for name in ("train", "released", "demo"):
        history = [Turn("Who is sad?", "the man")]
        prompt = build_prompt("free", instruction="Since when?", layout=name, present=(), history=history)
        assert f"\n{name:10}{prompt_text(prompt)}\n" in PAGE
