"""The raw files of every dataset: fetched or packed, verified, and read."""
