"""Stickers for chats, drawn or cut out of photographs and clips."""
