"""What trials were measured at under load, compared as far as their spread allows."""
