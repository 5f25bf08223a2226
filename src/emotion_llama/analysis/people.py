"""Who is in a clip, the main person first, and whose the voice of a segment is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emotion_llama.analysis.sight import Seen, Sight
from emotion_llama.records import FaceTrack, VoiceTrack


@dataclass(frozen=True, repr=False)
class Person:
    """One person of a clip; `seen` is None for a voice without a face. `why` speaks for or against being the main."""

    person_id: int
    seen: Seen | None
    why: str


@dataclass(frozen=True)
class Voiced:
    """Whose the voice and the words of a segment are, and why."""

    person_id: int
    why: str

    def why_not(self, person_id: int) -> str | None:
        """The reason why they are not of `person_id`; None when they are."""
        if person_id == self.person_id:
            return None
        return f"the voice of this segment is taken to be person {self.person_id}'s: {self.why}"


def main_first(sight: Sight, voice: VoiceTrack | None) -> tuple[Person, ...]:
    """The people of a clip, the main one first; a clip without faces has one person, who is only heard."""
    if not sight.people:
        return (Person(1, None, f"{sight.why_nobody}; the voice stands alone"),)
    if any(seen.track is None for seen in sight.people):
        return _most_seen_first(sight)
    from emotion_llama.face.people import mouth_opening, rank_people

    assert sight.frame_size is not None
    seen_by_track = {seen.track.track_id: seen for seen in sight.people if seen.track is not None}
    tracks = _tracks(sight.people)
    openings = {track.track_id: mouth_opening(track) for track in tracks}
    ranked = rank_people(tracks, sight.frame_size, openings, voice)
    return tuple(Person(seen_by_track[r.track_id].person_id, seen_by_track[r.track_id], r.why) for r in ranked)


def whose_voice(people: Sequence[Person], voice: VoiceTrack | None, span: tuple[float, float]) -> Voiced:
    """Whose voice is heard in `span`: the only person's, else that of whose lips move; else the main person's."""
    main = people[0]
    tracks = _tracks([person.seen for person in people if person.seen is not None])
    if len(people) == 1:
        return Voiced(main.person_id, "nobody else is in view")
    if voice is None or len(tracks) < len(people):
        return Voiced(main.person_id, "nothing tells who speaks, and that is the main person")
    from emotion_llama.face.people import find_speaker

    speaker = find_speaker(tracks, voice, *span)
    if speaker.track_id is None:
        return Voiced(main.person_id, f"{speaker.why}, and that is the main person")
    speaking = next(person for person in people if _track_id(person) == speaker.track_id)
    return Voiced(speaking.person_id, speaker.why)


def _most_seen_first(sight: Sight) -> tuple[Person, ...]:
    """Without tracks of our own only the number of measured frames can rank people."""
    counts = {seen.person_id: int(seen.units.valid.sum()) if seen.units is not None else 0 for seen in sight.people}
    order = sorted(sight.people, key=lambda seen: (-counts[seen.person_id], seen.person_id))
    total = max(1, sight.num_frames)
    return tuple(
        Person(seen.person_id, seen, f"measured in {100 * counts[seen.person_id] / total:.0f} % of the frames")
        for seen in order
    )


def _tracks(people: Sequence[Seen]) -> list[FaceTrack]:
    return [seen.track for seen in people if seen.track is not None]


def _track_id(person: Person) -> int | None:
    return person.seen.track.track_id if person.seen is not None and person.seen.track is not None else None
