"""The authors' test kit, which they import as `staunch.testing`: Runs without a host, at once.

`kit.py` is what authors hold; `script.py` what they prepared; `world.py` what happens next by that;
`story.py` has the plan decide, by the driver and the rules of a History that engines use.
"""
