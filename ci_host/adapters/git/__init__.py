"""Git: mirrors of repositories, and pipeline code read from them. Never a work tree.

All of git goes through `command.py`, where it is hardened; everything that git shows is content
that somebody else wrote.
"""
