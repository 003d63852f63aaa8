"""The report of `mrtlab spa evaluate`: numbers that the results hold, whatever arms there are, and nothing to load."""

import re
from datetime import date

import pytest

from mrtlab.show.spa_report import headline, spa_report

NUMBERS = {
    "pass@1": [0.8, 0.7, 0.9],
    "unique_share": [0.5, 0.4, 0.6],
    "pair_share": [0.6, 0.5, 0.7],
    "vendi": [2.5, 2, 3],
}


def arm(name="3 adapters", kind="influence", temperature=0.0, **numbers):
    return {"name": name, "kind": kind, "temperature": temperature, "answers": 3, "numbers": NUMBERS | numbers}


def said(k, text, passed):
    return {"by": f"many-{k}", "text": text, "passed": passed}


def results(*others, judged=True, kl=True, **changes):
    first = arm()
    if not judged:
        first["numbers"] = {name: band for name, band in NUMBERS.items() if name != "pass@1"}
    return {
        "adapters": "many",
        "base": "embedded",
        "rule": "influence",
        "k": 3,
        "source": {"name": "set.jsonl", "prompts": 2, "judged": judged},
        "parts": [
            {"adapter": f"many-{k}", "examples": 10 * (k + 1), "right": 0.5 if judged else None} for k in range(3)
        ],
        "arms": [first, *others],
        "kl": {
            "text": "the responses in set.jsonl", "examples": 7, "tokens": 70, "symmetric": 0.123,
            "matrix": [[0.0, 0.1, 0.2], [0.1, 0.0, 0.05], [0.3, 0.1, 0.0]],
        } if kl else None,
        "examples": [
            {"prompt": "a < b?", "answers": [said(k, f"<x>{k}\n  y", k == 0) for k in range(3)]},
            {"prompt": [{"role": "user", "content": "hello"}], "answers": [said(0, "hi", None)]},
        ],
    } | changes  # fmt: skip


def test_the_page_holds_every_number_and_loads_nothing():
    page = spa_report(
        results(arm("one model", "single", 0.5)), command="mrtlab spa evaluate many", today=date(2026, 1, 2)
    )
    for mean, low, high in NUMBERS.values():
        assert f"{mean:.2f}; {low:.2f}–{high:.2f}" in page
    for words in ("0.123 nats", "7 texts, 70 tokens", "10 examples", "50 % right", "02 January 2026", "many-2"):
        assert words in page
    assert page.rstrip().endswith("</html>")
    assert "<script" not in page
    assert not re.search(r'(src|href)="', page)


def test_what_models_wrote_is_text_and_not_markup():
    page = spa_report(results())
    assert "&lt;x&gt;0\n  y" in page
    assert "<x>" not in page
    assert "a &lt; b?" in page
    assert "user: hello" in page


def test_without_a_judge_nothing_is_said_of_right_answers():
    page = spa_report(results(judged=False))
    body = page[page.index("<body>") :]
    assert "pass@1" not in body
    assert "% right" not in body
    assert "differ" in headline(results(judged=False))


def test_the_model_in_the_headline_is_the_one_that_is_right_as_often():
    cool = arm("one model", "single", 0.1, **{"pass@1": [0.95, 0.9, 1.0], "pair_share": [0.1, 0.0, 0.2]})
    alike = arm("one model", "single", 0.7, **{"pass@1": [0.79, 0.7, 0.9], "pair_share": [0.4, 0.3, 0.5]})
    assert "at temperature 0.7: 40 %, 79 % right" in headline(results(cool, alike))


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([0.1, 0.0, 0.2], "vary more than"),
        ([0.9, 0.8, 1.0], "vary less than"),
        ([0.6, 0.4, 0.8], "do not clearly differ"),
    ],
)
def test_the_claim_over_the_figure_is_what_the_intervals_allow(pairs, words):
    page = spa_report(results(arm("one model", "single", 0.1, pair_share=pairs)))
    assert f"The adapters {words}" in page


def test_a_single_arm_has_no_comparison_and_parts_of_unknown_size_no_bars():
    unknown = [{"adapter": f"many-{k}", "examples": None, "right": 0.5} for k in range(3)]
    page = spa_report(results(kl=False, parts=unknown))
    assert "The adapters vary" not in page
    assert "nats apart" not in page
    assert "times the examples" not in page


@pytest.mark.parametrize(
    ("rule", "colour"),
    [
        ("influence-even", "multi"),
        ("random", "between"),
        ("lexical", "orange"),
        ("seeds", "single"),
        ("clusters", "green"),
    ],
)
def test_colours_keep_their_meaning(rule, colour):
    page = spa_report(results(rule=rule, arms=[arm(kind=rule)]))
    assert f'<i class="{colour}" style="width:80.0%">' in page


def test_many_adapters_get_a_map_without_numbers_in_its_squares():
    k = 12
    matrix = [[0.0 if i == j else 0.0625 for j in range(k)] for i in range(k)]
    kl = {"text": "t", "examples": 1, "tokens": 1, "symmetric": 0.0625, "matrix": matrix}
    parts = [{"adapter": f"m-{i}", "examples": 1, "right": 1.0} for i in range(k)]
    page = spa_report(results(parts=parts) | {"kl": kl})
    drawn = page[page.index('aria-label="Map of 12') :]
    drawn = drawn[: drawn.index("</svg>")]
    assert drawn.count('class="heat"') == k * (k - 1)
    assert ">0.062<" not in drawn  # the sentence that stands for the map may name it
