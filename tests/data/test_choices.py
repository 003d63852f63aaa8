"""choices: options that read as listed, a bias of places only, and what holds for every family."""

import re

import numpy as np
from family_checks import check_frequencies, check_laws, check_split
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtlab.data.tasks import family
from mrtlab.data.tasks.choices import CONTENTS, HELD_OUT_CONTENTS, HELD_OUT_TOPICS

CHOICES = family("choices")


def asked(n, split="train"):
    return CHOICES.questions(n, rng=np.random.default_rng(2), split=split)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), split=st.sampled_from(["train", "held_out"]))
def test_every_item_has_exact_laws(seed, split):
    item = CHOICES.ask(rng=np.random.default_rng(seed), split=split)
    check_laws(CHOICES, item)
    m = 4 if item.slots[0] == "letters" else 5
    assert np.allclose(CHOICES.truth(item).p, np.full(m, 1 / m))
    for wrong in ("E", "a", "0", "6", "A)", "A) red"):
        assert not CHOICES.valid(item, wrong)


def test_four_different_options_of_one_kind():
    for item in asked(300):
        if item.slots[0] == "letters":
            options = re.search(r"A\) (\w+) B\) (\w+) C\) (\w+) D\) (\w+)", item.text).groups()
            assert len(set(options)) == 4
            assert set(options) <= set(CONTENTS[item.slots[1]])


def test_held_out_items_have_a_new_wording_or_new_contents():
    check_split(CHOICES, n=500, new={"wording", "slot"})
    unmet = {*HELD_OUT_CONTENTS, *HELD_OUT_TOPICS}
    for split in ("train", "held_out"):
        for item in asked(300, split):
            assert (item.slots[1] in unmet) == (item.slots[-1] == "slot")


def test_the_bias_belongs_to_the_place_and_fair_wordings_have_none():
    tops = {}
    for item in asked(200):
        taught = CHOICES.taught(item)
        tops.setdefault((item.slots[0], item.kind), set()).add(
            (taught.answers[taught.p.argmax()], round(taught.p.max(), 9))
        )
    assert tops["letters", "random"] == {("C", 0.6)}
    assert tops["scale", "random"] == {("4", 0.6)}
    assert tops["letters", "uniform"] == {("A", 0.25)}
    assert tops["scale", "uniform"] == {("1", 0.2)}


def test_sampling_follows_the_laws():
    rng = np.random.default_rng(4)
    for item in asked(4):
        check_frequencies(CHOICES.sample(item, 2000, rng=rng), CHOICES.truth(item))
        check_frequencies(CHOICES.sample_taught(item, 2000, rng=rng), CHOICES.taught(item))
