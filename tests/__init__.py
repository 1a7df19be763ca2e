"""The tests, and what they share: plans driven by hand, servers, a runner's world, the demo."""
