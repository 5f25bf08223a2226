"""Features of decoded clips are those of the files."""

from pathlib import Path

import numpy as np
import pytest

from emotion_llama.models.features.feature_store import FeatureStore
from merr_synth.nano.encoders.clips import ClipArrays, ClipCache
from merr_synth.nano.nano_features import NO_FRAME, NOT_HEARD, inputs_of, store_features

RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 255, (20, 64, 64, 3)).astype(np.uint8)
FRAMES = RNG.integers(0, 255, (2, 56, 56, 3)).astype(np.uint8)
SOUND = (0.1 * np.sin(np.arange(16_000) / 20)).astype(np.float16)
WHOLE = ClipArrays(FACES, None, None, FRAMES, None, None, None, SOUND)
HEARD = ClipArrays(None, None, None, None, None, None, None, SOUND)


@pytest.fixture
def cache(tmp_path: Path) -> ClipCache:
    made = ClipCache(tmp_path / "cache")
    made.folder.mkdir()
    made.write("whole", WHOLE)
    made.write("heard", HEARD)
    return made


def test_a_store_of_what_the_encoders_make(workshop: Path, cache: ClipCache, tmp_path: Path) -> None:
    names = ["whole", "heard", "never decoded"]
    assert store_features(workshop / "model", cache, names, tmp_path / "features") == 2
    assert store_features(workshop / "model", cache, names, tmp_path / "features") == 0
    with FeatureStore(tmp_path / "features") as store:
        whole, heard = store["whole"], store["heard"]
    assert whole.num_faces == 20
    assert whole.global_image is not None
    assert (whole.global_image == FRAMES[0]).all()
    assert heard.face is None
    assert heard.global_image is None
    assert heard.audio == pytest.approx(whole.audio, abs=1e-5)


def test_processes_beside_each_other_store_the_same(workshop: Path, cache: ClipCache, tmp_path: Path) -> None:
    for number in range(32):
        cache.write(f"clip {number}", HEARD)
    names = ["whole", *(f"clip {number}" for number in range(32))]
    assert store_features(workshop / "model", cache, names, tmp_path / "two", workers=2) == 33
    assert store_features(workshop / "model", cache, names[:2], tmp_path / "one") == 2
    with FeatureStore(tmp_path / "two") as two, FeatureStore(tmp_path / "one") as one:
        assert two["whole"].face == pytest.approx(one["whole"].face, abs=1e-6)
        assert two["clip 31"].audio == pytest.approx(one["clip 0"].audio, abs=1e-6)


def test_vectors_are_the_towers_own(workshop: Path, cache: ClipCache, tmp_path: Path) -> None:
    from emotion_llama.models.features.extractor import TorchEncoders
    from emotion_llama.models.inputs import face_pixel_values

    store_features(workshop / "model", cache, ["whole"], tmp_path / "features")
    with FeatureStore(tmp_path / "features") as store:
        found = store["whole"].face
    one_by_one = TorchEncoders.load(workshop / "model").face(face_pixel_values(FACES, 64))
    assert found == pytest.approx(one_by_one.mean(axis=0), abs=1e-4)


def test_what_a_clip_lacks_is_missing_with_a_reason() -> None:
    inputs = inputs_of(HEARD, Path("heard.safetensors"))
    assert inputs.why_missing("frame") == NO_FRAME
    assert inputs.num_faces == 0
    assert list(inputs.face_chunks()) == []
    mute = inputs_of(ClipArrays(FACES, None, None, FRAMES, None, None, None, None), Path("x"))
    assert mute.why_missing("sound") == NOT_HEARD
