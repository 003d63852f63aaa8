"""The page "The token tree": its plain program equals the package, and its numbers are what they say."""

import re
import runpy
from pathlib import Path

import pytest
import torch
from oracle import TOLERANCE
from tiny_models import CONFIGS
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from mrtlab.lm import TokenTree, backward, bound, leaf_logprobs

BOOK = Path(__file__).parents[2] / "book"
PLAIN = BOOK / "code" / "token_tree_plain.py"
PAGE = (BOOK / "token-tree.md").read_text("utf-8")
PROMPT, FRUITS = [1, 2, 3, 4], [[2, 5, 6, 0], [2, 5, 7, 0], [2, 8, 0], [2, 8, 0]]


@pytest.fixture(scope="module")
def plain() -> dict:
    return runpy.run_path(str(PLAIN))


def table_under(heading: str) -> list[list[str]]:
    """Cells of the first table after a heading of the page, without its head."""
    lines = PAGE.split(f"## {heading}")[1].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


# --- the plain program ---------------------------------------------------------------------------------------


def test_it_is_short_and_needs_nothing_but_torch():
    text = PLAIN.read_text("utf-8")
    assert set(re.findall(r"^\s*(?:from|import) (\w+)", text, flags=re.MULTILINE)) == {"torch"}
    code = [line for line in text.splitlines() if line.strip() and not line.strip().startswith(('"""', "#"))]
    assert len(code) <= 74


def test_run_as_a_program_it_says_that_both_ways_agree(capsys):
    runpy.run_path(str(PLAIN), run_name="__main__")
    said = capsys.readouterr().out
    forward, gradient, length = map(float, re.findall(r"(?:by|of) ([\d.e-]+)", said))
    assert "fed: 9 tokens" in said
    assert forward < 1e-5
    assert 0 < gradient < 1e-5 * length


@pytest.mark.parametrize("answers", [FRUITS, [[7]], [[7], [7, 8], [7, 8, 9, 3], [9]], [[3, 4]] * 5])
def test_its_tree_is_the_packages(plain, answers):
    tokens, positions, mask, reads = plain["grow"](PROMPT, answers)
    tree = TokenTree.build(PROMPT, answers)
    assert len(tokens) == tree.n_fed
    depths = [0] * len(PROMPT) + tree.depth[tree.fed].tolist()
    assert sorted(positions.tolist()) == sorted([*range(len(PROMPT)), *(3 + d for d in depths if d)])
    assert mask.sum(dim=1).tolist() == (positions + 1).tolist()  # a token sees as many as stand before it, and itself
    assert [[token for _, token in read] for read in reads] == answers
    assert len({pair for read in reads for pair in read}) == tree.n_edges


@pytest.mark.parametrize("answers", [FRUITS, [[7], [7, 8], [7, 8, 9, 3], [9]]])
def test_on_a_model_of_transformers_it_gives_the_packages_numbers_and_gradients(plain, answers):
    model = AutoModelForCausalLM.from_config(CONFIGS["llama"]()).eval()

    def as_plain(tokens, positions, mask):
        return model(tokens[None], attention_mask=mask[None, None], position_ids=positions[None]).logits[0]

    tree = TokenTree.build(PROMPT, answers)
    weights = torch.tensor([1.0, -0.5, 2.0, 0.25])
    scored = plain["score_tree"](as_plain, PROMPT, answers)
    assert relative(leaf_logprobs(model, [tree])[0], scored) < TOLERANCE
    expected = torch.autograd.grad(-(weights * scored).sum(), list(model.parameters()))
    backward(model, [tree], [weights])
    found = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    assert relative(found, torch.cat([gradient.flatten() for gradient in expected])) < TOLERANCE


# --- the numbers of the page ---------------------------------------------------------------------------------


def _blind(tokens, positions, mask, reads):
    mask = mask.clone()
    mask[len(PROMPT) :, : len(PROMPT)] = False
    return tokens, positions, mask, reads


MISTAKES = {
    "none": lambda *grown: grown,
    "answers see each other": lambda t, p, mask, r: (t, p, torch.ones_like(mask).tril(), r),
    "answers do not see the prompt": _blind,
    "positions do not restart": lambda t, p, m, r: (t, torch.arange(len(t)), m, r),
    "first tokens are not scored": lambda t, p, m, reads: (t, p, m, [read[1:] for read in reads]),
}


@pytest.mark.parametrize(("mistake", "loss_off", "gradient_off"), table_under("Test gradients, not losses"))
def test_the_table_of_mistakes_is_what_the_plain_program_gives(plain, mistake, loss_off, gradient_off):
    torch.manual_seed(0)
    model = plain["Decoder"]()
    tokens, positions, mask, reads = MISTAKES[mistake](*plain["grow"](PROMPT, FRUITS))
    logp = model(tokens, positions, mask).log_softmax(dim=-1)
    wrong = -torch.stack([sum(logp[place, token] for place, token in read) for read in reads]).mean()
    right = -plain["score_apart"](model, PROMPT, FRUITS).mean()
    gradients = [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]) for loss in (wrong, right)
    ]
    for shown, value in (
        (loss_off, float((wrong - right).detach().abs() / right.detach())),
        (gradient_off, relative(*gradients)),
    ):
        digits = len(shown.removesuffix(" %").partition(".")[2])
        assert f"{100 * value:.{digits}f} %" == shown


@pytest.fixture(scope="module")
def shape_of_1_5b() -> Qwen2ForCausalLM:
    """The shapes of Qwen2.5-1.5B, no weights."""
    config = Qwen2Config(
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        vocab_size=151936,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        return Qwen2ForCausalLM(config)


@pytest.mark.parametrize("row", table_under("A long prompt saves nearly K-fold"), ids=lambda row: row[0])
def test_the_table_of_savings_follows_from_the_formula_and_the_package(shape_of_1_5b, row):
    p, r, k = map(int, row[0].split(", "))
    end = 99_999
    tree = TokenTree.build(range(p), [[*range(1000 * i, 1000 * i + r), end] for i in range(k)])
    assert tree.n_fed_apart / tree.n_fed == pytest.approx(k * (p + r) / (p + k * r))
    bounds = [
        tree.n_fed_apart / tree.n_fed,
        bound(shape_of_1_5b, [tree]),
        bound(shape_of_1_5b, [tree], every_place=True),
    ]
    assert [f"{value:.2f}" for value in bounds] == row[1:]
