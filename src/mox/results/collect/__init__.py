"""What of a store nobody needs, and why; and its removal."""
