"""Floor 2: records, tables and families with a known truth. No torch."""
