"""The schema's history: one revision a release, each a folder of plain SQL files."""
