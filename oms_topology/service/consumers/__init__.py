"""Consumers: take the messages of a broker in for as long as they run, and lose none."""
