"""Digits in photographs and scans: from grey levels to the ink of each figure."""
