"""A decoded clip is what the model's own processor makes of it; the cache is filled once and goes on."""

from pathlib import Path

import numpy as np
import pytest

from emotion_llama.analysis.inputs import CropOptions, open_inputs
from emotion_llama.errors import InputError
from emotion_llama.face.backends import load_backend
from emotion_llama.models import inputs as recipes
from emotion_llama.models.processing_emotion_llama import media_arrays
from merr_synth.nano.encoders.clips import ClipArrays, ClipCache, Sizes, fill_cache, read_arrays
from merr_synth.nano.encoders.lessons import Choice, batch_arrays, lesson
from merr_synth.nano.encoders.targets import clip_truth
from merr_synth.render.plan_file import read_plans

from .conftest import truth_dict

SYNTH = Path(__file__).parents[5] / "examples" / "synth"
PLANS = read_plans(SYNTH / "plans.jsonl")
WHOLE = next(plan for plan in PLANS if not plan.missing and plan.split == "train")
SIZES = Sizes(112, 64)


@pytest.fixture(scope="module")
def backend():
    backend = load_backend("onnx_mesh")
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def whole(backend):
    return read_arrays(SYNTH / "clips" / f"{WHOLE.id}.mp4", backend, SIZES)


def test_inputs_from_the_cache_are_those_of_the_processor(whole, backend, tmp_path):
    cache = ClipCache(tmp_path)
    cache.write(WHOLE.id, whole)
    truth = clip_truth(truth_dict(WHOLE, np.zeros((WHOLE.num_frames, 17))), WHOLE)
    path = SYNTH / "clips" / f"{WHOLE.id}.mp4"
    with open_inputs(path, lambda: backend, CropOptions("peak"), warn=lambda line: None) as inputs:
        expected = media_arrays([inputs], 112, 64, 64, recipes.clip_recipe(16), recipes.HUBERT_LAST)

    def made(tower, crops=1):
        one = lesson(truth, cache, Choice(tower, crops, 16, vary=False), np.random.default_rng(0))
        return batch_arrays([one])["inputs"]

    assert np.array_equal(made("face_tower", inputs.num_faces), expected["face_pixel_values"])
    assert np.array_equal(made("temporal_tower"), expected["clip_pixel_values"])
    np.testing.assert_allclose(made("vision_tower"), expected["pixel_values"], atol=1e-6)
    # Sound is kept as float16: within its rounding, 2^-11 of a sample and of the deviation that all are divided by.
    np.testing.assert_allclose(made("audio_tower"), expected["input_values"], rtol=2e-3, atol=2e-3)


def test_every_crop_knows_its_frame_and_the_face_its_place(whole):
    count = WHOLE.num_frames
    assert whole.face_frames.tolist() == list(range(count))
    assert whole.frame_numbers[1:].tolist() == pytest.approx(
        [0.1 * count, 0.35 * count, 0.65 * count, 0.9 * count], abs=1
    )
    # The portrait stands in the picture: its centre near the middle, its width a third of the frame or more.
    assert (np.abs(whole.framing[:, :2] - 0.5) < 0.25).all()
    assert ((whole.framing[:, 2] > 0.2) & (whole.framing[:, 2] < 0.9)).all()


@pytest.mark.parametrize(("gap", "absent"), [("silent", "samples"), ("no_face", "faces")])
def test_what_a_clip_lacks_is_none(gap, absent, backend):
    plan = next(plan for plan in PLANS if gap in plan.missing)
    arrays = read_arrays(SYNTH / "clips" / f"{plan.id}.mp4", backend, SIZES)
    assert getattr(arrays, absent) is None
    assert arrays.frames.shape == (5, 112, 112, 3)
    if gap == "no_face":
        assert np.isnan(arrays.framing).all()
        assert np.isnan(arrays.frame_poses).all()


def test_a_clip_of_nothing_is_kept_too(tmp_path):
    cache = ClipCache(tmp_path)
    cache.write("empty", ClipArrays(*[None] * 8))
    assert cache.read("empty") == ClipArrays(*[None] * 8)


def test_the_cache_is_filled_once_and_goes_on(tmp_path):
    names = [plan.id for plan in PLANS[:2]]
    cache = ClipCache(tmp_path / "cache")
    folder = tmp_path / "set"
    (folder / "clips").mkdir(parents=True)
    for name in names:
        (folder / "clips" / f"{name}.mp4").write_bytes((SYNTH / "clips" / f"{name}.mp4").read_bytes())
    (folder / "clips" / "broken.mp4").write_bytes(b"no video")

    told = dict(fill_cache(folder, [names[0], "broken"], cache, SIZES))

    assert told[names[0]] is None
    assert "broken.mp4" in told["broken"]
    before = cache.path(names[0]).stat().st_mtime_ns
    assert dict(fill_cache(folder, names, cache, SIZES, workers=2)) == {names[1]: None}
    assert cache.path(names[0]).stat().st_mtime_ns == before
    assert sorted(path.name for path in cache.folder.iterdir()) == sorted(f"{name}.safetensors" for name in names)


def test_a_damaged_file_is_named(tmp_path):
    cache = ClipCache(tmp_path)
    cache.path("bad").write_bytes(b"12345678 not tensors")
    with pytest.raises(InputError, match=r"bad.safetensors: not a decoded clip .* delete it and decode it again"):
        cache.read("bad")
