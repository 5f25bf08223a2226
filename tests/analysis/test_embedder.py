"""A clip as vectors: named, checked against the weights by hand, absent where the clip has nothing."""

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file as save_torch

from emotion_llama import BackendError, Embedder, InputError
from emotion_llama.analysis.features import EMBEDDINGS
from emotion_llama.cli.main import main
from emotion_llama.media.writing import write_clip
from emotion_llama.models.checkpoints.convert import NEEDED, convert
from emotion_llama.models.checkpoints.sizes import ConversionOptions
from emotion_llama.models.features.extractor import FeatureExtractor, TorchEncoders
from merr_synth.render.face import ANNA, DrawnFace, Placement, render
from merr_synth.render.voice import VoiceSpec, render_voice

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden toy as a model's folder: widths 32 (EVA), 24 (others), 48 (language model)."""
    out = tmp_path_factory.mktemp("models") / "toy"
    files = ("eva_vit_g.pth", "mae_checkpoint-340.pth", "videomae_checkpoint-399.pth")
    paths = (GOLDEN / "llama", *(GOLDEN / name for name in files), GOLDEN / "hubert", GOLDEN / "Emotion_LLaMA.pth")
    options = ConversionOptions(eva_heads=4, mae_heads=4, videomae_heads=4, image_size=56, videomae_image_size=32)
    convert(dict(zip(NEEDED, paths)), out, options)
    return out


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = render((320, 240), [DrawnFace(ANNA, Placement((160.0, 120.0), 110.0))]).image
    voice = render_voice(VoiceSpec(duration_seconds=1.0)).samples
    return write_clip(tmp_path_factory.mktemp("clips") / "talk.mp4", [image] * 10, 10, voice, sample_rate_hz=16_000)


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return Embedder(folder, device="cpu")


def test_all_vectors_with_their_shapes(embedder: Embedder, talk: Path) -> None:
    found = embedder.encode(talk)
    shapes = {name: value.shape for name, value in found.vectors.items()}
    # 56 pixels / patch 14 = 4 x 4 patches and a CLS; four patches a token.
    assert shapes == {
        "vision_hidden": (17, 32), "face_features": (24,), "temporal_features": (24,), "audio_features": (24,),
        "patch_tokens": (4, 48), "face_token": (48,), "temporal_token": (48,), "audio_token": (48,),
        "global_token": (48,),
    }  # fmt: skip
    assert list(shapes) == list(EMBEDDINGS)
    assert (found.num_faces, found.missing, found.model) == (10, (), "toy")


def test_tokens_are_the_projected_features(embedder: Embedder, folder: Path, talk: Path) -> None:
    vectors = embedder.encode(talk).vectors
    weights = load_file(folder / "model.safetensors")
    projector = {name.removeprefix("multi_modal_projector."): value for name, value in weights.items()}
    for modality in ("face", "temporal", "audio"):
        by_hand = projector[f"{modality}.weight"] @ vectors[f"{modality}_features"] + projector[f"{modality}.bias"]
        np.testing.assert_allclose(vectors[f"{modality}_token"], by_hand, rtol=1e-4, atol=1e-6)
    joined = vectors["vision_hidden"][1:].reshape(4, 4 * 32)
    by_hand = joined @ projector["patches.weight"].T + projector["patches.bias"]
    np.testing.assert_allclose(vectors["patch_tokens"], by_hand, rtol=1e-4, atol=1e-6)


def test_features_are_those_of_the_features_command(embedder: Embedder, folder: Path, talk: Path) -> None:
    from emotion_llama.analysis.inputs import open_inputs
    from emotion_llama.face.backends import load_backend

    with load_backend("onnx_mesh") as backend, open_inputs(talk, lambda: backend, warn=pytest.fail) as inputs:
        stored = FeatureExtractor(TorchEncoders.load(folder)).extract(inputs)
    vectors = embedder.encode(talk).vectors
    for name in ("face", "temporal", "audio"):
        np.testing.assert_allclose(vectors[f"{name}_features"], getattr(stored, name), rtol=1e-5, atol=1e-7)


def test_what_a_clip_lacks_is_not_there(embedder: Embedder, tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "a.wav", audio=render_voice(VoiceSpec(duration_seconds=1.5)).samples, sample_rate_hz=16_000
    )
    found = embedder.encode(path)
    assert list(found.vectors) == ["audio_features", "audio_token"]
    assert {m.what: m.reason for m in found.missing} == {
        "frame": "the file has no video",
        "faces": "the file has no video",
    }
    with safe_open(found.save(tmp_path / "deep" / "a.safetensors"), "np") as file:
        assert json.loads(file.metadata()["missing"])["faces"] == "the file has no video"
        np.testing.assert_array_equal(file.get_tensor("audio_token"), found.vectors["audio_token"])


def test_the_verb_writes_one_file_a_clip(
    folder: Path, talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    arguments = [
        "encode",
        str(talk),
        str(tmp_path / "broken.mp4"),
        "--model",
        str(folder),
        "--out",
        str(tmp_path / "v"),
    ]
    assert main([*arguments, "--device", "cpu"]) == 1
    printed = capsys.readouterr()
    assert printed.out == f"wrote {tmp_path / 'v' / 'talk.mp4.safetensors'}\n"
    assert "broken.mp4: a text file came" in printed.err
    assert "1 done, 0 skipped (already done), 1 failed" in printed.err
    assert sorted(load_file(tmp_path / "v" / "talk.mp4.safetensors")) == sorted(EMBEDDINGS)


def test_a_folder_without_a_model_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`emotion-llama convert` makes one"):
        Embedder(tmp_path)


def test_weights_that_are_no_numbers_are_an_error(folder: Path, talk: Path, tmp_path: Path) -> None:
    """Vectors that were not finite were left out, and nothing said why."""
    copytree(folder, tmp_path / "m")
    weights = load_torch(tmp_path / "m" / "model.safetensors")
    weights["multi_modal_projector.face.bias"][3] = float("nan")
    save_torch(weights, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackendError, match=r"m: face_token holds values that are not finite .* dtype='float32"):
        Embedder(tmp_path / "m", device="cpu").encode(talk)
