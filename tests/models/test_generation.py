"""Answers: batches, streaming, sampling, beams, and equality with a loop of plain forward passes."""

import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation.streamers import BaseStreamer

from emotion_llama.errors import InputError
from emotion_llama.models.encoder_inputs import EncoderInputs

CLIPS = 4


@pytest.fixture(scope="module")
def batch(toy_model, clips, prompts):
    ids, mask = prompts(toy_model.config, [3, 11, 7, 18])
    return {"input_ids": ids, "attention_mask": mask, **clips(toy_model.config, CLIPS)}


def alone(batch, index):
    """The inputs of one clip, without any filling."""
    ends = batch["face_counts"].cumsum(0).tolist()
    start = ends[index] - int(batch["face_counts"][index])
    kept = batch["attention_mask"][index].bool()
    one = {name: value[index : index + 1] for name, value in batch.items() if name != "face_pixel_values"}
    return one | {
        "input_ids": batch["input_ids"][index : index + 1, kept],
        "attention_mask": batch["attention_mask"][index : index + 1, kept],
        "face_pixel_values": batch["face_pixel_values"][start : ends[index]],
        "input_values": one["input_values"][:, : int(batch["input_lengths"][index])],
    }


def test_a_batch_filled_on_the_left_answers_as_one_by_one(toy_model, batch):
    together = toy_model.generate(**batch, max_new_tokens=10, do_sample=False, eos_token_id=None)
    single = [
        toy_model.generate(**alone(batch, index), max_new_tokens=10, do_sample=False, eos_token_id=None)[0].tolist()
        for index in range(CLIPS)
    ]
    assert together.tolist() == single
    assert len(set(map(tuple, single))) == CLIPS  # the answers do depend on the clips


def test_greedy_equals_a_loop_without_a_cache(toy_model, batch):
    one = alone(batch, 2)
    answer = toy_model.generate(**one, max_new_tokens=6, do_sample=False, eos_token_id=None)[0].tolist()
    text = EncoderInputs(**{name: value for name, value in one.items() if name not in ("input_ids", "attention_mask")})
    ids, expected = one["input_ids"], []
    with torch.no_grad():
        for _ in range(6):
            logits = toy_model.language_model(inputs_embeds=toy_model.embed_prompt(ids, text)).logits
            expected.append(int(logits[0, -1].argmax()))
            ids = torch.cat([ids, torch.tensor([[expected[-1]]])], dim=1)
    assert answer == expected


def test_the_encoders_run_once(toy_model, batch, monkeypatch):
    calls = []
    encode = type(toy_model)._encode
    monkeypatch.setattr(type(toy_model), "_encode", lambda *args: calls.append(1) or encode(*args))
    toy_model.generate(**alone(batch, 0), max_new_tokens=5, do_sample=False, eos_token_id=None)
    assert calls == [1]


class Collector(BaseStreamer):
    def __init__(self):
        self.tokens, self.ended = [], False

    def put(self, value):
        self.tokens += value.flatten().tolist()

    def end(self):
        self.ended = True


def test_streaming_gives_the_same_tokens(toy_model, batch):
    one, streamer = alone(batch, 1), Collector()
    answer = toy_model.generate(**one, max_new_tokens=7, do_sample=False, eos_token_id=None, streamer=streamer)
    assert streamer.tokens == answer[0].tolist()
    assert streamer.ended


def test_sampling_follows_the_seed_and_the_probabilities(toy_model, batch):
    one = alone(batch, 0)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(toy_model.generate(**one, max_new_tokens=8, do_sample=True, temperature=2.0, eos_token_id=None))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])

    torch.manual_seed(0)
    many = toy_model.generate(
        **one, max_new_tokens=1, do_sample=True, top_k=2, temperature=0.7, num_return_sequences=400
    )
    with torch.no_grad():
        best = (toy_model(**one).logits[0, -1] / 0.7).topk(2)
    share = (many[:, 0] == best.indices[0]).float().mean().item()
    assert set(many[:, 0].tolist()) <= set(best.indices.tolist())
    assert share == pytest.approx(best.values.softmax(0)[0].item(), abs=0.09)  # 3.6 standard deviations at one half


def test_beams(toy_model, batch):
    """Beam search finds an answer at least as likely as greedy's."""
    one = alone(batch, 3)
    answers = {
        beams: toy_model.generate(**one, max_new_tokens=4, do_sample=False, num_beams=beams, eos_token_id=None)[0]
        for beams in (1, 4)
    }
    likelihood = {}
    for beams, answer in answers.items():
        ids = torch.cat([one["input_ids"], answer[None]], dim=1)
        rest = {name: value for name, value in one.items() if name not in ("input_ids", "attention_mask")}
        with torch.no_grad():
            logs = toy_model(input_ids=ids, **rest).logits[0, -5:-1].log_softmax(-1)
        likelihood[beams] = logs.gather(1, answer[:, None]).sum().item()
    assert likelihood[4] >= likelihood[1] - 1e-5


def test_the_repetition_penalty_does_not_depend_on_filling(toy_model, batch):
    """transformers spares as many new tokens as a row has filling, where the prompt comes as embeddings."""
    options = {"max_new_tokens": 10, "do_sample": False, "eos_token_id": None, "repetition_penalty": 0.2}
    together = toy_model.generate(**batch, **options).tolist()
    single = [toy_model.generate(**alone(batch, index), **options)[0].tolist() for index in range(CLIPS)]
    free = toy_model.generate(**batch, **{**options, "repetition_penalty": 1.0}).tolist()
    assert together == single
    # Below 1 it is a reward: a random model, which hardly repeats itself, then does.
    assert max(len(set(row)) for row in together) < min(len(set(row)) for row in free)


class Recorder(LogitsProcessor):
    def __init__(self):
        self.seen = []

    def __call__(self, input_ids, scores):
        self.seen.append(input_ids.shape[1])
        return scores


def test_processors_see_new_tokens_only(toy_model, batch):
    """Placeholders lie outside the vocabulary: a repetition penalty over the prompt would read past the scores."""
    recorder = Recorder()
    toy_model.generate(
        **alone(batch, 0), max_new_tokens=3, do_sample=False, repetition_penalty=1.05, eos_token_id=None,
        logits_processor=LogitsProcessorList([recorder]),
    )  # fmt: skip
    assert recorder.seen == [0, 1, 2]


def test_answers_end_at_the_end_token_and_are_filled(toy_model, batch):
    free = toy_model.generate(**batch, max_new_tokens=4, do_sample=False, eos_token_id=None)
    end = int(free[0, 1])
    ended = toy_model.generate(**batch, max_new_tokens=4, do_sample=False, eos_token_id=end, pad_token_id=0)
    assert ended[0].tolist()[:2] == free[0].tolist()[:2]
    assert set(ended[0].tolist()[2:]) <= {0}


def test_inputs_as_the_first_argument(toy_model, batch):
    one = alone(batch, 0)
    expected = toy_model.generate(**one, max_new_tokens=3, do_sample=False)
    ids = one.pop("input_ids")
    assert torch.equal(toy_model.generate(ids, **one, max_new_tokens=3, do_sample=False), expected)


def test_from_embeddings(toy_model, batch):
    one = alone(batch, 0)
    expected = toy_model.generate(**one, max_new_tokens=3, do_sample=False)
    with torch.no_grad():
        text = {name: value for name, value in one.items() if name not in ("input_ids", "attention_mask")}
        embeds = toy_model.embed_prompt(one["input_ids"], EncoderInputs(**text))
    again = toy_model.generate(inputs_embeds=embeds, attention_mask=one["attention_mask"], max_new_tokens=3)
    assert torch.equal(again, expected)


def test_prompts_filled_on_the_right_are_refused(toy_model, clips, prompts):
    """The answer began after the filling: other tokens came, and no word of it."""
    ids, mask = prompts(toy_model.config, [3, 11], side="right")
    with pytest.raises(InputError, match=r"prompt is filled on the right; .* padding_side='left'"):
        toy_model.generate(input_ids=ids, attention_mask=mask, **clips(toy_model.config, 2), max_new_tokens=2)


@pytest.mark.parametrize("option", ["assistant_model", "prompt_lookup_num_tokens", "assistant_early_exit"])
def test_drafts_are_refused_by_name(toy_model, batch, option):
    """The error spoke of input_ids that were there."""
    value = toy_model if option == "assistant_model" else 2
    with pytest.raises(InputError, match=f"{option}: this model does not take drafts"):
        toy_model.generate(**batch, max_new_tokens=2, **{option: value})
