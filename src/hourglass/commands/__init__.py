"""What `hourglass predict`, `sticker` and `export` do: options, files in and out, messages."""
