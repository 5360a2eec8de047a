"""A network as one file for another runtime, compared with Keras."""
