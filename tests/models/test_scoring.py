"""Scores of labels and long answers against one full pass per answer."""

import pytest
import torch
from transformers import GPT2Config, Qwen2Config

from emotion_llama.errors import InputError
from emotion_llama.models.configuration_emotion_llama import EmotionLlamaConfig
from emotion_llama.models.modeling_emotion_llama import EmotionLlamaForConditionalGeneration
from emotion_llama.models.scoring import generate_and_score, rank_answers, score_labels

# Nine labels of one to four tokens; two share their beginning.
LABELS = [[395, 2], [17, 2], [374, 328, 2], [7], [374, 328, 43, 2], [99, 98, 97, 96], [5, 2], [374, 2], [250, 251, 2]]


@pytest.fixture(scope="module")
def batch(toy_model, clips, prompts):
    ids, mask = prompts(toy_model.config, [4, 12])
    return {"input_ids": ids, "attention_mask": mask, **clips(toy_model.config, 2)}


def full_pass(model, batch, clip, answer):
    """Log-likelihood of one answer after one clip's prompt, by a forward pass over everything, without filling."""
    kept = batch["attention_mask"][clip].bool()
    ends = batch["face_counts"].cumsum(0).tolist()
    ids = torch.cat([batch["input_ids"][clip, kept], torch.tensor(answer)])[None]
    with torch.no_grad():
        logits = model(
            input_ids=ids,
            pixel_values=batch["pixel_values"][clip : clip + 1],
            face_pixel_values=batch["face_pixel_values"][ends[clip] - int(batch["face_counts"][clip]) : ends[clip]],
            clip_pixel_values=batch["clip_pixel_values"][clip : clip + 1],
            input_values=batch["input_values"][clip : clip + 1, : int(batch["input_lengths"][clip])],
        ).logits[0]
    logs = logits.log_softmax(-1)[-len(answer) - 1 : -1]
    return logs.gather(1, torch.tensor(answer)[:, None]).sum().item()


@pytest.mark.parametrize("answers_per_pass", [1, 5, 64])
def test_labels_equal_separate_full_passes(toy_model, batch, answers_per_pass):
    scores = score_labels(toy_model, batch, LABELS, answers_per_pass=answers_per_pass)
    expected = torch.tensor([[full_pass(toy_model, batch, clip, label) for label in LABELS] for clip in range(2)])
    torch.testing.assert_close(scores.log_likelihoods, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scores.probabilities, expected.softmax(dim=1), rtol=1e-4, atol=1e-4)
    assert scores.num_tokens.tolist() == [len(label) for label in LABELS]


def test_temperature_and_length(toy_model, batch):
    plain = score_labels(toy_model, batch, LABELS)
    hot = score_labels(toy_model, batch, LABELS, temperature=4.0)
    normal = score_labels(toy_model, batch, LABELS, length_normalised=True)
    sums, lengths = plain.log_likelihoods, torch.tensor([len(label) for label in LABELS])
    torch.testing.assert_close(hot.probabilities, (sums / 4).softmax(dim=1))
    torch.testing.assert_close(normal.probabilities, (sums / lengths).softmax(dim=1))
    torch.testing.assert_close(hot.log_likelihoods, sums)
    torch.testing.assert_close(plain.probabilities.sum(dim=1), torch.ones(2))


def test_the_prompt_is_read_once(toy_model, batch, monkeypatch):
    lengths = []
    forward = toy_model.language_model.forward

    def counted(*args, **kwargs):
        lengths.append(tuple(kwargs["inputs_embeds"].shape[:2]))
        return forward(*args, **kwargs)

    monkeypatch.setattr(toy_model.language_model, "forward", counted)
    score_labels(toy_model, batch, LABELS)
    # Two prompts, then all but the first and last token of the sixteen answers longer than one.
    assert lengths == [tuple(batch["input_ids"].shape), (16, 3)]


def test_labels_of_one_token_need_no_second_pass(toy_model, batch):
    scores = score_labels(toy_model, batch, [[5], [6], [7]])
    with torch.no_grad():
        logs = toy_model(**batch).logits[:, -1].log_softmax(-1)
    torch.testing.assert_close(scores.log_likelihoods, logs[:, [5, 6, 7]], rtol=1e-4, atol=1e-4)


def test_half_precision_scores_are_summed_in_full(toy_model, batch, tmp_path):
    toy_model.save_pretrained(tmp_path)
    half = type(toy_model).from_pretrained(tmp_path, dtype=torch.bfloat16)
    scores = score_labels(half, batch, LABELS)
    assert scores.probabilities.dtype is torch.float32
    torch.testing.assert_close(scores.probabilities.sum(dim=1), torch.ones(2))


def test_long_answers_are_ranked_by_their_mean(toy_model, batch):
    generator = torch.Generator().manual_seed(8)
    draw = lambda length: torch.randint(3, 470, (length,), generator=generator).tolist()  # noqa: E731
    answers = [[draw(40), draw(3), draw(25), draw(1)], [draw(8), draw(60)]]

    ranked = rank_answers(toy_model, batch, answers, answers_per_pass=3)

    for clip, of_clip in enumerate(answers):
        expected = [full_pass(toy_model, batch, clip, answer) / len(answer) for answer in of_clip]
        assert ranked[clip][1] == pytest.approx(expected, rel=1e-4)
        assert ranked[clip][0] == sorted(range(len(expected)), key=expected.__getitem__, reverse=True)


def test_the_generated_answer_ranks_first(toy_model, batch):
    greedy = toy_model.generate(**batch, max_new_tokens=12, do_sample=False, eos_token_id=None).tolist()
    other = [[400 + i for i in range(12)], [30 + i for i in range(12)]]
    ranked = rank_answers(toy_model, batch, [[other[0], greedy[0], other[1]], [greedy[1], *other]])
    assert (ranked[0][0][0], ranked[1][0][0]) == (1, 0)


def test_refusals(toy_model, batch):
    with pytest.raises(InputError, match="there is nothing to score"):
        score_labels(toy_model, batch, [])
    with pytest.raises(InputError, match="answer 1 has no tokens"):
        score_labels(toy_model, batch, [[3], []])
    with pytest.raises(InputError, match="temperature is 0, expected a number above 0"):
        score_labels(toy_model, batch, LABELS, temperature=0)
    with pytest.raises(InputError, match="answers are given for 1 clips, prompts for 2"):
        rank_answers(toy_model, batch, [LABELS])
    right = {**batch, "attention_mask": batch["attention_mask"].flip(1)}
    with pytest.raises(InputError, match="a prompt is filled on the right"):
        score_labels(toy_model, right, LABELS)


LANGUAGE_MODELS = {
    "gpt2": GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=500, n_positions=128),
    "qwen2-sliding": Qwen2Config(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=500, tie_word_embeddings=True, use_sliding_window=True, sliding_window=6, max_window_layers=1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_other_language_models(name, clips, prompts):
    """Learned positions must count from a prompt's first word; a window must not look past its edge."""
    torch.manual_seed(9)
    model = EmotionLlamaForConditionalGeneration(EmotionLlamaConfig.preset("toy", text_config=LANGUAGE_MODELS[name]))
    model.eval()
    with torch.no_grad():
        for parameter in model.language_model.parameters():
            parameter.mul_(4 if parameter.ndim > 1 else 1)
    ids, mask = prompts(model.config, [4, 12])
    batch = {"input_ids": ids, "attention_mask": mask, **clips(model.config, 2)}
    expected = torch.tensor([[full_pass(model, batch, clip, label) for label in LABELS] for clip in range(2)])
    scores = score_labels(model, batch, LABELS)
    torch.testing.assert_close(scores.log_likelihoods, expected, rtol=1e-4, atol=1e-4)


def test_answers_and_scores_of_one_reading(toy_model, batch, monkeypatch):
    """The prompt is read once for both, and both are what separate calls give."""
    apart = toy_model.generate(**batch, do_sample=False, max_new_tokens=6)
    scores = score_labels(toy_model, batch, LABELS, temperature=2.0)
    read, forward = [], toy_model.embed_prompt
    monkeypatch.setattr(toy_model, "embed_prompt", lambda *given: read.append(1) or forward(*given))
    made = generate_and_score(toy_model, batch, LABELS, temperature=2.0, max_new_tokens=6)
    assert read == [1]
    assert made[0].tolist() == apart.tolist()
    torch.testing.assert_close(made[1].log_likelihoods, scores.log_likelihoods, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(made[1].probabilities, scores.probabilities, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="temperature is 0"):
        generate_and_score(toy_model, batch, LABELS, temperature=0)
