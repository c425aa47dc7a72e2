"""Local models under pressure: moments of the vocabulary, windows, short memory, precisions, adapters."""

import json
import logging
import sys
import warnings

import numpy as np
import pytest
import torch
from bookplate.errors import InvalidInput
from bookplate.provenance.suspect import ChoiceSlot, TokenReader
from bookplate.provenance.suspect.local.batching import fresh_scores, window_starts
from bookplate.provenance.suspect.local.loading import Dtype, Loading
from bookplate.provenance.suspect.local.network import moments_of
from bookplate.provenance.suspect.local.suspect import TransformersSuspect
from bookplate.stats import Input
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    Qwen2Config,
)

SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 64,
}  # fmt: skip
CONFIGS = {
    "gpt-neox": lambda v: GPTNeoXConfig(vocab_size=v, **SMALL),
    "gpt2": lambda v: GPT2Config(vocab_size=v, n_embd=32, n_layer=2, n_head=4, n_positions=64),
    "llama": lambda v: LlamaConfig(vocab_size=v, num_key_value_heads=2, **SMALL),
    "qwen2": lambda v: Qwen2Config(vocab_size=v, num_key_value_heads=2, **SMALL),
    "soft caps": lambda v: Gemma2Config(
        vocab_size=v, num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=8, **SMALL
    ),
}


def suspect_of(config, tokenizer, **options):
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    identity = Input(name=config.model_type, sha256="0" * 64)
    return TransformersSuspect(model, tokenizer, identity, **options)


@pytest.fixture(params=CONFIGS)
def suspect(request, tokenizer):
    return suspect_of(CONFIGS[request.param](len(tokenizer)), tokenizer)


@pytest.fixture
def neox(tokenizer):
    return suspect_of(CONFIGS["gpt-neox"](len(tokenizer)), tokenizer)


def test_tables_hold_the_moments_of_the_vocabulary(suspect, english):
    """Slow twin: each moment summed over the whole vocabulary in float64."""
    assert isinstance(suspect, TokenReader)
    texts = [english[0][:120], "a", "", english[1][:60]]
    for text, table in zip(texts, suspect.token_tables(texts), strict=True):
        ids = suspect._token_ids(text)
        assert table.logprobs.shape == table.mean.shape == table.sd.shape == (len(ids) - 1,)
        if len(ids) == 1:
            continue
        with torch.inference_mode():
            logits = suspect._network.model(torch.tensor([ids])).logits[0, :-1].double()
        logp = logits.log_softmax(-1)
        mean = (logp.exp() * logp).sum(-1)
        sd = ((logp.exp() * logp**2).sum(-1) - mean**2).clamp(min=0).sqrt()
        own = logp.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        np.testing.assert_allclose(table.logprobs, own, atol=1e-4)
        np.testing.assert_allclose(table.mean, mean, atol=1e-4)
        np.testing.assert_allclose(table.sd, sd, atol=1e-3)
        assert list(table.tokens) == suspect._tokenizer.convert_ids_to_tokens(ids[1:])
    assert suspect.tokens(texts) == [t.tokens for t in suspect.token_tables(texts)]
    assert suspect.tokens([]) == []


def test_a_token_that_a_model_rules_out_leaves_the_moments_finite(neox):
    with torch.no_grad():
        head = neox._network.model.get_output_embeddings()
        head.weight[7] *= 1e5  # so that elsewhere p underflows to 0
    (table,) = neox.token_tables(["the quick brown fox"])
    assert np.isfinite(table.mean).all()
    assert np.isfinite(table.sd).all()


@given(st.integers(1, 300), st.integers(2, 40), st.data())
def test_windows_score_every_token_once_with_the_past_that_was_promised(length, context, data):
    stride = data.draw(st.integers(1, context - 1))
    scored = []
    for begin in window_starts(length, context, stride):
        end = min(begin + context, length)
        fresh = fresh_scores(begin, context, stride)
        scored += range(begin + fresh + 1, end)
        assert begin == 0 or fresh + 1 >= context - stride
    assert scored == list(range(1, length))


@pytest.mark.parametrize(("context", "stride"), [(40, 39), (40, 1), (33, 7)])
def test_a_stride_moves_the_windows(context, stride, tokenizer, english):
    suspect = suspect_of(
        CONFIGS["gpt-neox"](len(tokenizer)), tokenizer, context=context, stride=stride
    )
    text = " ".join(english[:2])[:400]
    ids = suspect._token_ids(text)
    (scores,) = suspect.token_logprobs([text])
    for target in (1, context - 1, context, context + stride, len(ids) - 1):
        begin = 0 if target < context else -(-(target - context + 1) // stride) * stride
        with torch.inference_mode():
            logits = suspect._network.model(torch.tensor([ids[begin:target]])).logits[0, -1]
        expected = logits.double().log_softmax(-1)[ids[target]]
        assert scores[target - 1] == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(
    "options", [{"context": 65}, {"context": 31}, {"stride": 0}, {"context": 40, "stride": 40}]
)
def test_a_context_or_stride_that_is_none_is_refused(options, tokenizer):
    with pytest.raises(InvalidInput, match="expected a"):
        suspect_of(CONFIGS["gpt-neox"](len(tokenizer)), tokenizer, **options)


def short_of_memory(suspect, monkeypatch, most, error):
    real, widths = suspect._network.model.base_model.forward, []

    def forward(*args, input_ids, **kwargs):
        widths.append(input_ids.numel())
        if input_ids.numel() > most:
            raise error
        return real(*args, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(suspect._network.model.base_model, "forward", forward)
    return widths


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    ],
)
def test_where_memory_is_short_batches_are_halved_and_it_is_said(
    neox, english, monkeypatch, caplog, error
):
    texts = [text[:90] for text in english[:9]]
    slots = [[ChoiceSlot(10, 14, ("this", "that"))] for _ in texts]
    expected = neox.token_logprobs(texts)
    choices = neox.choice_logprobs(texts, slots)
    widths = short_of_memory(neox, monkeypatch, 150, error)
    with caplog.at_level(logging.WARNING):
        found = neox.token_logprobs(texts)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert "memory is short" in caplog.text
    failed = sum(width > 150 for width in widths)
    assert 0 < failed < 8
    again = neox.choice_logprobs(texts, slots)
    for one, other in zip(choices, again, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_a_single_text_that_does_not_fit_is_refused(neox, english, monkeypatch):
    short_of_memory(neox, monkeypatch, 10, torch.OutOfMemoryError("out of memory"))
    with pytest.raises(InvalidInput, match="do not fit into memory") as caught:
        neox.token_logprobs([english[0][:200]])
    assert "shorter context" in caught.value.hint


def test_other_errors_are_not_taken_for_short_memory(neox, monkeypatch):
    short_of_memory(neox, monkeypatch, 0, RuntimeError("shapes do not match"))
    with pytest.raises(InvalidInput, match="shapes do not match"):
        neox.token_logprobs(["the quick brown fox"])


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("bfloat16", 0.3), ("float16", 0.05), ("int8", 0.3)]
)
def test_lower_precisions_agree_within_their_rounding(dtype, tolerance, tiny_model, english):
    whole = TransformersSuspect.open(str(tiny_model), Loading(device="cpu"))
    half = TransformersSuspect.open(str(tiny_model), Loading(device="cpu", dtype=Dtype(dtype)))
    assert half.identity.name == f"{whole.identity.name} in {dtype}"
    assert half.identity.sha256 == whole.identity.sha256
    texts = [text[:200] for text in english[:5]]
    slots = [[ChoiceSlot(10, 14, ("this", "that"))] for _ in texts]
    for one, other in zip(whole.token_logprobs(texts), half.token_logprobs(texts), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)
    pairs = zip(
        whole.choice_logprobs(texts, slots), half.choice_logprobs(texts, slots), strict=True
    )
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=tolerance)
    assert half._obeys is True


def test_progress_counts_all_tokens(neox, english):
    told = []
    neox.on_progress = lambda *state: told.append(state)
    texts = [text[:90] for text in english[:9]]
    neox.token_logprobs(texts)
    assert told[-1][0] == told[-1][1] == sum(len(neox._token_ids(text)) for text in texts)
    assert told[-1][2] > 0
    told.clear()
    neox.choice_logprobs(texts, [[ChoiceSlot(10, 14, ("this", "that"))] for _ in texts])
    assert told[-1][0] == told[-1][1] > 0


# Adapters.


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    """A LoRA adapter with weights of its own, as peft writes it."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    lora = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["query_key_value", "dense"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
        adapted = peft.get_peft_model(model, lora)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    folder = tmp_path_factory.mktemp("lora") / "adapter"
    adapted.save_pretrained(folder)
    ids = torch.arange(20)[None]
    return folder, ids, adapted(input_ids=ids).logits.detach()


def test_an_adapter_is_merged_and_named(adapter, tiny_model):
    folder, ids, expected = adapter
    base = TransformersSuspect.open(str(tiny_model), Loading(device="cpu"))
    suspect = TransformersSuspect.open(str(tiny_model), Loading(device="cpu", adapter=folder))
    (scores,) = suspect.token_logprobs([ids[0].tolist()])
    logp = expected[0].double().log_softmax(-1)
    np.testing.assert_allclose(
        scores, [logp[i, ids[0, i + 1]] for i in range(ids.shape[1] - 1)], atol=1e-4
    )
    assert suspect.identity.name == f"{base.identity.name} with adapter adapter"
    assert suspect.identity.sha256 != base.identity.sha256
    assert not np.allclose(scores, base.token_logprobs([ids[0].tolist()])[0], atol=0.1)


def test_an_adapter_that_could_run_code_or_is_none_is_refused(adapter, tiny_model, tmp_path):
    folder, _, _ = adapter
    config = json.loads((folder / "adapter_config.json").read_text())

    def refusal(name, **changes):
        copy = tmp_path / name
        copy.mkdir()
        (copy / "adapter_config.json").write_text(json.dumps({**config, **changes}))
        with pytest.raises(InvalidInput) as caught:
            TransformersSuspect.open(str(tiny_model), Loading(device="cpu", adapter=copy))
        return str(caught.value)

    assert "pickled weights could run hostile code" in refusal("pickled")
    assert "PREFIX_TUNING" in refusal("prefix", peft_type="PREFIX_TUNING")
    with pytest.raises(InvalidInput, match=r"adapter_config\.json is missing"):
        TransformersSuspect.open(str(tiny_model), Loading(device="cpu", adapter=tmp_path))
    with pytest.raises(InvalidInput, match="adapter") as caught:
        TransformersSuspect.open(str(folder), Loading(device="cpu"))
    assert caught.value.hint


def test_an_adapter_of_another_model_is_refused(adapter, tokenizer, tmp_path):
    folder, _, _ = adapter
    other = suspect_of(CONFIGS["gpt2"](len(tokenizer)), tokenizer)
    other._network.model.save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    with pytest.raises(InvalidInput, match="cannot be put on the model"):
        TransformersSuspect.open(str(tmp_path / "gpt2"), Loading(device="cpu", adapter=folder))


def test_eight_bits_without_their_package_are_refused(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(InvalidInput, match="bitsandbytes"):
        TransformersSuspect.open(str(tiny_model), Loading(device="cpu", dtype=Dtype.INT8))


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0.1, 60), st.booleans())
def test_blocks_of_the_vocabulary_sum_to_the_whole(seed, block, scale, ruled_out):
    """Slow twin: float64 over the whole vocabulary; some words may have no probability at all."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=scale, size=(5, 40))
    if ruled_out:
        logits[:, rng.random(40) < 0.5] = -np.inf
        logits[:, 17] = rng.normal(scale=scale)
    targets = np.array([rng.choice(np.flatnonzero(np.isfinite(row))) for row in logits])
    parts = [b.clone() for b in torch.tensor(logits, dtype=torch.float32).split(block, dim=1)]
    found = moments_of(parts, torch.tensor(targets), spread=True).double().numpy()
    logp = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    p, safe = np.exp(logp), np.where(np.isfinite(logp), logp, 0.0)
    mean = (p * safe).sum(1)
    sd = np.sqrt((p * (safe - mean[:, None]) ** 2).sum(1))
    np.testing.assert_allclose(found[0], logp[np.arange(5), targets], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found[1], mean, atol=1e-4)
    np.testing.assert_allclose(found[2], sd, atol=2e-2)
    parts = [b.clone() for b in torch.tensor(logits, dtype=torch.float32).split(block, dim=1)]
    alone = moments_of(parts, torch.tensor(targets), spread=False).double().numpy()
    np.testing.assert_allclose(alone[0], found[0], rtol=1e-5, atol=1e-4)
