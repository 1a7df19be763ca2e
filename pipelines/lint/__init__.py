"""Lint: mistakes of a pipeline that can be seen in its text, before it is pushed.

Pure, like all of `pipelines/`: files in, Findings out; nothing of them is executed. What the SDK
takes is asked of the SDK itself, by its signatures and by trying a call whose arguments are plain
values. What cannot be told from the text is no finding: a mistake that is missed costs a run, a
false alarm costs trust.
"""
