"""Whose voice is whose: turns of speakers, and which of the people in view each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from emotion_llama.analysis.measure import Measurements, Person
from emotion_llama.analysis.options import Options
from emotion_llama.errors import InputError
from emotion_llama.records import Clip, Transcript, VoiceTrack
from emotion_llama.results import Missing, Turn
from emotion_llama.speech.speakers import line_turns, pitch_turns, read_rttm, voice_of, with_speakers, within

_LEAST_SHARE = 0.3  # of a speaker's speech during which the lips move, as in `face.people`


class Voices(NamedTuple):
    """Who speaks when, and as whom.

    Attributes:
        turns: in order of time; none where nothing tells voices apart.
        owners: speaker -> person_id, or None for somebody who is not in view; empty where fewer than two speak, or
            nothing says who of them is in view: then a segment's voice is taken as a whole.
        notes: what to say about them.
        is_guess: the turns are told apart by pitch alone.
    """

    turns: tuple[Turn, ...] = ()
    owners: Mapping[str, int | None] = MappingProxyType({})
    notes: tuple[str, ...] = ()
    is_guess: bool = False

    def owned_turns(self) -> tuple[Turn, ...]:
        """The turns with whose they are."""
        return tuple(turn._replace(person_id=self.owners.get(turn.speaker)) for turn in self.turns)


def rttm_of(path: Path, options: Options) -> Path | None:
    """The file of turns that was given, or lies beside a clip as `talk.rttm` beside `talk.mp4`."""
    if options.speakers is not None:
        return options.speakers
    beside = path.with_suffix(".rttm")
    return beside if beside.is_file() else None


def find_voices(clip: Clip, options: Options, transcript: Transcript | Missing, voice: VoiceTrack | None) -> Voices:
    """The turns of a clip, without owners.

    Raises:
        InputError: the file of turns that was named cannot be used.
    """
    words = transcript if isinstance(transcript, Transcript) else None
    turns, notes, is_guess, path = list[Turn](), list[str](), False, rttm_of(clip.path, options)
    if path is not None:
        try:
            turns, notes = read_rttm(path, clip.path.stem, clip.duration_seconds)
        except InputError as error:
            if options.speakers is not None:
                raise
            notes = [f"the file beside the clip cannot be used: {error}"]
    elif words is not None and (turns := line_turns(words)):
        pass
    elif voice is not None and (turns := pitch_turns(voice)):
        is_guess = True
        others = [turn for turn in turns if turn.speaker != turns[0].speaker]
        when = ", ".join(f"{turn.start_seconds:.1f}-{turn.end_seconds:.1f} s" for turn in others[:3])
        notes = [f"perhaps another voice at {when}: its pitch lies clearly apart; --speakers FILE.rttm decides it"]
    return Voices(tuple(turns), notes=tuple(notes), is_guess=is_guess)


def with_names(transcript: Transcript | Missing, voices: Voices) -> Transcript | Missing:
    """The words, each line with who says it."""
    return (
        with_speakers(transcript, voices.turns) if isinstance(transcript, Transcript) and voices.turns else transcript
    )


def with_owners(voices: Voices, people: Sequence[Person], found: Measurements) -> tuple[Voices, tuple[Person, ...]]:
    """The voices with who of the people each is, and the people: of a clip without faces one a speaker.

    A speaker is the person whose lips move during most of their turns, at least 30 % of the speech in view; each person
    is one speaker at most. Two voices that are told apart by pitch alone and both go with one person's lips are that
    person's.
    """
    names = list(dict.fromkeys(turn.speaker for turn in voices.turns))
    tracked = [person for person in people if person.track is not None]
    if len(names) < 2 or found.voice is None:
        return voices, tuple(people)
    if not found.people:
        seconds = {
            name: sum(t.end_seconds - t.start_seconds for t in voices.turns if t.speaker == name) for name in names
        }
        ranked = sorted(names, key=lambda name: -round(seconds[name], 1))  # of equals the first
        heard = [
            replace(
                people[0],
                person_id=i,
                why=f"speaks for {seconds[name]:.1f} s, as {name!r}, of {len(ranked)} speakers; {found.why_nobody}",
            )
            for i, name in enumerate(ranked, 1)
        ]
        return voices._replace(owners={name: i for i, name in enumerate(ranked, 1)}), tuple(heard)
    from emotion_llama.face.people import speaking_share

    shares = []
    for name in names:
        own = voice_of(found.voice, [turn for turn in voices.turns if turn.speaker == name])
        for person in tracked:
            assert person.track is not None
            share = speaking_share(person.track, own, 0.0, float("inf"))
            if share is not None and share >= _LEAST_SHARE:
                shares.append((-share, person.person_id, name))
    if voices.is_guess and len({person_id for _, person_id, _ in shares}) < len({name for _, _, name in shares}):
        return Voices(), tuple(people)
    owners: dict[str, int | None] = {}
    for _, person_id, name in sorted(shares):
        if name not in owners and person_id not in owners.values():
            owners[name] = person_id
    return voices._replace(owners={name: owners.get(name) for name in names} if owners else {}), tuple(people)


def heard_of(
    person_id: int, voices: Voices, found: Measurements, transcript: Transcript | Missing, span: tuple[float, float]
) -> tuple[Measurements, Transcript | Missing, str | None]:
    """What was measured with one person's voice alone, their words, and why they are silent in a segment, if they are.

    The time of other people's turns is cut out of the voice, so that it counts as no pause.
    """
    assert found.voice is not None  # there are no owners without it
    turns = voices.owned_turns()
    own = [turn for turn in turns if turn.person_id == person_id]
    others = [turn for turn in turns if turn.person_id != person_id]
    voice = voice_of(found.voice, own, others)
    waveform = found.waveform
    if waveform is not None:
        seconds = waveform.start_seconds + np.arange(len(waveform.samples)) / waveform.sample_rate_hz
        waveform = replace(waveform, samples=np.where(within(seconds, own), waveform.samples, np.float32(0)))
    words = transcript
    if isinstance(transcript, Transcript):
        kept = (one for one in transcript.lines if one.speaker is None or voices.owners.get(one.speaker) == person_id)
        words = replace(transcript, lines=tuple(kept))
    silent = None
    within_span = [turn for turn in others if turn.start_seconds < span[1] and turn.end_seconds > span[0]]
    if within_span and not voice.between(*span).is_speech.any():
        said = {
            f"{turn.speaker!r} is "
            + (f"person {turn.person_id}" if turn.person_id else "nobody whose lips move with it")
            for turn in within_span
        }
        silent = f"the voice of this segment is somebody else's: {'; '.join(sorted(said))}"
    return replace(found, voice=voice, waveform=waveform), words, silent
