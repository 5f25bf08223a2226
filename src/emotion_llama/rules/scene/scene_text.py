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
    told = _Teller(words, variant)
    sentences = [
        _person(facts, told),
        _head(facts.head, facts.motion, told),
        _features(facts, told),
        "" if facts.light is None else _light(facts.light, told),
        "" if facts.colours is None else _colours(facts.colours, told),
        _movement(facts.motion, told),
        _hands(facts.hands, told),
    ]
    return words.between_sentences.join(sentence for sentence in sentences if sentence)


class _Teller:
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


def _person(facts: SceneFacts, told: _Teller) -> str:
    if facts.framing is None:
        return told("nobody") if facts.people == 0 else ""
    people = "" if facts.people is None else _others(facts.people - 1, told)
    place = told(f"place.{facts.framing.horizontal}.{facts.framing.vertical}")
    return told("person", shot=told(f"shot.{facts.framing.shot}"), place=place, people=people)


def _others(count: int, told: _Teller) -> str:
    return told("people.alone" if count < 1 else "people.one" if count == 1 else "people.more", count=count)


def _head(head: Head | None, motion: Motion | None, told: _Teller) -> str:
    if head is None:
        return ""
    turn = "turn.camera" if head.turn == "camera" else f"turn.{head.turn}.{head.turn_amount}"
    keys = [turn]
    keys += [] if head.nod == "level" else [f"nod.{head.nod}"]
    keys += [] if head.tilt == "upright" else [f"tilt.{head.tilt}"]
    keys += [] if motion is None or motion.head is None else [f"head.{motion.head}"]
    return told("head", verbs=told.words.clauses([told(key) for key in keys]))


def _features(facts: SceneFacts, told: _Teller) -> str:
    keys = []
    if facts.eyes == "closed":
        keys.append("eyes.closed")
    elif facts.gaze is not None:
        is_turned = facts.head is not None and facts.head.turn != "camera"
        # Eyes turned a little within a head that faces the camera still meet it.
        at_camera = "gaze.camera" if is_turned and facts.gaze.within_head != "ahead" else "gaze.ahead"
        keys.append(at_camera if facts.gaze.to_camera else f"gaze.{facts.gaze.within_head}")
    keys += [] if facts.mouth is None else [f"mouth.{facts.mouth}"]
    return told.sentence("features", [told(key) for key in keys])


def _light(light: Light, told: _Teller) -> str:
    side = "" if light.brighter_side is None else told(f"side.{light.brighter_side}")
    return told(
        "light", light=told(f"light.{light.picture}"), side=side, backlit=told("backlit") if light.is_backlit else ""
    )


def _colours(colours: Colours, told: _Teller) -> str:
    parts = [
        told(key, colours=told.words.listed([told.words.colours[name] for name in names]))
        for key, names in (("background", colours.background), ("below", colours.below_face))
        if names
    ]
    parts += [] if colours.warmth == "neutral" else [told(colours.warmth)]
    return told.sentence("colours", parts)


def _movement(motion: Motion | None, told: _Teller) -> str:
    if motion is None:
        return ""
    parts = [] if motion.camera is None else [told(f"camera.{motion.camera}")]
    parts += [] if motion.scene is None else [told(f"scene.{motion.scene}")]
    return told.sentence("movement", parts)


def _hands(hands: Hands | None, told: _Teller) -> str:
    if hands is None or not hands.count:
        return ""
    key = "hands.one" if hands.count == 1 else "hands.more"
    key += ".face" if hands.at_face else ""
    return told.sentence("hands", [told(key, count=hands.count, at_face=hands.at_face)])
