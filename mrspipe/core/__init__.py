"""What travels between the stages: frozen value objects and their signal operators (numpy only)."""
