"""The picture in words: what the facts say and nothing else, in both languages."""

from dataclasses import replace

import pytest

from emotion_llama.media.scene_facts import Colours, Framing, Gaze, Hands, Head, Light, Motion, SceneFacts
from emotion_llama.rules.scene.scene_text import describe_scene
from emotion_llama.rules.wording import LANGUAGES

BARE = SceneFacts(640, 480)
FULL = SceneFacts(
    640, 480, 2,
    Framing("medium close-up", 0.3, "left", "middle"),
    Light("dim", 30.0, 50.0, "normal", 50.0, "left", 2.0, True),
    Colours(("light grey", "dark blue"), ("red",), "cool"),
    Motion("slight", 0.1, "still", 0.0, "still", 2.0),
    Head("left", "slight", "down", "right", (-14.0, 12.0, -11.0)),
    Gaze("right", True, -12.0),
    "open", "parted", Hands(1, 1, ("left",)),
)  # fmt: skip


def every_variant(facts: SceneFacts, language: str) -> set[str]:
    return {describe_scene(facts, language, variant) for variant in range(200)}


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first wording of everything."""
    monkeypatch.setattr("emotion_llama.rules.scene.scene_text.pick_for", lambda key, wordings, variant: wordings[0])


def test_variants_differ() -> None:
    assert len(every_variant(FULL, "en")) > 100
    assert len(every_variant(FULL, "zh")) > 100


def test_everything_in_english(plain: None) -> None:
    assert describe_scene(FULL, "en") == (
        "The person is shown in a medium close-up on the left of the picture, with one other face in view. "
        "The head is turned slightly to the person's left, is lowered, leans towards the person's right shoulder and "
        "keeps still. The eyes are turned back towards the camera and the lips are parted. The picture is dimly lit, "
        "with more light on the left half of the face as seen by the viewer, and the face is dark against a bright "
        "background. The background is mostly light grey and dark blue, the area below the face is mostly red and the "
        "colours are cool on the whole. The camera moves slowly and little moves in view. One hand is in view, at the "
        "face."
    )


def test_everything_in_chinese(plain: None) -> None:
    assert describe_scene(FULL, "zh") == (
        "此人以近景出现，位于画面左侧，画面中另有一人露脸。头部略微转向其左侧，低垂，偏向右肩，保持不动。"
        "双眼转回看向镜头一侧，双唇微启。画面光线昏暗，从观看者的角度看脸的左半边更亮，面部逆光偏暗。"
        "背景以浅灰色、深蓝色为主，脸部下方的区域以红色为主，整体色调偏冷。"
        "镜头缓慢移动，画面中几乎没有动静。画面中可见一只手，贴近脸部。"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_was_not_measured_is_not_mentioned(language: str) -> None:
    assert every_variant(BARE, language) == {""}
    alone = {
        "framing": (FULL.framing, 1),
        "light": (FULL.light, 1),
        "colours": (FULL.colours, 1),
        "head": (FULL.head, 1),
        "gaze": (FULL.gaze, 1),
        "mouth": ("closed", 1),
        "motion": (FULL.motion, 1),
        "hands": (FULL.hands, 1),
    }
    for name, (value, count) in alone.items():
        text = describe_scene(replace(BARE, **{name: value}), language)
        assert text.count("." if language == "en" else "。") == count, (name, text)
    still = replace(BARE, motion=Motion(None, None, None, None, "strong", 80.0))
    assert describe_scene(still, language) == ""  # a head's speed belongs to the head, which was not measured
    assert describe_scene(replace(BARE, colours=Colours((), (), "neutral")), language) == ""
    assert describe_scene(replace(BARE, hands=Hands(0, 0, ())), language) == ""  # one not found is not one not there


def test_nobody_in_view_is_said_only_where_faces_were_looked_for() -> None:
    assert every_variant(replace(BARE, people=0), "en") == {
        "No face can be seen in the picture.",
        "The picture shows no visible face.",
    }
    assert describe_scene(replace(BARE, people=1), "en") == ""


@pytest.mark.parametrize(
    ("people", "text"),
    [(1, "no other face"), (2, "one other face"), (4, "3 other faces"), (0, "no other face")],
)
def test_company(people: int, text: str) -> None:
    assert text in describe_scene(replace(BARE, people=people, framing=FULL.framing), "en")
    assert "other" not in describe_scene(replace(BARE, framing=FULL.framing), "en")


def test_hands() -> None:
    assert describe_scene(replace(BARE, hands=Hands(2, None, ("left", "right"))), "en") == "2 hands are in view."
    text = describe_scene(replace(BARE, hands=Hands(2, 1, ("left", "right"))), "en")
    assert text == "2 hands are in view, 1 of them at the face."


@pytest.mark.parametrize(
    ("turn", "gaze", "text"),
    [
        ("camera", Gaze("left", True, 9.0), "straight ahead"),  # 9 degrees within a head that faces the camera
        ("camera", Gaze("left", False, 15.0), "to the person's left"),
        ("right", Gaze("left", True, 15.0), "back towards the camera"),
        ("right", Gaze("ahead", False, 0.0), "straight ahead"),
    ],
)
def test_gaze_beside_the_head(turn: str, gaze: Gaze, text: str) -> None:
    head = Head(turn, "none" if turn == "camera" else "slight", "level", "upright", (0.0, 0.0, 0.0))
    assert text in describe_scene(replace(BARE, head=head, gaze=gaze), "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_closed_eyes_look_nowhere(language: str) -> None:
    texts = every_variant(replace(BARE, eyes="closed", gaze=FULL.gaze), language)
    assert all("closed" in text or "shut" in text or "闭" in text for text in texts)
    assert not any("camera" in text or "镜头" in text for text in texts)
