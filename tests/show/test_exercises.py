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

from mrtlab.show.exercises import EXERCISES, Exercise, Feedback, check, exercise_cells
from mrtlab.show.exercises.ch1 import EXERCISES as CHAPTER_1
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck, show

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
    ids = [exercise.id for exercise in CHAPTER_1]
    assert len(set(ids)) == len(ids) >= 6
    assert {exercise.difficulty for exercise in CHAPTER_1} == {1, 2, 3}


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
    place = CHAPTER_1.index(exercise) + 1
    heading, dots = cells[0].source.split("\n\n")[:2]
    assert heading == f"### Exercise 1.{place} · {exercise.title}"
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
