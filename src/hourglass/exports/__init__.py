"""A trained network as one file of another runtime: ONNX, LiteRT, SavedModel; each proven."""
