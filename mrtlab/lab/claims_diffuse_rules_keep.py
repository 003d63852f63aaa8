"""Rules for the claims of chapter 7 on what evenness costs, committed before the run that they judge.

The margin was set after a look at seed 99, which no run uses, at 10 passes.
"""

from collections.abc import Mapping
from typing import Any

from mrtlab.lab.verdicts import Verdict


def texts_kept(results: Mapping[str, Any]) -> Verdict:
    """DIF-10c: new texts that have nothing to do with picking stay as likely: perplexity rises by less than 1 %.

    Texts: facts in new words, stories with and without a named tone, programs, each kind by itself. Less: both 95 %
    intervals of the change in nats per token, the bootstrap's over documents and seeds and Student's over seeds, end
    below .01. Reproduced if so without an anchor; holds only with one if so with an anchor on facts; holds only with a
    wide one if so with an anchor on facts, stories and programs.
    """
    end = {kind: one["marks"][str(results["design"]["passes"])]["texts"] for kind, one in results["kinds"].items()}
    texts, margin = results["design"]["unrelated"], 0.01

    def kept(kind: str) -> bool:
        return all(max(end[kind][t]["change"]["hi"], end[kind][t]["change"]["seeds_hi"]) < margin for t in texts)

    measured = "change in nats per token: " + "; ".join(
        f"{name} "
        + ", ".join(
            f"{t.replace('_', ' ')} {c['mean']:+.4f} ({c['lo']:.4f} to {c['hi']:.4f})"
            for t, c in ((t, end[kind][t]["change"]) for t in texts)
        )
        for kind, name in (("free", "without an anchor"), ("anchored", "with an anchor on facts"))
    )
    if kept("free"):
        return Verdict(kind="reproduced", measured=measured)
    if kept("anchored"):
        return Verdict(kind="holds only if", condition="an anchor holds the model on facts", measured=measured)
    if kept("anchored-wide"):
        return Verdict(kind="holds only if", condition="an anchor holds the model on such texts", measured=measured)
    return Verdict(kind="not reproduced", measured=measured)
