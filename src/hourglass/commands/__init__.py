"""What `hourglass predict` and `hourglass export` do: options, files in and out, messages."""
