"""FoxReload's public API as a supplier."""
