"""Chapter 4, where the mass goes: signs, weights and pushes. Those on best-of-n and factors of p are in `ch4_draws`."""

import numpy as np

from mrtlab.show.exercises import ch4_draws
from mrtlab.show.exercises.exercise import Exercise
from mrtlab.show.exercises.grading import FunctionCheck, NumberCheck
from mrtlab.theory.bandit import gradient_alignment
from mrtlab.theory.objectives import dpo, listed_pairs, logit_descent

_FOUR = np.array([0.6, 0.2, 0.1, 0.1])
_NOW, _BEFORE = np.log([0.5, 0.1]), np.log([0.2, 0.4])
_FIRST_WINS = listed_pairs(np.array([0]), np.array([1]), n_answers=2)


def _push(weight: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.asarray(logit_descent(weight, np.log(p)))


def _weights_and_law(rng: np.random.Generator, m: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=m), rng.dirichlet(np.ones(m))


_SIGN_RULE = Exercise(
    id="ch4.sign_rule",
    title="Two rare answers",
    difficulty=1,
    minutes=4,
    text=r"""
A softmax policy gives four answers the probabilities 0.6, 0.2, 0.1 and 0.1. The third was preferred to the fourth. We
push the *loser* down, one small step on $-\log p_l$. Whether this lifts the winner too is decided by the sign of

$$p_w + p_l - \lVert p \rVert^2.$$

**What is it?** Two decimals are enough. Guess the sign first.
""",
    stub="""
from mrtlab.show.exercises import check

answer = ...
check("ch4.sign_rule", answer)
""",
    solution="""
from mrtlab.show.exercises import check

p = [0.6, 0.2, 0.1, 0.1]
answer = p[2] + p[3] - sum(x * x for x in p)
check("ch4.sign_rule", answer)
""",
    check=NumberCheck(
        target=-float(gradient_alignment(_FOUR, 2, 3)),
        hint="‖p‖² is the sum of the four squares.",
        why="Below 0: both are rare. What the loser gives up goes to the likeliest answer, and the winner sinks.",
        carry_on="Carry on: how likely would the winner have to be for the sign to turn?",
        slips=(
            (0.42, "That is ‖p‖². Take it away from p_w + p_l."),
            (0.2, "That is p_w + p_l. Take ‖p‖² away."),
            (0.2 - 0.42**0.5, "That takes away ‖p‖. The rule has its square: no root."),
            (0.8, "That takes ‖p‖² for 1. The probabilities sum to 1, their squares to less."),
            (0.01 - 0.42, "The rule has the sum of the two probabilities, not their product."),
            (0.22, "The size is right, the sign is not: ‖p‖² is the larger part, so the winner sinks."),
        ),
    ),
    mistakes=(
        (lambda: sum(x * x for x in _FOUR), "Take it away"),
        (lambda: 0.1 + 0.1, "Take ‖p‖² away"),
        (lambda: 0.2 - np.sqrt(0.42), "no root"),
        (lambda: 1 - 0.2, "their squares to less"),
        (lambda: 0.1 * 0.1 - 0.42, "not their product"),
        (lambda: 0.42 - 0.2, "the winner sinks"),
    ),
)

_DPO_WEIGHT = Exercise(
    id="ch4.dpo_weight",
    title="The weight of DPO by hand",
    difficulty=1,
    minutes=5,
    text=r"""
DPO with $\beta = 0.5$. Under the reference the winner had probability 0.2 and the loser 0.4. By now the policy gives
them 0.5 and 0.1. The weight on the winner's log-probability is $\beta\,\sigma(-\beta h)$ with

$$h = \log\frac{p_w}{p_l} - \log\frac{p_{\text{ref},w}}{p_{\text{ref},l}}, \qquad \sigma(x) = \frac{1}{1 + e^{-x}}.$$

**How large is the weight?** Two decimals are enough.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

answer = ...
check("ch4.dpo_weight", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

h = np.log(0.5 / 0.1) - np.log(0.2 / 0.4)
answer = 0.5 / (1 + np.exp(0.5 * h))
check("ch4.dpo_weight", answer)
""",
    check=NumberCheck(
        target=float(dpo(_NOW, _BEFORE, _FIRST_WINS, beta=0.5).weight[0]),
        hint="h = log 5 − log ½ = log 10, and σ(−x) = 1/(1 + eˣ). Do not forget the β in front.",
        why="h = log 10: e^(βh) is √10, and 0.5/(1 + √10) is half of the 0.25 that the pair began with.",
        carry_on="Carry on: the weight never reaches 0. What does that mean for a pair that is long since learned?",
        slips=(
            (1 / (1 + 10**0.5), "That is σ(−βh). There is a β in front."),
            (0.5 / (1 + 10**-0.5), "That is σ(+βh): it grows as the pair is learned. The weight fades."),
            (0.5 / (1 + 5**0.5), "That forgets the reference: h is measured from where the pair began."),
            (0.5 / 11, "That has h where βh belongs."),
            (0.25, "That is the weight at the start, β/2, where h = 0."),
            (float(np.log(10)), "That is h. Put it into β·σ(−βh)."),
        ),
    ),
    mistakes=(
        (lambda: 1 / (1 + np.sqrt(10)), "a β in front"),
        (lambda: 0.5 / (1 + 10**-0.5), "The weight fades"),
        (lambda: 0.5 / (1 + np.sqrt(5)), "forgets the reference"),
        (lambda: 0.5 / (1 + 10), "where βh belongs"),
        (lambda: 0.5 / 2, "at the start"),
        (lambda: np.log(5) - np.log(0.5), "That is h"),
    ),
)

_LOGIT_PUSH = Exercise(
    id="ch4.logit_push",
    title="From weights to logits",
    difficulty=2,
    minutes=8,
    text=r"""
Every rule of this chapter puts signed weights $w_i = -\partial\,\text{loss}/\partial \log p_i$ on the answers. What
moves is the logits of one softmax, and $\log p_i = z_i - \log \sum_j e^{z_j}$.

Use the chain rule and write `push(weight, p)`, the array of all $-\partial\,\text{loss}/\partial z_i$.
`push(np.array([1., 0.]), np.array([0.25, 0.75]))` should be `[0.75, -0.75]`.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

def push(weight, p):
    return ...

check("ch4.logit_push", push)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

def push(weight, p):
    return weight - p * weight.sum()

check("ch4.logit_push", push)
""",
    check=FunctionCheck(
        reference=_push,
        cases=lambda rng: [
            (np.array([1.0, 0.0]), np.array([0.25, 0.75])),
            (np.array([0.0, -0.5, 0.5]), np.array([0.7, 0.2, 0.1])),
            (np.array([0.0, -1.0, 0.0]), np.array([0.7, 0.2, 0.1])),
            *(_weights_and_law(rng, m) for m in (3, 5)),
        ],
        hint="∂log p_i/∂z_j is 1 − p_j for i = j and −p_j for the others. Sum over i with the weights.",
        why="Each answer gets its own weight and pays its share p of all of them: a pair pays nothing, a push all.",
        carry_on="Carry on: with a pair's weights, which logits move? And which probabilities?",
        slips=(
            (lambda w, p: w, "The weights alone leave out the normaliser: raising one logit takes from all answers."),
            (lambda w, p: w - p, "That is right when the weights sum to 1, as in likelihood. A pair's sum to 0."),
            (lambda w, p: p * w.sum() - w, "That is the gradient of the loss. Steps go down it: turn the sign."),
            (lambda w, p: p * (w - (p * w).sum()), "These weights already hold the p of the measure. w − p·Σw."),
            (lambda w, p: w - w.mean(), "Each answer pays its own share p of the sum, not an equal one."),
            (lambda w, p: w * (1 - p), "That is each answer's pull on itself. It is pulled by the others too."),
        ),
    ),
    mistakes=(
        (lambda: lambda weight, p: weight, "leave out the normaliser"),
        (lambda: lambda weight, p: weight - p, "A pair's sum to 0"),
        (lambda: lambda weight, p: p * weight.sum() - weight, "turn the sign"),
        (lambda: lambda weight, p: weight - weight.mean(), "not an equal one"),
        (lambda: lambda weight, p: weight * (1 - p), "by the others too"),
        (lambda: lambda weight, p: weight.sum(), "gives one number"),
    ),
)

_VALID_MASS = Exercise(
    id="ch4.valid_mass",
    title="Where the valid mass settles",
    difficulty=2,
    minutes=8,
    text=r"""
We list the valid answers and leave out the endless rest. The policy has the right *shape* on the list, $p = m\,q$,
but only the share $m$ of its mass lies there. Somebody lowers the ordinary reverse KL, summed over the list alone:

$$\sum_{\text{list}} p \log\frac{p}{q} = m \log m.$$

**At which valid mass $m$ does it settle?** Two decimals are enough.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

answer = ...
check("ch4.valid_mass", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

masses = np.linspace(0.001, 1, 1000)
answer = masses[np.argmin(masses * np.log(masses))]
check("ch4.valid_mass", answer)
""",
    check=NumberCheck(
        target=float(np.exp(-1)),
        hint="Draw m·log m between 0 and 1, or set its derivative, log m + 1, to zero.",
        why="At 1/e: the formula pays for throwing away nearly two thirds of the valid mass.",
        carry_on="Carry on: the generalised KL adds −m + 1. Where is m log m − m + 1 lowest?",
        slips=(
            (1.0, "There the loss is 0, and it can go below. The *generalised* KL settles at 1."),
            (0.0, "There the loss is 0 again. It is lower in between."),
            (-float(np.exp(-1)), "That is the loss there. At which m?"),
            (float(np.e), "Solve log m = −1, not +1: a share is at most 1."),
            (0.5, "Near, but not the middle: ½·log ½ is −0.347, and it can be lower."),
        ),
    ),
    mistakes=(
        (lambda: 1, "*generalised* KL"),
        (lambda: 0, "lower in between"),
        (lambda: -1 / np.e, "At which m?"),
        (lambda: np.e, "at most 1"),
        (lambda: 1 / 2, "not the middle"),
    ),
)

_THIRD_ANSWER = Exercise(
    id="ch4.third_answer",
    title="The answer that is in no pair",
    difficulty=3,
    minutes=12,
    text=r"""
A DPO step moves the winner's logit up by $s$ and the loser's down by $s$. Before it $p_w = 0.1$ and $p_l = 0.3$; the
other answers share the rest. A small step lifts these others, because the loser has more to give than the winner
takes. A large one does not.

**From which $s$ on do the others end lower than they began?** Two decimals are enough.
""",
    stub="""
import numpy as np

from mrtlab.show.exercises import check

answer = ...
check("ch4.third_answer", answer)
""",
    solution="""
import numpy as np

from mrtlab.show.exercises import check

# others are divided by 1 + p_w (e^s - 1) - p_l (1 - e^-s), which is 1 again where p_w e^s = p_l
answer = np.log(0.3 / 0.1)
check("ch4.third_answer", answer)
""",
    check=NumberCheck(
        target=float(np.log(3)),
        hint="The others are divided by Z = 1 + p_w(eˢ − 1) − p_l(1 − e⁻ˢ). When is Z = 1 again?",
        why="With u = eˢ: p_w(u − 1) = p_l(u − 1)/u, so u = p_l/p_w. The rule p_l > p_w is for small steps.",
        carry_on="Carry on: at which s have the others gained most?",
        slips=(
            (float(np.log(3)) / 2, "There the others have gained *most*: Z is least. Where is Z back at 1?"),
            (3.0, "That is eˢ. Take the logarithm."),
            (float(np.log10(3)), "Use the natural logarithm."),
            (0.2, "That is p_l − p_w, the speed at which the others rise at first."),
            (0.0, "At 0 nothing has moved; small steps lift the others, as p_l > p_w."),
            (-float(np.log(3)), "Upside down: the loser is the likelier one here."),
        ),
    ),
    mistakes=(
        (lambda: np.log(3) / 2, "gained *most*"),
        (lambda: 3, "Take the logarithm"),
        (lambda: np.log10(3), "natural logarithm"),
        (lambda: 0.3 - 0.1, "at first"),
        (lambda: 0, "nothing has moved"),
        (lambda: np.log(0.1 / 0.3), "Upside down"),
    ),
)

EXERCISES = (_SIGN_RULE, _DPO_WEIGHT, _LOGIT_PUSH, _VALID_MASS, _THIRD_ANSWER, *ch4_draws.EXERCISES)
