"""Resets: those that were made, and plans for those that are to be made."""
