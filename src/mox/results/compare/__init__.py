"""Trials and settings compared: two trials, kinds of questions, what a setting does."""
