"""A network as one file for another runtime, held against Keras."""
