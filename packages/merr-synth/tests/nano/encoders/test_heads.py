"""A tower is taught through the very vectors that the model projects, and learns what there is to learn."""

import numpy as np
import pytest
import torch

from emotion_llama.models import EmotionLlamaForConditionalGeneration
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from merr_synth.nano.encoders.heads import TowerWithHeads
from merr_synth.nano.encoders.lessons import FIGURES, TOWERS, Lesson, collate

TOY = EmotionLlamaConfig.preset("toy")


def taught(tower, config=TOY):
    torch.manual_seed(0)
    count = len(FIGURES[tower])
    return TowerWithHeads(tower, config, torch.zeros(count), torch.ones(count))


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(1)
    return EmotionLlamaForConditionalGeneration(TOY).eval()


@pytest.mark.parametrize("tower", TOWERS)
def test_heads_read_what_the_model_projects(tower, whole):
    model = taught(tower).eval()
    state = {n: v for n, v in model.state_dict().items() if n.startswith(tuple(f"{part}." for part in model.parts))}
    report = whole.load_state_dict(state, strict=False)
    assert not report.unexpected_keys  # names are the model's own
    rng = torch.Generator().manual_seed(2)
    lengths = torch.tensor([16_000, 20_000])
    with torch.no_grad():
        if tower == "vision_tower":
            frames = torch.rand(2, 3, 56, 56, generator=rng)
            hidden = whole.get_image_features(frames).last_hidden_state
            seen = model.see(frames, lengths, 2)
            assert torch.equal(seen.clips, hidden[:, 0])
            assert torch.equal(seen.rows, torch.cat([hidden[:, 0], hidden[:, 1:].mean(dim=1)]))
            return
        if tower == "face_tower":
            inputs = torch.rand(6, 3, 64, 64, generator=rng)
            expected = whole.get_face_features(inputs, torch.tensor([3, 3])).last_hidden_state[:, 0]
        elif tower == "temporal_tower":
            inputs = torch.rand(2, 3, 16, 32, 32, generator=rng)
            expected = whole.get_temporal_features(inputs).last_hidden_state[:, 0]
        else:
            inputs = torch.randn(2, 20_000, generator=rng)
            expected = whole.get_audio_features(inputs, lengths).last_hidden_state[:, 0]
        torch.testing.assert_close(model.see(inputs, lengths, 2).clips, expected)


def test_a_tower_learns_a_pattern_that_never_changes():
    """Where the light stands says the label, how bright it is says a figure: both are learnt from noise."""
    rng = np.random.default_rng(3)

    def one():
        side, level = int(rng.integers(2)), float(rng.uniform(0.2, 1.0))
        crop = rng.normal(0, 0.05, (1, 3, 64, 64)).astype(np.float32)
        crop[:, :, :, 32 * side : 32 * side + 32] += level
        figures = np.full((1, len(FIGURES["face_tower"])), np.nan, np.float32)
        figures[0, 0] = 4 * level
        return Lesson(crop, figures, side)

    model = taught("face_tower")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        model(**collate([one() for _ in range(16)]))["loss"].backward()
        optimizer.step()
    asked = [one() for _ in range(64)]
    with torch.no_grad():
        told = model.eval()(**collate(asked))
    assert (told["scores"].argmax(dim=1).numpy() == [lesson.label for lesson in asked]).mean() == 1.0
    levels = np.array([lesson.figures[0, 0] for lesson in asked])
    assert np.corrcoef(levels, told["figures"][:, 0].numpy())[0, 1] > 0.95


def test_what_is_not_told_costs_nothing():
    model = taught("face_tower").eval()
    crops = np.random.default_rng(4).random((2, 3, 64, 64), np.float32)
    untold = np.full((2, len(FIGURES["face_tower"])), np.nan, np.float32)
    nothing = model(**collate([Lesson(crops, untold, -100)]))
    assert nothing["loss"].item() == 0.0
    figures = untold.copy()
    figures[1, 3] = 1.0
    lesson = collate([Lesson(crops, figures, -100)])
    one = model(**lesson)
    # One figure is told, of the second crop: both heads' squared errors there, and nothing else.
    with torch.no_grad():
        places = model.places(model.see(lesson["inputs"], lesson["lengths"], 1).places)
    expected = (one["figures"][1, 3].item() - 1.0) ** 2 + (places[1, 3].item() - 1.0) ** 2
    assert one["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_each_tubelet_answers_for_its_own_moment():
    model = taught("temporal_tower").eval()
    count = TOY.temporal_config.num_frames // TOY.temporal_config.tubelet_size
    side = TOY.temporal_config.image_size
    clip = np.random.default_rng(6).random((1, 3, TOY.temporal_config.num_frames, side, side), np.float32)
    untold = np.full((1, len(FIGURES["temporal_tower"])), np.nan, np.float32)
    moments = np.full((count, len(FIGURES["temporal_tower"])), np.nan, np.float32)
    moments[2, 4] = 1.5
    batch = collate([Lesson(clip, untold, -100, moments)])
    with torch.no_grad():
        hidden = model.temporal_tower(batch["inputs"]).last_hidden_state  # [1, tubelets in time, then in space, D]
        third = hidden.unflatten(1, (count, -1))[0, 2].flatten()
        told = model.places(third)[4].item()
    assert model(**batch)["loss"].item() == pytest.approx((told - 1.5) ** 2, rel=1e-5)


def test_a_label_counts_a_third_and_far_figures_are_drawn_near():
    model = taught("audio_tower").eval()
    sound = np.random.default_rng(5).normal(size=(1, 8000)).astype(np.float32)
    far, near = (np.full((1, len(FIGURES["audio_tower"])), value, np.float32) for value in (50.0, 4.0))
    assert model(**collate([Lesson(sound, far, -100)]))["loss"] == model(**collate([Lesson(sound, near, -100)]))["loss"]
    untold = np.full_like(far, np.nan)
    told = model(**collate([Lesson(sound, untold, 2)]))
    logs = told["scores"][0].log_softmax(0).detach().numpy()
    assert told["loss"].item() == pytest.approx(0.3 * (-0.95 * logs[2] - 0.05 * logs.mean()), rel=1e-4)


def test_positions_start_apart_and_near_ones_alike():
    tower = taught("face_tower").face_tower
    table = tower.pos_embed.detach()[0]
    grid = TOY.face_config.grid_size
    assert table.shape == (1 + grid**2, TOY.face_config.hidden_size)
    assert not table[0].any()  # the class token's
    patches = table[1:].view(grid, grid, -1)

    def distance(a, b):
        return (patches[a] - patches[b]).norm().item()

    assert distance((0, 0), (0, 1)) == pytest.approx(distance((0, 0), (1, 0)), rel=1e-6)
    assert 0 < distance((0, 0), (0, 1)) < distance((0, 0), (0, 3)) < distance((0, 0), (3, 3))
    # sin^2 + cos^2 = 1: half of the columns' squares sum to a quarter of the width each way.
    assert patches.pow(2).sum(dim=-1).flatten().tolist() == pytest.approx([TOY.face_config.hidden_size / 2] * grid**2)
    # Xavier's bound: the square root of 6 over the sum of inputs and outputs.
    bound = (6 / (3 * 16 * 16 + TOY.face_config.hidden_size)) ** 0.5
    assert tower.patch_embed.proj.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
