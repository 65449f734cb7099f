"""How long the migration of four providers' registries takes."""
