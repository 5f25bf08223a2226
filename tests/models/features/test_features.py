"""Features from inputs: the golden vectors through the converted model, bounded memory, what is missing."""

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from emotion_llama.errors import BackendError, InputError, MediaError, MissingDependency
from emotion_llama.models import inputs
from emotion_llama.models.clips import MODALITIES, ClipFeatures, ClipInputs, FaceCrops, rebatched
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.features.extractor import FeatureExtractor, TorchEncoders
from emotion_llama.models.inputs import HUBERT_SUM4
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration

Made = Callable[..., ClipInputs]
GOLDEN = load_file(Path(__file__).parents[2] / "golden" / "golden_features.safetensors")


def assert_close(ours: np.ndarray | None, golden: np.ndarray, tolerance: float = 1e-4) -> None:
    assert ours is not None
    assert ours.shape == golden.shape
    assert np.abs(ours - golden).max() / np.abs(golden).max() < tolerance


# --- golden vectors, from the published files ------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_golden_face_utterance(golden_encoders: TorchEncoders, made_inputs: Made, batch_size: int) -> None:
    extractor = FeatureExtractor(golden_encoders, batch_size=batch_size)
    features = extractor.extract(made_inputs(faces=GOLDEN["mae_faces_rgb"]))
    assert features.num_faces == 5
    assert_close(features.face, GOLDEN["mae_utterance"])


def test_golden_temporal_utterance(golden_encoders: TorchEncoders, made_inputs: Made) -> None:
    features = FeatureExtractor(golden_encoders, batch_size=4).extract(made_inputs(GOLDEN["videomae_faces_rgb"]))
    assert_close(features.temporal, GOLDEN["videomae_utterance"])


def test_golden_audio_by_both_recipes(golden_encoders: TorchEncoders, made_inputs: Made) -> None:
    clip = made_inputs(samples=GOLDEN["hubert_waveform_16k"])
    assert_close(FeatureExtractor(golden_encoders).extract(clip).audio, GOLDEN["hubert_utterance"])
    summed = FeatureExtractor(golden_encoders, sound=HUBERT_SUM4).extract(clip).audio
    assert_close(summed, GOLDEN["hubert_sum_last4_utterance"])


def test_golden_features_of_the_whole_model_are_those_of_its_encoders(
    golden_folder: Path, golden_encoders: TorchEncoders, made_inputs: Made
) -> None:
    """`from_pretrained` and the reader of encoders alone agree, tensor by tensor."""
    model = EmotionLlamaForConditionalGeneration.from_pretrained(golden_folder).eval()
    of_model = TorchEncoders.of_model(model)
    assert of_model.fingerprint() == golden_encoders.fingerprint()
    clip = made_inputs(GOLDEN["videomae_faces_rgb"], GOLDEN["hubert_waveform_16k"])
    ours = FeatureExtractor(golden_encoders).extract(clip)
    with torch.no_grad():
        encoding = model.encode(
            face_pixel_values=torch.from_numpy(inputs.face_pixel_values(GOLDEN["videomae_faces_rgb"], 64)),
            clip_pixel_values=torch.from_numpy(GOLDEN["videomae_pixel_values"]),
            input_values=torch.from_numpy(GOLDEN["hubert_input_values"]),
        )
    for name in MODALITIES:
        assert_close(getattr(ours, name), getattr(encoding, f"{name}_features")[0].numpy(), 1e-5)


# --- the arithmetic around the encoders -----------------------------------------------------------------------------


class Ruler:
    """Stand-in encoders whose outputs say what they were given."""

    face_size, clip_size, global_size = 8, 8, 8

    def __init__(self, num_frames: int = 16) -> None:
        self.clip_recipe = inputs.clip_recipe(num_frames)
        self.face_batches: list[int] = []
        self.rows: list[tuple[int, ...]] = []

    def face(self, pixel_values: np.ndarray) -> np.ndarray:
        self.face_batches.append(len(pixel_values))
        return np.stack([pixel_values.mean(axis=(1, 2, 3)) * 255, np.ones(len(pixel_values))], axis=1).astype(
            np.float32
        )

    def temporal(self, pixel_values: np.ndarray) -> np.ndarray:
        return np.asarray(pixel_values.mean(axis=(0, 2, 3)) * 255, np.float32)

    def audio(self, values: np.ndarray, recipe: str) -> np.ndarray:
        self.rows.append(values.shape)
        return np.stack([np.full(2, len(row), np.float32) * (i + 1) for i, row in enumerate(values)])


def numbered(count: int) -> np.ndarray:
    """Crops whose every pixel is their number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 8, 8, 3)).copy()


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_every_crop_counts_once_and_the_sixteen_are_the_right_ones(made_inputs: Made, chunk: int) -> None:
    ruler = Ruler()
    features = FeatureExtractor(ruler, batch_size=8).extract(made_inputs(numbered(21), chunk=chunk))
    assert features.face == pytest.approx([10.0, 1.0], abs=1e-4)  # mean of 0..20
    assert ruler.face_batches == [8, 8, 5]
    # tick 2.5: 1.25 + 2.5 i = 1.25, 3.75, 6.25, 8.75, 11.25, 13.75, 16.25, 18.75
    expected = [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19]
    assert features.temporal == pytest.approx(expected, abs=1e-3)


def test_chunks_of_sound_go_a_few_at_a_time_and_all_count(made_inputs: Made) -> None:
    ruler = Ruler()
    samples = np.ones(16_000 * 45, np.float32)
    features = FeatureExtractor(ruler, sound=HUBERT_SUM4, batch_size=16).extract(made_inputs(samples=samples))
    assert ruler.rows == [(2, 160_000), (2, 160_000), (1, 160_000)]
    assert features.audio == pytest.approx([160_000 * (1 + 2 + 1 + 2 + 1) / 5] * 2)


def test_memory_does_not_grow_with_the_number_of_faces(made_inputs: Made) -> None:
    def peak(count: int) -> int:
        def stream() -> Iterator[np.ndarray]:
            for _ in range(count // 10):
                yield np.zeros((10, 112, 112, 3), np.uint8)

        clip = replace(made_inputs(numbered(1)), faces=FaceCrops(count, stream))
        gc.collect()
        tracemalloc.start()
        FeatureExtractor(Ruler(), batch_size=8).extract(clip)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(100)
    few, many = peak(200), peak(2_000)  # 2,000 crops are 75 MB
    assert many < few + 1_000_000
    assert many < 3_000_000


def test_the_same_clip_gives_the_same_bits(golden_encoders: TorchEncoders, made_inputs: Made) -> None:
    clip = made_inputs(GOLDEN["videomae_faces_rgb"], GOLDEN["hubert_waveform_16k"], GOLDEN["mae_faces_rgb"][0])
    once, again = (FeatureExtractor(golden_encoders).extract(clip).arrays() for _ in range(2))
    assert list(once) == ["face", "temporal", "audio", "global_image"]
    assert all(np.array_equal(once[name], again[name]) for name in once)


def test_the_stored_picture_gives_the_global_encoders_pixels(golden_encoders: TorchEncoders, made_inputs: Made) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (97, 130, 3)).astype(np.uint8)
    features = FeatureExtractor(golden_encoders).extract(made_inputs(frame=frame))
    assert features.global_image is not None
    assert features.global_image.shape == (56, 56, 3)
    assert np.array_equal(features.pixel_values(), inputs.global_pixel_values(frame, 56))
    assert (features.frame_seconds, features.frame_why) == (0.0, "the first")


def test_what_is_missing_is_none_with_its_reason_and_never_zeros(made_inputs: Made) -> None:
    features = FeatureExtractor(Ruler()).extract(made_inputs())
    assert features.arrays() == {}
    assert features.pixel_values() is None
    assert {m.what: m.reason for m in features.missing} == {
        "face": "no face was found",
        "temporal": "no face was found",
        "audio": "the file has no sound",
        "global_image": "the file has no video",
    }
    assert repr(features) == "ClipFeatures(none)"
    assert repr(ClipFeatures(np.zeros(3, np.float32), None, None)) == "ClipFeatures(face[3])"


def test_given_vectors_are_taken_and_only_the_rest_is_computed(made_inputs: Made) -> None:
    ruler = Ruler()
    mine = {"face": np.arange(3, dtype=np.float32), "temporal": np.ones(3, np.float32)}
    clip = made_inputs(numbered(20), np.ones(20_000, np.float32))
    features = FeatureExtractor(ruler).extract(clip, given=mine)
    assert features.face is mine["face"]
    assert features.temporal is mine["temporal"]
    assert ruler.face_batches == []
    assert features.audio == pytest.approx([20_000, 20_000])
    assert features.given == ("face", "temporal")


def test_what_is_given_is_not_missing(made_inputs: Made) -> None:
    features = FeatureExtractor(Ruler()).extract(made_inputs(), given={"face": np.ones(3, np.float32)})
    assert features.face is not None
    assert [m.what for m in features.missing] == ["temporal", "audio", "global_image"]


def test_progress_names_each_stage_to_its_end(made_inputs: Made) -> None:
    heard: list[tuple[str, float]] = []
    clip = made_inputs(numbered(20), np.ones(20_000, np.float32))
    FeatureExtractor(Ruler(), batch_size=10).extract(clip, lambda stage, share: heard.append((stage, share)))
    assert heard == [("face", 0.0), ("face", 0.5), ("face", 1.0), ("temporal", 0.0), ("audio", 0.0), ("audio", 1.0)]


def test_the_recipe_says_sizes_and_names() -> None:
    recipe = FeatureExtractor(Ruler(), sound=HUBERT_SUM4).recipe()
    assert {name: part["name"] for name, part in recipe.items()} == {
        "image": "eva-bicubic-clip", "face": "mae-bilinear-01", "temporal": "videomae-8x2",
        "audio": "hubert-sum4-chunks10",
    }  # fmt: skip
    assert recipe["face"]["size"] == 8


def test_pictures_are_batched_anew_in_order() -> None:
    chunks = [numbered(10)[a:b] for a, b in ((0, 1), (1, 1), (1, 8), (8, 10))]
    batches = list(rebatched(iter(chunks), 3))
    assert [len(batch) for batch in batches] == [3, 3, 3, 1]
    assert np.concatenate(batches)[:, 0, 0, 0].tolist() == list(range(10))
    assert list(rebatched(iter(()), 3)) == []


# --- refused --------------------------------------------------------------------------------------------------------


def test_what_cannot_be_done_is_refused(made_inputs: Made) -> None:
    extractor = FeatureExtractor(Ruler())
    with pytest.raises(InputError, match="batch_size must be 1 or more, got 0"):
        FeatureExtractor(Ruler(), batch_size=0)
    with pytest.raises(MediaError, match="9 faces were found and 5 read back"):
        extractor.extract(made_inputs(numbered(5), num_faces=9))
    with pytest.raises(MediaError, match="9 faces were found and 0 read back"):
        extractor.extract(replace(made_inputs(), faces=FaceCrops(9, lambda: iter(()))))
    long = np.ones(16_000 * 181, np.float32)
    with pytest.raises(InputError, match=r"takes up to 180 s, got 181 s.*choose hubert-sum4-chunks10"):
        extractor.extract(made_inputs(samples=long))


def test_a_model_folder_that_is_none_is_refused(tmp_path: Path, toy_folder: Path) -> None:
    with pytest.raises(InputError, match=r"holds no model: config.json is missing; `emotion-llama convert`"):
        TorchEncoders.load(tmp_path)
    (tmp_path / "config.json").write_text((toy_folder / "config.json").read_text())
    with pytest.raises(InputError, match=r"no weights in this folder; expected one of model.safetensors"):
        TorchEncoders.load(tmp_path)


def test_a_folder_without_all_tensors_of_an_encoder_is_refused(tmp_path: Path, toy_folder: Path) -> None:
    from safetensors.numpy import save_file

    (tmp_path / "config.json").write_text((toy_folder / "config.json").read_text())
    tensors = load_file(toy_folder / "model.safetensors")
    cut = {name: value for name, value in tensors.items() if name != "face_tower.norm.weight"}
    save_file(cut, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"1 tensors of its face_tower are missing.*face_tower.norm.weight"):
        TorchEncoders.load(tmp_path)
    save_file({**tensors, "face_tower.norm.weight": np.zeros(5, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"of another size.*face_tower.norm.weight"):
        TorchEncoders.load(tmp_path)


def test_other_weights_have_another_fingerprint(golden_encoders: TorchEncoders, toy_folder: Path) -> None:
    toy = TorchEncoders.load(toy_folder)
    assert toy.fingerprint() == TorchEncoders.load(toy_folder).fingerprint()
    assert toy.fingerprint() != golden_encoders.fingerprint()
    assert (toy.face_size, toy.clip_size, toy.global_size) == (64, 32, 56)
    assert (toy.frame_policy, toy.audio_recipe) == ("peak", "hubert-last-whole")


def test_too_little_memory_on_the_device_is_said(
    toy_model: EmotionLlamaForConditionalGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoders = TorchEncoders.of_model(toy_model)

    def full(*args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(toy_model.face_tower, "forward", full)
    with pytest.raises(BackendError, match="2x3x64x64"):
        encoders.face(np.zeros((2, 3, 64, 64), np.float32))


def test_without_torch_the_extra_is_named(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"a model needs torch, .*pip install 'emotion-llama\[model\]'"):
        TorchEncoders.load(toy_folder)


def test_a_model_without_an_encoder_is_refused() -> None:
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy", absent_towers=["face_tower"]))
    with pytest.raises(InputError, match="face_tower"):
        TorchEncoders.of_model(model)


def test_a_model_of_another_recipe_is_refused(toy_model: EmotionLlamaForConditionalGeneration) -> None:
    config = EmotionLlamaConfig.preset("toy", recipes={"face": "mine"})
    with pytest.raises(InputError, match="'mine'"):
        TorchEncoders(config, {})


def test_temporal_encoders_of_other_lengths_see_other_crops(made_inputs: Made) -> None:
    extractor = FeatureExtractor(Ruler(num_frames=8))
    # 4 segments of 21 crops: tick 5: 2.5 + 5 i = 2, 7, 12, 17
    found = extractor.extract(made_inputs(numbered(21))).temporal
    assert found == pytest.approx([2, 3, 7, 8, 12, 13, 17, 18], abs=1e-3)
    temporal = extractor.recipe()["temporal"]
    assert (temporal["name"], temporal["num_segments"]) == ("videomae-4x2", 4)


def test_an_encoder_that_gives_no_numbers_is_an_error(toy_folder: Path) -> None:
    """Damaged weights gave features of NaN, and the run was done."""
    encoders = TorchEncoders.load(toy_folder)
    torch.nn.init.constant_(encoders._towers["face_tower"].norm.bias, float("nan"))
    with pytest.raises(BackendError, match=r"face_tower .*finite"):
        encoders.face(np.zeros((2, 3, 64, 64), np.float32))


def test_sound_is_averaged_in_float32(toy_model: EmotionLlamaForConditionalGeneration) -> None:
    """Sums of a long clip's states ran past float16's largest number, 65504."""
    from types import SimpleNamespace

    from emotion_llama.models.utterance_features import hubert_features

    states = torch.full((2, 400, 3), 300.0, dtype=torch.float16)
    config = SimpleNamespace(feat_extract_norm="layer")
    tower = SimpleNamespace(dtype=torch.float16, config=config, _get_feat_extract_output_lengths=lambda n: n // 10)
    call = lambda values, **options: SimpleNamespace(last_hidden_state=states)  # noqa: E731
    fake = type("Tower", (), {**vars(tower), "__call__": staticmethod(call)})()
    fake._get_feat_extract_output_lengths = lambda lengths: lengths // 10
    values, lengths = torch.zeros(2, 4000), torch.tensor([4000, 3000])
    means = hubert_features(fake, values, lengths, "hubert-last-whole")  # type: ignore[arg-type]
    assert means.dtype is torch.float16
    assert means.tolist() == [[300.0] * 3] * 2
