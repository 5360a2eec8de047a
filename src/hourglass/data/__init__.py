"""From a dataset's raw files to checked records of persons."""
