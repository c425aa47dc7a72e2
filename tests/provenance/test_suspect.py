"""Local suspects: scores equal a plain forward pass, whatever the batch, window or architecture."""

import json
import shutil
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest
import torch
from bookplate.errors import InvalidInput
from bookplate.provenance.suspect import ChoiceSlot, open_suspect
from bookplate.provenance.suspect.local import network
from bookplate.provenance.suspect.local.alignment import align_slots
from bookplate.provenance.suspect.local.loading import Loading
from bookplate.provenance.suspect.local.packing import packed_rows
from bookplate.provenance.suspect.local.suspect import TransformersSuspect
from bookplate.stats import Input
from scipy.stats import binom
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BloomConfig,
    Gemma2Config,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    MptConfig,
    Qwen2Config,
)

CONFIGS = {
    "gpt-neox": lambda v: GPTNeoXConfig(
        vocab_size=v, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64,
    ),
    "gpt2": lambda v: GPT2Config(vocab_size=v, n_embd=32, n_layer=2, n_head=4, n_positions=64),
    "llama": lambda v: LlamaConfig(
        vocab_size=v, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=64, max_position_embeddings=64,
    ),
    "qwen2": lambda v: Qwen2Config(
        vocab_size=v, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=64, max_position_embeddings=64,
    ),
}  # fmt: skip


def suspect_of(config, tokenizer):
    """A suspect with random weights, large enough to make scores differ."""
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return TransformersSuspect(model, tokenizer, Input(name=config.model_type, sha256="0" * 64))


@pytest.fixture(params=CONFIGS)
def suspect(request, tokenizer):
    return suspect_of(CONFIGS[request.param](len(tokenizer)), tokenizer)


def plain_logprobs(suspect, ids):
    """Slow twin: one sequence, one forward pass, the full log-softmax."""
    with torch.inference_mode():
        logits = suspect._network.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return np.array([logits[i, ids[i + 1]].item() for i in range(len(ids) - 1)])


def plain_choice(suspect, text, start, choices):
    """Slow twin: log p of the text up to the end of each choice, less that of the common tokens."""
    tokenizer = suspect._tokenizer
    rows = [
        [suspect._start, *tokenizer(text[:start] + c, add_special_tokens=False)["input_ids"]]
        for c in choices
    ]
    whole = [suspect._start, *tokenizer(text, add_special_tokens=False)["input_ids"]]
    shared = 0
    while shared < min(*(len(r) - 1 for r in rows), len(whole)) and all(
        r[shared] == whole[shared] for r in rows
    ):
        shared += 1
    return shared, np.array([plain_logprobs(suspect, r)[shared - 1 :].sum() for r in rows])


def short(texts, n):
    return [text[:90] for text in texts[:n]]


def test_token_logprobs_equal_a_plain_pass(suspect, english):
    texts = short(english, 7)
    for text, scores in zip(texts, suspect.token_logprobs(texts), strict=True):
        ids = suspect._token_ids(text)
        assert len(ids) <= suspect.context
        np.testing.assert_allclose(scores, plain_logprobs(suspect, ids), atol=1e-4)


@pytest.mark.parametrize("budget", [1, 70, 100_000])
def test_batches_do_not_change_scores(suspect, english, budget, monkeypatch):
    texts = short(english, 9)
    expected = suspect.token_logprobs(texts)
    monkeypatch.setattr(suspect._network, "_budget", budget)
    monkeypatch.setattr(network, "_LOGITS_PER_CHUNK", 5_000)
    for a, b in zip(expected, suspect.token_logprobs(texts), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_long_texts_go_through_windows(suspect, english):
    """Every token is scored with at least half a context of past, exactly once."""
    text = " ".join(english[:3])
    ids = suspect._token_ids(text)
    assert len(ids) > 4 * suspect.context
    (scores,) = suspect.token_logprobs([text])
    assert scores.shape == (len(ids) - 1,)
    half = suspect.context // 2
    for begin in (0, half, 3 * half):
        window = plain_logprobs(suspect, ids[begin : begin + suspect.context])
        fresh = 0 if begin == 0 else half - 1
        np.testing.assert_allclose(
            scores[begin + fresh : begin + suspect.context - 1], window[fresh:], atol=1e-4
        )


def test_token_ids_are_taken_as_they_are(suspect):
    ids = (5, 9, 300, 7, 7)
    (scores,) = suspect.token_logprobs([ids])
    np.testing.assert_allclose(scores, plain_logprobs(suspect, list(ids)), atol=1e-4)


TEXT = (
    "The slogan was   profitably used; a\tslogan again, then (slogan) and the end of it.\r\nslogan!"
)
CHOICES = ("slogan", "motto", "extraordinarily", "a", "zq")


def places(text, word):
    starts = [i for i in range(len(text)) if text.startswith(word, i)]
    return [ChoiceSlot(s, s + len(word), CHOICES) for s in starts]


def test_choices_equal_a_plain_pass(suspect):
    slots = places(TEXT, "slogan")
    assert len(slots) == 4
    (scores,) = suspect.choice_logprobs([TEXT], [slots])
    for slot, score in zip(slots, scores, strict=True):
        _, expected = plain_choice(suspect, TEXT, slot.start, CHOICES)
        np.testing.assert_allclose(score, expected, atol=2e-4)


@pytest.mark.parametrize("budget", [1, 100_000])
def test_choices_do_not_depend_on_batches_or_neighbours(suspect, budget, monkeypatch, english):
    texts = [TEXT, "no place here", *short(english, 3)]
    slots = [places(TEXT, "slogan"), [], *[[ChoiceSlot(10, 14, CHOICES)] for _ in range(3)]]
    expected = [suspect.choice_logprobs([t], [s])[0] for t, s in zip(texts, slots, strict=True)]
    monkeypatch.setattr(suspect._network, "_budget", budget)
    together = suspect.choice_logprobs(texts, slots)
    for a, b in zip(expected, together, strict=True):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, atol=2e-4)


def test_choices_in_long_texts_have_half_a_context_of_past(suspect, english):
    filler = " ".join(english[:3])
    text = f"{filler} slogan {filler} slogan"
    slots = places(text, "slogan")
    (scores,) = suspect.choice_logprobs([text], [slots])
    ids = suspect._token_ids(text)
    first, last = (
        1 + len(suspect._tokenizer(text[: slot.start - 1])["input_ids"])
        for slot in slots[:: len(slots) - 1]
    )
    assert first < last
    # The last window that holds the whole place starts at a multiple of half the usable context.
    longest = max(
        len(c)
        for c in align_slots(suspect._tokenizer, [text], [slots[-1:]], start_token=0)[0][1][
            0
        ].choices
    )
    reach = suspect.context - longest
    begin = max(0, -(-(last - reach) // (reach // 2))) * (reach // 2)
    ids = suspect._token_ids(text)
    assert begin + reach // 2 < last <= begin + reach
    for choice, score in zip(CHOICES, scores[-1], strict=True):
        row = suspect._token_ids(text[: slots[-1].start] + choice)
        assert row[:last] == ids[:last]
        expected = plain_logprobs(suspect, row[begin:])[last - begin - 1 :].sum()
        assert score == pytest.approx(expected, abs=2e-4)


SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 64, "num_key_value_heads": 2,
}  # fmt: skip
DISOBEDIENT = {
    "local attention": lambda v: MistralConfig(vocab_size=v, sliding_window=8, **SMALL),
    "local attention, soft caps": lambda v: Gemma2Config(
        vocab_size=v, sliding_window=8, head_dim=8, query_pre_attn_scalar=8, **SMALL
    ),
    "local attention by index": lambda v: GPTNeoConfig(
        vocab_size=v, hidden_size=32, num_layers=2, num_heads=4, window_size=8,
        attention_types=[[["global", "local"], 1]], max_position_embeddings=64,
    ),
    "distance penalties, refuses masks": lambda v: BloomConfig(
        vocab_size=v, hidden_size=32, n_layer=2, n_head=4
    ),
    "distance penalties by index": lambda v: MptConfig(
        vocab_size=v, d_model=32, n_layers=2, n_heads=4, max_seq_len=64
    ),
    "recurrent": lambda v: MambaConfig(
        vocab_size=v, hidden_size=32, num_hidden_layers=2, state_size=4
    ),
}  # fmt: skip


@pytest.mark.parametrize("config", DISOBEDIENT.values(), ids=DISOBEDIENT)
def test_models_that_do_not_obey_masks_get_plain_sequences(config, tokenizer):
    suspect = suspect_of(config(len(tokenizer)), tokenizer)
    slots = places(TEXT, "slogan")
    (scores,) = suspect.choice_logprobs([TEXT], [slots])
    assert suspect._obeys is False
    for slot, score in zip(slots, scores, strict=True):
        _, expected = plain_choice(suspect, TEXT, slot.start, CHOICES)
        np.testing.assert_allclose(score, expected, atol=2e-4)


def test_packed_rows_are_used_where_they_are_right(suspect):
    suspect.choice_logprobs([TEXT], [places(TEXT, "slogan")])
    assert suspect._obeys is True


def test_local_attention_in_the_configuration_bounds_the_windows(tokenizer):
    config = MistralConfig(
        vocab_size=len(tokenizer),
        sliding_window=1_000,
        **{**SMALL, "max_position_embeddings": 4_096},
    )
    suspect = suspect_of(config, tokenizer)
    assert (suspect.context, suspect._reach()) == (4_096, 1_000)
    assert suspect._obeys_masks()


def test_many_choices_are_split_over_rows(suspect):
    many = tuple("extraordinarily" + "x" * i for i in range(12))
    slots = [ChoiceSlot(s.start, s.end, many) for s in places(TEXT, "slogan")]
    ((tokens, aligned),) = align_slots(
        suspect._tokenizer, [TEXT], [slots], start_token=suspect._start
    )
    rows = list(packed_rows(0, tokens, aligned, reach=suspect._reach()))
    assert len(rows) > 2
    assert max(row.length for row in rows) <= 2 * suspect.context
    (scores,) = suspect.choice_logprobs([TEXT], [slots])
    for place, score in zip(aligned, scores, strict=True):
        expected = [
            plain_logprobs(suspect, [*tokens[: place.context], *ids])[place.context - 1 :].sum()
            for ids in place.choices
        ]
        np.testing.assert_allclose(score, expected, atol=2e-4)


def test_a_model_that_sees_later_tokens_is_refused(tokenizer):
    config = BertConfig(vocab_size=len(tokenizer), **SMALL)
    with pytest.raises(InvalidInput, match="depends on the tokens after it"):
        suspect_of(config, tokenizer)


def test_scores_that_are_no_numbers_are_refused(suspect):
    with torch.no_grad():
        suspect._network.model.get_output_embeddings().weight[3] = float("nan")
    with pytest.raises(InvalidInput, match="not finite"):
        suspect.token_logprobs([(5, 9, 300)])
    with pytest.raises(InvalidInput, match="not finite"):
        suspect.choice_logprobs([TEXT], [places(TEXT, "slogan")])


def test_a_place_at_the_start_of_a_text_uses_the_start_token(suspect):
    (scores,) = suspect.choice_logprobs(["slogan and more"], [[ChoiceSlot(0, 6, CHOICES)]])
    assert np.isfinite(scores[0]).all()
    suspect._start = None
    (scores,) = suspect.choice_logprobs(["slogan and more"], [[ChoiceSlot(0, 6, CHOICES)]])
    assert np.isnan(scores[0]).all()


def test_alignment_is_the_same_near_and_far(tokenizer, english):
    """Tokenising only the neighbourhood of a place gives what tokenising all before it gives."""
    text = " ".join(english[:4])[:3_000] + TEXT
    slots = places(text, "slogan")
    ((_, near),) = align_slots(tokenizer, [text], [slots], start_token=None)
    for slot, place in zip(slots, near, strict=True):
        rows = [tokenizer(text[: slot.start] + c)["input_ids"] for c in CHOICES]
        assert [tuple(r[place.context :]) for r in rows] == list(place.choices)


@pytest.fixture
def folder(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


def test_identity_names_weights_configuration_and_tokenizer(folder):
    first = open_suspect(str(folder)).identity
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-3}))
    second = open_suspect(str(folder)).identity
    assert first.name == second.name == "model"
    assert first.sha256 != second.sha256


def refused(name):
    with pytest.raises(InvalidInput) as caught:
        open_suspect(str(name))
    return str(caught.value)


def test_missing_weights_are_refused(folder):
    (folder / "model.safetensors").unlink()
    assert "no weights" in refused(folder)


def test_pickled_weights_are_refused(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    assert "pickled" in refused(folder)


def test_truncated_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000])
    assert "cannot be loaded" in refused(folder)


def test_no_model_folder_is_refused(tmp_path):
    assert "config.json is missing" in refused(tmp_path)
    assert "no such folder" in refused(tmp_path / "nothing")


def test_weights_outside_the_folder_are_refused(folder):
    """They would count, but not be in the digest."""
    weights = (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    index = {"weight_map": {"a": f"../{weights.name}"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "outside its folder" in refused(folder)


def test_adapters_are_refused(folder):
    (folder / "adapter_config.json").write_text("{}")
    assert "an adapter" in refused(folder)


def test_a_missing_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    refused(folder)


def test_a_device_that_is_none_is_named(folder):
    with pytest.raises(InvalidInput, match="device 'abacus' cannot be used here"):
        open_suspect(str(folder), loading=Loading(device="abacus"))


def test_a_context_of_nothing_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 1}))
    refused(folder)


def test_remote_code_is_not_run(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.EvilConfig"}
    config["model_type"] = "evil"
    (folder / "config.json").write_text(json.dumps(config))
    flag = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(flag)!r}, 'w').close()\n")
    assert "cannot be loaded" in refused(folder)
    assert not flag.exists()


def test_remote_code_of_a_tokenizer_is_not_run(folder, tmp_path):
    path, flag = folder / "tokenizer_config.json", tmp_path / "ran"
    changes = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    (folder / "evil.py").write_text(f"open({str(flag)!r}, 'w').close()\n")
    with suppress(InvalidInput):  # transformers may know the tokenizer by its tokenizer.json
        open_suspect(str(folder))
    assert not flag.exists()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pad", ["<|endoftext|>", None])
def test_how_a_tokenizer_would_pad_does_not_matter(folder, english, side, pad):
    texts = [text[:length] for text, length in zip(english, (20, 200, 90), strict=False)]
    expected = open_suspect(str(folder), loading=Loading(device="cpu")).token_logprobs(texts)
    path = folder / "tokenizer_config.json"
    settings = {**json.loads(path.read_text()), "padding_side": side, "pad_token": pad}
    path.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    suspect = open_suspect(str(folder), loading=Loading(device="cpu"))
    assert suspect._tokenizer.padding_side == side
    assert suspect._tokenizer.pad_token == pad
    for a, b in zip(expected, suspect.token_logprobs(texts), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_tokenizer_larger_than_the_model_is_refused(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    top = max(t["id"] for t in tokenizer["added_tokens"])
    tokenizer["model"]["vocab"]["zzzzzz"] = max(tokenizer["model"]["vocab"].values()) + 1
    assert top >= 0
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "the model only" in refused(folder)


def test_token_ids_beyond_the_vocabulary_are_refused(folder):
    with pytest.raises(InvalidInput, match="token id 5000"):
        open_suspect(str(folder)).token_logprobs([(1, 2), (3, 5_000)])


# ---- continuations --------------------------------------------------------------------------------


def test_continuations_follow_the_models_distribution(tiny_model):
    """Of the first token, also where a longer prompt in the batch pads the shorter one."""
    suspect = open_suspect(str(tiny_model), loading=Loading(device="cpu"))
    prompts = ["Return the", "Compute the inverse of a matrix, if there is one, or raise an error."]
    n = 2_000
    drawn = suspect.complete(prompts, n_samples=n, max_new_tokens=1, seed=4)
    assert [len(samples) for samples in drawn] == [n, n]
    for prompt, samples in zip(prompts, drawn, strict=True):
        ids = suspect._token_ids(prompt)
        with torch.inference_mode():
            p = suspect._network.model(torch.tensor([ids])).logits[0, -1].softmax(-1).numpy()
        seen = Counter(samples)
        for token in np.argsort(p)[-5:]:
            word = suspect._tokenizer.decode([token])
            same = [i for i in range(p.size) if suspect._tokenizer.decode([i]) == word]
            share = float(p[same].sum())
            low, high = binom.ppf([5e-7, 1 - 5e-7], n, share)
            assert low <= seen[word] <= high


def test_continuations_repeat_with_their_seed(tiny_model):
    suspect = open_suspect(str(tiny_model), loading=Loading(device="cpu"))
    prompts = ["Return the", "An array of", "x " * 400]  # the last is longer than the context
    one, two = (suspect.complete(prompts, n_samples=2, max_new_tokens=6, seed=9) for _ in range(2))
    assert one == two != suspect.complete(prompts, n_samples=2, max_new_tokens=6, seed=10)
    with pytest.raises(InvalidInput, match="at least 1 sample"):
        suspect.complete(prompts, n_samples=0, max_new_tokens=6, seed=1)
    with pytest.raises(InvalidInput, match="at least 1 sample"):
        suspect.complete(prompts, n_samples=1, max_new_tokens=128, seed=1)
