"""Exercises: solutions are right, stubs are unanswered, mistakes are recognised, and nothing a learner types raises."""

import itertools
import re
import subprocess
import sys
from fractions import Fraction
from math import comb

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtlab.show.exercises import EXERCISES, Exercise, Feedback, check, engine, exercise_cells
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck, show

CHAPTERS = {str(n): getattr(engine, f"ch{n}").EXERCISES for n in (1, 2, 3, 4, 5, 6, 7, 8, 10)}
each = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda e: e.id)
NUMBERS = [e for e in EXERCISES.values() if isinstance(e.check, NumberCheck)]
FUNCTIONS = [e for e in EXERCISES.values() if isinstance(e.check, FunctionCheck)]


def run(code: str) -> Feedback:
    """Run a cell as a notebook does: the value of its last line is what the learner sees."""
    *body, last = code.strip().splitlines()
    names: dict = {}
    exec("\n".join(body), names)
    return eval(last, names)


# --- the exercises themselves ---


def test_ids_are_unique():
    ids = [exercise.id for chapter in CHAPTERS.values() for exercise in chapter]
    assert sorted(ids) == sorted(EXERCISES)


@pytest.mark.parametrize("number", CHAPTERS)
def test_a_chapter_has_something_for_everybody(number: str):
    chapter = CHAPTERS[number]
    assert len(chapter) >= 6
    assert all(exercise.id.startswith(f"ch{number}.") for exercise in chapter)
    assert {exercise.difficulty for exercise in chapter} == {1, 2, 3}


@each
def test_solution_is_right_and_leads_on(exercise: Exercise):
    feedback = run(exercise.solution)
    assert feedback.state == "right"
    assert feedback.message
    assert feedback.carry_on.startswith("Carry on: ")
    assert len(exercise.solution.strip().splitlines()) <= 12


@each
def test_stub_runs_and_is_not_answered_yet(exercise: Exercise):
    feedback = run(exercise.stub)
    assert feedback.state == "not answered yet"
    assert feedback.message == exercise.check.hint


@each
def test_mistakes_bring_their_hint(exercise: Exercise):
    assert len(exercise.mistakes) >= 5
    for make, fragment in exercise.mistakes:
        feedback = check(exercise.id, make())
        assert feedback.state == "not yet"
        assert fragment in feedback.message


@each
def test_stub_and_solution_share_their_frame(exercise: Exercise):
    stub, solution = (code.strip().splitlines() for code in (exercise.stub, exercise.solution))
    assert stub[-1] == solution[-1]
    assert re.fullmatch(rf'check\("{re.escape(exercise.id)}", \w+\)', stub[-1])
    assert "..." in exercise.stub
    assert "..." not in exercise.solution
    for line in stub:
        learner_fills_in = "..." in line or line.startswith(("guess = ", "direction = "))
        assert learner_fills_in or line in solution or "import" in line


@each
def test_texts_keep_to_the_style_sheet(exercise: Exercise):
    written = [exercise.text, exercise.check.hint, exercise.check.why, exercise.check.carry_on]
    written += [hint for _, hint in exercise.check.slips]
    for text in written:
        assert not re.search(r"simply|obviously|just |!", text)


# --- the numbers, worked out another way ---


def test_coverage_by_counting_all_draws():
    seen = [len(set(draws)) for draws in itertools.product(range(5), repeat=4)]
    assert EXERCISES["ch1.coverage"].check.target == pytest.approx(sum(seen) / len(seen))


def test_same_model_as_a_fraction():
    p = [Fraction(n, 15) for n in (8, 4, 2, 1)]
    assert EXERCISES["ch1.same_model"].check.target == pytest.approx(float(sum(x * x for x in p)))


def test_effective_support_as_a_product_of_powers():
    product = 0.95**-0.95 * 0.04**-0.04 * 0.01**-0.01
    assert EXERCISES["ch1.effective_support"].check.target == pytest.approx(product)


def test_k_for_90_is_the_first_that_reaches_it():
    p = [Fraction(2**i, 63) for i in range(6)]
    k = EXERCISES["ch1.k_for_90"].check.target
    before, at = (sum(1 - (1 - x) ** n for x in p) for n in (k - 1, k))
    assert before < Fraction(54, 10) <= at
    equal = [6 * (1 - (1 - Fraction(1, 6)) ** n) for n in (12, 13)]  # the question names 13
    assert equal[0] < Fraction(54, 10) <= equal[1]


def losses(n: int, smoothing: float) -> tuple[float, float]:
    """Mean and standard deviation of the memory's loss over every way to draw n answers, by enumeration."""
    truth = np.array([16, 8, 4, 2, 1]) / 31
    mean = square = 0.0
    for counts in itertools.product(range(n + 1), repeat=5):
        if sum(counts) != n:
            continue
        ways, left = 1, n
        for c in counts:
            ways, left = ways * comb(left, c), left - c
        probability = ways * np.prod(truth ** np.array(counts))
        loss = -np.sum(truth * np.log((np.array(counts) + smoothing / 5) / (n + smoothing)))
        mean, square = mean + probability * loss, square + probability * loss**2
    return mean, np.sqrt(max(square - mean**2, 0))


def test_spread_is_halved_at_the_target_and_not_before():
    n = EXERCISES["ch1.spread"].check.target
    one, before, at = (losses(k, 0.1)[1] for k in (1, n - 1, n))
    assert at <= one / 2 < before
    assert n == 2 * 4  # "twice as many as for an average", says the feedback


def test_pair_matched_says_who_wins():
    def average(k: int, smoothing: float) -> float:
        return (losses(k, smoothing)[0] + (k - 1) * losses(0, smoothing)[0]) / k

    trusting, cautious = [(average(1, s), average(8, s)) for s in (0.1, 5.0)]
    assert trusting[1] < trusting[0]
    assert cautious[0] < cautious[1]
    why = EXERCISES["ch1.pair_matched"].check.why
    assert f"{trusting[0]:.2f} against {trusting[1]:.2f}" in why
    assert f"{cautious[0]:.3f} against {cautious[1]:.3f}" in why


def test_one_answer_is_worse_than_none():
    by_hand = -(0.2 * np.log(1.02 / 1.1) + 0.8 * np.log(0.02 / 1.1))
    assert EXERCISES["ch1.one_or_none"].check.target == pytest.approx(by_hand)
    assert by_hand > np.log(5)


def test_second_answer_is_where_both_plans_cost_the_same():
    v = Fraction(EXERCISES["ch2.second_answer"].check.target)
    one, two = ((Fraction(5, 2) + v / k) * (4 + k) for k in (1, 2))
    assert one == two


def test_pair_matched_as_fractions():
    friend, mine = Fraction(1, 100) + Fraction(4, 400), Fraction(1, 400) + Fraction(4, 400)
    assert EXERCISES["ch2.pair_matched"].check.target == pytest.approx(float(friend / mine))


def test_tokens_gain_as_the_closed_minimum():
    least = (np.sqrt(1 * 1024) + np.sqrt(4 * 128)) ** 2  # (√(V_x P) + √(V_{y|x} R))²
    assert EXERCISES["ch2.tokens"].check.target == pytest.approx(5 * (1024 + 128) / least)


def test_plan_beats_both_neighbours_and_every_other_k():
    left = {k: (1 + Fraction(7, k)) / (400 // (4 + k)) for k in range(1, 33)}
    best = EXERCISES["ch2.plan"].check.target
    assert all(left[best] < left[k] for k in left if k != best)
    assert 400 - (400 // 9) * 9 == 4  # "K = 5 leaves 4 of the 400 unspent", says the feedback
    assert 400 % (4 + best) == 0
    assert f"{float((8 * 5) / (Fraction(12, 5) * 9) - 1):.0%}" == "85%"  # "85 % more", against the law's best K


def test_the_estimator_is_unbiased():
    rng = np.random.default_rng(7)
    names: dict = {}
    exec("\n".join(EXERCISES["ch2.estimate_fn"].solution.strip().splitlines()[:-1]), names)
    tables = rng.normal(size=(2000, 12, 1)) * 2 + rng.normal(size=(2000, 12, 4)) * 3
    found = np.array([names["components"](table) for table in tables])
    assert np.all(np.abs(found.mean(0) - [4, 9]) < 4 * found.std(0) / np.sqrt(2000))


def test_top_bias_against_two_at_random():
    pool = [Fraction(n, 10) for n in (9, 8, 4, 3, 1)]
    mean = sum(pool) / 5
    errors = [(sum(pair) / 2 - mean) ** 2 for pair in itertools.combinations(pool, 2)]
    assert EXERCISES["ch3.top_bias"].check.target == pytest.approx(float((sum(pool[:2]) / 2 - mean) ** 2))
    assert f"{float(sum(errors) / 10):.2f}" == "0.03"  # so says the feedback, and "a quarter of the error"
    assert 0.2 < float(sum(errors) / 10) / 0.35**2 < 0.3
    assert EXERCISES["ch3.random_mean"].check.target == pytest.approx(float(mean))


def test_four_of_thirty_two_miss_as_often_as_four_draws():
    pool = [comb(32, m) * 0.04**m * 0.96 ** (32 - m) for m in range(33)]  # m of that kind were written
    missed = sum(chance * comb(32 - m, 4) / comb(32, 4) for m, chance in enumerate(pool))
    assert EXERCISES["ch3.missed"].check.target == pytest.approx(missed)


def test_majority_is_where_best_of_n_passes_one_half():
    from mrtlab.theory import best_of_n

    p, reward = np.array([0.95, 0.04, 0.01]), np.array([0.0, 1.0, 0.5])
    n = EXERCISES["ch3.majority"].check.target
    assert best_of_n(p, reward, n - 1)[1] <= 0.5 < best_of_n(p, reward, n)[1]
    assert f"{best_of_n(p, reward, 64)[1]:.0%}" == "93%"


def test_greedy_is_worked_out_pair_by_pair():
    s = np.array([[10, 8, 8, 1], [8, 10, 6, 5], [8, 6, 10, 3], [1, 5, 3, 10]])
    value = {pair: int(s[:, pair].max(axis=1).sum()) for pair in itertools.combinations(range(4), 2)}
    assert s.sum(0).argmax() == 1
    assert value[1, 3] == max(value[0, 1], value[1, 2], value[1, 3]) == 34
    assert max(value, key=value.get) == (0, 3)
    assert EXERCISES["ch3.greedy"].check.target == pytest.approx(3.4)


def test_alpha_is_where_both_stand_for_them_equally():
    alpha = EXERCISES["ch3.alpha"].check.target
    assert 0.25**alpha == pytest.approx(0.3)
    assert abs(0.25**0.75 - 0.35) < 0.005  # what cooking is worth at 0.75, says the feedback


# --- slips ---


@pytest.mark.parametrize("exercise", NUMBERS, ids=lambda e: e.id)
def test_no_number_slip_hides_another(exercise: Exercise):
    for value, hint in exercise.check.slips:
        assert exercise.check(value) == Feedback("not yet", hint)


@pytest.mark.parametrize("exercise", FUNCTIONS, ids=lambda e: e.id)
def test_no_function_slip_hides_another(exercise: Exercise):
    for function, hint in exercise.check.slips:
        assert exercise.check(function) == Feedback("not yet", hint)


# --- whatever a learner types ---


class Hostile:
    """Refuses everything."""

    def _refuse(self, *_: object) -> None:
        raise RuntimeError("no")

    __repr__ = __float__ = __array__ = __len__ = __iter__ = __eq__ = __bool__ = _refuse
    __hash__ = object.__hash__


class Unspeakable(Exception):  # noqa: N818
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def raises_unspeakable(*_: object) -> None:
    raise Unspeakable


JUNK = [
    None,
    float("nan"),
    float("inf"),
    True,
    "",
    "2.952",
    b"2.952",
    [],
    {},
    {1},
    1 + 2j,
    10**400,
    np.array(["a"]),
    np.array([True]),
    np.zeros((2, 0)),
    Hostile(),
    Hostile,
    raises_unspeakable,
    lambda *_: Hostile(),
    lambda *_: None,
    lambda *_: "1",
    lambda: 1,
    lambda *arrays: arrays,
    print,
]


@each
@pytest.mark.parametrize("answer", JUNK, ids=lambda a: type(a).__name__)
def test_junk_is_never_right_and_never_raises(exercise: Exercise, answer: object, capsys: pytest.CaptureFixture):
    feedback = check(exercise.id, answer)
    assert feedback.state == "not yet"
    assert feedback.message
    assert len(feedback.message) < 600
    assert repr(feedback)
    assert feedback._repr_html_()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(values)
def test_any_value_gets_feedback_and_only_the_right_one_is_right(value: object):
    exercise = EXERCISES["ch1.coverage"]
    feedback = check(exercise.id, value)
    is_right = type(value) in (int, float) and abs(value - exercise.check.target) <= 0.005 + 1e-9
    assert (feedback.state == "right") == is_right or isinstance(value, list)


@given(st.floats(-0.02, 0.02))
def test_two_decimals_are_enough(offset: float):
    target = EXERCISES["ch1.same_model"].check.target
    state = check("ch1.same_model", target + offset).state
    if abs(offset) <= 0.005:
        assert state == "right"
    elif abs(offset) > 0.0051:
        assert state == "not yet"


@pytest.mark.parametrize("kind", [float, np.float32, np.array, lambda x: [x], lambda x: Fraction(x)])
def test_any_way_to_hold_one_number_is_fine(kind: object):
    assert check("ch1.coverage", kind(2.952)).state == "right"


def test_an_exception_is_shown_with_the_call_that_raised_it():
    def coverage(p: np.ndarray, n: int) -> float:
        return 1 / (n - n)

    message = check("ch1.coverage_fn", coverage).message
    assert "`ZeroDivisionError: division by zero`" in message
    assert "`coverage(np.array([0.5, 0.5]), 2)`" in message


def test_a_function_right_on_easy_inputs_only_is_caught():
    assert check("ch1.coverage_fn", lambda p, n: 1.5 if n == 2 else 0.0).state == "not yet"


def test_a_function_that_warns_gets_feedback_not_a_red_box():
    message = check("ch1.coverage_fn", lambda p, n: np.log(0 * p.sum())).message
    assert "log of 0" in message


def test_unknown_exercise_names_the_nearest():
    with pytest.raises(ValueError, match=r"no exercise 'ch1.covrage': did you mean 'ch1.coverage'\? Known: ch1.cov"):
        check("ch1.covrage", 1)


# --- how it looks ---


def test_feedback_html_is_safe_and_says_its_state_in_words():
    page = Feedback("not yet", "`a < b` & <script>", "more")._repr_html_()
    assert "Not yet." in page
    assert "a &lt; b</code> &amp; &lt;script&gt;" in page
    assert "<script>" not in page
    assert "color:inherit" in page


def test_show_is_short_and_copyable():
    array = np.array([[1.0, 0.25], [0.5, 1 / 3]])
    assert np.allclose(eval(show(array), {"np": np}), array, atol=1e-4)
    assert len(show(np.zeros(1000))) <= 120


@each
def test_cells_are_valid_marked_and_numbered(exercise: Exercise):
    cells = exercise_cells(exercise.id)
    nbformat.validate(nbformat.v4.new_notebook(cells=cells))
    assert [cell.cell_type for cell in cells] == ["markdown", "code", "markdown"]
    assert [cell.metadata["mrtlab"]["part"] for cell in cells] == ["text", "stub", "solution"]
    assert cells[1].metadata["tags"] == ["mrtlab-exercise"]
    chapter = exercise.id.split(".")[0].removeprefix("ch")
    place = CHAPTERS[chapter].index(exercise) + 1
    heading, dots = cells[0].source.split("\n\n")[:2]
    assert heading == f"### Exercise {chapter}.{place} · {exercise.title}"
    assert dots.count("●") == exercise.difficulty
    assert dots.endswith(f" · about {exercise.minutes} minutes")
    assert [cell.id for cell in cells] == [cell.id for cell in exercise_cells(exercise.id)]


def test_solution_renders_folded_with_highlighted_code_inside():
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(exercise_cells("ch1.coverage")[2].source)
    assert [token.type for token in tokens] == ["html_block", "fence", "html_block"]
    opening, fence, closing = tokens
    assert opening.content == "<details>\n<summary>Solution</summary>\n"  # no `open`: the reader unfolds it
    assert fence.info == "python"
    assert fence.content == EXERCISES["ch1.coverage"].solution.lstrip()
    assert closing.content == "</details>"


def test_checking_an_answer_needs_neither_torch_nor_the_book_tools():
    code = "import mrtlab.show.exercises, sys; print({'torch', 'nbformat', 'sphinx', 'IPython'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
