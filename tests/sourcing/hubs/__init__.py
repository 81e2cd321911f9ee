"""Hubs that buy from one another over a line that does its worst."""
