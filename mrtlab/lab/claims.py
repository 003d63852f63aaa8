"""The ledger: every claim joined with its artifact and the verdict that its rule computes.

A verdict is shown only if the rule is the one that was in force when the result was made. A rule edited
afterwards could have been bent to fit, so its verdict is withheld until the experiment is run again.
"""

from dataclasses import dataclass

from mrtlab.lab import artifacts, subject
from mrtlab.lab.artifacts import Artifact, ArtifactMissing
from mrtlab.lab.claims_best_of_n import CLAIMS as _BEST_OF_N
from mrtlab.lab.claims_diffuse import CLAIMS as _DIFFUSE
from mrtlab.lab.claims_mrt import CLAIMS as _MRT
from mrtlab.lab.claims_preference import CLAIMS as _PREFERENCE
from mrtlab.lab.claims_spa import CLAIMS as _SPA
from mrtlab.lab.names import UnknownName
from mrtlab.lab.verdicts import Claim, Verdict

CLAIMS: tuple[Claim, ...] = (*_MRT, *_PREFERENCE, *_BEST_OF_N, *_DIFFUSE, *_SPA)

JUDGED = "ok"
NO_ARTIFACT = "no artifact yet"
OTHER_MODEL = "the artifact is about another model"
RULE_CHANGED = "rule changed after the run"


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        claim: what is claimed and how it is tested.
        status: "ok" if there is a verdict, else why not: "planned, chapter N", "no artifact yet", "rule changed
            after the run" or "the artifact is about another model".
        verdict: what the rule says; None unless the status is "ok".
        remark: what else the results show, written after the run; may be empty.
        artifact: file name of the artifact that was or will be read; empty while only planned.
        about: the model that the artifact is about, if it is another than the claim's scope says.
    """

    claim: Claim
    status: str
    verdict: Verdict | None = None
    artifact: str = ""
    remark: str = ""
    about: str = ""

    @property
    def scope(self) -> str:
        """The kind of model that the verdict is about; a model that was named in its place."""
        return self.about or self.claim.scope

    @property
    def outcome(self) -> str:
        """The verdict in words, or why there is none yet."""
        return str(self.verdict) if self.verdict else self.status


def find(claim_id: str) -> Claim:
    """The claim of this id, upper or lower case.

    Raises:
        UnknownName: there is none; the message suggests the nearest ids.

    >>> find("mrt-05").title
    'More responses, steadier retrainings'
    >>> find("MRT-17b").id
    'MRT-17b'
    """
    by_id = {claim.id.upper(): claim for claim in CLAIMS}
    if claim_id.upper() not in by_id:
        raise UnknownName("claim", claim_id, [claim.id for claim in CLAIMS])
    return by_id[claim_id.upper()]


def rule_fingerprints(experiment: str) -> dict[str, str]:
    """{claim id: fingerprint of its rule} for the claims that read this experiment."""
    return {claim.id: claim.fingerprint for claim in CLAIMS if claim.experiment == experiment}


def ledger() -> list[Entry]:
    """All claims in order, each with its status and, where there is one, its verdict."""
    return [entry(claim) for claim in CLAIMS]


def entry(claim: Claim) -> Entry:
    """Join a claim with its artifact."""
    if claim.rule is None:
        return Entry(claim, f"planned, chapter {claim.chapter}")
    file = artifacts.artifact_path(claim.experiment, claim.scale).name
    try:
        artifact = artifacts.load(claim.experiment, claim.scale)
    except ArtifactMissing:
        return Entry(claim, NO_ARTIFACT, artifact=file)
    found = judge(claim, artifact)
    if found.about and claim.scope == "embedded model":
        return Entry(claim, OTHER_MODEL, artifact=file, about=found.about)  # what is said of one is not of another
    return found


def judge(claim: Claim, artifact: Artifact) -> Entry:
    """Apply a claim's rule to an artifact, whatever its scale, if the rule is older than the result."""
    file = artifacts.artifact_path(artifact.experiment, artifact.scale).name
    about = subject.told(artifact.provenance)
    named = str(about) if about and not about.embedded else ""
    if claim.rule is None or artifact.provenance.get("rules", {}).get(claim.id) != claim.fingerprint:
        return Entry(claim, RULE_CHANGED, artifact=file, about=named)
    remark = claim.remark(artifact.results) if claim.remark and artifact.scale == claim.scale else ""
    return Entry(claim, JUDGED, claim.rule(artifact.results), file, remark, named)
