"""Floor 6: experiments, their artifacts, and the ledger of claims. Importing it does not import torch."""
