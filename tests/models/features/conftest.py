"""The golden model converted from its published files, a toy model of another size, and small clips."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion_llama.media.writing import write_clip
from emotion_llama.models.checkpoints.convert import NEEDED, convert
from emotion_llama.models.checkpoints.sizes import ConversionOptions
from emotion_llama.models.clips import ClipInputs, FaceCrops
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.features.extractor import TorchEncoders
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
from emotion_llama.records import AudioInfo, Clip, VideoInfo
from emotion_llama.results import Missing
from merr_synth.render.face import ANNA, DrawnFace, Placement, render
from merr_synth.render.voice import VoiceSpec, render_voice

torch.set_num_threads(1)
GOLDEN = Path(__file__).parents[2] / "golden"
NO_VIDEO = "the file has no video"


@pytest.fixture(scope="session")
def golden_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dims = json.loads((GOLDEN / "golden_features.json").read_text())["dims"]
    eva = json.loads((GOLDEN / "golden.json").read_text())["dims"]
    out = tmp_path_factory.mktemp("model") / "golden"
    options = ConversionOptions(
        eva_heads=eva["eva_heads"], mae_heads=dims["heads"], videomae_heads=dims["heads"], image_size=eva["img"],
        videomae_image_size=dims["vm_img"], videomae_frames=dims["vm_frames"],
    )  # fmt: skip
    sources = zip(NEEDED, (
        GOLDEN / "llama", GOLDEN / "eva_vit_g.pth", GOLDEN / "mae_checkpoint-340.pth",
        GOLDEN / "videomae_checkpoint-399.pth", GOLDEN / "hubert", GOLDEN / "Emotion_LLaMA.pth",
    ))  # fmt: skip
    convert(dict(sources), out, options)
    return out


@pytest.fixture(scope="session")
def golden_encoders(golden_folder: Path) -> TorchEncoders:
    return TorchEncoders.load(golden_folder)


@pytest.fixture(scope="session")
def toy_model() -> EmotionLlamaForConditionalGeneration:
    """Random weights, large enough to tell pictures apart."""
    torch.manual_seed(11)
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy", frame_policy="peak")).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return model


@pytest.fixture(scope="session")
def toy_folder(toy_model: EmotionLlamaForConditionalGeneration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "toy"
    toy_model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: talk.mp4 (a face that comes nearer, a voice), empty.mp4 (no face, no sound), deep/voice.wav."""
    folder = tmp_path_factory.mktemp("clips")
    faces = [DrawnFace(ANNA, Placement((160.0, 115.0), 100.0 + 2 * i)) for i in range(14)]
    images = [render((320, 240), [face]).image for face in faces]
    voice = render_voice(VoiceSpec(duration_seconds=1.4, pitch_points=((0.0, 180.0), (1.4, 240.0)))).samples
    write_clip(folder / "talk.mp4", images, fps=10, audio=np.asarray(voice), sample_rate_hz=16_000)
    write_clip(folder / "empty.mp4", [np.full((240, 320, 3), 40 + 10 * i, np.uint8) for i in range(6)], fps=10)
    (folder / "deep").mkdir()
    write_clip(folder / "deep" / "voice.wav", audio=np.asarray(voice), sample_rate_hz=16_000)
    return folder


@pytest.fixture(scope="session")
def made_inputs() -> Callable[..., ClipInputs]:
    """Inputs of a clip that never was a file."""
    return _inputs


def _inputs(
    faces: np.ndarray | None = None,
    samples: np.ndarray | None = None,
    frame: np.ndarray | None = None,
    chunk: int = 7,
    num_faces: int | None = None,
) -> ClipInputs:
    clip = Clip(
        Path("made.mp4"), "0" * 64, 2.0, VideoInfo(8, 8, 25.0, False, 0, "h264", "yuv420p"), AudioInfo(16_000, 1, "aac")
    )
    reasons = {"faces": "no face was found", "sound": "the file has no sound", "frame": NO_VIDEO}
    given = {"faces": faces, "sound": samples, "frame": frame}
    crops = None
    if faces is not None:
        chunks = [faces[i : i + chunk] for i in range(0, len(faces), chunk)]
        crops = FaceCrops(num_faces or len(faces), lambda: iter(chunks))
    missing = tuple(Missing(what, reasons[what]) for what, value in given.items() if value is None)
    seconds, why = (None, "") if frame is None else (0.0, "the first")
    return ClipInputs(frame, crops, samples, missing, seconds, why, clip)
