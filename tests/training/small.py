"""A small model, its tokenizer and a few records: what the tests of training share. Also run as a script, see below."""

import json
import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments

from mrtlab.data.records import Record
from mrtlab.lm.tokenizer import train_tokenizer
from mrtlab.training.choose import Choice
from mrtlab.training.multiresponse import MultiResponseConfig, MultiResponseTrainer

FRUITS = ("plum", "fig", "ripe pear", "mango tree", "a green apple", "kiwi", "sour lemon", "date")


def records(n: int = 12, k: int = 4) -> list[Record]:
    """n prompts with k responses of several lengths each."""
    return [
        Record.of(f"Name {'a ripe ' * (i % 3)}fruit {i}.", [FRUITS[(i + j) % len(FRUITS)] for j in range(k)])
        for i in range(n)
    ]


def tokenizer():
    """One that has seen the records."""
    texts = [text for record in records() for text in (record.prompt, *record.responses)]
    return train_tokenizer(texts, vocab_size=300)


def model(*, dropout: float = 0.0) -> LlamaForCausalLM:
    """Two layers, the same weights at every call."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        attention_dropout=dropout,
    )
    return LlamaForCausalLM(config)


def arguments(folder: Path, **changes) -> TrainingArguments:
    """Plain SGD-like settings: nothing that depends on more than the gradient."""
    settings = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 2,
        "num_train_epochs": 1,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 1.0,
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "seed": 3,
    }
    return TrainingArguments(**settings | changes)


def trainer(folder: Path, *, k: int = 3, rule: str = "random", normalisation: str = "token", **changes):
    """A trainer over the records, with K of their four responses."""
    config = MultiResponseConfig(choice=Choice(rule=rule, k=k), normalisation=normalisation)
    return MultiResponseTrainer(
        model(), arguments(folder, **changes), records=records(), tokenizer=tokenizer(), config=config
    )


def weights(trained) -> torch.Tensor:
    """All weights in one row."""
    return torch.cat([p.detach().flatten() for p in trained.parameters()])


def main() -> None:
    """`python small.py FOLDER '{"changes": …}' [resume]`: train, then save the weights as FOLDER/weights.pt."""
    torch.set_num_threads(1)
    folder, changes, resume = Path(sys.argv[1]), json.loads(sys.argv[2]), len(sys.argv) > 3
    found = trainer(folder, **changes)
    found.train(resume_from_checkpoint=True if resume else None)
    if found.is_world_process_zero():
        torch.save(weights(found.accelerator.unwrap_model(found.model)), folder / "weights.pt")


if __name__ == "__main__":
    main()
