"""Geometry against its peers."""
