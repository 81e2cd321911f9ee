"""Bad codes and what becomes of them."""
