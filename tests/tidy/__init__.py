"""Habits kept by a test, not by memory."""
