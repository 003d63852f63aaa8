"""Biographies of chapter 7: balanced beginnings, exact laws of lines, small models, and what the runs add up to."""

import copy
from collections import Counter
from itertools import permutations, product

import numpy as np
import pytest

from mrtlab.data.tasks import words
from mrtlab.data.tasks.facts import COUNTRY_OF
from mrtlab.lab import claims_diffuse, diffuse_biographies, diffuse_data, experiments
from mrtlab.lab import claims_diffuse_rules_more as rules
from mrtlab.lab import diffuse_biographies_data as data
from mrtlab.lab.diffuse_biographies_look import MET, field_numbers, line_laws, parity_numbers
from mrtlab.lab.diffuse_biographies_worth import Characters, accuracy, worth

ANNA = "Name: Anna\nGender: woman\nAge: 34\nHome: Arkos in Velara\nJob: baker\nHobby: chess"


@pytest.mark.parametrize("seed", [0, 1])
def test_beginnings_are_balanced(seed):
    people = data.people(rng=np.random.default_rng(seed))
    names, genders, ages, cities = zip(*people, strict=True)
    assert len(set(people)) == len(people) == data.N_BEGINNINGS
    assert {*Counter(names).values(), *Counter(cities).values()} == {3}
    assert set(Counter(ages).values()) == {2}
    assert set(Counter(zip(genders, (COUNTRY_OF[c] for c in cities), strict=True)).values()) == {3}
    assert all((gender == "woman") == (name in words.WOMEN) for name, gender in zip(names, genders, strict=True))


def test_what_is_taught_is_open_and_speaks_of_no_job():
    even, tilted = data.beginnings(0), data.beginnings(0, tilted=True)
    assert len(even) == data.WORDINGS
    assert even[0].answers != even[1].answers
    for target in even:
        assert not target.end
        assert target.entropy == pytest.approx(np.log(data.N_BEGINNINGS))
        assert not any("Job" in answer or "Hobby" in answer for answer in target.answers)
    stated = data.parity_target(tilted=True)
    said = np.zeros_like(stated["both"])
    for answer, p in zip(tilted[0].answers, tilted[0].law, strict=True):
        _, gender, _, city = data.read(answer)
        said[data.GENDERS.index(gender), words.COUNTRIES.index(COUNTRY_OF[city])] += p
    assert said == pytest.approx(stated["both"])
    assert stated["gender"] == pytest.approx([0.75, 0.25])
    assert stated["country"].max() == pytest.approx(2 * stated["country"].min())


def test_reading_stops_where_a_line_is_wrong():
    right = data.text_of(["Anna", "woman", "34", "Arkos", "baker", "chess"])
    assert data.read(right) == ["Anna", "woman", "34", "Arkos", "baker", "chess"]
    assert data.whole(right)
    elsewhere = right.replace(COUNTRY_OF["Arkos"], "Nowhere")
    assert data.read(elsewhere) == ["Anna", "woman", "34"]
    assert not data.whole(elsewhere)
    assert not data.whole(right.replace("woman", "man"))
    assert not data.whole(right + "\nMore: lines")
    assert data.read("") == []


def test_no_value_begins_another_of_its_field():
    for values in data.VALUES.values():
        assert not any(one.startswith(other) for one, other in permutations(values, 2))


def test_wordings_asked_are_not_those_taught():
    asked = data.asked(3)
    assert {len(some) for some in asked.values()} == {data.WORDINGS}
    assert len({text for some in asked.values() for text in some}) == 3 * data.WORDINGS
    assert [t.prompt for t in data.beginnings(3)] == asked["taught"]


def test_laws_of_lines_are_those_of_one_string_at_a_time(tiny):
    from mrtlab.lm.encode import closing_ids, encode
    from mrtlab.lm.scoring import plain_logprob

    model, tokenizer = tiny
    prompt = "Make up a life."

    def plain(text, end=False):
        encoded = encode(tokenizer, prompt, [text], end=False)
        ids = encoded.answer_ids[0] + (closing_ids(tokenizer) if end else [])
        return float(plain_logprob(model, encoded.prompt_ids, ids).detach())

    laws = line_laws(model, tokenizer, prompt, [["Anna", "woman"], data.read(data.text_of(["Tom", "man", "20"]))])
    assert {field: law.shape for field, law in laws.items()} == {
        "name": (1, 40), "gender": (40, 2), "age": (2, 60), "city": (1, 40), "job": (0, 24), "hobby": (0, 16)
    }  # fmt: skip
    before = "Name: Anna\nGender: woman\n"
    assert np.log(laws["age"][0, 14]) == pytest.approx(plain(f"{before}Age: 34") - plain(before), abs=1e-4)
    whole = [["Anna", "woman", "34", "Arkos", "baker", "chess"]]
    hobby = line_laws(model, tokenizer, prompt, whole)["hobby"][0, 0]
    text = data.text_of(whole[0])
    lines = text.removesuffix("Hobby: chess")
    assert np.log(hobby) == pytest.approx(plain(text, end=True) - plain(lines), abs=1e-4)


def even_laws(n=4):
    """Laws of a perfect model in n draws."""
    laws = {field: np.full((n, len(values)), 1 / len(values)) for field, values in data.VALUES.items()}
    laws["name"] = laws["name"][:1]
    laws["gender"] = np.array([[name in words.WOMEN, name in words.MEN] for name in words.NAMES], dtype=float)
    return laws


SAID = [["Anna", "woman", "34", "Arkos", "baker"], ["Tom", "man", "20", "Moss", "judge"]] * 2


def test_numbers_of_fields_by_hand():
    laws = even_laws() | {"hobby": np.array([[0.4] * 2 + [0.0] * 14, [0.0] * 2 + [0.4] * 2 + [0.0] * 12])}
    found = field_numbers(laws)
    assert found["job"] == {
        "entropy": pytest.approx(1), "within": pytest.approx(1), "tv": pytest.approx(0, abs=1e-9),
        "mass": pytest.approx(1), "met": pytest.approx(24 * (1 - (23 / 24) ** MET)),
    }  # fmt: skip
    assert found["gender"]["entropy"] == pytest.approx(1)
    assert found["gender"]["within"] == pytest.approx(0, abs=1e-9)
    assert found["hobby"]["entropy"] == pytest.approx(0.5)  # four of sixteen
    assert found["hobby"]["within"] == pytest.approx(0.25)  # two of sixteen in each draw
    assert found["hobby"]["mass"] == pytest.approx(0.8)
    assert found["hobby"]["tv"] == pytest.approx(0.5 * (4 * (0.2 - 1 / 16) + 12 / 16 + 0.2))


def test_nothing_said_is_as_far_from_even_as_can_be():
    found = field_numbers(even_laws() | {"job": np.zeros((0, 24))})["job"]
    assert found == {"entropy": 0.0, "within": 0.0, "tv": 1.0, "mass": 0.0, "met": 0.0}


def test_parity_by_hand():
    rng = np.random.default_rng(0)
    fair = parity_numbers(even_laws(), SAID, rng=rng)
    assert fair["woman"] == pytest.approx(0.5)
    assert [fair[f"even_{k}"] for k in ("gender", "country", "both")] == pytest.approx([0] * 3, abs=1e-9)
    assert fair["tilted_gender"] == pytest.approx(0.25)
    assert fair["job"] == pytest.approx(0, abs=1e-9)
    split = even_laws()
    split["job"] = np.array([[1 / 12] * 12 + [0.0] * 12, [0.0] * 12 + [1 / 12] * 12] * 2)
    told = parity_numbers(split, SAID, rng=rng)
    assert told["job"] == pytest.approx(np.log(2))  # the job gives the gender away
    assert told["job_chance"] < told["job"]
    women = even_laws()
    women["name"] = np.array([[1 / 20 if name in words.WOMEN else 0.0 for name in words.NAMES]])
    assert parity_numbers(women, SAID, rng=rng)["even_both"] == pytest.approx(0.5)


def test_characters_are_a_law():
    model = Characters.fit(["abab", "ba"], order=2)
    short = [text for n in range(9) for text in map("".join, product("ab", repeat=n))]
    total = np.exp(model.logp(short)).sum()
    assert 0.5 < total < 1  # what is missing goes to longer texts and to 94 characters never seen
    empty = Characters.fit([""], order=0)  # the end alone was seen: (1 + 1/97)/2, and 1/97/2 for anything else
    assert np.exp(empty.logp([""])[0]) == pytest.approx((1 + 1 / 97) / 2)
    assert np.exp(empty.logp(["a"])[0]) == pytest.approx((1 / 97) / 2 * (1 + 1 / 97) / 2)


def test_even_data_is_worth_more_than_uneven():
    true = data.truth(100, seed=1)
    dull = [true[0]] * 99 + [true[1]]
    good, bad = worth(true, seed=0), worth(dull, seed=0)
    assert good["nll"] < bad["nll"]
    assert good["gender"] > bad["gender"]
    assert good["country"] > bad["country"]
    assert good["nll"] > sum(np.log(len(data.VALUES[f])) for f in ("name", "age", "city", "job", "hobby"))


def test_what_is_never_heard_is_never_said():
    assert accuracy([], [("Anna", "woman")]) == 0.0
    assert accuracy([("Anna", "woman")], [("Tom", "man"), ("Mira", "woman")]) == 0.5


@pytest.fixture(scope="module")
def setting(tiny_lab):
    """The tiny model in the place of the embedded one, few facts, everything written to a folder of its own."""
    tiny_lab.setattr(diffuse_data, "_N_FACTS", 8)
    diffuse_data.facts.cache_clear()
    yield
    diffuse_data.facts.cache_clear()


def cell_of(kind):
    return next(cell for cell in diffuse_biographies.cells("smoke") if cell.kind == kind)


@pytest.mark.parametrize("kind", ["before", "both-anchored", "long"])
def test_a_run_of_each_kind(setting, kind):
    result = diffuse_biographies.run_cell(cell_of(kind))
    for group in ("taught", "new"):
        assert set(result[group]["fields"]) == set(data.FIELDS)
        assert all(np.isfinite(list(one.values())).all() for one in result[group]["fields"].values())
        assert np.isfinite(list(result[group]["parity"].values())).all()
        assert "texts" not in result[group]
    assert len(result["examples"]) == diffuse_biographies.EXAMPLES
    assert len(result["facts"]) == 8
    assert set(result["trace"]) == ({"0", "1"} if kind == "long" else set())
    assert ("fair" in result) == ("truth" in result) == (kind == "before")


def test_training_comes_nearer_to_the_beginnings(setting, tiny):
    from mrtlab.lm.models import load_model
    from mrtlab.training.adapter import with_adapter
    from mrtlab.training.aimed import aim

    model, tokenizer = load_model("embedded", device="cpu")
    targets = data.beginnings(0)
    model = with_adapter(model, rank=4, seed=0)
    before = [one.loss for one in aim(model, tokenizer, targets)]
    diffuse_biographies.teach(model, tokenizer, targets, passes=2, seed=0)
    assert all(np.array([one.loss for one in aim(model, tokenizer, targets)]) < before)


STRENGTH = {"before": 0.0, "stage1": 0.3, "stage2": 0.8, "both": 0.9, "both-anchored": 0.9, "tilted": 0.9, "long": 0.95}


def pretended(cell):
    """A run whose fields are so far on the way from one favourite to even."""
    rng = np.random.default_rng([cell.seed, len(cell.kind)])

    def seen(strength):
        laws = {}
        for field, law in even_laws().items():
            peak = np.zeros(law.shape[1])
            peak[0] = 1.0
            laws[field] = law if field == "gender" else strength * law + (1 - strength) * peak
        parity = parity_numbers(laws, SAID, rng=rng)
        if cell.kind == "tilted":
            parity["tilted_both"] = 0.05
        noise = 0.01 * rng.random()
        met = {field: 3.0 for field in data.FIELDS}
        broken = {field: 0.01 for field in data.FIELDS}
        whole = 0.95 - noise
        different = whole * (0.3 + 0.7 * strength)
        return {"fields": field_numbers(laws), "parity": parity, "valid": whole, "distinct": different,
                "broken": broken, "met": met}  # fmt: skip

    def valued(strength):
        numbers = {"nll": 20 + 100 * (1 - strength) + rng.random(), "gender": 0.5 + 0.5 * strength, "country": strength}
        return {"worth": {"n100": numbers, "n400": numbers}, "examples": [ANNA] * 3}

    strength = STRENGTH[cell.kind]
    found = {"taught": seen(strength), "new": seen(strength), "facts": np.log(rng.uniform(0.4, 1, 8)).tolist()}
    found |= valued(strength) | {"trace": {}}
    if cell.kind == "long":
        found["trace"] = {str(m): seen(0.3 + 0.02 * m)["fields"] for m in diffuse_biographies.MARKS}
    if cell.kind == "before":
        found |= {"fair": seen(0.95) | valued(0.95), "truth": valued(1.0)}
    return found


@pytest.fixture(scope="module")
def once(setting):
    """What pretended runs add up to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffuse_biographies, "run_cell", pretended)
        return experiments.run("diffuse_biographies", "smoke").results


@pytest.fixture
def results(once):
    """A copy, to be changed."""
    return copy.deepcopy(once)


def test_results_hold_what_rules_and_table_read(results):
    body = experiments.find("diffuse_biographies").load()
    assert len(body.table(results).rows) == 2 * len(diffuse_biographies.KINDS)
    mine = [claim for claim in claims_diffuse.CLAIMS if claim.experiment == "diffuse_biographies"]
    assert [claim.id for claim in mine] == ["DIF-08", "DIF-08b", "DIF-09", "DIF-09b"]
    for claim in mine:
        verdict = claim.rule(results)
        assert "\n" not in verdict.measured
        assert "nan" not in verdict.measured
    both = results["kinds"]["both"]["taught"]
    assert both["times"]["name"]["mean"] == pytest.approx(
        both["fields"]["name"]["met"]["mean"] / results["kinds"]["before"]["taught"]["fields"]["name"]["met"]["mean"],
        rel=1e-3,
    )
    assert results["perfect"]["name"] == pytest.approx(40 * (1 - (39 / 40) ** MET), rel=1e-4)
    assert results["floor"] == pytest.approx(np.log(40 * 60 * 40 * 24 * 16), rel=1e-4)


def at(value, half=0.01):
    return {"mean": value, "lo": value - half, "hi": value + half}


@pytest.mark.parametrize(
    ("times", "whole", "said"),
    [
        ((2.5, 2.5, 1.6), 0.9, "reproduced"),
        ((2.5, 2.5, 1.505), 0.9, "holds only if fields that were taught are counted"),
        ((2.5, 2.5, 1.6), 0.7, "holds only if more broken biographies are accepted"),
        ((2.5, 2.005, 1.6), 0.9, "not reproduced"),
    ],
)
def test_biographies(results, times, whole, said):
    results["kinds"]["both"]["taught"] |= {
        "times": dict(zip(("name", "city", "job"), map(at, times), strict=True)), "valid": at(whole)
    }  # fmt: skip
    assert str(rules.biographies(results)) == said


@pytest.mark.parametrize(
    ("both", "alone", "said"),
    [
        (0.2, 0.2, "reproduced"),
        (0.2, 0.105, "holds only if even prompts of other families, jobs among them, come first"),
        (0.1, 0.2, "not reproduced"),
    ],
)
def test_untaught_fields(results, both, alone, said):
    for kind, value in (("both", both), ("stage2", alone)):
        for group in ("taught", "new"):
            results["kinds"][kind][group]["change"]["fields"]["job"]["entropy"] = at(value)
    assert str(rules.untaught_fields(results)) == said


@pytest.mark.parametrize(
    ("fall", "gender", "said"),
    [
        (0.6, 0.1, "reproduced"),
        (0.6, 0.005, "holds only if a language model is trained on the data"),
        (0.5, 0.1, "not reproduced"),
    ],
)
def test_worth_more(results, fall, gender, said):
    for n in ("n100", "n400"):
        above = results["kinds"]["before"]["worth"][n]["nll"]["mean"] - results["floor"]
        results["kinds"]["both"]["worth"][n]["change"] |= {
            "nll": at(-fall * above), "gender": at(gender), "country": at(0.2)
        }  # fmt: skip
    assert str(rules.worth_more(results)) == said


@pytest.mark.parametrize(
    ("even", "tilted", "said"),
    [(0.1, 0.1, "reproduced"), (0.1, 0.145, "holds only if the target is even"), (0.145, 0.1, "not reproduced")],
)
def test_parity(results, even, tilted, said):
    for kind, target, value in (("both", "even", even), ("tilted", "tilted", tilted)):
        here = results["kinds"][kind]["taught"]
        here["parity"][f"{target}_both"] = at(value)
        here["change"]["parity"][f"{target}_both"] = at(-0.5)
    assert str(rules.parity(results)) == said


def test_labels_are_unique(setting):
    labels = [cell.label for cell in diffuse_biographies.cells("smoke")]
    assert len(labels) == len(set(labels))
