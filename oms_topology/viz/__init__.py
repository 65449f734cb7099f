"""What is looked at: pages that work offline, with everything they need in one file."""
