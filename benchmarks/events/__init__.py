"""How fast messages become signals."""
