"""From texts to token ids: the chat template, the boundary between prompt and answer, the end of an answer.

A prompt and its answers are tokenised apart. Together, the last characters of a prompt and the first of an answer may
become one token, another one for every answer, and then there is no prompt left to share.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Prompt = str | Sequence[Mapping[str, Any]]

_MARK = "ANSWERGOESHERE"
_SPOKEN = {"enable_thinking": False}  # Qwen3's template and its kin leave the thought empty; others do not look


@dataclass(frozen=True)
class Encoded:
    """Token ids of a prompt and its answers.

    Attributes:
        prompt_ids: the prompt with the chat template's opening of the answer, or with a beginning-of-text token.
        answer_ids: for each answer its tokens and those that end it.
        merged: answers whose text, tokenised together with the prompt, would have become other tokens at the seam.
    """

    prompt_ids: list[int]
    answer_ids: list[list[int]]
    merged: tuple[str, ...] = ()


def encode(tokenizer: Any, prompt: Prompt, answers: Sequence[str], *, end: bool = True) -> Encoded:
    """Token ids of a prompt and its answers, as the model would meet them when it answers.

    A chat template is applied if the tokenizer has one, with the opening of the assistant's turn, and with an empty
    thought where the template knows thoughts: answers are what is said. A plain text gets the tokenizer's
    beginning-of-text token if it has one. White space at the end of a plain prompt moves to the front of every answer,
    where tokenizers of today expect it.

    Args:
        tokenizer: of transformers.
        prompt: a text, or messages with `role` and `content`.
        answers: texts, at least one, none empty.
        end: whether an answer includes the tokens that end it. Without them `log p` is that of all texts that
            begin so.

    Raises:
        ValueError: no answer, an empty one, messages without a template, or a tokenizer without an end token.
    """
    if not len(answers):
        raise ValueError("answers is empty: expected at least one text")
    for i, answer in enumerate(answers):
        if not isinstance(answer, str) or not answer:
            raise ValueError(f"answers[{i}] must be a text with at least one character, got {answer!r}")
    closing = closing_ids(tokenizer) if end else []
    text, space = _prompt_text(tokenizer, prompt)
    prompt_ids = encode_prompt(tokenizer, prompt)
    answer_ids, merged = [], []
    for answer in answers:
        own = _answer_ids(tokenizer, space + answer)
        together = _ids(tokenizer, text + space + answer)
        if together[-len(own) :] != own or together[: -len(own)] != _ids(tokenizer, text):
            merged.append(answer)
        answer_ids.append(own + closing)
    if merged:
        warnings.warn(
            f"{len(merged)} of {len(answers)} answers, written together with the prompt, would share a token with it, "
            f"first {merged[0]!r} after {text[-12:]!r}. They are kept apart, as a model meets them when it generates; "
            "to avoid the seam, end the prompt before a space or use a chat template",
            stacklevel=2,
        )
    return Encoded(prompt_ids, answer_ids, tuple(merged))


def encode_prompt(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Token ids of a prompt up to the place where its answer begins; see `encode`.

    Raises:
        ValueError: messages without a template, or a prompt without tokens.
    """
    text, _ = _prompt_text(tokenizer, prompt)
    if _templated(tokenizer):
        ids = _ids(tokenizer, text)
    else:
        ids = list(tokenizer(text)["input_ids"])
        if ids and ids[-1] == tokenizer.eos_token_id:  # some tokenizers end every text; a prompt goes on
            ids = ids[:-1]
    if not ids:
        raise ValueError(
            "the prompt has no tokens: expected a text, or a tokenizer that adds a beginning-of-text token"
        )
    return ids


def closing_ids(tokenizer: Any) -> list[int]:
    """The token that ends an answer: what the chat template puts after the assistant's words, else the text's end.

    Raises:
        ValueError: the tokenizer knows no end.
    """
    if _templated(tokenizer):
        messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
        after = tokenizer.apply_chat_template(messages, tokenize=False, **_SPOKEN).rpartition(_MARK)[2]
        special = [i for i in _ids(tokenizer, after) if i in tokenizer.all_special_ids]
        if special:
            return special[:1]
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no end-of-text token: pass end=False, or set tokenizer.eos_token")
    return [tokenizer.eos_token_id]


def _templated(tokenizer: Any) -> bool:
    return getattr(tokenizer, "chat_template", None) is not None


def _prompt_text(tokenizer: Any, prompt: Prompt) -> tuple[str, str]:
    """What the prompt reads like, and white space that belongs to the front of its answers."""
    if _templated(tokenizer):
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(m) for m in prompt]
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **_SPOKEN), ""
    if not isinstance(prompt, str):
        raise ValueError("messages need a tokenizer with a chat template, this one has none: pass the prompt as a text")
    text = prompt.rstrip()
    return text, prompt[len(text) :]


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _answer_ids(tokenizer: Any, text: str) -> list[int]:
    """A text's tokens in the middle of a string: tokenizers that put a space before every text must not do so here."""
    anchor = "\n"
    before, both = _ids(tokenizer, anchor), _ids(tokenizer, anchor + text)
    if both[: len(before)] == before and len(both) > len(before):
        return both[len(before) :]
    return _ids(tokenizer, text)
