"""One class a dataset: its files, licence, reader and head size."""
