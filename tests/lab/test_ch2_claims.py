"""Every branch of the rules of chapter 2, on made-up results that hold only what a rule reads."""

import pytest

from mrtlab.lab import artifacts, claims

K_MATCHED = [1, 2, 4, 8, 16]


def rule(claim_id):
    return claims.find(claim_id).rule


def law(**changes):
    fresh = {
        "r2": 0.999,
        "worst_error": 0.05,
        "tolerance": 0.09,
        "ratio": 5.0,
        "k32": {"measured_share": 0.2, "law_share": 0.19},
    }
    return {"fresh": fresh | changes, "design": {"seeds": 10}}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({}, "reproduced"), ({"r2": 0.98}, "not reproduced"), ({"worst_error": 0.1}, "not reproduced")],
)
def test_variance_law(changes, kind):
    assert rule("MRT-01")(law(**changes)).kind == kind


def cost(**changes):
    base = {
        "k_star": 5.2,
        "best": 4,
        "argmin": 5,
        "argmin_lo": 4,
        "argmin_hi": 6,
        "flat_lo": 3,
        "flat_hi": 8,
        "inside_flat": 10,
        "at_k1": {"ratio": 1.8, "lo": 1.7, "hi": 1.9},
    }
    return {"cost": base | changes, "design": {"seeds": 10}}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "reproduced"),
        ({"inside_flat": 9}, "holds only if"),
        ({"argmin_lo": 5}, "not reproduced"),
        ({"at_k1": {"ratio": 1.1, "lo": 1.04, "hi": 1.2}}, "not reproduced"),
    ],
)
def test_best_k(changes, kind):
    assert rule("MRT-02")(cost(**changes)).kind == kind


@pytest.mark.parametrize(
    ("final", "stopped", "kind", "words"),
    [
        (0.97, 0.99, "reproduced", ""),
        (0.97, 0.5, "holds only if", "goes on to the end"),
        (0.5, 0.97, "holds only if", "stopped early"),
        (0.5, 0.5, "not reproduced", ""),
    ],
)
def test_trained_best_k(final, stopped, kind, words):
    argmin = {s: {"k": 4, "lo": 2, "hi": 8, "in_flat": v} for s, v in (("final", final), ("stopped", stopped))}
    verdict = rule("MRT-03")(
        {
            "predicted": {"k_star": 5.3, "flat": [4, 6, 8]},
            "argmin": {"cost": argmin},
            "design": {"retrainings": 120},
        }
    )
    assert verdict.kind == kind
    assert words in verdict.condition


@pytest.mark.parametrize(
    ("final", "stopped", "kind", "words"),
    [
        (0.1, 0.1, "reproduced", ""),
        (-0.1, 0.1, "holds only if", "stopped early"),
        (0.1, -0.1, "holds only if", "goes on to the end"),
        (-0.1, -0.1, "not reproduced", ""),
    ],
)
def test_equal_pairs(final, stopped, kind, words):
    def place(k):
        return {
            s: {"difference": {"mean": hi - 1, "lo": hi - 2, "hi": hi if k == 8 else 0.5}}
            for s, hi in (("final", final), ("stopped", stopped))
        }

    verdict = rule("MRT-04")(
        {
            "arms": {"matched": {f"k{k}": place(k) for k in K_MATCHED}},
            "design": {"k": {"matched": K_MATCHED}, "pairs": 240},
        }
    )
    assert verdict.kind == kind
    assert words in verdict.condition


def triad(near_final=True, near_stopped=True, far=True, copied=0.2):
    def arms(ok):
        share = {"mean": 0.9, "lo": 0.7 if ok else 0.4, "hi": 1.1}
        return {"hybrid": {"share": share}, "implicit": {"share": share},
                "same": {"share": {"mean": 0.1, "lo": 0.0, "hi": copied}}}  # fmt: skip

    return {
        "triad": {
            s: {"d10": arms(near), "d30": arms(far)} for s, near in (("final", near_final), ("stopped", near_stopped))
        }
    }


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({}, "reproduced", ""),
        ({"far": False}, "holds only if", "close"),
        ({"near_final": False}, "holds only if", "stopped early"),
        ({"near_stopped": False}, "holds only if", "goes on to the end"),
        ({"near_final": False, "near_stopped": False}, "not reproduced", ""),
        ({"copied": 0.6}, "not reproduced", ""),  # copies that help as much say the effect is not the responses'
    ],
)
def test_paraphrases(changes, kind, words):
    verdict = rule("MRT-17")(triad(**changes))
    assert verdict.kind == kind
    assert words in verdict.condition


@pytest.mark.parametrize(
    ("everywhere", "repeated", "worst_z", "kind"),
    [
        (True, True, 2, "reproduced"),
        (False, True, 2, "holds only if"),
        (False, False, 2, "not reproduced"),
        (True, True, 9, "not testable here"),
    ],
)
def test_where_it_pays(everywhere, repeated, worst_z, kind):
    corner = {v: {r: {"simulated": 0.1} for r in ("r0", "r90")} for v in ("v20", "v100")}
    flags = {"rises": everywhere, "falls": everywhere, "rises_repeated": repeated, "falls_repeated": repeated}
    gain = {"s10": corner, "s100": corner, "worst_z": worst_z, "monotone": {"memory": flags, "law": flags}}
    assert rule("MRT-18")({"gain": gain}).kind == kind


@pytest.mark.parametrize(
    ("log_clear", "inverse_clear", "kind"),
    [(6, 0, "not reproduced"), (0, 6, "reproduced"), (1, 6, "not testable here"), (4, 1, "not testable here")],
)
def test_inverse_k(log_clear, inverse_clear, kind):
    counts = {"log_clear": log_clear, "inverse_clear": inverse_clear, "log_higher": 5, "series": 8}
    series = {"a": {"inverse": {"r2": 0.9}, "log": {"r2": 0.95}}}
    assert rule("MRT-19")({"counts": counts, "series": series}).kind == kind


@pytest.fixture
def committed(monkeypatch):
    """The artifacts that the book quotes, not the empty folders of the other tests."""
    monkeypatch.delenv("MRTLAB_ARTIFACTS")
    return lambda experiment: artifacts.load(experiment, "book").results


def test_the_remark_on_trained_models_says_what_the_artifact_shows(committed):
    found = committed("budget_mdn")
    final = [v["final"]["nll"]["median"] for v in found["arms"]["cost"].values()]
    stopped = {k: v["stopped"]["nll"]["median"] for k, v in found["arms"]["cost"].items()}
    assert min(final) > 10 * found["floors"]["constant_gaussian"]  # "every K over-fits"
    assert final[0] > 2 * final[-1]  # "falls with K"
    assert stopped["k1"] - min(stopped.values()) < 0.05  # "flat"
    assert found["argmin"]["cost"]["stopped"]["share"]["k1"] < 0.01
    assert found["argmin"]["cost"]["stopped"]["k"] in found["predicted"]["flat"]  # "where the law puts it"
    assert 0.5 < found["argmin"]["cost"]["stopped"]["in_flat"] < 0.95  # "close, short of the 95 %"


def test_the_remark_on_equal_pairs_says_what_the_artifact_shows(committed):
    found = committed("budget_mdn")
    matched = {k: v["stopped"]["nll"]["median"] for k, v in found["arms"]["matched"].items()}
    assert all(v["final"]["nll"]["median"] > 10 * 1.83 for v in found["arms"]["matched"].values())
    assert matched["k1"] == min(matched.values())
    assert matched["k16"] == max(matched.values())
    assert matched["k4"] - matched["k1"] < 0.01  # "up to K = 4 it hardly changes"


def test_the_remark_on_paraphrases_says_what_the_artifact_shows(committed):
    final, stopped = (committed("redundancy")["triad"][s] for s in ("final", "stopped"))
    near, *further = (final[d]["implicit"]["share"]["mean"] for d in ("d10", "d30", "d100"))
    assert max(further) < 0.9 < near  # "further apart keep somewhat less"
    assert all(stopped["d10"][arm]["share"]["lo"] > 0.5 for arm in ("hybrid", "implicit"))  # "the paraphrases pass"
    copied = stopped["d10"]["same"]["share"]
    assert copied["mean"] < 0.5 < copied["hi"]  # "undecided rather than against"
    assert copied["hi"] - copied["lo"] > 1  # "stays uncertain"
