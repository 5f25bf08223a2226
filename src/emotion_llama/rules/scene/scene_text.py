"""The objective description of a picture in words, from its measured facts alone."""

from __future__ import annotations

from emotion_llama.media.scene_facts import Colours, Hands, Head, Light, Motion, SceneFacts
from emotion_llama.rules.wording import Wording, pick_for, wording


def describe_scene(facts: SceneFacts, language: str, variant: int = 0) -> str:
    """What the frame shows, in two to six sentences; what was not measured is not mentioned.

    Args:
        facts: of the frame.
        language: "en" or "zh".
        variant: chooses among wordings.
    """
    words = wording(language)
    phrase = _Phrasing(words, variant)
    sentences = [
        _person(facts, phrase),
        _head(facts.head, facts.motion, phrase),
        _features(facts, phrase),
        "" if facts.light is None else _light(facts.light, phrase),
        "" if facts.colours is None else _colours(facts.colours, phrase),
        _movement(facts.motion, phrase),
        _hands(facts.hands, phrase),
    ]
    return words.between_sentences.join(sentence for sentence in sentences if sentence)


class _Phrasing:
    """Looks fragments up, always in the same variant."""

    def __init__(self, words: Wording, variant: int) -> None:
        self.words, self._variant = words, variant

    def __call__(self, key: str, **slots: object) -> str:
        return pick_for(key, self.words.scene[key], self._variant).format(**slots)

    def sentence(self, key: str, clauses: list[str]) -> str:
        """Clauses as a sentence that begins with a capital; empty when there are none."""
        if not clauses:
            return ""
        text = self(key, clauses=self.words.clauses(clauses))
        return text[0].upper() + text[1:]


def _person(facts: SceneFacts, phrase: _Phrasing) -> str:
    if facts.framing is None:
        return phrase("nobody") if facts.people == 0 else ""
    people = "" if facts.people is None else _others(facts.people - 1, phrase)
    place = phrase(f"place.{facts.framing.horizontal}.{facts.framing.vertical}")
    return phrase("person", shot=phrase(f"shot.{facts.framing.shot}"), place=place, people=people)


def _others(count: int, phrase: _Phrasing) -> str:
    return phrase("people.alone" if count < 1 else "people.one" if count == 1 else "people.more", count=count)


def _head(head: Head | None, motion: Motion | None, phrase: _Phrasing) -> str:
    if head is None:
        return ""
    turn = "turn.camera" if head.turn == "camera" else f"turn.{head.turn}.{head.turn_amount}"
    keys = [turn]
    keys += [] if head.nod == "level" else [f"nod.{head.nod}"]
    keys += [] if head.tilt == "upright" else [f"tilt.{head.tilt}"]
    keys += [] if motion is None or motion.head is None else [f"head.{motion.head}"]
    return phrase("head", verbs=phrase.words.clauses([phrase(key) for key in keys]))


def _features(facts: SceneFacts, phrase: _Phrasing) -> str:
    keys = []
    if facts.eyes == "closed":
        keys.append("eyes.closed")
    elif facts.gaze is not None:
        is_turned = facts.head is not None and facts.head.turn != "camera"
        # Eyes turned a little within a head that faces the camera still meet it.
        at_camera = "gaze.camera" if is_turned and facts.gaze.within_head != "ahead" else "gaze.ahead"
        keys.append(at_camera if facts.gaze.to_camera else f"gaze.{facts.gaze.within_head}")
    keys += [] if facts.mouth is None else [f"mouth.{facts.mouth}"]
    return phrase.sentence("features", [phrase(key) for key in keys])


def _light(light: Light, phrase: _Phrasing) -> str:
    side = "" if light.brighter_side is None else phrase(f"side.{light.brighter_side}")
    return phrase(
        "light",
        light=phrase(f"light.{light.picture}"),
        side=side,
        backlit=phrase("backlit") if light.is_backlit else "",
    )


def _colours(colours: Colours, phrase: _Phrasing) -> str:
    parts = [
        phrase(key, colours=phrase.words.listed([phrase.words.colours[name] for name in names]))
        for key, names in (("background", colours.background), ("below", colours.below_face))
        if names
    ]
    parts += [] if colours.warmth == "neutral" else [phrase(colours.warmth)]
    return phrase.sentence("colours", parts)


def _movement(motion: Motion | None, phrase: _Phrasing) -> str:
    if motion is None:
        return ""
    parts = [] if motion.camera is None else [phrase(f"camera.{motion.camera}")]
    parts += [] if motion.scene is None else [phrase(f"scene.{motion.scene}")]
    return phrase.sentence("movement", parts)


def _hands(hands: Hands | None, phrase: _Phrasing) -> str:
    if hands is None or not hands.count:
        return ""
    key = "hands.one" if hands.count == 1 else "hands.more"
    key += ".face" if hands.at_face else ""
    return phrase.sentence("hands", [phrase(key, count=hands.count, at_face=hands.at_face)])
