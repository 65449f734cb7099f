"""A town in the deployed schema with every kind of dirt that the field knows, and the truth of each meter."""
