"""The project's examples, as their users run them: `./pipeline demo --example NAME`."""
