"""Engines that run a trainable on the ranks: plain, DDP, DeepSpeed, behind one interface."""
