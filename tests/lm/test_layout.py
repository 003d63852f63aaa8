"""Where every token goes: masks against a brute-force search for ancestors, packing, windows by position, pieces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import prompts_and_answers, varied_trees

from mrtlab.lm.layout import (
    branch_layout,
    branch_size,
    fill_rows,
    path_layout,
    path_size,
    row_layout,
    row_length,
    sees,
)
from mrtlab.lm.pieces import cut, places
from mrtlab.lm.tree import ROOT, TokenTree

quick = settings(max_examples=40, deadline=None)
several = st.lists(prompts_and_answers(), min_size=1, max_size=4)


def fed_strings(tree):
    """For every fed token, what was said up to it and with it."""
    inputs = [tuple(tree.prompt[: n + 1].tolist()) for n in range(len(tree.prompt))]
    for edge in np.flatnonzero(tree.fed):
        before, at = [], int(edge)
        while at != ROOT:
            before.insert(0, int(tree.token[at]))
            at = int(tree.parent[at])
        inputs.append((*tree.prompt.tolist(), *before))
    return inputs


def placed(trees):
    """(row, place) → (which tree, what was said up to there), by laying out the rows once more."""
    length, found = row_length(trees), {}
    for row, members in enumerate(fill_rows(trees, length=length)):
        place = 0
        for i in members:
            for said in fed_strings(trees[i]):
                found[row, place] = (i, said)
                place += 1
    return found


@quick
@given(several)
def test_a_token_sees_its_own_past_and_nothing_else(parts):
    trees = [TokenTree.build(*part) for part in parts]
    layout, where = row_layout(trees), placed(trees)
    table = sees(layout)
    for row, q, k in np.ndindex(table.shape):
        if (row, q) not in where or (row, k) not in where:
            assert table[row, q, k] == (q == k)  # a padded place sees itself, so that its softmax is not empty
            continue
        (tree_q, said_q), (tree_k, said_k) = where[row, q], where[row, k]
        assert table[row, q, k] == (tree_q == tree_k and said_q[: len(said_k)] == said_k)


@quick
@given(several, st.integers(1, 6))
def test_windows_count_positions(parts, window):
    trees = [TokenTree.build(*part) for part in parts]
    layout, where = row_layout(trees), placed(trees)
    full, narrow = sees(layout), sees(layout, window=window)
    for row, q, k in np.argwhere(full):
        if (row, q) in where:
            near = len(where[row, q][1]) - len(where[row, k][1]) < window
            assert narrow[row, q, k] == near
    assert not (narrow & ~full).any()


@quick
@given(several)
def test_tokens_and_positions_are_those_of_the_strings(parts):
    trees = [TokenTree.build(*part) for part in parts]
    layout = row_layout(trees)
    for (row, place), (_, said) in placed(trees).items():
        assert layout.tokens[row, place] == said[-1]
        assert layout.positions[row, place] == len(said) - 1


def test_two_answers_by_hand():
    tree = TokenTree.build([7, 8], [[1, 2, 9], [3, 9]])  # fed: 7 8 1 2 3
    layout = row_layout([tree])
    assert layout.tokens.tolist() == [[7, 8, 1, 2, 3]]
    assert layout.positions.tolist() == [[0, 1, 2, 3, 2]]
    assert layout.end.tolist() == [[5, 5, 4, 4, 5]]
    assert sees(layout)[0].astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]
    assert layout.score_at.tolist() == [1, 2, 3, 1, 4]  # both first tokens are read at the prompt's end


def test_a_window_of_two_by_hand():
    layout = row_layout([TokenTree.build([7, 8], [[1, 2, 9], [3, 9]])])
    assert sees(layout, window=2)[0].astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 1, 0, 0, 1],  # its place is 4, its position 2: it still sees the prompt's end
    ]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
@quick
def test_rows_hold_every_tree_once_and_never_overflow(sizes):
    trees = [TokenTree.build(range(1, n + 1), [[1]]) for n in sizes]
    rows = fill_rows(trees, length=max(sizes))
    assert sorted(i for row in rows for i in row) == list(range(len(trees)))
    filled = [sum(sizes[i] for i in row) for row in rows]
    assert max(filled) <= max(sizes)
    # First fit: two rows that are both at most half full would have been one.
    assert sum(2 * full <= max(sizes) for full in filled) <= 1


def test_a_tree_longer_than_a_row_is_refused():
    with pytest.raises(ValueError, match="tree 1 feeds 3 tokens, more than a row of 2"):
        fill_rows([TokenTree.build([1], [[2]]), TokenTree.build([1, 1, 1], [[2]])], length=2)


@quick
@given(several)
def test_paths_lead_from_the_prompt_to_every_answer_token(parts):
    trees = [TokenTree.build(*part) for part in parts]
    layout = path_layout(trees)
    n_prompt = int(layout.prompt_length.max())
    n_nodes = layout.tokens.shape[1] - n_prompt
    answer_tokens = layout.tokens[:, n_prompt:].ravel()
    for row, tree in enumerate(trees):
        assert layout.tokens[row, : len(tree.prompt)].tolist() == tree.prompt.tolist()
        inputs = fed_strings(tree)[len(tree.prompt) :]
        for i, said in enumerate(inputs):
            node = row * n_nodes + i
            chain, place = divmod(int(layout.slot[node]), layout.own.shape[1])
            assert layout.own[chain, place] == node
            along = layout.chain[chain, : layout.own_step[chain, place] + 1]
            assert (*tree.prompt.tolist(), *answer_tokens[along].tolist()) == said
            assert layout.positions[row, n_prompt + i] == len(said) - 1


@quick
@given(several)
def test_branches_hold_every_different_answer_once(parts):
    trees = [TokenTree.build(*part) for part in parts]
    layout = branch_layout(trees)
    inputs = [
        (t, answer[:-1])
        for t, tree in enumerate(trees)
        for answer in map(list, dict.fromkeys(map(tuple, tree.answers())))
    ]
    assert layout.owner.tolist() == [t for t, _ in inputs]
    assert [row[: len(said)].tolist() for row, (_, said) in zip(layout.answers, inputs, strict=True)] == [
        said for _, said in inputs
    ]
    edge_tokens_before = []  # what each edge follows, read off the layout
    for place in layout.score_at:
        inside = place - len(trees)
        row, step = divmod(int(inside), layout.answers.shape[1]) if inside >= 0 else (0, -1)
        edge_tokens_before.append(layout.answers[row, : step + 1].tolist())
    truth = []
    for tree in trees:
        for edge in range(tree.n_edges):
            before, at = [], int(tree.parent[edge])
            while at != ROOT:
                before.insert(0, int(tree.token[at]))
                at = int(tree.parent[at])
            truth.append(before)
    assert edge_tokens_before == truth


@quick
@given(several)
def test_sizes_are_those_of_the_layouts(parts):
    trees = [TokenTree.build(*part) for part in parts]
    paths, size = path_layout(trees), path_size(trees)
    assert paths.tokens.shape == (len(trees), size.prompt + size.nodes)
    assert (paths.own.shape, paths.chain.shape) == ((size.chains, size.own), (size.chains, size.longest))
    branches, size = branch_layout(trees), branch_size(trees)
    assert branches.prompts.shape == (len(trees), size.prompt)
    assert branches.answers.shape == (size.rows, size.steps)


def taken_up(trees, form):
    """Places in a form, counted on its layout."""
    if form == "branches":
        layout = branch_layout(trees)
        return layout.prompts.size + layout.answers.size
    return (row_layout if form == "row" else path_layout)(trees).tokens.size


@quick
@given(several, st.sampled_from(["row", "paths", "branches"]))
def test_places_are_those_of_the_layout(parts, form):
    trees = [TokenTree.build(*part) for part in parts]
    counted = places(trees, form=form)
    assert counted >= taken_up(trees, form) if form == "row" else counted == taken_up(trees, form)


@quick
@given(several, st.integers(10, 40), st.sampled_from(["row", "paths", "branches"]))
def test_pieces_hold_every_answer_once_and_fit(parts, max_tokens, form):
    trees = [TokenTree.build(*part) for part in parts]  # at most 6 prompt and 4 answer tokens along one path
    seen = [[] for _ in trees]
    for piece in cut(trees, max_tokens=max_tokens, form=form):
        assert taken_up([part.tree for part in piece], form) <= max_tokens
        for part in piece:
            whole = trees[part.index]
            seen[part.index].extend(part.answers.tolist())
            assert part.tree.answers() == [whole.answers()[i] for i in part.answers]
            assert part.tree.token.tolist() == whole.token[part.edges].tolist()
            assert part.tree.depth.tolist() == whole.depth[part.edges].tolist()
    assert [sorted(answers) for answers in seen] == [list(range(tree.n_answers)) for tree in trees]


def test_duplicates_stay_together_when_a_tree_is_cut():
    tree = TokenTree.build([1, 1], [[2, 9], [3, 9], [2, 9], [4, 9]])
    pieces = [[part.answers.tolist() for part in piece] for piece in cut([tree], max_tokens=3)]
    assert pieces == [[[0, 2]], [[1]], [[3]]]


def test_an_answer_that_does_not_fit_is_refused_with_its_size():
    trees = [TokenTree.build([1], [[2]]), TokenTree.build([1, 1], [[2, 9], [3, 4, 5, 9]])]
    with pytest.raises(ValueError, match="tree 1: one answer with its prompt feeds 5 tokens, more than max_tokens=4"):
        list(cut(trees, max_tokens=4))


def test_all_trees_fit_in_one_piece_without_a_limit():
    trees = varied_trees()
    (piece,) = cut(trees, max_tokens=None)
    assert [part.tree for part in piece] == trees
