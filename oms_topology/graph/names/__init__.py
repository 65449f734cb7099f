"""From codes to rows and back."""
