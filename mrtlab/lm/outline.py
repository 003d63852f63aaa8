"""A model's configuration and tokenizer without its weights: enough to say beforehand what it will take."""

import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer

from mrtlab.lm import models, shelf


def load_outline(name: str = "embedded") -> tuple[Any, Any]:
    """Configuration and tokenizer of a model; no weight is read, and of a hub model none is downloaded.

    Args:
        name: as `mrtlab.lm.models.load_model` takes it. Of a folder with an adapter it is the base model's.

    Raises:
        ValueError: the model cannot be found; with the remedy.

    >>> config, tokenizer = load_outline("embedded")
    >>> config.model_type, config.vocab_size == len(tokenizer)
    ('llama', True)
    """
    adapter = Path(name) / shelf.ADAPTER
    if adapter.is_file():
        base = json.loads(adapter.read_text("utf-8")).get("base_model_name_or_path")
        if not base:
            raise ValueError(f"{name} holds an adapter whose {shelf.ADAPTER} names no base model: give the base itself")
        return load_outline(base)
    source = models._source(name)
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        return config, AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(models._remedy(name, source, error)) from error
