"""The networks, their inputs, codec, metadata and files."""
