"""What `hourglass predict`, `export` and `page` do: options, files in and out, messages."""
