"""A shop, as small as can be."""
