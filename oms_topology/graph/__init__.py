"""The network as a graph: what hangs below a device, what feeds it, and what a switch changes."""
