"""Inference of outages: how often it is right, and how fast."""
