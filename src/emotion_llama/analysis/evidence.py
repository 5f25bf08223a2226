"""From measurements to evidence: who is the main person, who speaks, what is said, and why the rest is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emotion_llama.analysis.measure import Measurements, Person
from emotion_llama.analysis.options import Options
from emotion_llama.errors import InputError
from emotion_llama.records import (
    ActionUnits,
    Bool,
    FaceTrack,
    Float,
    PeakFrame,
    Prosody,
    Transcript,
    TranscriptLine,
    VoiceTrack,
    Waveform,
)
from emotion_llama.results import Evidence, Missing

if TYPE_CHECKING:
    from emotion_llama.media.reader import ClipFile
    from emotion_llama.speech.transcribe import Recogniser

VOICE_BACKENDS = ("autocorrelation", "opensmile")
Span = tuple[float, float]  # start and end, seconds

# --- who ------------------------------------------------------------------------------------------------------------


def main_first(found: Measurements) -> tuple[Person, ...]:
    """The people of a clip, the main one first; a clip without faces has one person, who is only heard."""
    people = found.people
    if not people:
        return (Person(1, None, None, found.why_nobody, why=f"{found.why_nobody}; the voice stands alone"),)
    by_track = {person.track.track_id: person for person in people if person.track is not None}
    if len(by_track) < len(people):
        return _most_seen_first(found)
    from emotion_llama.face.people import mouth_opening, rank_people

    tracks = _tracks(people)
    openings = {track.track_id: mouth_opening(track) for track in tracks}
    ranked = rank_people(tracks, tracks[0].frame_size, openings, found.voice)
    return tuple(replace(by_track[one.track_id], why=one.why) for one in ranked)


def whose_voice(people: Sequence[Person], voice: VoiceTrack | None, span: Span) -> tuple[int | None, str]:
    """Who speaks within `span`, and why: the one whose lips move, None where everybody's rest, else the main person."""
    main, tracks = people[0], _tracks(people)
    if voice is None or not tracks or len(tracks) < len(people):
        alone = "nobody else is in view"
        return main.person_id, alone if len(people) == 1 else "nothing tells who speaks, and that is the main person"
    from emotion_llama.face.people import find_speaker, why_not_speaking

    resting = [why_not_speaking(track, voice, *span) for track in tracks]
    if all(why is not None for why in resting):
        return None, str(resting[0])
    if len(people) == 1:
        return main.person_id, "nobody else is in view"
    track_id, why = find_speaker(tracks, voice, *span)
    if track_id is None:
        return main.person_id, f"{why}, and that is the main person"
    ids = {person.track.track_id: person.person_id for person in people if person.track is not None}
    return ids[track_id], why


def why_silent(person: Person, speaker: tuple[int | None, str]) -> str | None:
    """Why the voice and the words of a segment are not this person's; None when they are."""
    person_id, why = speaker
    if person.person_id == person_id:
        return None
    owner = "nobody's in view" if person_id is None else f"person {person_id}'s"
    return f"the voice of this segment is taken to be {owner}: {why}"


def _most_seen_first(found: Measurements) -> tuple[Person, ...]:
    """Without tracks of our own only the number of measured frames can rank people."""
    counts = {one.person_id: int(one.units.valid.sum()) if one.units is not None else 0 for one in found.people}
    order = sorted(found.people, key=lambda person: (-counts[person.person_id], person.person_id))
    total = max(1, found.num_frames)
    return tuple(
        replace(one, why=f"measured in {100 * counts[one.person_id] / total:.0f} % of the frames") for one in order
    )


def _tracks(people: Sequence[Person]) -> list[FaceTrack]:
    return [person.track for person in people if person.track is not None]


# --- the transcript -------------------------------------------------------------------------------------------------


NO_WORDS = "no subtitle was given, none lies beside the clip, and no recogniser was asked for"


def find_transcript(
    path: Path,
    options: Options,
    waveform: Waveform | None,
    warn: Callable[[str], None],
    file: ClipFile | None = None,
    recogniser: Callable[[], Recogniser] | None = None,
    screen: Transcript | None = None,
) -> Transcript | Missing:
    """What is said in a clip, each line with its language, or why that is not known.

    Args:
        path: the clip.
        options: where words come from.
        waveform: what a recogniser hears; None where the file has no sound.
        warn: is given a line about a file beside the clip that cannot be used, about what was chosen among several, and
            about words that were left out.
        file: the open clip: cues outside it are left out, and its text tracks are read where nothing lies beside it.
        recogniser: gives the one that `options` ask for, which is called where it is needed.
        screen: subtitles that were found in the pictures.

    Raises:
        InputError: the file or track that was named cannot be used.
        MissingDependency: recognition was asked for and is not installed.
    """
    words = _written_words(path, options, file)
    if words is not None:
        if isinstance(words, Missing):
            if options.subtitle is None:
                warn(words.reason)
            return words
        return _noted(words, warn)
    heard = None
    if options.asr_model is not None and recogniser is not None:
        from emotion_llama.speech.transcribe import transcribe

        no_sound = Transcript((), "", None, ("the file has no sound to recognise",))
        heard = no_sound if waveform is None else transcribe(waveform, recogniser(), language=options.asr_language)
    if screen is None and options.screen_text:
        screen = Transcript((), "screen text", None, ("the file has no pictures to read subtitles from",))
    if screen is None and heard is None:
        return Missing("transcript", NO_WORDS)
    if screen is not None and heard is not None:
        from emotion_llama.media.screen_text import beside_speech

        screen = beside_speech(screen, heard)
    found = screen or heard
    assert found is not None
    return _noted(found, warn) if found.lines or found.notes else Missing("transcript", "no words were recognised")


def _noted(words: Transcript, warn: Callable[[str], None]) -> Transcript | Missing:
    """The words with the languages of their lines, what is to be said of them said."""
    from emotion_llama.media.language import with_languages

    words = with_languages(words)
    for line in (*words.notes, *_other_languages(words)):
        warn(line)
    return Missing("transcript", "; ".join(words.notes)) if words.notes and not words.lines else words


def transcript_record(clip_path: Path, options: Options) -> str | None:
    """Source and hash of the words that this clip will get from outside it; None where there are none.

    Of a table only the clip's own line counts: a change in another clip's line is no change.

    Raises:
        InputError: the file that was named cannot be used.
    """
    if options.subtitle_track is not None:
        return f"subtitle track {options.subtitle_track}"
    words = _written_words(clip_path, options, None)
    if words is None or isinstance(words, Missing):
        return None if words is None else words.reason
    digest = hashlib.sha256(repr(words.lines).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{words.source} sha256:{digest}"


def _written_words(clip_path: Path, options: Options, file: ClipFile | None) -> Transcript | Missing | None:
    """Words that are given or stand in a file; None where there are none."""
    from emotion_llama.media.subtitles import read_subtitles

    if options.subtitle is not None:
        text = " ".join(options.subtitle.split())
        if not text:
            return Missing("transcript", "the given subtitle is empty")
        return Transcript((TranscriptLine(text),), source="given")
    if options.transcript is not None:
        duration = None if file is None else file.clip.duration_seconds
        return read_subtitles(
            options.transcript, clip_name=clip_path.stem, encoding=options.encoding, duration_seconds=duration
        )
    if options.screen_text or (options.asr_model is not None and not options.asr_fallback):
        return None
    return words_with_clip(clip_path, file, encoding=options.encoding, track=options.subtitle_track)


def words_with_clip(
    clip_path: Path,
    file: ClipFile | None,
    *,
    encoding: str | None = None,
    track: int | None = None,
) -> Transcript | Missing | None:
    """The words of a file beside a clip, or of a text track in it; None where there are none.

    Args:
        clip_path: the clip.
        file: the open clip; without it tracks are not looked for, and cues are taken whatever their times.
        encoding: of the file beside it.
        track: which of its subtitle tracks to read, whatever lies beside it.

    Raises:
        InputError: there is no such track.
    """
    from emotion_llama.media.subtitles import find_sidecars, read_embedded, read_subtitles
    from emotion_llama.media.subtitles_tracks import text_streams

    duration = None if file is None else file.clip.duration_seconds
    tracks = 0 if file is None else len(text_streams(clip_path, file.media.container))
    sidecars = find_sidecars(clip_path) if track is None else []
    notes: list[str] = []
    for path in sidecars[:1]:
        left = [other.name for other in sidecars[1:]]
        left += [f"{tracks} subtitle {'track' if tracks == 1 else 'tracks'} in the clip"] if tracks else []
        if left:
            notes.append(f"the words are those of {path.name}; not read: {', '.join(left)}")
        try:
            words = read_subtitles(path, clip_name=clip_path.stem, encoding=encoding, duration_seconds=duration)
        except InputError as error:
            # Nobody asked for this file: it must not cost the clip its face and voice.
            return Missing("transcript", f"the file beside the clip cannot be used: {error}")
        return replace(words, notes=(*notes, *words.notes))
    if file is None or (not tracks and track is None):
        return None
    found = read_embedded(
        clip_path, number=track, zero_seconds=float(file.media.zero_seconds), duration_seconds=duration
    )
    return found if isinstance(found, Transcript) else Missing("transcript", "; ".join(found))


def _other_languages(words: Transcript) -> list[str]:
    """A line of how many lines are in languages that no lexicon is for."""
    from emotion_llama.media.language import NAMES
    from emotion_llama.rules.words import LEXICONS

    found = [line.language for line in words.lines if line.language is not None and line.language not in LEXICONS]
    if not found:
        return []
    named = " and ".join(sorted({NAMES.get(one, one) for one in found}))
    return [f"{words.source}: {len(found)} of {len(words.lines)} lines look {named}, which no emotion lexicon is for"]


# --- one person in one segment --------------------------------------------------------------------------------------


def summarise_voice(found: Measurements, voice: VoiceTrack, span: Span, backend: str) -> Prosody:
    """Prosody of a stretch of the voice; `backend` is one of VOICE_BACKENDS.

    Raises:
        MissingDependency: the backend is not installed.
    """
    if backend == "opensmile" and found.waveform is not None:
        from emotion_llama.speech.egemaps import summarise_egemaps

        return summarise_egemaps(found.waveform.between(*span), voice)
    from emotion_llama.speech.prosody import summarise

    return summarise(voice)


def gather(
    found: Measurements,
    transcript: Transcript | Missing,
    person: Person,
    span: Span,
    *,
    silent_because: str | None = None,
    keep_words: bool = False,
    baseline: Prosody | None = None,
    voice_backend: str = "autocorrelation",
) -> Evidence:
    """Everything of one person within `span`.

    Args:
        found: what was measured of the clip.
        transcript: what is said in it.
        person: the person.
        span: start and end in seconds.
        silent_because: why voice and words of this span are somebody else's; None when they are this person's.
        keep_words: the words are this person's all the same, as those that are given for a clip are.
        baseline: how the speaker sounds over the whole clip, for words such as "louder than usual"; None where the
            clip is one segment, or where several people are in view, who may all have been heard.
        voice_backend: see `summarise_voice`.
    """
    from emotion_llama.speech.tone import describe_tone, why_no_voice

    missing: list[Missing] = []
    units, peak = _face(person, span, missing)
    # Music over most of a clip says nothing about who speaks in the rest.
    if baseline is not None and why_no_voice(baseline) is not None:
        baseline = None
    prosody, tone = None, None
    stretch = None if found.voice is None else found.voice.between(*span)
    if stretch is None:
        missing.append(Missing("prosody", found.why_no_voice))
    elif silent_because is not None:
        missing.append(Missing("prosody", silent_because))
    elif not stretch.is_speech.any():
        missing.append(Missing("prosody", "no speech was heard in this segment"))
    else:
        prosody = summarise_voice(found, stretch, span, voice_backend)
        if problem := why_no_voice(prosody, stretch):
            missing.append(Missing("tone", problem))
        else:
            tone = describe_tone(prosody, baseline)
    spoken = _spoken(transcript, span, None if keep_words else silent_because, missing)
    return Evidence(units, peak, prosody, tone, spoken, tuple(missing), None if prosody is None else baseline)


def with_label_peak(evidence: Evidence, label: str) -> Evidence:
    """The same with the peak frame of the label's units; unchanged where the label has none, or they never moved."""
    from emotion_llama.face.label_units import LABEL_UNIT_TABLES
    from emotion_llama.face.peak import find_peak

    has_units = any(label in table for table in LABEL_UNIT_TABLES.values())  # neutral and doubt have none
    if evidence.action_units is None or not has_units:
        return evidence
    peak = find_peak(evidence.action_units, rule="label", label=label)
    return evidence if peak is None else replace(evidence, peak_frame=peak)


def _face(person: Person, span: Span, missing: list[Missing]) -> tuple[ActionUnits | None, PeakFrame | None]:
    from emotion_llama.face.peak import find_peak

    units = None if person.units is None else person.units.between(*span)
    seen, measured = _frames_seen(person, span), 0 if units is None else int(units.valid.sum())
    turned = _turned_away(seen, measured)
    # Who mostly turns away shows little more in between: the mesh of a half profile is laid by guess too.
    peak = find_peak(units) if units is not None and measured and 2 * measured >= seen else None
    if units is None or peak is None:
        reason = turned or "the face was not seen in this segment"
        reason = person.why_no_units if units is None else reason
        missing += [Missing("action_units", reason), Missing("peak_frame", reason)]
        return None, None
    if turned:
        missing.append(Missing("action_units.turned_away", turned))
    if covered := _covered(units):
        missing.append(Missing("action_units.mouth", covered))
    return units, peak


def _frames_seen(person: Person, span: Span) -> int:
    """Frames of a segment with the person's face; 0 where faces were not tracked."""
    track = person.track
    return 0 if track is None else int(track.valid[_within(track.pts_seconds, span)].sum())


def _within(pts_seconds: Float, span: Span) -> Bool:
    return np.asarray((pts_seconds >= span[0]) & (pts_seconds < span[1]))


def _turned_away(seen: int, measured: int) -> str:
    from emotion_llama.face.occlusion import PROFILE_DEGREES

    if measured >= seen:
        return ""
    share = f"{seen - measured} of {seen} frames"
    return f"the face is turned away (by {PROFILE_DEGREES:.0f} degrees or more) in {share}, which were not measured"


def _covered(units: ActionUnits) -> str:
    from emotion_llama.face.occlusion import MOUTH_UNITS

    mouth = [units.names.index(name) for name in MOUTH_UNITS if name in units.names]
    covered = int((units.valid & np.isnan(units.intensity[:, mouth]).all(axis=1)).sum())
    share = f"{covered} of {int(units.valid.sum())} frames"
    return f"the mouth is covered in {share}, where {', '.join(MOUTH_UNITS)} were not measured" if covered else ""


def _spoken(
    transcript: Transcript | Missing, span: Span, silent_because: str | None, missing: list[Missing]
) -> Transcript | None:
    if isinstance(transcript, Missing):
        missing.append(transcript)
        return None
    if silent_because is not None:
        missing.append(Missing("transcript", silent_because))
        return None
    spoken = transcript.between(*span)
    if spoken is None:
        missing.append(Missing("transcript", "nothing was said in this segment"))
    return spoken
