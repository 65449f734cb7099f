"""From tables, edges and text to columns that an index can stand on."""
