"""Training language models on many answers per prompt. Needs the `lm` extra."""
