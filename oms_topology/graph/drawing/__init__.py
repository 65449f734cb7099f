"""The network as NetworkX sees it: a graph on columns."""
