"""What tests of the pages share: a host in memory with Runs to look at, and a browser to look."""
