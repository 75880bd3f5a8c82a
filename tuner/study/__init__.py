"""The records that every part of tuner speaks of: data only, no behaviour."""
