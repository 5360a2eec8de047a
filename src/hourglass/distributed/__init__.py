"""All that runs on Ray: shards, batch inference, training on several hosts."""
