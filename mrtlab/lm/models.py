"""Models by name: the one that comes with the package, a folder, or the Hugging Face hub."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import cached_file

from mrtlab.lm import shelf
from mrtlab.lm.cards import four_bits_here

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}

FOUR_BITS = "nf4"

_log = logging.getLogger("mrtlab")


def load_model(
    name: str = "embedded", *, device: str = "auto", dtype: str = "auto", attention: str = "sdpa"
) -> tuple[Any, Any]:
    """A causal language model and its tokenizer, ready to score, sample and train.

    Args:
        name: "embedded", the small model that comes with the package; a folder with a saved model, or with an adapter
            of peft's, which is merged into the base model that it names; or a name on the Hugging Face hub, such as
            "Qwen/Qwen3-0.6B", which is downloaded once.
        device: "auto" takes a CUDA GPU if there is one, else the CPU.
        dtype: "auto" takes float32 on a CPU; on a GPU bfloat16 where the card knows it, else float16. "nf4" keeps
            linear layers in four bits, for an adapter to be trained beside them; it needs a GPU and bitsandbytes.
        attention: transformers' name of the attention implementation; "flex_attention" suits long trees on a GPU.

    Returns:
        (model, tokenizer), the model in evaluation mode. What was chosen is logged as `mrtlab`, level INFO.

    Raises:
        ValueError: the device or dtype is unknown or absent, or the model cannot be found; with the remedy.
    """
    if dtype == FOUR_BITS:
        return _in_four_bits(name, device=device, attention=attention)
    place, number = find_device(device), _dtype(dtype, device)
    if (Path(name) / shelf.ADAPTER).is_file():
        return _with_adapter(name, device=device, dtype=dtype, attention=attention)
    model, tokenizer = _read(name, dtype=number, attn_implementation=attention)
    model = model.to(place).eval()
    count = sum(p.numel() for p in model.parameters())
    _log.info("%s: %.2f million parameters on %s in %s", name, count / 1e6, place, str(number).removeprefix("torch."))
    return model, tokenizer


def find_device(device: str) -> torch.device:
    """The device of a name; "auto" is a CUDA GPU if there is one, else the CPU.

    Raises:
        ValueError: it is unknown, or there is none on this machine.

    >>> find_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"unknown device {device!r}: try auto, cpu, or cuda") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for, but PyTorch finds no GPU here: use device='cpu' or 'auto'")
    return place


def _read(name: str, **options: Any) -> tuple[Any, Any]:
    """Model and tokenizer as they are stored, or a sentence on why not."""
    source = _source(name)
    try:
        if not Path(source).is_dir():
            cached_file(source, "config.json")  # one look before many: without network each tries for half a minute
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(source, use_safetensors=True, trust_remote_code=False, **options)
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(_remedy(name, source, error)) from error
    return model, tokenizer


def _in_four_bits(name: str, *, device: str, attention: str) -> tuple[Any, Any]:
    """A model whose linear layers are kept in four bits: NF4, its scales quantised, too (Dettmers et al. 2023)."""
    if device == "cpu" or not four_bits_here():
        raise ValueError(
            "four bits need a CUDA GPU and the library bitsandbytes: pip install bitsandbytes; or train an adapter "
            "over sixteen bits"
        )
    from transformers import BitsAndBytesConfig

    number = _dtype("auto", device)
    four = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=number
    )
    options = {"quantization_config": four, "dtype": number, "device_map": {"": 0}}
    model, tokenizer = _read(name, attn_implementation=attention, **options)
    return model.eval(), tokenizer


def _dtype(dtype: str, device: str) -> torch.dtype:
    if dtype == "auto":
        if find_device(device).type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if dtype not in _DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}: choose from auto, {', '.join(_DTYPES)}, {FOUR_BITS}")
    return _DTYPES[dtype]


def _with_adapter(name: str, **options: Any) -> tuple[Any, Any]:
    """A base model with the adapter of a folder merged into it, so that it is a model like any other."""
    folder = Path(name)
    try:
        base = json.loads((folder / shelf.ADAPTER).read_text("utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError):
        base = None
    if not isinstance(base, str) or not base or Path(base).absolute() == folder.absolute():
        raise ValueError(
            f"{name} holds an adapter whose {shelf.ADAPTER} names no base model: write it into base_model_name_or_path"
        )
    if not (folder / shelf.ADAPTER_WEIGHTS).is_file():
        raise ValueError(
            f"{name} holds an adapter without its weights: expected {shelf.ADAPTER_WEIGHTS} beside {shelf.ADAPTER}"
        )
    try:
        from peft import PeftModel
    except ImportError:
        raise ValueError(f'{name} holds an adapter, which needs peft: pip install "mrtlab[lm]"') from None
    try:
        model, tokenizer = load_model(base, **options)
    except ValueError as error:
        raise ValueError(
            f"cannot load the base model of the adapter {name}: {error}. The adapter's {shelf.ADAPTER} says which it is"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of transformers, about what peft asks it
            merged = PeftModel.from_pretrained(model, name).merge_and_unload()
    except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
        raise ValueError(f"cannot put the adapter {name} on {base}: {str(error).strip().splitlines()[0]}") from error
    if (folder / "tokenizer_config.json").is_file():
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    # peft freezes the base; a merged model is one like any other, to be trained or measured again.
    return merged.requires_grad_(True).eval(), tokenizer


def _source(name: str) -> str:
    if name == "embedded":
        if not (shelf.EMBEDDED / shelf.WEIGHTS).is_file():
            raise ValueError(
                "the embedded model is missing from this installation: make one with `mrtlab pretrain FOLDER`, "
                "then give its folder as the model"
            )
        return str(shelf.EMBEDDED)
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise ValueError(f"{name} is a folder without a config.json: expected a model saved with save_pretrained")
        return name
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ValueError(
            f"there is no folder {name}: give 'embedded', an existing folder, or a hub name like Qwen/Qwen3-0.6B"
        )
    return name


def _remedy(name: str, source: str, error: Exception) -> str:
    first = str(error).strip().splitlines()[0]
    if source != name or Path(source).is_dir():
        return f"cannot load {name}: {first}"
    return (
        f"cannot load {name!r} from the Hugging Face hub ({first}). Check the name and the network; on a machine "
        "without network use 'embedded', or copy a downloaded folder there and give its path"
    )
