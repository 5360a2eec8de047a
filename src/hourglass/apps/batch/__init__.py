"""Batch inference: very many photographs in chunks, resumed after a kill."""
