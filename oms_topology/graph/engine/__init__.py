"""The trees of a network: where they are written, and how they change."""
