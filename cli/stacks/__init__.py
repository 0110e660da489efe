"""What a stack is to the commands: on this machine, or on a cloud."""
