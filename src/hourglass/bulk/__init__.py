"""Very many photographs: listed, predicted in parts that a kill leaves whole, their results."""
