"""Speed and size of the graph room; run ``python -m benchmarks.graph.run``."""
