"""The `hourglass` command: options, files, messages, one module a subcommand."""
