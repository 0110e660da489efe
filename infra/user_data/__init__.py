"""What the machine boots with: cloud-init's document and the worker's archive and settings."""
