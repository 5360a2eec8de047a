"""What `hourglass predict`, `sticker`, `page` and `export` do: options, files, messages."""
