"""One track per person: over misses, crossings, cuts and returns."""

import dataclasses
import itertools
from dataclasses import replace

import numpy as np
import pytest
from scenes import FPS, SIZE, STREET, STUDIO, centers_x, follow, oracle

from emotion_llama.errors import InputError
from emotion_llama.face import appearance
from emotion_llama.face.backends import FaceObservation, load_backend
from emotion_llama.face.cuts import CutDetector
from emotion_llama.face.geometry import FEATURE_NAMES
from emotion_llama.face.track import Tracker
from emotion_llama.face.tracklets import Candidate, Tracklet, assign, match
from emotion_llama.records import Frames
from merr_synth.render.face import ANNA, BEN, CLEO, DREW, DrawnFace, Placement, render

# Anna's face in other clothes with other hair.
SISTER = dataclasses.replace(ANNA, clothes=(150, 60, 60), hair=(176, 122, 58))


def standing(identity, x, width=110.0, rotation=(0.0, 0.0, 0.0)):
    return DrawnFace(identity, Placement((x, 170.0), width, rotation))


def nodding(identity, x, frame):
    return standing(identity, x, rotation=(8 * np.sin(frame / 6), 20 * np.sin(frame / 9), 4 * np.cos(frame / 7)))


def test_two_people_keep_their_tracks_and_places() -> None:
    tracks, tracker = follow(lambda i: ([nodding(ANNA, 180, i), nodding(BEN, 460, i)], STUDIO), 60)
    assert [int(t.valid.sum()) for t in tracks] == [60, 60]
    assert [t.track_id for t in tracks] == [0, 1]
    by_x = sorted(tracks, key=lambda t: float(np.nanmean(centers_x(t))))
    assert centers_x(by_x[0]) == pytest.approx(180, abs=15)
    assert centers_x(by_x[1]) == pytest.approx(460, abs=15)
    assert tracker.dropped == ()


def test_rows_hold_what_was_measured() -> None:
    """Box, score, points, pose and features of the drawn truth; pixels of the frame size given, times as given."""
    (track,), _ = follow(lambda i: ([standing(ANNA, 300, 120, (5.0, -10.0, 3.0))], STUDIO), 20)
    assert track.frame_size == SIZE
    assert track.pts_seconds == pytest.approx(np.arange(20) / FPS)
    assert track.frame_index.tolist() == list(range(20))
    assert track.scores == pytest.approx(0.9)
    assert track.head_pose_degrees == pytest.approx(np.tile([5.0, -10.0, 3.0], (20, 1)), abs=1.5)
    truth = render(SIZE, [standing(ANNA, 300, 120, (5.0, -10.0, 3.0))]).landmarks[0]
    right_eye = truth[[33, 133], :2].mean(0)
    assert track.points[:, 0].mean(0) == pytest.approx(right_eye, abs=0.5)
    assert track.boxes_xyxy[0] == pytest.approx([*truth[:, :2].min(0), *truth[:, :2].max(0)], abs=3)
    assert track.shape_features.shape == (20, len(FEATURE_NAMES))
    assert track.appearance.shape == (appearance.DESCRIPTOR_SIZE,)


def test_small_frames_are_measured_in_pixels_of_the_frame_size() -> None:
    """The same observation given with frames of half the size lands at twice the coordinates."""
    image = render(SIZE, [standing(ANNA, 300)])
    mesh = np.concatenate([image.landmarks[0], image.landmarks[0][:10]]).astype(np.float32)
    observation = FaceObservation((250.0, 100.0, 350.0, 220.0), 1.0, mesh)
    tracker = Tracker((1280, 720))
    tracker.update(Frames(image.image[None], np.zeros(1), np.zeros(1, np.int64)), [(observation,)])
    (track,) = tracker.finish()
    assert track.boxes_xyxy[0].tolist() == [500.0, 200.0, 700.0, 440.0]
    assert track.points[0, 3] == pytest.approx(2 * mesh[61, :2], abs=1e-3)


def test_crossing_people_keep_their_tracks() -> None:
    """Anna walks right, Ben left; for 8 frames around the middle Anna is hidden behind him."""
    tracks, _ = follow(
        lambda i: ([standing(ANNA, 120 + 5 * i, 100), standing(BEN, 520 - 5 * i, 110)], STUDIO),
        80,
        unseen=lambda frame, face: face == 0 and 36 <= frame < 44,
    )
    assert [int(t.valid.sum()) for t in tracks] == [72, 80]
    for track, start, speed in zip(tracks, (120, 520), (5, -5)):
        seen = np.flatnonzero(track.valid)
        assert centers_x(track)[seen] == pytest.approx(start + speed * seen, abs=4)


def test_twins_stay_two() -> None:
    """Nothing in their looks tells them apart, but nobody is seen twice in one frame."""
    tracks, _ = follow(lambda i: ([standing(ANNA, 180), standing(ANNA, 460)], STUDIO), 20)
    assert [int(t.valid.sum()) for t in tracks] == [20, 20]
    assert sorted(float(np.ptp(centers_x(t))) for t in tracks) == pytest.approx([0, 0], abs=5)


def test_twins_who_cross_are_told_apart_by_their_speed() -> None:
    """At 12 px a frame they swap sides within two frames, nearer to each other's last place than to their own."""
    tracks, _ = follow(lambda i: ([standing(ANNA, 102 + 12 * i, 60), standing(ANNA, 538 - 12 * i, 60)], STUDIO), 36)
    ends = sorted((float(centers_x(t)[0]), float(centers_x(t)[-1])) for t in tracks)
    assert ends[0] == pytest.approx((102, 522), abs=4)
    assert ends[1] == pytest.approx((538, 118), abs=4)


def test_people_who_meet_and_turn_back_are_told_apart_by_their_looks() -> None:
    """Both are unseen for 7 frames while they turn; by speed alone each would continue as the other."""

    def scene(i):
        walked = 8 * (i if i <= 20 else 40 - i)
        return [standing(ANNA, 120 + walked, 80), standing(SISTER, 480 - walked, 80)], STUDIO

    tracks, _ = follow(scene, 40, unseen=lambda frame, face: 17 <= frame < 24)
    ends = sorted((float(centers_x(t)[0]), float(centers_x(t)[-1])) for t in tracks)
    assert [int(t.valid.sum()) for t in tracks] == [33, 33]
    assert ends[0] == pytest.approx((120, 128), abs=4)
    assert ends[1] == pytest.approx((480, 472), abs=4)


def test_person_hidden_for_ten_frames_stays_one_track() -> None:
    tracks, _ = follow(
        lambda i: ([standing(ANNA, 200 + 2 * i)], STUDIO), 60, unseen=lambda frame, face: 20 <= frame < 30
    )
    (track,) = tracks
    assert np.flatnonzero(~track.valid).tolist() == list(range(20, 30))
    for rows in (track.boxes_xyxy, track.scores, track.points, track.head_pose_degrees, track.shape_features):
        assert np.isnan(rows[20:30]).all()
        assert np.isfinite(rows[[0, 19, 30, 59]]).all()


def test_person_away_for_three_seconds_is_known_by_looks() -> None:
    """Longer than position can bridge (1 s): she leaves on the left and comes back on the right."""
    tracks, _ = follow(lambda i: ([] if 20 <= i < 95 else [standing(ANNA, 150 if i < 20 else 480)], STUDIO), 120)
    (track,) = tracks
    assert int(track.valid.sum()) == 45


def test_shot_and_reverse_shot() -> None:
    """A-B-A-B with faces at the same place: two people, each in all of their shots, and nobody in the other's."""

    def scene(i):
        return ([nodding(ANNA, 300, i)], STUDIO) if (i // 20) % 2 == 0 else ([nodding(BEN, 310, i)], STREET)

    tracks, _ = follow(scene, 80)
    in_anna_shots = (np.arange(80) // 20) % 2 == 0
    assert len(tracks) == 2
    assert np.array_equal(tracks[0].valid, in_anna_shots)
    assert np.array_equal(tracks[1].valid, ~in_anna_shots)


def test_somebody_alike_after_a_cut_is_somebody_else() -> None:
    """Alike enough to be followed within a shot, not across a cut."""
    tracks, _ = follow(lambda i: ([standing(ANNA if i < 20 else SISTER, 300)], STUDIO if i < 20 else STREET), 40)
    assert [np.flatnonzero(t.valid).tolist() for t in tracks] == [list(range(20)), list(range(20, 40))]


def test_two_who_dress_alike_are_two_by_their_hair() -> None:
    """Two men in dark jackets and white shirts once became one over a cut: skin and clothes outweighed the hair."""
    grey = replace(ANNA, hair=(150, 148, 146))
    tracks, _ = follow(lambda i: ([nodding(ANNA if i < 20 else grey, 300, i)], STUDIO if i < 20 else STREET), 40)
    assert [np.flatnonzero(t.valid).tolist() for t in tracks] == [list(range(20)), list(range(20, 40))]


@pytest.mark.parametrize("identity", [ANNA, BEN, CLEO, DREW])
def test_one_person_nearer_and_elsewhere_after_a_cut_stays_one(identity) -> None:
    def scene(i):
        if i < 20:
            return [standing(identity, 250, 90, (0.0, -15.0, 0.0))], STUDIO
        return [standing(identity, 380, 130, (5.0, 15.0, 4.0))], STREET

    (track,), _ = follow(scene, 40)
    assert track.valid.all()


def test_stranger_at_the_same_place_is_somebody_else_even_without_a_visible_cut() -> None:
    """The picture changes too little for the cut detector, but not the face in it."""
    tracks, _ = follow(lambda i: ([standing(ANNA if i < 30 else BEN, 300, 60)], STUDIO), 60)
    assert [np.flatnonzero(t.valid).tolist() for t in tracks] == [list(range(30)), list(range(30, 60))]


def test_person_who_leaves_and_one_who_stays() -> None:
    tracks, _ = follow(lambda i: ([standing(ANNA, 200), standing(CLEO, 440 + 8 * i)], STUDIO), 60)
    lengths = sorted(int(t.valid.sum()) for t in tracks)
    # Cleo's box (half of 110 px to each side) is out of the picture when 440 + 8 i > 640 + 55.
    assert lengths == pytest.approx([32, 60], abs=1)


def test_ghosts_are_dropped_and_counted() -> None:
    """A face in 3 of 60 frames is a mistake; the reason and its time are kept."""
    tracks, tracker = follow(
        lambda i: ([standing(ANNA, 180), standing(DREW, 500)], STUDIO),
        60,
        unseen=lambda frame, face: face == 1 and not 30 <= frame < 33,
    )
    assert [int(t.valid.sum()) for t in tracks] == [60]
    assert tracker.dropped == ("a face at 1.20-1.28 s was left out: seen in 3 frames, fewer than 5",)


def test_only_the_people_seen_most_are_kept() -> None:
    tracker = Tracker(SIZE, max_people=1)
    rng = np.random.default_rng(0)
    for i in range(12):
        rendered = render(SIZE, [standing(BEN, 460)] + ([standing(ANNA, 180)] if i < 8 else []), STUDIO)
        tracker.update(Frames(rendered.image[None], np.array([i / FPS]), np.array([i])), [oracle(rendered, rng)])
    (track,) = tracker.finish()
    assert (track.track_id, int(track.valid.sum())) == (0, 12)
    assert list(tracker.dropped) == [
        "a face at 0.00-0.28 s was left out: others are seen longer, and at most 1 are kept"
    ]


def test_single_frame_counts_in_a_single_frame_clip() -> None:
    tracks, _ = follow(lambda i: ([standing(ANNA, 300)], STUDIO), 1)
    assert [int(t.valid.sum()) for t in tracks] == [1]


def test_boxes_without_meshes_are_no_track_but_said() -> None:
    image = render(SIZE, [standing(ANNA, 300)]).image
    tracker = Tracker(SIZE)
    for i in range(10):
        frames = Frames(image[None], np.array([i / FPS]), np.array([i]))
        tracker.update(frames, [(FaceObservation((250, 100, 350, 220), 0.8, None),)])
    assert tracker.finish() == ()
    assert list(tracker.dropped) == ["a face at 0.00-0.36 s was left out: no mesh could be laid on it"]


def test_chunk_size_does_not_matter() -> None:
    def scene(i):
        return ([nodding(ANNA, 200, i), nodding(BEN, 450, i)], STUDIO if i < 15 else STREET)

    one, _ = follow(scene, 30, chunk_size=1)
    many, _ = follow(scene, 30, chunk_size=30)
    for a, b in zip(one, many, strict=True):
        assert np.array_equal(a.boxes_xyxy, b.boxes_xyxy)
        assert np.allclose(a.shape_features, b.shape_features)


def test_no_frames_and_no_faces() -> None:
    assert Tracker(SIZE).finish() == ()
    tracks, _ = follow(lambda i: ([], STUDIO), 10)
    assert tracks == ()


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match="frame_size"):
        Tracker((0, 360))
    with pytest.raises(InputError, match=r"max_people at least 1: .*max_people = 0"):
        Tracker(SIZE, max_people=0)
    frames = Frames(np.zeros((2, 36, 64, 3), np.uint8), np.zeros(2), np.zeros(2, np.int64))
    with pytest.raises(InputError, match="2 frames, 1 groups"):
        Tracker(SIZE).update(frames, [()])


def test_memory_per_frame_is_small() -> None:
    """What a tracklet keeps of a frame: one position (8 bytes) and one float32 row."""
    tracker = Tracker(SIZE)
    follow_rows = 19 + 52 + len(FEATURE_NAMES)
    rng = np.random.default_rng(0)
    rendered = render(SIZE, [standing(ANNA, 300)])
    for i in range(5):
        tracker.update(Frames(rendered.image[None], np.array([i / FPS]), np.array([i])), [oracle(rendered, rng)])
    (tracklet,) = tracker._following
    assert len(tracklet.values) == 5 * follow_rows
    assert follow_rows * 4 + 8 < 500


def test_through_mediapipe_cut_crossing_and_return() -> None:
    """The same with the real backend: Anna and Ben cross, then a cut to Cleo, then back to both."""

    def scene(i):
        if 70 <= i < 90:
            return [nodding(CLEO, 300, i)], STREET
        x = min(i, 60) * 6
        return [standing(ANNA, 130 + x, 100), standing(BEN, 510 - x, 110)], STUDIO

    with load_backend("onnx_mesh") as backend:
        tracks, _ = follow(scene, 110, backend=backend)
    assert len(tracks) == 3
    anna, ben, cleo = (
        min(tracks, key=lambda t: abs(np.nan_to_num(centers_x(t)[frame], nan=1e9) - x))
        for frame, x in ((0, 130), (0, 510), (80, 300))
    )
    assert len({anna.track_id, ben.track_id, cleo.track_id}) == 3
    for track, start, end in ((anna, 130, 490), (ben, 510, 150)):
        assert centers_x(track)[[0, 60, 69, 90, 109]] == pytest.approx([start, end, end, end, end], abs=10)
        assert not track.valid[70:90].any()
    assert np.flatnonzero(cleo.valid).tolist() == list(range(70, 90))
    assert int(ben.valid.sum()) == 90  # in front, seen in all frames
    assert int(anna.valid.sum()) >= 70  # hidden behind Ben for a while


@pytest.mark.parametrize(
    ("moved", "size", "gap", "possible"),
    [
        ((55.0, 0.0), 100.0, 0.04, True),  # reach: 0.6 + 2 x 0.04 = 0.68 face sizes
        ((75.0, 0.0), 100.0, 0.04, False),
        ((150.0, 0.0), 100.0, 0.8, True),  # 0.6 + 2 x 0.8, at most 2 face sizes
        ((210.0, 0.0), 100.0, 0.8, False),
        ((0.0, 0.0), 190.0, 0.04, True),  # up to twice the size
        ((0.0, 0.0), 210.0, 0.04, False),
        ((0.0, 0.0), 48.0, 0.04, False),
    ],
)
def test_what_may_continue_a_face(moved: tuple[float, float], size: float, gap: float, possible: bool) -> None:
    unknown = np.full(appearance.DESCRIPTOR_SIZE, np.nan, np.float32)
    tracklet = Tracklet(Candidate(np.array([300.0, 200.0]), 100.0, unknown), 1.0)
    candidate = Candidate(np.array([300.0, 200.0]) + moved, size, unknown)
    assert match([tracklet], [candidate], 1.0 + gap) == ([(0, 0)] if possible else [])


# --- looks and cuts ---------------------------------------------------------------------------------------------------


def _looks(identity, rng, count):
    """Descriptors of one person under other light, size, pose, place and background."""
    found = []
    for _ in range(count):
        placement = Placement(
            (float(rng.uniform(150, 490)), float(rng.uniform(140, 200))),
            float(rng.uniform(60, 130)),
            tuple(rng.uniform(-1, 1, 3) * [10, 25, 8]),
        )
        background = tuple(int(v) for v in rng.integers(30, 200, 3))
        drawn = render(SIZE, [DrawnFace(identity, placement)], background)
        image = np.clip(drawn.image * rng.uniform(0.9, 1.1) + rng.normal(0, 4, drawn.image.shape), 0, 255)
        mesh = drawn.landmarks[0]
        box = (*mesh[:, :2].min(0).tolist(), *mesh[:, :2].max(0).tolist())
        found.append(appearance.describe(image.astype(np.uint8), box, mesh))
    return found


def test_looks_tell_people_apart() -> None:
    """99 % of the pairs of one person are nearer than the joining distance, 99 % of the pairs of two are farther."""
    rng = np.random.default_rng(1)
    looks = {identity: _looks(identity, rng, 8) for identity in (ANNA, BEN, CLEO, DREW)}
    same = [appearance.distance(a, b) for rows in looks.values() for a, b in itertools.combinations(rows, 2)]
    other = [
        appearance.distance(a, b)
        for p, q in itertools.combinations(looks, 2)
        for a, b in itertools.product(looks[p], looks[q])
    ]
    assert np.percentile(same, 99) < 0.36
    assert np.percentile(other, 1) > 0.36


def test_distance_of_equal_and_of_unseen() -> None:
    rng = np.random.default_rng(0)
    (row,) = _looks(ANNA, rng, 1)
    assert appearance.distance(row, row) == pytest.approx(0, abs=1e-3)
    nothing = np.full_like(row, np.nan)
    assert np.isnan(appearance.distance(row, nothing))


def test_distance_of_black_and_white_is_one() -> None:
    """Without a mesh, and with no colour in common, nothing is alike but the (missing) colour of grey."""
    box = (40.0, 40.0, 60.0, 60.0)
    black = appearance.describe(np.zeros((100, 100, 3), np.uint8), box, None)
    white = appearance.describe(np.full((100, 100, 3), 255, np.uint8), box, None)
    # Lightness differs in full, colour (both grey) not at all: half of each histogram overlaps, sqrt(1 - 1/2).
    assert appearance.distance(black, white) == pytest.approx(np.sqrt(0.5), abs=1e-6)


def test_region_outside_the_picture_is_unknown() -> None:
    image = np.full((100, 100, 3), 128, np.uint8)
    row = appearance.describe(image, (30.0, 2.0, 70.0, 95.0), None)
    hair, face, clothes = row[:72], row[72:144], row[144:216]
    assert np.isnan(hair).all()
    assert face.sum() == pytest.approx(1.0)
    assert np.isnan(clothes).all()


def test_mean_of_descriptors_is_over_the_rows_that_know() -> None:
    mean = appearance.MeanDescriptor()
    row = np.full(appearance.DESCRIPTOR_SIZE, 2.0)
    half = np.where(np.arange(len(row)) < 72, np.nan, 4.0)
    mean.add(row)
    mean.add(half)
    assert mean.mean[:72].tolist() == [2.0] * 72
    assert mean.mean[72:].tolist() == [3.0] * (len(row) - 72)
    assert np.isnan(appearance.MeanDescriptor().mean).all()


def _cuts(images) -> list[int]:
    detector = CutDetector()
    return [i for i, image in enumerate(images) if detector.is_cut(image)]


def test_cut_is_found_and_a_moving_head_is_none() -> None:
    shots = [render(SIZE, [standing(ANNA, 150 + 8 * i)], STUDIO).image for i in range(10)]
    shots += [render(SIZE, [standing(BEN, 450 - 8 * i)], STREET).image for i in range(10)]
    assert _cuts(shots) == [10]


def test_two_short_shots_are_two_cuts() -> None:
    a, b = (render(SIZE, [standing(who, 320)], place).image for who, place in ((ANNA, STUDIO), (BEN, STREET)))
    assert _cuts([a] * 10 + [b] * 6 + [a] * 6) == [10, 16]


def test_camera_pan_is_no_cut() -> None:
    rng = np.random.default_rng(0)
    wall = np.kron(rng.integers(40, 215, (9, 40, 3)), np.ones((40, 40, 1))).astype(np.uint8)
    assert _cuts(wall[:, 12 * i : 12 * i + 640] for i in range(40)) == []


def test_tiny_pictures_can_be_cut_too() -> None:
    assert _cuts([np.zeros((20, 20, 3), np.uint8), np.full((20, 20, 3), 255, np.uint8)]) == [1]


def test_shaken_camera_is_no_cut_for_long() -> None:
    """Every frame differs strongly from the last: the first jumps may pass for cuts, steady shaking may not.

    Once, each cut made the detector forget the shaking before it, and every frame was a cut.
    """
    wall = np.kron(np.random.default_rng(0).integers(0, 255, (12, 20, 3)), np.ones((40, 40, 1))).astype(np.uint8)
    assert len(_cuts(wall[:360, 40 * (i % 2) : 40 * (i % 2) + 640] for i in range(30))) <= 2


def test_an_assignment_costs_what_that_of_scipy_costs_and_pairs_the_same():
    from scipy.optimize import linear_sum_assignment

    draw = np.random.default_rng(11)
    for _ in range(300):
        costs = draw.uniform(0, 3, draw.integers(1, 9, 2))
        costs[draw.random(costs.shape) < draw.choice([0.0, 0.3, 0.7])] = 1e6
        rows, columns = linear_sum_assignment(costs)
        found = assign(costs.tolist())
        assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found) == min(costs.shape)
        assert sum(costs[pair] for pair in found) == pytest.approx(costs[rows, columns].sum(), rel=1e-12)
        # Which of the forbidden pairs are in it is open where several solutions are as good; no other is.
        assert [p for p in found if costs[p] < 1e6] == [p for p in zip(rows, columns) if costs[p] < 1e6]
