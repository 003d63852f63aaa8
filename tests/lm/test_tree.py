"""The token tree on its own: worked by hand, and properties of random trees."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import prompts_and_answers, token_strings

from mrtlab.lm.tree import ROOT, TokenTree

# 1 is the shared beginning; [1, 2] is an answer itself and the beginning of [1, 2, 3]; 4 stands alone; one duplicate.
ANSWERS = [[1, 2, 3], [4], [1, 2], [1, 5, 6], [1, 2, 3]]
TREE = TokenTree.build([9, 8], ANSWERS)
quick = settings(max_examples=60, deadline=None)


def test_edges_stand_depth_first():
    assert TREE.token.tolist() == [1, 2, 3, 5, 6, 4]
    assert TREE.parent.tolist() == [ROOT, 0, 1, 0, 3, ROOT]
    assert TREE.depth.tolist() == [1, 2, 3, 2, 3, 1]
    assert TREE.end.tolist() == [5, 3, 3, 5, 5, 6]


def test_paths_keep_the_order_of_the_answers():
    assert [path.tolist() for path in TREE.paths()] == [[0, 1, 2], [5], [0, 1], [0, 3, 4], [0, 1, 2]]
    assert TREE.offset.tolist() == [0, 3, 4, 6, 9, 12]
    assert TREE.answers() == ANSWERS


def test_only_what_something_follows_is_fed():
    assert TREE.fed.tolist() == [True, True, False, True, False, False]
    assert TREE.n_fed == 2 + 3
    assert TREE.n_fed_apart == 4 + 2 + 3 + 4 + 4
    assert TREE.longest == 2 + 3 - 1
    assert (TREE.n_answers, TREE.n_edges) == (5, 6)


def test_a_star_of_k_answers_feeds_the_prompt_once():
    p, r, k = 10, 4, 6
    star = TokenTree.build(range(1, p + 1), [[20 + i] + [9] * (r - 1) for i in range(k)])
    assert star.n_fed == p + k * (r - 1)
    assert star.n_fed_apart == k * (p + r - 1)


def test_one_token_answers_feed_the_prompt_only():
    tree = TokenTree.build([5, 6, 7], [[1], [2], [1]])
    assert (tree.n_fed, tree.n_edges, tree.n_answers) == (3, 2, 3)


def test_repr_says_what_is_saved():
    assert repr(TREE) == "TokenTree(2 prompt tokens, 5 answers, 6 edges; feeds 5 tokens instead of 17)"


def test_arrays_of_any_kind_are_taken():
    torch = pytest.importorskip("torch")
    tree = TokenTree.build(torch.tensor([9, 8]), [np.array([1, 2]), (1,), torch.tensor([3])])
    assert tree.answers() == [[1, 2], [1], [3]]


@pytest.mark.parametrize(
    ("prompt", "answers", "message"),
    [
        ([], [[1]], "prompt_ids must be a sequence of at least one token id"),
        ([1], [], "answers is empty"),
        ([1], [[2], []], r"answers\[1\] must be a sequence of at least one"),
        ([1], [[2.0]], r"answers\[0\] must hold token ids"),
        ([-1], [[2]], "prompt_ids must hold token ids"),
        ([1], [[[2]]], r"answers\[0\] must be a sequence"),
    ],
)
def test_what_is_no_tree_is_refused(prompt, answers, message):
    with pytest.raises(ValueError, match=message):
        TokenTree.build(prompt, answers)


@quick
@given(token_strings(), st.lists(token_strings(), min_size=1, max_size=12))
def test_answers_come_back_as_they_came(prompt, answers):
    tree = TokenTree.build(prompt, answers)
    assert tree.answers() == answers
    assert tree.prompt.tolist() == prompt


@quick
@given(prompts_and_answers())
def test_an_edge_is_a_different_beginning(parts):
    tree = TokenTree.build(*parts)
    beginnings = {tuple(answer[:n]) for answer in tree.answers() for n in range(1, len(answer) + 1)}
    assert tree.n_edges == len(beginnings)


@quick
@given(prompts_and_answers())
def test_end_bounds_the_descendants(parts):
    """By brute force: f follows e if e is met on the way from f to the prompt."""
    tree = TokenTree.build(*parts)

    def ancestors(edge):
        while edge != ROOT:
            yield edge
            edge = int(tree.parent[edge])

    followers = {e: [f for f in range(tree.n_edges) if e in ancestors(f)] for e in range(tree.n_edges)}
    assert all(followers[e] == list(range(e, tree.end[e])) for e in range(tree.n_edges))
    assert tree.fed.tolist() == [len(followers[e]) > 1 for e in range(tree.n_edges)]
    assert tree.depth.tolist() == [len(list(ancestors(e))) for e in range(tree.n_edges)]


@quick
@given(prompts_and_answers())
def test_a_fed_token_is_a_different_beginning_that_goes_on(parts):
    tree = TokenTree.build(*parts)
    going_on = {tuple(answer[:n]) for answer in tree.answers() for n in range(1, len(answer))}
    assert tree.n_fed == len(tree.prompt) + len(going_on)
    assert tree.n_fed <= tree.n_fed_apart


@quick
@given(prompts_and_answers(), st.data())
def test_duplicates_and_order_do_not_change_the_edges(parts, data):
    tree = TokenTree.build(*parts)
    order = data.draw(st.permutations([*range(tree.n_answers)] * 2))
    twice = tree.take(order)
    assert twice.n_answers == 2 * tree.n_answers
    assert twice.token.tolist() == tree.token.tolist()
    assert twice.parent.tolist() == tree.parent.tolist()
    assert [path.tolist() for path in twice.paths()] == [list(tree.paths())[i].tolist() for i in order]


def test_trees_layouts_and_pieces_need_no_torch():
    """Read as files of their own: the package beside them does import torch."""
    code = """
import importlib.util, pathlib, sys, types
import mrtlab
folder = pathlib.Path(mrtlab.__file__).parent / "lm"
package = types.ModuleType("mrtlab.lm")
package.__path__ = [str(folder)]
sys.modules["mrtlab.lm"] = package  # its __init__ imports the engine; these three must not need it
import mrtlab.lm.tree, mrtlab.lm.layout, mrtlab.lm.pieces
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
