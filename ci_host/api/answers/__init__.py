"""Answers: the forms of what the API answers, for its description of itself, and for nothing else.

No answer is checked or made by them when it is given: views are dicts, encoded once. Tests hold the
two together. What routes are asked is said where the routes are.
"""
