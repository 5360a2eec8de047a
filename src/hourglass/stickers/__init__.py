"""Stickers for chats: people of photographs and clips, drawn or cut out, as messengers take."""
