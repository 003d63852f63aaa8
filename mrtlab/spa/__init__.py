"""Synthesize, partition, adapt: which examples teach alike, parts made of them, and one adapter for each part."""
