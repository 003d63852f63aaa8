"""From texts to token ids, with tokenizers made here: byte-level BPE, whitespace, a dummy prefix, a chat template."""

import pytest
import torch
from oracle import plain
from tiny_models import COMMON
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from mrtlab.lm import TokenTree, answer_logprobs, encode

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def wrapped(inner, *, begins=False, ends=False, chat=None, special=SPECIAL, more=()):
    """A transformers tokenizer around one of `tokenizers`, which puts <s> before and </s> after a text if asked."""
    inner.add_special_tokens([*SPECIAL.values(), *more])
    if begins or ends:
        template = ("<s> " if begins else "") + "$A" + (" </s>" if ends else "")
        ids = [(token, inner.token_to_id(token)) for token in SPECIAL.values()]
        inner.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    made = PreTrainedTokenizerFast(tokenizer_object=inner, additional_special_tokens=list(more), **special)
    made.chat_template = chat
    return made


def byte_level(*merges, **options):
    """Byte-level BPE with a few merges: every letter a token, and the pairs given become one."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*letters, *("".join(pair) for pair in merges)])}
    inner = Tokenizer(models.BPE(vocab=vocab, merges=list(merges)))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    return wrapped(inner, **options)


def by_words(*words, **options):
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["?", *words])}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return wrapped(inner, **options)


def dummy_prefix(**options):
    """Like SentencePiece: a space before every text, so that 'a' at its start is the token of ' a'."""
    pieces = ["▁", "▁a", "▁b", "a", "b", "\n", "."]
    inner = Tokenizer(models.Unigram([("<unk>", -10.0), *((piece, -1.0) for piece in pieces)], unk_id=0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=True)
    return wrapped(inner, **options)


def tokens(tokenizer, ids):
    return tokenizer.convert_ids_to_tokens(ids)


def test_words_by_hand():
    tokenizer = by_words("the", "sky", "is", "blue", "grey")
    encoded = encode(tokenizer, "the sky is ", ["blue", "grey"])
    assert tokens(tokenizer, encoded.prompt_ids) == ["the", "sky", "is"]
    assert [tokens(tokenizer, ids) for ids in encoded.answer_ids] == [["blue", "</s>"], ["grey", "</s>"]]
    assert encoded.merged == ()


def test_the_end_can_be_left_out():
    tokenizer = by_words("the", "sky", "blue")
    assert tokens(tokenizer, encode(tokenizer, "the sky ", ["blue"], end=False).answer_ids[0]) == ["blue"]


def test_a_beginning_of_text_stays_and_an_end_of_text_goes():
    """A prompt goes on: a tokenizer that ends every text would make the model answer after the end."""
    tokenizer = by_words("the", "sky", "blue", begins=True, ends=True)
    encoded = encode(tokenizer, "the sky ", ["blue"])
    assert tokens(tokenizer, encoded.prompt_ids) == ["<s>", "the", "sky"]
    assert tokens(tokenizer, encoded.answer_ids[0]) == ["blue", "</s>"]


def test_an_empty_prompt_is_the_beginning_of_text():
    tokenizer = by_words("blue", begins=True)
    assert tokens(tokenizer, encode(tokenizer, "", ["blue"]).prompt_ids) == ["<s>"]


def test_a_merge_across_the_seam_is_kept_apart_and_told():
    tokenizer = byte_level(("a", "b"))
    assert tokens(tokenizer, tokenizer("xab")["input_ids"]) == ["x", "ab"]
    with pytest.warns(UserWarning, match="1 of 2 answers, written together with the prompt, would share a token"):
        encoded = encode(tokenizer, "xa", ["b", "c"])
    assert tokens(tokenizer, encoded.prompt_ids) == ["x", "a"]
    assert [tokens(tokenizer, ids) for ids in encoded.answer_ids] == [["b", "</s>"], ["c", "</s>"]]
    assert encoded.merged == ("b",)


def test_a_space_at_the_end_of_a_prompt_moves_to_the_answers():
    """Ġ is the space of byte-level tokenizers: 'Ġb' is a token, which a prompt that keeps its space would rule out."""
    tokenizer = byte_level(("Ġ", "b"))
    encoded = encode(tokenizer, "xa ", ["b"])
    assert tokens(tokenizer, encoded.prompt_ids) == ["x", "a"]
    assert tokens(tokenizer, encoded.answer_ids[0]) == ["Ġb", "</s>"]
    assert encoded.merged == ()


def test_a_dummy_prefix_is_not_put_before_answers():
    tokenizer = dummy_prefix()
    assert tokens(tokenizer, tokenizer("b")["input_ids"])[0] == "▁b"
    encoded = encode(tokenizer, "a\n", ["b"], end=False)
    together = tokenizer("a\nb")["input_ids"]
    assert encoded.prompt_ids + encoded.answer_ids[0] == together
    assert encoded.merged == ()


def test_a_dummy_prefix_with_a_space_before_the_answer():
    tokenizer = dummy_prefix()
    encoded = encode(tokenizer, "a ", ["b"], end=False)
    assert tokens(tokenizer, encoded.prompt_ids + encoded.answer_ids[0]) == ["▁a", "▁b"]
    assert encoded.merged == ()


@pytest.fixture
def chat():
    return byte_level(chat=CHAT, more=("<|user|>", "<|assistant|>", "<|end|>"))


def test_a_chat_template_opens_the_answer_and_its_own_token_ends_it(chat):
    encoded = encode(chat, "hi", ["yo"])
    assert tokens(chat, encoded.prompt_ids) == ["<|user|>", "h", "i", "<|end|>", "Ċ", "<|assistant|>"]
    assert tokens(chat, encoded.answer_ids[0]) == ["y", "o", "<|end|>"]


def test_a_template_with_thoughts_gets_an_empty_one():
    thinks = CHAT.replace("{% endif %}", "{% if not enable_thinking | default(true) %}()\n{% endif %}{% endif %}")
    encoded = encode(byte_level(chat=thinks, more=("<|user|>", "<|assistant|>", "<|end|>")), "hi", ["yo"])
    assert len(encoded.prompt_ids) == len("hi") + len("()\n") + 4
    assert len(encoded.answer_ids[0]) == 3


def test_messages_are_taken_as_they_are(chat):
    messages = (
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    )
    prompt = tokens(chat, encode(chat, messages, ["d"]).prompt_ids)
    assert prompt == [
        *["<|user|>", "a", "<|end|>", "Ċ"],
        *["<|assistant|>", "b", "<|end|>", "Ċ"],
        *["<|user|>", "c", "<|end|>", "Ċ", "<|assistant|>"],
    ]
    one = encode(chat, [{"role": "user", "content": "hi"}], ["yo"])
    assert one == encode(chat, "hi", ["yo"])


def test_a_template_that_names_no_end_falls_back_to_the_end_of_text():
    tokenizer = byte_level(chat="{% for m in messages %}{{ m.content }}{% endfor %}")
    assert tokens(tokenizer, encode(tokenizer, "hi", ["yo"]).answer_ids[0]) == ["y", "o", "</s>"]


@pytest.mark.parametrize(
    ("prompt", "answers", "message"),
    [
        ("x", [], "answers is empty"),
        ("x", ["a", ""], r"answers\[1\] must be a text with at least one character, got ''"),
        ([{"role": "user", "content": "x"}], ["a"], "messages need a tokenizer with a chat template"),
        ("", ["a"], "the prompt has no tokens"),
        (" ", ["a"], "the prompt has no tokens"),
    ],
)
def test_what_cannot_be_encoded_is_refused(prompt, answers, message):
    with pytest.raises(ValueError, match=message):
        encode(byte_level(), prompt, answers)


def test_a_tokenizer_without_an_end_is_refused_unless_no_end_is_wanted():
    tokenizer = byte_level(special={})
    with pytest.raises(ValueError, match="no end-of-text token: pass end=False"):
        encode(tokenizer, "x", ["a"])
    assert tokens(tokenizer, encode(tokenizer, "x", ["a"], end=False).answer_ids[0]) == ["a"]


def test_texts_are_scored_with_their_end(chat):
    size = {**COMMON, "vocab_size": len(chat), "num_key_value_heads": 2}
    model = AutoModelForCausalLM.from_config(LlamaConfig(**size)).eval()
    answers = ["yo", "yes", "yo"]
    found = answer_logprobs(model, chat, "hi", answers)
    encoded = encode(chat, "hi", answers)
    with torch.no_grad():
        truth = plain(model, TokenTree.build(encoded.prompt_ids, encoded.answer_ids))
    assert not found.requires_grad
    torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-5)
    assert found[0] == found[2]
