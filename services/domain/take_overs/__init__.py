"""When a conductor dies: what it owed, whether it lives, who acts for it, and whom a line rings back."""
