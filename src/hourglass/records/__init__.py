"""TFRecords: their schema, the shards that hold them, and the batches read out of them."""
