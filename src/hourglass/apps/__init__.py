"""Programs built on inference: clips, batches of photographs, stickers, a web page."""
