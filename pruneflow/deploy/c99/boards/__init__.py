"""The C of a network on Arm: how much flash it takes, and what it does in an emulator."""
