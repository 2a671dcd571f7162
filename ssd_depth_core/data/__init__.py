"""Readers of driving data sets, one module a data set; nothing is imported here."""
