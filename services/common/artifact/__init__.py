"""Model folders: the manifest, writing and inspection."""
