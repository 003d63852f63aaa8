"""The 100-arm race: one array for all runs against a PyTorch loop per run. `python -m benchmarks.bandit`."""

from collections.abc import Sequence

import numpy as np

from benchmarks._timing import Comparison, interleaved, one_core, options, table, write_section
from mrtlab.theory.bandit import FAR_PEAK, bandit_reference, bandit_reward
from mrtlab.theory.race import Rule, race

SECOND = ("s", 1.0)
AIM = 20.0
RULES = tuple(Rule(method=m) for m in ("pref_ft", "best_of_n", "dpo", "ipo", "reinforce", "ppo"))
RATES = (0.05, 0.2, 0.5)
PROMPTS, ANSWERS, REUSE = 10, 10, 5

PREDICTION = """**Before the run.** A step of one run in PyTorch is some thirty small operations and their
gradients, then Adam: 0.3 to 0.5 ms, nearly all of it the cost of calling. The array does the same calls once for all
seeds and rates of a rule, 30 runs here, so it should be limited by arithmetic: DPO and IPO touch 1000 pairs per
run and step, 30 000 numbers for each elementary operation. That makes 20 to 30 times. (Our side was known
from a pilot, 1.6 ms a step for 105 runs; the peer's time was a guess.)"""

BOUND = """**What bounds it.** The rules on pairs. Without DPO and IPO the whole grid takes {plain:.2g} s instead of
{whole:.2g} s: {share:.0f} % of the time goes into 10 × 10 tables of pairs, more than half of them empty. The peer draws
with the same random numbers and ends at the same policies; the last column is the largest gap in any
probability."""


def torch_run(rule: Rule, rate: float, seed: int, *, steps: int) -> np.ndarray:
    """One run as people write it: a tensor of logits, a loss, `backward`, Adam. Returns the final policy."""
    import torch
    from torch.nn.functional import logsigmoid

    rng = np.random.default_rng(seed)
    reference = torch.log(torch.tensor(bandit_reference()))
    prizes = torch.tensor(bandit_reward(peak=FAR_PEAK))
    logits = reference.clone().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=rate)
    for step in range(steps):
        if step % REUSE == 0:
            luck = torch.tensor(rng.random((PROMPTS, ANSWERS)))
            with torch.no_grad():
                logp = torch.log_softmax(logits, 0)
                below = logp.exp().cumsum(0)
                arms = torch.searchsorted(below / below[-1], luck, right=True).clamp(max=len(prizes) - 1)
                reward, old = prizes[arms], logp[arms]
                won = (reward[:, :, None] > reward[:, None, :]).double()
                pairs = won / won.sum((1, 2), keepdim=True).clamp(min=1)
                advantage = (reward - reward.mean(1, keepdim=True)) * ANSWERS / (ANSWERS - 1)
        logp = torch.log_softmax(logits, 0)[arms]
        if rule.method == "pref_ft":
            loss = -(pairs.sum(2) * logp).sum(1)
        elif rule.method == "best_of_n":
            loss = -logp.gather(1, reward.argmax(1, keepdim=True))
        elif rule.method == "reinforce":
            loss = -(advantage * logp).mean(1)
        elif rule.method == "ppo":
            ratio = (logp - old).exp()
            loss = -torch.minimum(ratio * advantage, ratio.clamp(1 - rule.clip, 1 + rule.clip) * advantage).mean(1)
        else:
            log_ratio = logp - reference[arms]
            margin = log_ratio[:, :, None] - log_ratio[:, None, :]
            each = -logsigmoid(rule.beta * margin) if rule.method == "dpo" else (margin - rule.margin) ** 2
            loss = (pairs * each).sum((1, 2))
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
    return torch.softmax(logits.detach(), 0).numpy()


def torch_grid(rules: Sequence[Rule], n_seeds: int, *, steps: int) -> np.ndarray:
    """Run after run, (rules, rates, seeds, arms)."""
    return np.array(
        [[[torch_run(rule, rate, seed, steps=steps) for seed in range(n_seeds)] for rate in RATES] for rule in rules]
    )


def our_grid(rules: Sequence[Rule], n_seeds: int, *, steps: int) -> np.ndarray:
    """All runs in one array."""
    return race(
        rules,
        reference=bandit_reference(),
        reward=bandit_reward(peak=FAR_PEAK),
        rates=RATES,
        rngs=[np.random.default_rng(seed) for seed in range(n_seeds)],
        steps=steps,
        batch=PROMPTS,
        answers=ANSWERS,
        reuse=REUSE,
    ).policy[-1]


def main(argv: Sequence[str] | None = None) -> None:
    """Run, print and write the section."""
    import torch

    chosen = options(argv)
    one_core()
    torch.set_num_threads(1)
    n_seeds, steps, repeats = (2, 6, 1) if chosen.tiny else (10, 100, 7)
    plain = [rule for rule in RULES if rule.method not in ("dpo", "ipo")]
    gap = np.abs(our_grid(RULES, n_seeds, steps=steps) - torch_grid(RULES, n_seeds, steps=steps)).max()
    times = interleaved(
        {
            "ours": lambda: our_grid(RULES, n_seeds, steps=steps),
            "plain": lambda: our_grid(plain, n_seeds, steps=steps),
            "peer": lambda: torch_grid(RULES, n_seeds, steps=steps),
        },
        repeats=repeats,
    )
    row = Comparison(
        work=f"{len(RULES)} rules × {n_seeds} seeds × {len(RATES)} rates, {steps} steps, {PROMPTS} × {ANSWERS} answers",
        peer="PyTorch, run by run",
        ours_s=times["ours"],
        peer_s=times["peer"],
        unit=SECOND,
        difference=f"{gap:.0e}",
        aim=AIM,
    )
    share = 100 * (1 - times["plain"] / times["ours"])
    bound = BOUND.format(plain=times["plain"], whole=times["ours"], share=share)
    write_section(
        "bandit", "\n\n".join(["## The 100-arm race", PREDICTION, table([row]), bound]), out=chosen.out,
        packages=("torch",),
    )  # fmt: skip


if __name__ == "__main__":
    main()
