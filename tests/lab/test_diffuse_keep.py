"""What evenness costs: the documents, how they are scored, what the runs add up to, and every branch of the rule."""

import numpy as np
import pytest

from mrtlab.data.tasks import family
from mrtlab.lab import claims, diffuse_data, diffuse_keep, diffuse_texts, experiments
from mrtlab.lab.claims_diffuse_rules_keep import texts_kept
from mrtlab.lab.diffuse_keep import change_of
from mrtlab.lab.diffuse_texts import CHECKED, TEXTS, UNRELATED, documents, open_prompts, score
from mrtlab.lm.evaluate import listed_logprobs
from mrtlab.lm.models import load_model


@pytest.fixture(scope="module")
def found(tiny_lab):
    """Results at smoke scale of a model of a few steps, all trainings real; few prompts, few facts, few draws."""
    mixed, exam = diffuse_data.mixed, diffuse_data.exam
    tiny_lab.setattr(diffuse_data, "_N_FACTS", 4)
    tiny_lab.setattr(diffuse_data, "mixed", lambda seed: mixed(seed)[::5])
    tiny_lab.setattr(diffuse_data, "exam", lambda seed: {name: some[:1] for name, some in exam(seed).items()})
    tiny_lab.setattr(diffuse_keep, "_OPEN", 2)
    tiny_lab.setattr(diffuse_texts, "_ASKED", 1)
    tiny_lab.setattr(diffuse_texts, "_DRAWS", 2)
    tiny_lab.setattr(diffuse_texts, "_LONGEST", 8)
    diffuse_data.facts.cache_clear()
    yield experiments.run("diffuse_keep", "smoke").results
    diffuse_data.facts.cache_clear()


def test_documents_are_of_their_kind_and_the_same_every_time():
    some = documents(6)
    assert set(some) == set(TEXTS)
    assert documents(6) == some
    for name, texts in TEXTS.items():
        assert len(some[name]) == 6
        for place, (prompt, answer) in enumerate(some[name]):
            asked = family(texts.families[place % len(texts.families)])
            assert prompt
            assert answer.strip() == answer
            if name in ("fair", "facts"):
                assert asked.name in texts.families
    longer = documents(9)
    assert all(longer[name][:6] == some[name] for name in TEXTS)


def test_documents_use_no_wording_that_is_taught_or_known():
    known = {str(fact.prompt) for fact in diffuse_data.facts()} | {str(t.prompt) for t in diffuse_data.mixed(0)}
    assert known.isdisjoint(prompt for some in documents(20).values() for prompt, _ in some)
    assert set(open_prompts(5)).isdisjoint(prompt for some in documents(20).values() for prompt, _ in some)


def test_scores_are_those_of_the_tree(tiny_folder):
    model, tokenizer = load_model(str(tiny_folder), device="cpu")
    some = documents(3)["stories"] + documents(3)["casual"]
    nll, tokens = score(model, tokenizer, some)
    wanted = listed_logprobs(model, tokenizer, [(prompt, [answer]) for prompt, answer in some])
    np.testing.assert_allclose(nll, [-float(one[0]) for one in wanted], rtol=1e-4)
    assert (tokens >= 2).all()


def test_a_change_by_hand():
    before = np.zeros((2, 3))
    after = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])
    one = change_of(before, after, np.array([10, 10, 10]))
    assert one["mean"] == pytest.approx(0.3)  # 18 nats over 2 × 30 tokens
    assert one["lo"] < one["documents_lo"] < 0.3 < one["documents_hi"] < one["hi"]
    assert one["seeds_hi"] - one["seeds_lo"] == pytest.approx(
        2 * 12.706 * np.std([0.2, 0.4], ddof=1) / np.sqrt(2), 1e-3
    )
    assert change_of(after, after, np.array([1, 2, 3]))["hi"] == 0


def test_before_training_nothing_has_changed_and_after_it_something_has(found):
    for one in found["kinds"].values():
        first, last = one["marks"]["0"], one["marks"]["2"]
        assert all(text["change"]["mean"] == text["change"]["hi"] == 0 for text in first["texts"].values())
        assert any(text["change"]["mean"] != 0 for text in last["texts"].values())
        assert last["groups"]["trained"]["kl"]["mean"] < first["groups"]["trained"]["kl"]["mean"]
        assert set(last["valid"]) == set(CHECKED)
        assert set(last["facts"]) == {"all", "anchored", "free"}
    assert found["kinds"]["free"]["marks"]["0"]["texts"] == found["kinds"]["anchored"]["marks"]["0"]["texts"]
    assert found["kinds"]["free"]["marks"]["2"]["texts"] != found["kinds"]["anchored"]["marks"]["2"]["texts"]
    assert set(found["minus_free"]) == {"anchored", "anchored-wide", "mixed-tail"}


def test_an_anchor_holds_the_texts_nearer(found):
    """Nats that all documents moved, either way: less where stories, programs and facts are held."""

    def moved(kind):
        texts = found["kinds"][kind]["marks"]["2"]["texts"]
        return sum(abs(texts[name]["change"]["mean"]) for name in UNRELATED)

    assert moved("anchored-wide") < moved("free")


def test_the_table_and_the_rule_read_the_results(found):
    rows = diffuse_keep.table(found).rows
    assert [row[0] for row in rows[: len(TEXTS)]] == list(TEXTS)
    verdict = claims.find("DIF-10c").rule(found)
    assert "nan" not in verdict.measured
    assert "\n" not in verdict.measured


def test_labels_are_unique(found):
    labels = [cell.label for cell in diffuse_keep.cells("smoke")]
    assert len(labels) == len(set(labels)) == 8


def made_up(**high):
    """Results whose changes end at these heights, kind by kind; the first is the bootstrap's, the second Student's."""

    def change(ends):
        return {"change": {"mean": 0.0, "lo": -0.001, "hi": ends[0], "seeds_lo": -0.001, "seeds_hi": ends[1]}}

    kinds = {
        kind.replace("_", "-"): {"marks": {"50": {"texts": {"facts": change(ends), "programs": change((0.0, 0.0))}}}}
        for kind, ends in high.items()
    }
    return {"kinds": kinds, "design": {"passes": 50, "unrelated": ["facts", "programs"]}}


LOW, HIGH = (0.009, 0.009), (0.011, 0.0)


@pytest.mark.parametrize(
    ("free", "anchored", "wide", "said"),
    [
        (LOW, HIGH, HIGH, "reproduced"),
        (HIGH, LOW, HIGH, "holds only if an anchor holds the model on facts"),
        ((0.0, 0.011), LOW, HIGH, "holds only if an anchor holds the model on facts"),
        (HIGH, HIGH, LOW, "holds only if an anchor holds the model on such texts"),
        (HIGH, HIGH, HIGH, "not reproduced"),
    ],
)
def test_every_branch_of_the_rule(free, anchored, wide, said):
    assert str(texts_kept(made_up(free=free, anchored=anchored, anchored_wide=wide))) == said
