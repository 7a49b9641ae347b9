"""What a live portrait meets on a machine: standard input, microphone, camera, an address, a local page."""
