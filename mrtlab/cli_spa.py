"""The commands `mrtlab spa …`: synthesize, partition, adapt: several adapters that answer in several ways."""

import typer

from mrtlab.cli_spa_adapt import EXAMPLES as _ADAPT_EXAMPLES
from mrtlab.cli_spa_adapt import adapt
from mrtlab.cli_spa_attribute import EXAMPLES as _ATTRIBUTE_EXAMPLES
from mrtlab.cli_spa_attribute import attribute
from mrtlab.cli_spa_evaluate import EXAMPLES as _EVALUATE_EXAMPLES
from mrtlab.cli_spa_evaluate import evaluate
from mrtlab.cli_spa_partition import EXAMPLES as _PARTITION_EXAMPLES
from mrtlab.cli_spa_partition import partition
from mrtlab.cli_spa_sample import EXAMPLES as _SAMPLE_EXAMPLES
from mrtlab.cli_spa_sample import sample
from mrtlab.cli_spa_synthesize import EXAMPLES as _SYNTHESIZE_EXAMPLES
from mrtlab.cli_spa_synthesize import synthesize

spa = typer.Typer(no_args_is_help=True, help="Several adapters, each from its own part of the data: varied answers.")


@spa.callback()
def _group() -> None:
    pass


spa.command(epilog=_SYNTHESIZE_EXAMPLES)(synthesize)
spa.command(epilog=_ATTRIBUTE_EXAMPLES)(attribute)
spa.command(epilog=_PARTITION_EXAMPLES)(partition)
spa.command(epilog=_ADAPT_EXAMPLES)(adapt)
spa.command(epilog=_SAMPLE_EXAMPLES)(sample)
spa.command(epilog=_EVALUATE_EXAMPLES)(evaluate)
